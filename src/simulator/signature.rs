//! The signatures of section 5 and the signature of a JWT (pure).

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The handshake signature (section 5.1), as lower-case hex.
pub(super) fn handshake(
    client_id: &str,
    client_secret: &str,
    instance_id: &str,
    stream: &str,
) -> String {
    hex_hmac(client_secret, &[client_id, ",", instance_id, ",", stream])
}

/// The value of `x-zm-signature` (section 5.2). `timestamp` is the value of `x-zm-request-timestamp`.
pub(super) fn webhook(secret_token: &str, timestamp: &str, body: &str) -> String {
    format!("v0={}", hex_hmac(secret_token, &["v0:", timestamp, ":", body]))
}

/// The `encryptedToken` with which an endpoint must answer a URL validation (section 5.3).
pub(super) fn url_validation(secret_token: &str, plain_token: &str) -> String {
    hex_hmac(secret_token, &[plain_token])
}

/// The signature part of a JWT with HS256. `signed` is the text before the last dot.
pub(super) fn jwt(key: &str, signed: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(hmac(key, &[signed]))
}

fn hex_hmac(key: &str, parts: &[&str]) -> String {
    hex::encode(hmac(key, parts))
}

fn hmac(key: &str, parts: &[&str]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .expect("HMAC-SHA256 takes a key of any length");
    for part in parts {
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "e1f2a3b4-0000-4000-8000-00000000abcd";

    #[test]
    fn handshakes_match_the_vectors_of_section_5_1() {
        assert_eq!(
            handshake("demoClientId01", "demoClientSecret01", "4444AAAiAAAAAiAiAiiAii==", STREAM),
            "19302915f9efee62944004f55b26c51318985b50163b28040b506e656b692d87"
        );
        assert_eq!(
            handshake("demoClientId01", "demoClientSecret01", "/abc//def+gh==", STREAM),
            "621404f5194bf5c19619fccde75f87212709d413c477a83fa45fa19430c7f716"
        );
    }

    #[test]
    fn webhooks_match_the_vector_of_section_5_2() {
        let body = concat!(
            r#"{"event":"meeting.rtms_started","event_ts":1732313171881,"payload":"#,
            r#"{"meeting_uuid":"4444AAAiAAAAAiAiAiiAii==","#,
            r#""rtms_stream_id":"e1f2a3b4-0000-4000-8000-00000000abcd","#,
            r#""server_urls":"wss://127.0.0.1:9443"}}"#
        );
        assert_eq!(body.len(), 204);
        assert_eq!(
            webhook("demoSecretToken01", "1732313172", body),
            "v0=fa782ed606982c1a883f27cb4b18bd6a421c6482e66e034a34863b421382c011"
        );
    }

    #[test]
    fn url_validation_matches_the_vector_of_section_5_3() {
        assert_eq!(
            url_validation("demoSecretToken01", "plainTokenDemo0123456A"),
            "c0517cd75da436f8f3982245d597a8b8e3f53c64cc3b3e805fb74c67f1309ea5"
        );
    }
}
