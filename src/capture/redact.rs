//! Removes from a message what a capture must not contain (pure): secrets always, and with the mode `signaling` also
//! names and everything that people said, wrote and showed. A byte is replaced by a byte, so that a message keeps its
//! size, and nothing is parsed, so that a message that cannot be read is treated like any other.

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::body::{Body, FILLER};
use super::event::{Event, Record};
use super::queue::{Item, Raw};
use crate::model::CaptureMode;
use crate::secret::Secret;

/// What replaces a removed byte. It is not base64, so that a payload that cannot be decoded still cannot.
const MASK: u8 = b'*';
/// A shorter text is no secret: it would occur in every message by chance.
const SHORTEST_SECRET: usize = 4;
/// The value of a key that contains one of these is a secret.
const SECRET_KEYS: [&str; 6] =
    ["signature", "secret", "token", "passphrase", "password", "authorization"];
/// The value of a key that ends with one of these is about the protocol and not about people. Every other text is
/// removed with the mode `signaling`.
const PLAIN_KEYS: [&str; 15] = [
    "id",
    "uuid",
    "status",
    "state",
    "reason",
    "type",
    "version",
    "time",
    "timestamp",
    "ts",
    "language",
    "event",
    "sequence",
    "mode",
    "action",
];
/// The bytes outside of texts that are part of JSON.
const OUTSIDE: &[u8] = b"{}[]:,+-.0123456789eEtrufalsn \t\r\n";

/// Removes secrets and, with the mode `signaling`, content.
#[derive(Debug)]
pub struct Redactor {
    mode: CaptureMode,
    /// The texts that no line may contain, in each form that they could have there; the longest first.
    secrets: Vec<Secret<String>>,
}

impl Redactor {
    /// A redactor without known secrets.
    pub fn new(mode: CaptureMode) -> Self {
        Self { mode, secrets: Vec::new() }
    }

    /// What the file holds.
    pub fn mode(&self) -> CaptureMode {
        self.mode
    }

    /// Adds texts that no line may contain.
    pub fn hide(&mut self, secrets: impl IntoIterator<Item = Secret<String>>) {
        for secret in secrets {
            let plain = secret.expose();
            // A mask in place of the mask would never end.
            if plain.len() < SHORTEST_SECRET || plain.bytes().all(|byte| byte == MASK) {
                continue;
            }
            let json = serde_json::Value::from(plain.as_str()).to_string();
            let forms = [
                plain.clone(),
                json[1..json.len() - 1].to_owned(),
                utf8_percent_encode(plain, NON_ALPHANUMERIC).to_string(),
            ];
            for form in forms {
                if !self.secrets.iter().any(|known| *known.expose() == form) {
                    self.secrets.push(Secret::new(form));
                }
            }
        }
        // A secret that is part of another must not leave the rest of it.
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
    }

    /// The line of an event.
    pub fn record(&self, item: Item) -> Record {
        let Item { t, at_ms, raw } = item;
        let event = match raw {
            Raw::Event(event) => self.event(event),
            Raw::In(link, bytes) => {
                Event::In { link: link.to_owned(), body: self.message(link, &bytes) }
            }
            Raw::TooLarge(link, head) => {
                Event::TooLarge { link: link.to_owned(), body: self.message(link, &head) }
            }
            Raw::Out(link, text) => {
                let body = self.message(link, &Bytes::from(text));
                Event::Out { link: link.to_owned(), body }
            }
        };
        Record { t, at_ms, event }
    }

    /// A message on a link, or the body of a webhook.
    pub fn message(&self, link: &str, bytes: &[u8]) -> Body {
        let mut bytes = bytes.to_vec();
        let text = match self.mode {
            CaptureMode::Signaling => Text::OfProtocol { has_urls: link == "signaling" },
            _ => Text::All,
        };
        mask_strings(&mut bytes, text);
        self.mask_secrets(&mut bytes);
        Body::of(&bytes)
    }

    /// The texts of an event without a message come from this daemon and from the system, and may quote a URL.
    fn event(&self, event: Event) -> Event {
        match event {
            Event::Dial { link, url } => Event::Dial { link, url: self.url(&url) },
            Event::Moved { url } => Event::Moved { url: self.url(&url) },
            Event::Run(mut run) => {
                run.url = self.url(&run.url);
                Event::Run(run)
            }
            other => other,
        }
    }

    /// A URL without the values of its query, which may be secrets.
    pub fn url(&self, url: &str) -> String {
        let kept = url.split(['?', '#']).next().unwrap_or_default();
        let mut bytes = kept.as_bytes().to_vec();
        self.mask_secrets(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A text of this daemon.
    pub fn text(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.mask_secrets(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn mask_secrets(&self, bytes: &mut [u8]) {
        // Again, because a mask may complete a secret that has a `*` in it.
        while self.mask_found(bytes) {}
    }

    fn mask_found(&self, bytes: &mut [u8]) -> bool {
        let mut has_found = false;
        for secret in &self.secrets {
            let secret = secret.expose().as_bytes();
            let mut from = 0;
            while let Some(at) = find(&bytes[from..], secret) {
                bytes[from + at..from + at + secret.len()].fill(MASK);
                from += at + secret.len();
                has_found = true;
            }
        }
        has_found
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let (first, mut from) = (part[0], 0);
    loop {
        // One byte first: the search for it is vectorized.
        from += bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes[from..].starts_with(part) {
            return Some(from);
        }
        from += 1;
    }
}

/// The texts of a message that stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    /// All but secrets.
    All,
    /// Those of the protocol; with URLs of servers.
    OfProtocol { has_urls: bool },
}

/// Masks the texts in JSON, or in what was to be JSON.
fn mask_strings(bytes: &mut [u8], kept: Text) {
    let (mut at, mut key) = (0, 0..0);
    while at < bytes.len() {
        if bytes[at] != b'"' {
            if kept != Text::All && !OUTSIDE.contains(&bytes[at]) {
                bytes[at] = MASK;
            }
            at += 1;
            continue;
        }
        let end = string_end(bytes, at + 1);
        let inside = at + 1..end;
        if is_key(bytes, end + 1) {
            key = inside;
        } else {
            let name = String::from_utf8_lossy(&bytes[key.clone()]).to_ascii_lowercase();
            mask_value(&mut bytes[inside], &name, kept);
        }
        at = end + 1;
    }
}

/// The position of the quote that ends a string; the end of the bytes if there is none.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// Whether a colon follows.
fn is_key(bytes: &[u8], after: usize) -> bool {
    let rest = bytes.get(after..).unwrap_or_default();
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

fn mask_value(value: &mut [u8], key: &str, kept: Text) {
    let is_secret = SECRET_KEYS.iter().any(|secret| key.contains(secret));
    match kept {
        _ if is_secret => value.fill(MASK),
        Text::All => {}
        Text::OfProtocol { has_urls } => {
            let is_url = value.starts_with(b"wss://") || value.starts_with(b"ws://");
            let is_plain = PLAIN_KEYS.iter().any(|plain| key.ends_with(plain));
            if !(is_plain || has_urls && is_url) {
                fill(value);
            }
        }
    }
}

/// Replaces base64 by filler that is base64 of the same length, and anything else by what is not base64.
fn fill(value: &mut [u8]) {
    let padding = value.iter().rev().take_while(|byte| **byte == b'=').count();
    let length = value.len() - padding;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    match padding <= 2 && value[..length].iter().all(is_base64) {
        true => value[..length].fill(FILLER),
        false => value.fill(MASK),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(mode: CaptureMode, link: &str, text: &str) -> String {
        let body = Redactor::new(mode).message(link, text.as_bytes());
        String::from_utf8(body.bytes().unwrap()).unwrap()
    }

    #[test]
    fn with_all_only_secrets_are_removed() {
        let message =
            r#"{"msg_type":1,"signature":"abc","srt_passphrase":"p\"q","user_name":"Ana"}"#;
        let expected =
            r#"{"msg_type":1,"signature":"***","srt_passphrase":"****","user_name":"Ana"}"#;
        assert_eq!(redacted(CaptureMode::All, "signaling", message), expected);
    }

    #[test]
    fn with_signaling_nothing_of_people_stays_and_every_size_does() {
        for (link, message, expected) in [
            (
                "audio",
                r#"{"msg_type":14,"content":{"user_id":7,"user_name":"Ana","data":"AAEC/w==","timestamp":5}}"#,
                r#"{"msg_type":14,"content":{"user_id":7,"user_name":"AAA","data":"AAAAAA==","timestamp":5}}"#,
            ),
            (
                "transcript",
                r#"{"msg_type":17,"content":{"user_id":7,"data":"Hi \"Bo\", já!","language":9}}"#,
                r#"{"msg_type":17,"content":{"user_id":7,"data":"***************","language":9}}"#,
            ),
            (
                "signaling",
                r#"{"media_server":{"server_urls":{"audio":"wss://a.zoom.us/x","all":["ws://b"]}},"topic":"Pay day"}"#,
                r#"{"media_server":{"server_urls":{"audio":"wss://a.zoom.us/x","all":["ws://b"]}},"topic":"*******"}"#,
            ),
            (
                "chat",
                r#"{"msg_type":18,"content":{"data":"wss://x y"#,
                r#"{"msg_type":18,"content":{"data":"*********"#,
            ),
            ("chat", "plain words, 12", "*la*n **r*s, 12"),
        ] {
            assert_eq!(redacted(CaptureMode::Signaling, link, message), expected);
        }
    }

    #[test]
    fn a_payload_that_is_not_base64_stays_so() {
        let message = r#"{"content":{"data":"!!!"}}"#;
        let expected = r#"{"content":{"data":"***"}}"#;
        assert_eq!(redacted(CaptureMode::Signaling, "audio", message), expected);
    }

    #[test]
    fn a_url_loses_its_query() {
        let mut redactor = Redactor::new(CaptureMode::All);
        redactor.hide([Secret::new("hidden".to_owned())]);
        assert_eq!(redactor.url("wss://a.zoom.us/hidden/x?key=1#y"), "wss://a.zoom.us/******/x");
    }

    /// What Zoom and the network could send: JSON with the secret anywhere in it, or anything else.
    fn messages(secret: String) -> impl Strategy<Value = Vec<u8>> {
        let json = serde_json::Value::from(secret.as_str()).to_string();
        let escaped = json[1..json.len() - 1].to_owned();
        let piece = prop_oneof![
            Just(secret.into_bytes()),
            Just(escaped.into_bytes()),
            Just(br#"{"signature":"#.to_vec()),
            Just(br#","data":""#.to_vec()),
            Just(b"\"}".to_vec()),
            Just(b"\\".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..40),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_secret_occurs_in_any_line(
            (secret, message) in "[ -~]{4,24}|[a-zA-Z0-9_-]{16,40}"
                .prop_flat_map(|secret| (Just(secret.clone()), messages(secret))),
            mode in prop_oneof![Just(CaptureMode::Signaling), Just(CaptureMode::All)],
            link in prop_oneof![Just("signaling"), Just("audio")],
        ) {
            // The mask and the filler themselves are no secret, nor is what a line says of itself.
            let chars: Vec<char> = secret.chars().collect();
            prop_assume!(chars.iter().any(|c| *c != chars[0]));
            prop_assume!(!["signature", "data\":\"", "{\"signature\":", "\",\"data\":\"", "base64", "filler"]
                .iter().any(|own| own.contains(&secret)));
            let mut redactor = Redactor::new(mode);
            redactor.hide([Secret::new(secret.clone())]);
            let body = redactor.message(link, &message);
            let bytes = body.bytes().unwrap();
            prop_assert_eq!(bytes.len(), message.len());
            prop_assert_eq!(find(&bytes, secret.as_bytes()), None);
            let text = body.text.unwrap_or_default();
            prop_assert_eq!(find(text.as_bytes(), secret.as_bytes()), None);
        }
    }
}
