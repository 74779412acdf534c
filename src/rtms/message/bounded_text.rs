//! Bounds the length of names and identifiers from Zoom.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The most bytes of a name or an identifier that are kept. Real ones are far shorter.
const MAX_SHORT_BYTES: usize = 1024;

/// A text from Zoom that is neither speech nor chat. A longer text is cut, so that stored state stays bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Short(pub String);

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Short;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Short, E> {
                Ok(Short(text[..text.floor_char_boundary(MAX_SHORT_BYTES)].to_owned()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        serde_json::from_value::<Short>(text.into()).unwrap().0
    }

    #[test]
    fn a_text_of_1024_bytes_is_kept_and_a_longer_one_is_cut() {
        for kept in ["", "Ana", &"x".repeat(1024)] {
            assert_eq!(read(kept), kept);
        }
        assert_eq!(read(&"x".repeat(1025)), "x".repeat(1024));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(read(&"€".repeat(1000)), "€".repeat(341));
        assert_eq!(read(&("x".repeat(1023) + "ü")), "x".repeat(1023));
    }

    #[test]
    fn what_was_cut_off_takes_no_memory() {
        assert!(read(&"x".repeat(1_000_000)).capacity() <= 1024);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for bad in ["7", "null", "[]", "{}"] {
            assert!(serde_json::from_str::<Short>(bad).is_err(), "{bad}");
        }
    }
}
