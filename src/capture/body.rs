//! The bytes of a message in a line of a capture (pure).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

/// The largest message that a line holds: the largest that a link accepts.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// A run of this many `A` becomes a count: in base64 it is filler, or silence.
const SHORTEST_FILLER: usize = 64;
/// The byte of filler.
pub const FILLER: u8 = b'A';

/// The bytes of a message, as text where they are text. A long run of filler is a count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The message, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The message in base64, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// Where filler is to be inserted, in bytes, and how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filler: Option<(usize, usize)>,
}

impl Body {
    /// The bytes as a line has them.
    pub fn of(bytes: &[u8]) -> Self {
        let filler = longest_filler(bytes);
        let mut kept = bytes.to_vec();
        if let Some((at, length)) = filler {
            kept.drain(at..at + length);
        }
        // Control characters take six bytes each in JSON; base64 takes four for three.
        let controls = kept.iter().filter(|byte| **byte < b' ').count();
        match String::from_utf8(kept) {
            Ok(text) if controls <= text.len() / 8 => {
                Self { text: Some(text), base64: None, filler }
            }
            Ok(text) => Self { base64: Some(BASE64_STANDARD.encode(text)), text: None, filler },
            Err(error) => {
                Self { base64: Some(BASE64_STANDARD.encode(error.as_bytes())), text: None, filler }
            }
        }
    }

    /// The bytes of the message; none if the line contradicts itself.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let kept = match (&self.text, &self.base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(base64)) => BASE64_STANDARD.decode(base64).ok()?,
            _ => return None,
        };
        let Some((at, length)) = self.filler else { return Some(kept) };
        let is_bounded = length <= MAX_MESSAGE_BYTES && kept.len() <= MAX_MESSAGE_BYTES;
        if at > kept.len() || !is_bounded {
            return None;
        }
        let mut bytes = Vec::with_capacity(kept.len() + length);
        bytes.extend_from_slice(&kept[..at]);
        bytes.resize(at + length, FILLER);
        bytes.extend_from_slice(&kept[at..]);
        Some(bytes)
    }
}

/// The longest run of filler that is worth a count.
fn longest_filler(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut longest, mut at) = ((0, 0), 0);
    for run in bytes.chunk_by(|one, other| (*one == FILLER) == (*other == FILLER)) {
        if run[0] == FILLER && run.len() > longest.1 {
            longest = (at, run.len());
        }
        at += run.len();
    }
    (longest.1 >= SHORTEST_FILLER).then_some(longest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filler_is_a_count_and_comes_back() {
        let message = format!("{{\"data\":\"{}==\"}}", "A".repeat(8_000));
        let body = Body::of(message.as_bytes());
        assert_eq!(body.filler, Some((9, 8_000)));
        assert_eq!(body.text.as_deref(), Some("{\"data\":\"==\"}"));
        assert_eq!(body.bytes().unwrap(), message.as_bytes());
    }

    #[test]
    fn a_body_that_contradicts_itself_or_is_too_large_is_none() {
        let text = || Some("ab".to_owned());
        for body in [
            Body::default(),
            Body { text: text(), base64: text(), filler: None },
            Body { base64: Some("?".to_owned()), ..Body::default() },
            Body { text: text(), filler: Some((3, 1)), ..Body::default() },
            Body { text: text(), filler: Some((0, usize::MAX)), ..Body::default() },
            Body { text: text(), filler: Some((usize::MAX, 1)), ..Body::default() },
        ] {
            assert_eq!(body.bytes(), None, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn every_message_comes_back_byte_for_byte(
            head in proptest::collection::vec(any::<u8>(), 0..200),
            filler in 0..500_usize,
            tail in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [head, vec![FILLER; filler], tail].concat();
            let line = serde_json::to_string(&Body::of(&bytes)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Body>(&line).unwrap().bytes().unwrap(), bytes);
        }
    }
}
