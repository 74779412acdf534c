//! The `state` of an install: signed by the daemon, expiring, and bound to the app and to the browser that began it
//! (pure).
//!
//! Nothing is stored when an install begins, so that nobody can fill the store by beginning many. The state itself
//! carries all data; only a state that came back is stored, so that it works once.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::model::AppName;
use crate::seal::KeyRing;
use crate::secret::Secret;

/// How long an install may take, from the link to the return.
pub const STATE_LIFE_MS: i64 = 10 * 60 * 1000;

const NONCE_BYTES: usize = 16;
const BROWSER_BYTES: usize = 16;
/// The expiry, the nonce, and the hash of the browser's cookie (zeros for none). The name of the app follows; nothing
/// for the default app.
const CLAIM_BYTES: usize = 8 + NONCE_BYTES + BROWSER_BYTES;
const TAG_BYTES: usize = 32;

/// Why a state is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StateError {
    #[error("this server did not issue the state")]
    Forged,
    #[error("the install took longer than 10 minutes")]
    Expired,
    #[error("the install was begun in another browser")]
    OtherBrowser,
}

/// A new install.
#[derive(Debug)]
pub struct Issued {
    /// Sent to Zoom and returned by it.
    pub state: String,
    /// The PKCE verifier, which proves later that the same server began the install (section 5.4).
    pub verifier: Secret<String>,
}

/// A valid state that may have been used before.
#[derive(Debug)]
pub struct Accepted {
    /// The app that the install is for.
    pub app: AppName,
    /// The id that is stored when the state is used.
    pub id: String,
    pub expires_at_ms: i64,
    pub verifier: Secret<String>,
}

/// The keys that sign states, derived from the keys of the ring, so that daemons agree and a rotation loses no install.
#[derive(Clone)]
pub struct StateKeys(Vec<StateKey>);

#[derive(Clone)]
struct StateKey {
    signing: Hmac<Sha256>,
    verifying: Hmac<Sha256>,
}

impl StateKeys {
    pub fn new(ring: &KeyRing) -> Self {
        let keyed = |key: &Zeroizing<[u8; 32]>| {
            Hmac::new_from_slice(key.as_slice()).expect("an HMAC key has any length")
        };
        let (signing, verifying) = (ring.derived("oauth state"), ring.derived("pkce verifier"));
        let key = |(s, v)| StateKey { signing: keyed(s), verifying: keyed(v) };
        Self(signing.iter().zip(&verifying).map(key).collect())
    }

    /// Begins an install of an app, bound to the browser with this cookie if there is one.
    pub fn issue(
        &self,
        now_ms: i64,
        nonce: [u8; NONCE_BYTES],
        app: &AppName,
        browser: Option<&str>,
    ) -> Issued {
        let mut claim = [0; CLAIM_BYTES];
        claim[..8].copy_from_slice(&now_ms.saturating_add(STATE_LIFE_MS).to_be_bytes());
        claim[8..8 + NONCE_BYTES].copy_from_slice(&nonce);
        claim[8 + NONCE_BYTES..].copy_from_slice(&browser_hash(browser));
        // The first key of the ring signs. A ring has at least one (`KeyRing::parse`).
        let key = &self.0[0];
        let claim = [&claim[..], app_bytes(app)].concat();
        let tag = key.signing.clone().chain_update(&claim).finalize().into_bytes();
        let state = URL_SAFE_NO_PAD.encode([&claim[..], &tag].concat());
        Issued { state, verifier: key.verifier(&nonce, app) }
    }

    /// Verifies a returned state against the cookie of the browser that sent it.
    pub fn check(
        &self,
        now_ms: i64,
        state: &str,
        browser: Option<&str>,
    ) -> Result<Accepted, StateError> {
        let bytes = URL_SAFE_NO_PAD.decode(state).map_err(|_| StateError::Forged)?;
        let (key, claim) = self.signed_claim(&bytes).ok_or(StateError::Forged)?;
        let Claim { expires_at_ms, nonce, bound_to, app } = claim;
        if now_ms > expires_at_ms {
            return Err(StateError::Expired);
        }
        let is_bound = *bound_to != [0; BROWSER_BYTES];
        if is_bound && !bool::from(bound_to.ct_eq(&browser_hash(browser))) {
            return Err(StateError::OtherBrowser);
        }
        let verifier = key.verifier(nonce, &app);
        Ok(Accepted { app, id: hex::encode(nonce), expires_at_ms, verifier })
    }

    /// The app that a state is for, also after it has expired; `None` if this server did not issue it.
    pub fn app_of(&self, state: &str) -> Option<AppName> {
        let bytes = URL_SAFE_NO_PAD.decode(state).ok()?;
        self.signed_claim(&bytes).map(|(_, claim)| claim.app)
    }

    fn signed_claim<'a>(&self, state: &'a [u8]) -> Option<(&StateKey, Claim<'a>)> {
        let (claim, tag) = state.split_last_chunk::<TAG_BYTES>()?;
        let signed = |key: &&StateKey| key.signing.clone().chain_update(claim).verify_slice(tag);
        let key = self.0.iter().find(|key| signed(key).is_ok())?;
        Some((key, Claim::parse(claim)?))
    }
}

/// What a state says.
struct Claim<'a> {
    expires_at_ms: i64,
    nonce: &'a [u8; NONCE_BYTES],
    bound_to: &'a [u8; BROWSER_BYTES],
    app: AppName,
}

impl<'a> Claim<'a> {
    fn parse(claim: &'a [u8]) -> Option<Self> {
        let (expiry, rest) = claim.split_first_chunk::<8>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (bound_to, name) = rest.split_first_chunk::<BROWSER_BYTES>()?;
        let app = match name {
            [] => AppName::default(),
            name => AppName::parse(str::from_utf8(name).ok()?).ok()?,
        };
        Some(Self { expires_at_ms: i64::from_be_bytes(*expiry), nonce, bound_to, app })
    }
}

/// The name of the app in a state: empty for the default app, as in the states of versions with one app.
fn app_bytes(app: &AppName) -> &[u8] {
    if app.is_default() { &[] } else { app.as_str().as_bytes() }
}

impl StateKey {
    fn verifier(&self, nonce: &[u8; NONCE_BYTES], app: &AppName) -> Secret<String> {
        let mac = self.verifying.clone().chain_update(nonce).chain_update(app_bytes(app));
        let bytes = mac.finalize().into_bytes();
        Secret::new(URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn browser_hash(browser: Option<&str>) -> [u8; BROWSER_BYTES] {
    let Some(browser) = browser else { return [0; BROWSER_BYTES] };
    let mut hash = [0; BROWSER_BYTES];
    hash.copy_from_slice(&Sha256::digest(browser)[..BROWSER_BYTES]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const B: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";
    const NOW_MS: i64 = 1_732_313_172_000;

    fn keys(text: &str) -> StateKeys {
        StateKeys::new(&KeyRing::parse(text).unwrap())
    }

    fn issue(browser: Option<&str>) -> Issued {
        keys(A).issue(NOW_MS, [7; 16], &AppName::default(), browser)
    }

    fn check(now_ms: i64, state: &str, browser: Option<&str>) -> Result<String, StateError> {
        keys(A).check(now_ms, state, browser).map(|accepted| accepted.id)
    }

    #[test]
    fn a_state_comes_back_with_the_verifier_that_it_went_with() {
        let issued = issue(Some("cookie"));
        let accepted = keys(A).check(NOW_MS, &issued.state, Some("cookie")).unwrap();
        assert_eq!(accepted.verifier.expose(), issued.verifier.expose());
        assert_eq!(accepted.verifier.expose().len(), 43, "PKCE asks for 43 to 128 characters");
        assert!(!issued.state.contains(issued.verifier.expose()));
        assert_eq!(accepted.expires_at_ms, NOW_MS + STATE_LIFE_MS);
    }

    #[test]
    fn a_state_lasts_ten_minutes() {
        let state = issue(None).state;
        assert!(check(NOW_MS + STATE_LIFE_MS, &state, None).is_ok());
        let late = check(NOW_MS + STATE_LIFE_MS + 1, &state, None);
        assert_eq!(late, Err(StateError::Expired));
    }

    #[test]
    fn a_state_of_one_browser_is_rejected_in_another() {
        let state = issue(Some("cookie")).state;
        assert!(check(NOW_MS, &state, Some("cookie")).is_ok());
        for other in [None, Some(""), Some("another")] {
            assert_eq!(check(NOW_MS, &state, other), Err(StateError::OtherBrowser));
        }
        assert!(check(NOW_MS, &issue(None).state, Some("any")).is_ok(), "asked for by a program");
    }

    #[test]
    fn a_state_is_bound_to_its_app_and_so_is_the_verifier() {
        let acme = AppName::parse("acme").unwrap();
        let issued = keys(A).issue(NOW_MS, [7; 16], &acme, None);
        let accepted = keys(A).check(NOW_MS, &issued.state, None).unwrap();
        assert_eq!(accepted.app, acme);
        assert_eq!(accepted.verifier.expose(), issued.verifier.expose());
        assert_ne!(issued.verifier.expose(), issue(None).verifier.expose(), "the same nonce");
        assert_eq!(keys(A).app_of(&issued.state), Some(acme));
        assert_eq!(keys(A).app_of(&issue(None).state), Some(AppName::default()));
        assert_eq!(keys(B).app_of(&issued.state), None);
    }

    #[test]
    fn a_state_that_this_server_did_not_sign_is_forged() {
        let state = keys(A).issue(NOW_MS, [7; 16], &AppName::parse("acme").unwrap(), None).state;
        for index in 0..state.len() {
            let mut forged = state.clone().into_bytes();
            forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(check(NOW_MS, &forged, None), Err(StateError::Forged), "{index}");
            assert_eq!(check(NOW_MS, &state[..index], None), Err(StateError::Forged));
        }
        assert!(keys(B).check(NOW_MS, &state, None).is_err());
    }

    #[test]
    fn a_rotation_of_keys_loses_no_install() {
        let issued = issue(None);
        let rotated = keys(&format!("{B},{A}")).check(NOW_MS, &issued.state, None).unwrap();
        assert_eq!(rotated.verifier.expose(), issued.verifier.expose());
    }
}
