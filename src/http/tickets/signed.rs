//! Signs and verifies tickets: the API token's name and the expiry, signed for one resource (pure).
//!
//! The ticket contains neither the resource nor the hash of the API token, but its signature covers both: the ticket of
//! a replaced token is invalid, even if the new one has the same name.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::seal::KeyRing;

const ID_BYTES: usize = 16;
const TAG_BYTES: usize = 32;
/// The expiry, the length of the window, and the id; the token's name follows.
const HEAD_BYTES: usize = 8 + 8 + ID_BYTES;
/// The longest ticket.
const MAX_CHARS: usize = 1024;

/// The content of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub id: [u8; ID_BYTES],
    /// It must be used before this time.
    pub expires_at_ms: i64,
    /// How long it may be reused after its first use; 0 for a single use.
    pub window_ms: i64,
    /// The name of the API token that created it.
    pub token: String,
}

/// The keys that sign tickets. Each is derived from a key of the ring, so that replicas agree.
#[derive(Clone)]
pub struct TicketKeys(Vec<Hmac<Sha256>>);

impl TicketKeys {
    pub fn new(ring: &KeyRing) -> Self {
        let keyed = |key: &[u8; 32]| Hmac::new_from_slice(key).expect("an HMAC key has any length");
        Self(ring.derived("api ticket").iter().map(|key| keyed(key)).collect())
    }

    /// Signs a ticket for `resource` with the API token of this hash.
    pub fn sign(&self, claim: &Claim, resource: &str, token_hash: &[u8; 32]) -> String {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + claim.token.len() + TAG_BYTES);
        bytes.extend_from_slice(&claim.expires_at_ms.to_be_bytes());
        bytes.extend_from_slice(&claim.window_ms.to_be_bytes());
        bytes.extend_from_slice(&claim.id);
        bytes.extend_from_slice(claim.token.as_bytes());
        // The first key of the ring signs. A ring is never empty.
        let tag = ticket_mac(&self.0[0], &bytes, resource, token_hash).finalize().into_bytes();
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Verifies a ticket and returns its content if it was signed here for `resource`. `hash_of` looks up API tokens by
    /// name.
    pub fn read(
        &self,
        ticket: &str,
        resource: &str,
        hash_of: impl FnOnce(&str) -> Option<[u8; 32]>,
    ) -> Option<Claim> {
        // The length is checked before decoding, so that a long query costs nothing.
        let bytes = URL_SAFE_NO_PAD.decode(Some(ticket).filter(|text| text.len() <= MAX_CHARS)?);
        let bytes = bytes.ok()?;
        let (signed, tag) = bytes.split_last_chunk::<TAG_BYTES>()?;
        let (expires_at_ms, rest) = signed.split_first_chunk::<8>()?;
        let (window_ms, rest) = rest.split_first_chunk::<8>()?;
        let (id, token) = rest.split_first_chunk::<ID_BYTES>()?;
        let token = std::str::from_utf8(token).ok()?;
        // Not secret: the name is part of the ticket, and an unknown one fails like a wrong signature.
        let hash = hash_of(token)?;
        // `verify_slice` compares in constant time.
        let is_signed = |key| ticket_mac(key, signed, resource, &hash).verify_slice(tag).is_ok();
        self.0.iter().any(is_signed).then(|| Claim {
            id: *id,
            expires_at_ms: i64::from_be_bytes(*expires_at_ms),
            window_ms: i64::from_be_bytes(*window_ms),
            token: token.to_owned(),
        })
    }
}

/// Both hashes have a fixed length and the resource comes last: no two inputs are ambiguous.
fn ticket_mac(
    key: &Hmac<Sha256>,
    signed: &[u8],
    resource: &str,
    token_hash: &[u8; 32],
) -> Hmac<Sha256> {
    // The length separates the variable part from the resource behind it.
    let length = (signed.len() as u64).to_be_bytes();
    key.clone()
        .chain_update(token_hash)
        .chain_update(length)
        .chain_update(signed)
        .chain_update(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: &str) -> TicketKeys {
        TicketKeys::new(&KeyRing::parse(&byte.repeat(32)).unwrap())
    }

    fn claim() -> Claim {
        Claim {
            id: [7; 16],
            expires_at_ms: 1_732_313_172_000,
            window_ms: 600_000,
            token: "me".into(),
        }
    }

    fn read(keys: &TicketKeys, ticket: &str, resource: &str, hash: [u8; 32]) -> Option<Claim> {
        keys.read(ticket, resource, |name| (name == "me").then_some(hash))
    }

    #[test]
    fn a_ticket_contains_what_it_was_signed_with() {
        let ticket = keys("01").sign(&claim(), "live", &[1; 32]);
        assert_eq!(read(&keys("01"), &ticket, "live", [1; 32]), Some(claim()));
        assert!(ticket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    }

    #[test]
    fn it_opens_one_resource_for_one_token_under_one_key() {
        let ticket = keys("01").sign(&claim(), "live", &[1; 32]);
        assert_eq!(read(&keys("01"), &ticket, "live/x", [1; 32]), None);
        assert_eq!(read(&keys("01"), &ticket, "live", [2; 32]), None, "the token was replaced");
        assert_eq!(read(&keys("02"), &ticket, "live", [1; 32]), None);
        assert_eq!(keys("01").read(&ticket, "live", |_| None), None, "the token was removed");
        let rotated = KeyRing::parse(&format!("{},{}", "02".repeat(32), "01".repeat(32))).unwrap();
        assert!(read(&TicketKeys::new(&rotated), &ticket, "live", [1; 32]).is_some());
    }

    #[test]
    fn a_modified_or_truncated_ticket_is_rejected() {
        let ticket = keys("01").sign(&claim(), "live", &[1; 32]);
        for index in 0..ticket.len() {
            let mut forged = ticket.clone().into_bytes();
            forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(read(&keys("01"), &forged, "live", [1; 32]), None, "{index}");
            assert_eq!(read(&keys("01"), &ticket[..index], "live", [1; 32]), None, "{index}");
        }
        assert_eq!(read(&keys("01"), &"A".repeat(5000), "live", [1; 32]), None);
    }
}
