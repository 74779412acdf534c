//! Verifies webhook signatures, and signs URL-validation answers and RTMS handshakes (rtms-protocol.md section 5).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::model::{IdKey, Instance, Product, StreamId};
use crate::secret::Secret;

type HmacSha256 = Hmac<Sha256>;

/// Bytes of an HMAC-SHA256.
const TAG_BYTES: usize = 32;
/// Bytes of the name of a secret token.
const FINGERPRINT_BYTES: usize = 8;
/// The most digits of a timestamp: enough for the year 33658.
const MAX_TIMESTAMP_DIGITS: usize = 12;
/// The start of the plain token of a validation that comes from a daemon itself.
const OWN_TOKEN: &str = "rtmsd-doctor-";
/// The longest plain token that is accepted (section 13.3).
const MAX_PLAIN_TOKEN_BYTES: usize = 128;

/// The two signature headers of a webhook request; `None` for a missing one.
#[derive(Debug, Clone, Copy)]
pub struct SignatureHeaders<'a> {
    /// `x-zm-request-timestamp`: Unix seconds in decimal.
    pub timestamp: Option<&'a [u8]>,
    /// `x-zm-signature`: `v0=` and 64 hex digits.
    pub signature: Option<&'a [u8]>,
}

impl SignatureHeaders<'_> {
    /// How long ago the request was signed, in seconds; negative for a time in the future.
    pub fn age_s(&self, now_ms: i64) -> Option<i64> {
        Some(now_ms.div_euclid(1000) - parse_seconds(self.timestamp?)?)
    }
}

/// Why a webhook request is rejected as not from Zoom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The request has no header with this name.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// The header with this name cannot be read.
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    /// The signature is another secret token's, or the body or the timestamp was changed.
    #[error("the signature does not match the body, the timestamp and the secret token")]
    Wrong,
    /// The signature is valid. The age is negative for a timestamp in the future.
    #[error("the signed timestamp is {age_s} s old, {tolerance_s} s are allowed")]
    OutOfWindow {
        /// The age of the timestamp, seconds.
        age_s: i64,
        /// The allowed age, seconds.
        tolerance_s: u32,
    },
}

/// The header with the time of signing (section 13.2).
pub const TIMESTAMP_HEADER: &str = "x-zm-request-timestamp";
/// The header with the signature (section 13.2).
pub const SIGNATURE_HEADER: &str = "x-zm-signature";

/// The app's secret token, ready to verify webhooks. It is not the client secret.
#[derive(Clone)]
pub struct WebhookKey(HmacSha256);

impl WebhookKey {
    /// Prepares the HMAC-SHA256 of the secret token.
    pub fn new(secret_token: &Secret<String>) -> Self {
        Self(hmac_with(secret_token))
    }

    /// Verifies a request's raw body against its headers, in constant time, and then its age in both directions.
    pub fn check(
        &self,
        headers: SignatureHeaders<'_>,
        body: &[u8],
        now_ms: i64,
        tolerance_s: u32,
    ) -> Result<(), SignatureError> {
        let timestamp = headers.timestamp.ok_or(SignatureError::Missing(TIMESTAMP_HEADER))?;
        let signature = headers.signature.ok_or(SignatureError::Missing(SIGNATURE_HEADER))?;
        let signed_at_s =
            parse_seconds(timestamp).ok_or(SignatureError::Malformed(TIMESTAMP_HEADER))?;
        let tag = parse_tag(signature).ok_or(SignatureError::Malformed(SIGNATURE_HEADER))?;
        let message = self.0.clone().chain_update(b"v0:").chain_update(timestamp);
        message
            .chain_update(b":")
            .chain_update(body)
            .verify_slice(&tag)
            .map_err(|_| SignatureError::Wrong)?;
        // After the signature: only the age of a genuine webhook is worth reporting (section 13.2).
        let age_s = now_ms.div_euclid(1000) - signed_at_s;
        if age_s.unsigned_abs() > u64::from(tolerance_s) {
            return Err(SignatureError::OutOfWindow { age_s, tolerance_s });
        }
        Ok(())
    }

    /// `encryptedToken` of the answer to `endpoint.url_validation`.
    pub fn encrypted_token(&self, plain_token: &PlainToken) -> String {
        let tag = self.0.clone().chain_update(plain_token.0.as_bytes()).finalize();
        hex::encode(tag.into_bytes())
    }

    /// Names the secret token without revealing it, to find out later which one was used.
    pub fn fingerprint(&self) -> String {
        // Neither a signed message nor a plain token has this form.
        let tag = self.0.clone().chain_update(b"fingerprint of the secret token").finalize();
        hex::encode(&tag.into_bytes()[..FINGERPRINT_BYTES])
    }

    /// The value of `x-zm-signature` for a body sent at `timestamp_s`: Zoom's side of [`Self::check`].
    pub fn sign(&self, timestamp_s: i64, body: &[u8]) -> String {
        let message = self.0.clone().chain_update(format!("v0:{timestamp_s}:")).chain_update(body);
        format!("v0={}", hex::encode(message.finalize().into_bytes()))
    }
}

/// A `plainToken` that cannot imitate a signed message: 1 to 128 of `A-Za-z0-9_-`.
///
/// The answer is an HMAC with the key that signs webhooks. A token with a colon, say `v0:1732313172:{…}`,
/// would make us sign a forged webhook (section 13.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainToken(String);

impl PlainToken {
    /// Accepts ASCII letters, digits, `_` and `-` up to a fixed length; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = (1..=MAX_PLAIN_TOKEN_BYTES).contains(&text.len());
        (fits && text.bytes().all(harmless)).then(|| Self(text.to_owned()))
    }

    /// The token of a validation with which a daemon checks its own URL.
    pub fn of_daemon(random: [u8; 16]) -> Self {
        Self(format!("{OWN_TOKEN}{}", hex::encode(random)))
    }

    /// Whether a daemon sent the validation to check its own URL, and not Zoom.
    pub fn is_of_daemon(&self) -> bool {
        self.0.starts_with(OWN_TOKEN)
    }

    /// The token as Zoom sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key under which handshakes send a conversation's id. Zoom's documents disagree (conflict 19.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandshakeIds {
    /// The products that send their id as `meeting_uuid`. Other ids are sent under the key of their webhook.
    pub as_meeting: Vec<Product>,
}

impl HandshakeIds {
    /// The conversation, with the key for its handshakes.
    pub fn named(&self, instance: &Instance) -> Instance {
        let mut named = instance.clone();
        if self.as_meeting.contains(&named.product) {
            named.key = IdKey::MeetingUuid;
        }
        named
    }
}

/// The app's client id and secret, ready to sign RTMS handshakes (section 5.1).
#[derive(Clone)]
pub struct HandshakeKey {
    client_id: String,
    keyed: HmacSha256,
}

impl HandshakeKey {
    /// Prepares the HMAC-SHA256 of the client secret (section 5.1).
    pub fn new(client_id: &str, client_secret: &Secret<String>) -> Self {
        Self { client_id: client_id.to_owned(), keyed: hmac_with(client_secret) }
    }

    /// The `signature` of messages 1 and 3; the same on signaling and media, and it does not expire.
    pub fn sign(&self, instance: &Instance, stream_id: &StreamId) -> String {
        hex::encode(self.message(instance, stream_id).finalize().into_bytes())
    }

    /// Verifies a `signature` of message 1 or 3 in constant time: Zoom's side of [`Self::sign`].
    pub fn verify(&self, instance: &Instance, stream_id: &StreamId, signature: &str) -> bool {
        let tag = hex::decode(signature).unwrap_or_default();
        self.message(instance, stream_id).verify_slice(&tag).is_ok()
    }

    fn message(&self, instance: &Instance, stream_id: &StreamId) -> HmacSha256 {
        let message = format!("{},{},{stream_id}", self.client_id, instance.id());
        self.keyed.clone().chain_update(message)
    }
}

fn hmac_with(secret: &Secret<String>) -> HmacSha256 {
    HmacSha256::new_from_slice(secret.expose().as_bytes()).expect("an HMAC key has any length")
}

fn parse_seconds(timestamp: &[u8]) -> Option<i64> {
    let digits = std::str::from_utf8(timestamp).ok()?;
    // `parse` alone would accept a sign.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    (plain && digits.len() <= MAX_TIMESTAMP_DIGITS).then(|| digits.parse().ok())?
}

fn parse_tag(signature: &[u8]) -> Option<[u8; TAG_BYTES]> {
    let mut tag = [0; TAG_BYTES];
    hex::decode_to_slice(signature.strip_prefix(b"v0=")?, &mut tag).ok()?;
    Some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IdKey, Product};

    const BODY: &[u8] = br#"{"event":"meeting.rtms_started","event_ts":1732313171881,"payload":{"meeting_uuid":"4444AAAiAAAAAiAiAiiAii==","rtms_stream_id":"e1f2a3b4-0000-4000-8000-00000000abcd","server_urls":"wss://127.0.0.1:9443"}}"#;
    const SIGNATURE: &str = "v0=fa782ed606982c1a883f27cb4b18bd6a421c6482e66e034a34863b421382c011";
    const SIGNED_AT_S: i64 = 1_732_313_172;

    fn key() -> WebhookKey {
        WebhookKey::new(&Secret::new("demoSecretToken01".into()))
    }

    fn check_at(now_s: i64, timestamp: &str, signature: &str) -> Result<(), SignatureError> {
        let headers = SignatureHeaders {
            timestamp: Some(timestamp.as_bytes()),
            signature: Some(signature.as_bytes()),
        };
        key().check(headers, BODY, now_s * 1000, 300)
    }

    #[test]
    fn the_documented_webhook_signature_is_good() {
        assert_eq!(check_at(SIGNED_AT_S, "1732313172", SIGNATURE), Ok(()));
        assert_eq!(key().sign(SIGNED_AT_S, BODY), SIGNATURE);
    }

    #[test]
    fn one_other_byte_anywhere_makes_a_signature_wrong() {
        let check = |timestamp: &[u8], signature: &[u8], body: &[u8]| {
            let headers =
                SignatureHeaders { timestamp: Some(timestamp), signature: Some(signature) };
            key().check(headers, body, SIGNED_AT_S * 1000, 300)
        };
        assert_eq!(check(b"1732313173", SIGNATURE.as_bytes(), BODY), Err(SignatureError::Wrong));
        for index in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[index] ^= 1;
            let outcome = check(b"1732313172", SIGNATURE.as_bytes(), &body);
            assert_eq!(outcome, Err(SignatureError::Wrong), "byte {index}");
        }
    }

    #[test]
    fn a_timestamp_is_accepted_up_to_the_tolerance_in_both_directions() {
        assert_eq!(check_at(SIGNED_AT_S + 300, "1732313172", SIGNATURE), Ok(()));
        assert_eq!(check_at(SIGNED_AT_S - 300, "1732313172", SIGNATURE), Ok(()));
        let refused = |age_s| Err(SignatureError::OutOfWindow { age_s, tolerance_s: 300 });
        assert_eq!(check_at(SIGNED_AT_S + 301, "1732313172", SIGNATURE), refused(301));
        assert_eq!(check_at(SIGNED_AT_S - 301, "1732313172", SIGNATURE), refused(-301));
    }

    #[test]
    fn missing_and_malformed_headers_are_told_apart() {
        let absent = SignatureHeaders { timestamp: None, signature: Some(b"v0=00") };
        let outcome = key().check(absent, BODY, 0, 300);
        assert_eq!(outcome, Err(SignatureError::Missing(TIMESTAMP_HEADER)));
        let absent = SignatureHeaders { timestamp: Some(b"1"), signature: None };
        let outcome = key().check(absent, BODY, 0, 300);
        assert_eq!(outcome, Err(SignatureError::Missing(SIGNATURE_HEADER)));
        for timestamp in ["", "+1732313172", "-1", "1e9", "1732313172 ", "9999999999999"] {
            let outcome = check_at(SIGNED_AT_S, timestamp, SIGNATURE);
            assert_eq!(outcome, Err(SignatureError::Malformed(TIMESTAMP_HEADER)), "{timestamp:?}");
        }
        for signature in ["", "v0=", "v0=zz", "v1=00", &SIGNATURE[3..], &format!("{SIGNATURE}00")] {
            let outcome = check_at(SIGNED_AT_S, "1732313172", signature);
            assert_eq!(outcome, Err(SignatureError::Malformed(SIGNATURE_HEADER)), "{signature:?}");
        }
    }

    #[test]
    fn the_documented_url_validation_is_answered() {
        let token = PlainToken::parse("plainTokenDemo0123456A").unwrap();
        let expected = "c0517cd75da436f8f3982245d597a8b8e3f53c64cc3b3e805fb74c67f1309ea5";
        assert_eq!(key().encrypted_token(&token), expected);
    }

    #[test]
    fn a_fingerprint_names_a_secret_token_and_does_not_reveal_it() {
        let other = WebhookKey::new(&Secret::new("demoSecretToken02".into()));
        assert_eq!(key().fingerprint(), key().fingerprint());
        assert_ne!(key().fingerprint(), other.fingerprint());
        assert_eq!(key().fingerprint().len(), 2 * FINGERPRINT_BYTES);
    }

    #[test]
    fn a_plain_token_cannot_imitate_a_signed_message() {
        let long = "x".repeat(129);
        for token in ["", "v0:1732313172:{}", "a b", "a.b", "tokén", "a\n", &long] {
            assert_eq!(PlainToken::parse(token), None, "{token:?}");
        }
        assert!(PlainToken::parse(&long[1..]).is_some());
    }

    #[test]
    fn the_documented_handshake_signatures_come_out() {
        let key = HandshakeKey::new("demoClientId01", &Secret::new("demoClientSecret01".into()));
        let stream_id = StreamId::parse("e1f2a3b4-0000-4000-8000-00000000abcd").unwrap();
        let vectors = [
            (
                "4444AAAiAAAAAiAiAiiAii==",
                "19302915f9efee62944004f55b26c51318985b50163b28040b506e656b692d87",
            ),
            ("/abc//def+gh==", "621404f5194bf5c19619fccde75f87212709d413c477a83fa45fa19430c7f716"),
        ];
        for (id, signature) in vectors {
            let instance = Instance::new(Product::Meeting, IdKey::MeetingUuid, id).unwrap();
            assert_eq!(key.sign(&instance, &stream_id), signature);
            assert!(key.verify(&instance, &stream_id, signature));
            assert!(!key.verify(&instance, &stream_id, &signature.replace('1', "2")));
            assert!(!key.verify(&instance, &stream_id, "no hex"));
        }
    }
}
