//! AES-256-GCM with a ring of keys: a sealed text opens only in the table, row and column for which it was sealed.

// Generated secrets in files of the data folder.
pub mod key_file;

use std::fmt;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Bytes of a key's id, which is the beginning of its hash. Two keys of a ring with the same id are rejected.
const KEY_ID_BYTES: usize = 4;
/// The most keys of a ring.
const MAX_KEYS: usize = 16;
/// The form of a sealed text: `v1.<key id>.<nonce, ciphertext and tag in base64url>`.
const VERSION: &str = "v1";

/// The place where a sealed text is stored. It opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'a> {
    pub table: &'static str,
    pub row: &'a str,
    pub column: &'static str,
}

/// Why a sealed text does not open. Reveals nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    #[error("a sealed value is not of the form v1.key.data")]
    Malformed,
    #[error(
        "a sealed value needs a key that TOKEN_ENCRYPTION_KEYS does not have: add it; a key that a start made is in \
         the file token-encryption-key of DATA_DIR"
    )]
    UnknownKey,
    #[error("a sealed value was changed, or moved from its row or column")]
    Forged,
}

/// One mistake in `TOKEN_ENCRYPTION_KEYS`, by position.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("key {position} {problem}")]
pub struct KeyMistake {
    pub position: usize,
    pub problem: &'static str,
}

/// The keys of `TOKEN_ENCRYPTION_KEYS`: the first seals, all of them open.
#[derive(Clone)]
pub struct KeyRing(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: String,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

// Not derived, because that would print the keys.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl KeyRing {
    /// Parses at least one key of 32 bytes, in 64 hex digits or base64, separated by commas. Reports every mistake,
    /// without any value.
    pub fn parse(text: &str) -> Result<Self, Vec<KeyMistake>> {
        let mut keys: Vec<Key> = Vec::new();
        let mut mistakes = Vec::new();
        for (index, part) in text.split(',').map(str::trim).enumerate() {
            match key_bytes(part).map(Key::new).and_then(|key| key.beside(&keys)) {
                Ok(key) => keys.push(key),
                Err(problem) => mistakes.push(KeyMistake { position: index + 1, problem }),
            }
        }
        if mistakes.is_empty() { Ok(Self(keys)) } else { Err(mistakes) }
    }

    /// Seals `plain` for one place, under a nonce from the operating system.
    pub fn seal(&self, cell: Cell<'_>, plain: &str) -> String {
        let key = &self.0[0];
        // Random nonces are safe for up to 2^32 texts per key (NIST SP 800-38D).
        let nonce: [u8; NONCE_BYTES] = random_bytes();
        let payload = Payload { msg: plain.as_bytes(), aad: &associated_data(cell) };
        let sealed = key
            .cipher()
            .encrypt(&Nonce::from(nonce), payload)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        let data = URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat());
        format!("{}{data}", self.prefix())
    }

    /// Opens a text that any key of the ring sealed for this place.
    pub fn open(&self, cell: Cell<'_>, sealed: &str) -> Result<Zeroizing<String>, OpenError> {
        let (key_id, data) = split_sealed(sealed).ok_or(OpenError::Malformed)?;
        let data = URL_SAFE_NO_PAD.decode(data).map_err(|_| OpenError::Malformed)?;
        let (nonce, sealed) =
            data.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Malformed)?;
        if sealed.len() < TAG_BYTES {
            return Err(OpenError::Malformed);
        }
        let key = self.0.iter().find(|key| key.id == key_id).ok_or(OpenError::UnknownKey)?;
        let payload = Payload { msg: sealed, aad: &associated_data(cell) };
        let plain =
            key.cipher().decrypt(&Nonce::from(*nonce), payload).map_err(|_| OpenError::Forged)?;
        String::from_utf8(plain).map(Zeroizing::new).map_err(|_| OpenError::Forged)
    }

    /// The prefix of every text that the first key has sealed.
    pub fn prefix(&self) -> String {
        format!("{VERSION}.{}.", self.0[0].id)
    }

    /// Derives a key for another purpose from each key of the ring, in order. A derived key reveals nothing about its
    /// origin.
    pub fn derived(&self, purpose: &str) -> Vec<Zeroizing<[u8; KEY_BYTES]>> {
        self.0.iter().map(|key| key.derived(purpose)).collect()
    }
}

impl Key {
    fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        // The prefix keeps the id apart from every other hash of the key.
        let hash = Sha256::new().chain_update(b"rtmsd key id").chain_update(bytes.as_slice());
        Self { id: hex::encode(&hash.finalize()[..KEY_ID_BYTES]), bytes }
    }

    fn beside(self, others: &[Key]) -> Result<Self, &'static str> {
        if others.len() >= MAX_KEYS {
            Err("is one too many")
        } else if others.iter().any(|other| other.id == self.id) {
            Err("is the same as an earlier one")
        } else {
            Ok(self)
        }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*self.bytes).into())
    }

    fn derived(&self, purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        let mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.bytes.as_slice())
            .expect("an HMAC key has any length");
        Zeroizing::new(mac.chain_update(purpose.as_bytes()).finalize().into_bytes().into())
    }
}

/// Random bytes from the operating system.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

fn key_bytes(text: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, &'static str> {
    // Hex first: 64 hex digits are also base64, of 48 bytes.
    let bytes = hex::decode(text).or_else(|_| STANDARD.decode(text)).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| "is neither hex nor base64")?;
    let bytes: [u8; KEY_BYTES] =
        bytes.as_slice().try_into().map_err(|_| "has another length than 32 bytes")?;
    if bytes == [0; KEY_BYTES] {
        return Err("is all zeros: make one with openssl rand -hex 32");
    }
    Ok(Zeroizing::new(bytes))
}

fn split_sealed(sealed: &str) -> Option<(&str, &str)> {
    let (version, rest) = sealed.split_once('.')?;
    if version == VERSION { rest.split_once('.') } else { None }
}

/// Prefixes each part with its length, so that no two places have the same associated data.
fn associated_data(cell: Cell<'_>) -> Vec<u8> {
    let mut data = VERSION.as_bytes().to_vec();
    for part in [cell.table, cell.row, cell.column] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

#[cfg(test)]
mod tests;
