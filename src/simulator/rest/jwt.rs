//! Checks the token of the Video SDK's REST API: a JWT that the caller signs itself (section 14.3; pure).

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::Deserialize;

use crate::simulator::signature;

#[derive(Deserialize)]
struct Claims {
    iss: String,
    /// Unix seconds.
    exp: i64,
}

/// Whether the token is signed with the secret, issued for the key and not expired.
pub(super) fn is_valid(token: &str, api_key: &str, api_secret: &str, now_ms: i64) -> bool {
    let Some((signed, signature)) = token.rsplit_once('.') else { return false };
    let Some((head, claims)) = signed.split_once('.') else { return false };
    let algorithm = decode_part(head).and_then(|head| head["alg"].as_str().map(str::to_owned));
    let claims =
        decode_part(claims).and_then(|claims| serde_json::from_value::<Claims>(claims).ok());
    // The algorithm is fixed: a token must not choose `none`.
    algorithm.as_deref() == Some("HS256")
        && signature == signature::jwt(api_secret, signed)
        && claims.is_some_and(|claims| claims.iss == api_key && claims.exp * 1000 > now_ms)
}

fn decode_part(part: &str) -> Option<serde_json::Value> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(head: &str, claims: &str) -> String {
        let signed = [head, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
        format!("{signed}.{}", signature::jwt("secret", &signed))
    }

    #[test]
    fn a_token_needs_algorithm_signature_issuer_and_time() {
        let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
        let good = token(hs256, r#"{"iss":"key","iat":1,"exp":100}"#);
        assert!(is_valid(&good, "key", "secret", 99_999));
        assert!(!is_valid(&good, "key", "secret", 100_000), "expired");
        assert!(!is_valid(&good, "other", "secret", 0), "another key");
        assert!(!is_valid(&good, "key", "other", 0), "another secret");
        let none = token(r#"{"alg":"none"}"#, r#"{"iss":"key","exp":100}"#);
        assert!(!is_valid(&none, "key", "secret", 0), "another algorithm");
        for text in ["", "a.b", "a.b.c", "..."] {
            assert!(!is_valid(text, "key", "secret", 0));
        }
    }
}
