//! Signs the token of the Video SDK's REST API: a JWT made from the API key and secret (section 14.3; pure).

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::Credentials;
use crate::secret::Secret;

/// How long a token is valid: longer than any call with its retries.
const LIFE_S: i64 = 600;
/// How far a token is backdated, because Zoom's clock may be behind.
const EARLIER_S: i64 = 30;

/// Signs a token. `pair` is the account's Video SDK API key and secret, not the SDK's own.
pub fn token(pair: &Credentials, now_ms: i64) -> Secret<String> {
    let now_s = now_ms / 1000;
    let head = json!({ "alg": "HS256", "typ": "JWT" });
    let claims = json!({ "iss": pair.id, "iat": now_s - EARLIER_S, "exp": now_s + LIFE_S });
    let signed =
        [head, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = signature(pair.secret.expose(), &signed);
    Secret::new(format!("{signed}.{signature}"))
}

fn signature(secret: &str, signed: &str) -> String {
    let mut hmac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    hmac.update(signed.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(hmac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendix A.1 has a binary key; this is the well-known example of HS256 with a text key.
    #[test]
    fn a_signature_matches_the_published_example() {
        let signed = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
                      eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ";
        let expected = "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
        assert_eq!(signature("your-256-bit-secret", signed), expected);
    }

    #[test]
    fn a_token_names_its_key_and_ends_soon() {
        let pair = Credentials { id: "key".into(), secret: Secret::new("secret".into()) };
        let token = token(&pair, 1_732_313_190_500);
        let claims = token.expose().split('.').nth(1).unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        let expected = json!({"iss": "key", "iat": 1_732_313_160, "exp": 1_732_313_790});
        assert_eq!(claims, expected);
    }
}
