//! Proof Key for Code Exchange (pure).

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest, Sha256};

/// The PKCE challenge of an authorize request (RFC 7636).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PkceChallenge {
    Plain(String),
    S256(String),
}

impl PkceChallenge {
    /// Whether the verifier of a token request belongs to this challenge.
    pub(crate) fn is_met_by(&self, verifier: &str) -> bool {
        match self {
            Self::Plain(expected) => verifier == expected,
            Self::S256(expected) => {
                BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == *expected
            }
        }
    }
}
