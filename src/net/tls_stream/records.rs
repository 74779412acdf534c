//! Records of TLS after the handshake: their headers, and the encryption of one direction (RFC 8446 section 5, RFC 5246
//! section 6.2).

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305};
use ring::aead::{LessSafeKey, Nonce, UnboundKey};
use rustls::crypto::cipher::{self, AeadKey, Iv, NONCE_LEN, make_tls12_aad, make_tls13_aad};
use rustls::{AlertDescription, ConnectionTrafficSecrets, ContentType, Error, InvalidMessage};
use rustls::{PeerMisbehaved, ProtocolVersion, SupportedCipherSuite};

/// Type, version, and length.
pub(super) const HEADER_BYTES: usize = 5;
/// The most content in one record.
pub(super) const MAX_CONTENT_BYTES: usize = 16 * 1024;
/// The most that encryption may add in TLS 1.2 (256 in TLS 1.3). Like rustls, this refuses a record that reaches it.
const MAX_ENCRYPTION_BYTES: usize = 2048;
/// The part of the nonce that each record of TLS 1.2 with AES-GCM contains.
const GCM_NONCE_BYTES: usize = 8;
/// The version in the header of every record that is sent, also with TLS 1.3.
const VERSION: ProtocolVersion = ProtocolVersion::TLSv1_2;

/// Why the session ends, and the alert for the peer.
#[derive(Debug)]
pub(super) struct Fault {
    /// `None` if the peer ended the connection.
    pub(super) alert: Option<AlertDescription>,
    pub(super) error: Error,
}

impl Fault {
    pub(super) fn new(alert: AlertDescription, error: impl Into<Error>) -> Self {
        Self { alert: Some(alert), error: error.into() }
    }

    /// A failure on this side.
    pub(super) fn internal(error: Error) -> Self {
        Self::new(AlertDescription::InternalError, error)
    }
}

/// The beginning of a record.
#[derive(Debug)]
pub(super) struct Header {
    content_type: ContentType,
    /// TLS 1.2 authenticates it.
    version: ProtocolVersion,
    /// The length of the payload.
    pub(super) payload_bytes: usize,
}

impl Header {
    /// Reads the header of the first record, `None` until it has come whole.
    pub(super) fn read(received: &[u8]) -> Result<Option<Self>, Fault> {
        let &[content_type, major, minor, high, low, ..] = received else { return Ok(None) };
        let content_type = ContentType::from(content_type);
        if matches!(content_type, ContentType::Unknown(_)) || major != 3 {
            let cause = InvalidMessage::InvalidContentType;
            return Err(Fault::new(AlertDescription::DecodeError, cause));
        }
        let payload_bytes = usize::from(u16::from_be_bytes([high, low]));
        if payload_bytes >= MAX_CONTENT_BYTES + MAX_ENCRYPTION_BYTES {
            return Err(too_large());
        }
        let version = ProtocolVersion::from(u16::from_be_bytes([major, minor]));
        Ok(Some(Self { content_type, version, payload_bytes }))
    }
}

/// The keys of one direction. The cipher's tables (544 bytes) are computed for each record: with more than a few streams,
/// reading them from memory takes as long.
pub(super) struct RecordKeys {
    algorithm: &'static Algorithm,
    is_tls13: bool,
    key: AeadKey,
    iv: Iv,
    /// The number of the next record.
    sequence: u64,
}

impl RecordKeys {
    /// # Errors
    /// The cipher is not supported.
    pub(super) fn new(
        suite: SupportedCipherSuite,
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<Self, Error> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Error::General("unsupported cipher".to_owned())),
        };
        Ok(Self { algorithm, is_tls13: suite.tls13().is_some(), key, iv, sequence })
    }

    /// How many records were encrypted or decrypted.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Decrypts a record in place. Returns its type and its content.
    pub(super) fn decrypt<'a>(
        &mut self,
        header: &Header,
        payload: &'a mut [u8],
    ) -> Result<(ContentType, &'a [u8]), Fault> {
        let number = self.sequence;
        self.sequence = number.checked_add(1).ok_or_else(undecryptable)?;
        let (content_type, content) = if !self.is_tls13 {
            (header.content_type, self.decrypt_tls12(number, header, payload)?)
        } else if header.content_type == ContentType::ApplicationData {
            self.decrypt_tls13(number, payload)?
        } else {
            return Err(unexpected(header.content_type));
        };
        if content.len() > MAX_CONTENT_BYTES {
            Err(too_large())
        } else {
            Ok((content_type, content))
        }
    }

    fn decrypt_tls13<'a>(
        &self,
        number: u64,
        payload: &'a mut [u8],
    ) -> Result<(ContentType, &'a [u8]), Fault> {
        let aad = make_tls13_aad(payload.len());
        let plain = self.open(self.nonce(number), &aad, payload)?;
        if plain.len() > MAX_CONTENT_BYTES + 1 {
            return Err(too_large());
        }
        // The type follows the content; zeros may follow the type.
        let Some(end) = plain.iter().rposition(|byte| *byte != 0) else {
            let cause = PeerMisbehaved::IllegalTlsInnerPlaintext;
            return Err(Fault::new(AlertDescription::UnexpectedMessage, cause));
        };
        Ok((ContentType::from(plain[end]), &plain[..end]))
    }

    fn decrypt_tls12<'a>(
        &self,
        number: u64,
        header: &Header,
        payload: &'a mut [u8],
    ) -> Result<&'a [u8], Fault> {
        let (explicit, encrypted) =
            payload.split_at_mut_checked(self.explicit_nonce_bytes()).ok_or_else(undecryptable)?;
        let content_bytes =
            encrypted.len().checked_sub(self.algorithm.tag_len()).ok_or_else(undecryptable)?;
        let Header { content_type, version, .. } = *header;
        let aad = make_tls12_aad(number, content_type, version, content_bytes);
        let mut nonce = self.nonce(number);
        if !explicit.is_empty() {
            let (salt, rest) = nonce.split_at_mut(NONCE_LEN - explicit.len());
            salt.copy_from_slice(&self.iv.as_ref()[..salt.len()]);
            rest.copy_from_slice(explicit);
        }
        self.open(nonce, &aad, encrypted)
    }

    fn open<'a>(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        encrypted: &'a mut [u8],
    ) -> Result<&'a [u8], Fault> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.cipher().open_in_place(nonce, Aad::from(aad), encrypted);
        opened.map(|content| &*content).map_err(|_| undecryptable())
    }

    /// Encrypts a record and appends it. `content` is at most [`MAX_CONTENT_BYTES`] long.
    pub(super) fn encrypt(
        &mut self,
        content_type: ContentType,
        content: &[u8],
        into: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let number = self.sequence;
        self.sequence = number.checked_add(1).ok_or(Error::EncryptError)?;
        let nonce = self.nonce(number);
        let explicit = &nonce[NONCE_LEN - self.explicit_nonce_bytes()..];
        let plain_bytes = content.len() + usize::from(self.is_tls13);
        let payload_bytes = explicit.len() + plain_bytes + self.algorithm.tag_len();
        let length = u16::try_from(payload_bytes).map_err(|_| Error::EncryptError)?;
        into.reserve_exact(HEADER_BYTES + payload_bytes);
        let outer = if self.is_tls13 { ContentType::ApplicationData } else { content_type };
        into.push(outer.into());
        into.extend_from_slice(&VERSION.to_array());
        into.extend_from_slice(&length.to_be_bytes());
        into.extend_from_slice(explicit);
        let start = into.len();
        into.extend_from_slice(content);
        if self.is_tls13 {
            into.push(content_type.into());
            self.seal(nonce, &make_tls13_aad(payload_bytes), start, into)
        } else {
            let aad = make_tls12_aad(number, content_type, VERSION, content.len());
            self.seal(nonce, &aad, start, into)
        }
    }

    /// Encrypts `into[start..]` and appends the tag.
    fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        start: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = &mut into[start..];
        let tag = self.cipher().seal_in_place_separate_tag(nonce, Aad::from(aad), plain);
        into.extend_from_slice(tag.map_err(|_| Error::EncryptError)?.as_ref());
        Ok(())
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(self.algorithm, self.key.as_ref());
        LessSafeKey::new(key.expect("rustls gives keys of the cipher's length"))
    }

    fn nonce(&self, number: u64) -> [u8; NONCE_LEN] {
        cipher::Nonce::new(&self.iv, number).0
    }

    fn explicit_nonce_bytes(&self) -> usize {
        let is_gcm = self.algorithm != &CHACHA20_POLY1305;
        if is_gcm && !self.is_tls13 { GCM_NONCE_BYTES } else { 0 }
    }
}

fn undecryptable() -> Fault {
    Fault::new(AlertDescription::BadRecordMac, Error::DecryptError)
}

fn too_large() -> Fault {
    Fault::new(AlertDescription::RecordOverflow, Error::PeerSentOversizedRecord)
}

/// The fault of a record with a type that is not allowed now.
pub(super) fn unexpected(got_type: ContentType) -> Fault {
    let expect_types = vec![ContentType::ApplicationData];
    let error = Error::InappropriateMessage { expect_types, got_type };
    Fault::new(AlertDescription::UnexpectedMessage, error)
}
