//! Codes in links that sign a browser in without typing: each works once and for a short time, in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::seal::random_bytes;

/// How long a code can be used.
const LIFE: Duration = Duration::from_secs(30 * 60);
/// The most codes at a time; the one that expires first makes room.
const MAX_CODES: usize = 16;
const CODE_BYTES: usize = 24;

/// The codes that were not used yet, by their hash.
#[derive(Default, Clone)]
pub struct OneTimeCodes(Arc<Mutex<HashMap<[u8; 32], Code>>>);

struct Code {
    /// The name of the API token that the code stands for.
    token: Arc<str>,
    expires_at: Instant,
}

impl OneTimeCodes {
    /// Makes a code for the API token of this name.
    pub fn make(&self, token: &str, now: Instant) -> String {
        let code = URL_SAFE_NO_PAD.encode(random_bytes::<CODE_BYTES>());
        let mut codes = self.0.lock().expect("nothing panics while holding the codes");
        codes.retain(|_, code| now < code.expires_at);
        if codes.len() >= MAX_CODES {
            let oldest = codes.iter().min_by_key(|(_, code)| code.expires_at);
            if let Some(hash) = oldest.map(|(hash, _)| *hash) {
                codes.remove(&hash);
            }
        }
        codes.insert(hash_of(&code), Code { token: token.into(), expires_at: now + LIFE });
        code
    }

    /// Uses a code up. Returns the name of its token.
    pub(super) fn redeem(&self, code: &str, now: Instant) -> Option<Arc<str>> {
        let mut codes = self.0.lock().expect("nothing panics while holding the codes");
        let found = codes.remove(&hash_of(code))?;
        (now < found.expires_at).then_some(found.token)
    }
}

/// The look-up compares hashes, so that its time reveals nothing of a code.
fn hash_of(code: &str) -> [u8; 32] {
    Sha256::digest(code).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_works_once_and_in_time() {
        let (codes, now) = (OneTimeCodes::default(), Instant::now());
        let (first, second) = (codes.make("demo", now), codes.make("demo", now));
        assert_ne!(first, second);
        assert_eq!(codes.redeem(&first, now).as_deref(), Some("demo"));
        assert_eq!(codes.redeem(&first, now), None);
        assert_eq!(codes.redeem(&second, now + LIFE), None, "too late");
        assert_eq!(codes.redeem("", now), None);
    }

    #[test]
    fn the_oldest_code_makes_room() {
        let (codes, now) = (OneTimeCodes::default(), Instant::now());
        let at = |n| now + Duration::from_secs(n);
        let all: Vec<String> = (0..=16).map(|n| codes.make("demo", at(n))).collect();
        assert_eq!(codes.redeem(&all[0], at(17)), None);
        assert!(all[1..].iter().all(|code| codes.redeem(code, at(17)).is_some()));
    }
}
