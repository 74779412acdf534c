//! Signatures of Standard Webhooks, version 1 (<https://www.standardwebhooks.com>) (pure).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

pub const HEADER_ID: &str = "webhook-id";
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
pub const HEADER_SIGNATURE: &str = "webhook-signature";

/// The prefix of a secret, before its bytes in base64.
const PREFIX: &str = "whsec_";
/// The lengths that the specification allows.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The length of generated secrets.
pub const NEW_SECRET_BYTES: usize = 32;

/// The secret for these random bytes.
pub fn encode_secret(bytes: &[u8; NEW_SECRET_BYTES]) -> Zeroizing<String> {
    Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(bytes)))
}

/// Whether a text is a valid secret.
pub fn is_secret(text: &str) -> bool {
    decode_key(text).is_some()
}

/// The header's value: a signature by each secret, the newest first. An invalid secret signs nothing.
pub fn sign_body<S: AsRef<str>>(secrets: &[S], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let timestamp = timestamp_s.to_string();
    // The signed content is `id.timestamp.body`.
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let signatures = secrets.iter().filter_map(|secret| decode_key(secret.as_ref())).map(|key| {
        let mac = Hmac::<Sha256>::new_from_slice(&key).expect("an HMAC key has any length");
        let mac = parts.iter().fold(mac, |mac, part| mac.chain_update(part));
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

fn decode_key(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok().map(Zeroizing::new)?;
    SECRET_BYTES.contains(&key.len()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification's own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP_S: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn a_signature_is_that_of_the_specifications_libraries() {
        assert_eq!(sign_body(&[SECRET], ID, TIMESTAMP_S, BODY), SIGNATURE);
    }

    #[test]
    fn during_a_rotation_both_secrets_sign_the_newest_first() {
        let new = encode_secret(&[7; NEW_SECRET_BYTES]);
        let both = sign_body(&[new.as_str(), SECRET], ID, TIMESTAMP_S, BODY);
        let own = sign_body(&[new.as_str()], ID, TIMESTAMP_S, BODY);
        assert_eq!(both, format!("{own} {SIGNATURE}"));
    }

    #[test]
    fn the_id_the_time_and_the_body_are_signed() {
        let changed = [
            sign_body(&[SECRET], "msg_other", TIMESTAMP_S, BODY),
            sign_body(&[SECRET], ID, TIMESTAMP_S + 1, BODY),
            sign_body(&[SECRET], ID, TIMESTAMP_S, b"{}"),
        ];
        assert!(changed.iter().all(|signature| signature != SIGNATURE));
    }

    #[test]
    fn a_secret_has_the_prefix_and_24_to_64_bytes() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        assert!(is_secret(&encode_secret(&[0; NEW_SECRET_BYTES])));
        assert!(is_secret(&of(24)) && is_secret(&of(64)) && is_secret(SECRET));
        for bad in [of(23), of(65), "whsec_".into(), "whsec_%%".into(), SECRET[6..].to_owned()] {
            assert!(!is_secret(&bad), "{bad}");
        }
    }
}
