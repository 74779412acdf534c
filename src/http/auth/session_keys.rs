//! Signs the cookie of a signed-in browser, and derives from its id what belongs to it (pure).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::seal::KeyRing;

/// Bytes of the id in a cookie.
const ID_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
/// The length of a cookie's value: id and tag in base64url.
const COOKIE_CHARS: usize = (ID_BYTES + TAG_BYTES).div_ceil(3) * 4 - 2;

/// The secret id in a browser's cookie. Not `Debug`: it must not reach a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct BrowserId([u8; ID_BYTES]);

impl BrowserId {
    pub(super) fn new(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key of its row: from a copy of the store no cookie can be made.
    pub(super) fn row_id(self) -> String {
        hex::encode(Sha256::digest(self.0))
    }
}

/// What a signature is for. One purpose's signature is never valid for another.
#[derive(Clone, Copy)]
enum Purpose {
    Cookie,
    Csrf,
    Token,
}

impl Purpose {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Cookie => b"cookie\0",
            Self::Csrf => b"csrf\0",
            Self::Token => b"token\0",
        }
    }
}

/// The keys for sessions of the dashboard. Each is derived from a key of the ring, so that replicas agree.
#[derive(Clone)]
pub(super) struct SessionKeys(Vec<Hmac<Sha256>>);

impl SessionKeys {
    /// Derives the keys.
    pub(super) fn new(ring: &KeyRing) -> Self {
        let keyed = |key: &[u8; 32]| Hmac::new_from_slice(key).expect("an HMAC key has any length");
        Self(ring.derived("dashboard session").iter().map(|key| keyed(key)).collect())
    }

    /// The value of the cookie: the id and its signature.
    pub(super) fn cookie(&self, id: BrowserId) -> String {
        let tag = self.sign(Purpose::Cookie, id, b"");
        URL_SAFE_NO_PAD.encode([id.0, tag].concat())
    }

    /// The id in a cookie that was signed under one of these keys.
    pub(super) fn read(&self, cookie: &str) -> Option<BrowserId> {
        let bytes = Some(cookie).filter(|text| text.len() == COOKIE_CHARS)?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).ok()?;
        let (id, tag) = bytes.split_first_chunk::<ID_BYTES>()?;
        let id = BrowserId(*id);
        self.is_signed(Purpose::Cookie, id, b"", tag).then_some(id)
    }

    /// The value that a change must carry beside the cookie.
    pub(super) fn csrf(&self, id: BrowserId) -> String {
        URL_SAFE_NO_PAD.encode(self.sign(Purpose::Csrf, id, b""))
    }

    pub(super) fn is_csrf(&self, id: BrowserId, text: &[u8]) -> bool {
        let tag = URL_SAFE_NO_PAD.decode(text).ok();
        tag.is_some_and(|tag| self.is_signed(Purpose::Csrf, id, b"", &tag))
    }

    /// Depends on the token's value. Keyed, because the hash of a short token could be guessed from a copy of the store.
    pub(super) fn binding(&self, id: BrowserId, token_hash: &[u8; 32]) -> String {
        hex::encode(self.sign(Purpose::Token, id, token_hash))
    }

    pub(super) fn is_bound(&self, id: BrowserId, token_hash: &[u8; 32], binding: &str) -> bool {
        let tag = hex::decode(binding).ok();
        tag.is_some_and(|tag| self.is_signed(Purpose::Token, id, token_hash, &tag))
    }

    fn sign(&self, purpose: Purpose, id: BrowserId, more: &[u8]) -> [u8; TAG_BYTES] {
        // The first key of the ring signs. A ring is never empty.
        mac(&self.0[0], purpose, id, more).finalize().into_bytes().into()
    }

    fn is_signed(&self, purpose: Purpose, id: BrowserId, more: &[u8], tag: &[u8]) -> bool {
        // `verify_slice` compares in constant time.
        self.0.iter().any(|key| mac(key, purpose, id, more).verify_slice(tag).is_ok())
    }
}

fn mac(key: &Hmac<Sha256>, purpose: Purpose, id: BrowserId, more: &[u8]) -> Hmac<Sha256> {
    key.clone().chain_update(purpose.prefix()).chain_update(id.0).chain_update(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[&str]) -> SessionKeys {
        let ring: Vec<String> = bytes.iter().map(|byte| byte.repeat(32)).collect();
        SessionKeys::new(&KeyRing::parse(&ring.join(",")).unwrap())
    }

    const ID: BrowserId = BrowserId([7; ID_BYTES]);

    #[test]
    fn a_cookie_is_read_under_the_keys_that_signed_it() {
        let cookie = keys(&["01"]).cookie(ID);
        assert_eq!(cookie.len(), COOKIE_CHARS);
        assert!(keys(&["01"]).read(&cookie) == Some(ID));
        assert!(keys(&["02", "01"]).read(&cookie) == Some(ID), "the key was rotated");
        assert!(keys(&["02"]).read(&cookie).is_none());
    }

    #[test]
    fn a_modified_or_cut_cookie_is_none() {
        let cookie = keys(&["01"]).cookie(ID);
        for index in 0..cookie.len() {
            let mut forged = cookie.clone().into_bytes();
            forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(keys(&["01"]).read(&forged).is_none(), "{index}");
            assert!(keys(&["01"]).read(&cookie[..index]).is_none(), "{index}");
        }
    }

    #[test]
    fn the_value_against_forged_requests_belongs_to_one_session() {
        let keys = keys(&["01"]);
        let csrf = keys.csrf(ID);
        assert!(keys.is_csrf(ID, csrf.as_bytes()));
        assert!(!keys.is_csrf(BrowserId([8; ID_BYTES]), csrf.as_bytes()));
        let cookie = keys.cookie(ID);
        let tag = URL_SAFE_NO_PAD.decode(&cookie).unwrap()[ID_BYTES..].to_vec();
        assert!(!keys.is_csrf(ID, URL_SAFE_NO_PAD.encode(tag).as_bytes()), "another purpose");
        for bad in ["", "=", "AAAA"] {
            assert!(!keys.is_csrf(ID, bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_session_is_bound_to_the_value_of_its_token() {
        let keys = keys(&["01"]);
        let binding = keys.binding(ID, &[1; 32]);
        assert!(keys.is_bound(ID, &[1; 32], &binding));
        assert!(!keys.is_bound(ID, &[2; 32], &binding));
        assert!(!keys.is_bound(ID, &[1; 32], "x"));
    }
}
