//! Reads JSON from outside leniently: a malformed part costs only itself (pure).

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// How deeply stored JSON may nest. serde_json reads back at most 127 levels, and storage adds a few levels of its own.
pub const MAX_DEPTH: usize = 64;

/// Reads another program's response. Invalid UTF-8 becomes U+FFFD. None if it is not JSON of this type; optional fields
/// read by [`or_none`] may be malformed.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value = read_value(&mend_text(&String::from_utf8_lossy(bytes)))?;
    T::deserialize(value).ok()
}

/// Reads a malformed field as none: `#[serde(default, deserialize_with = "json::or_none")]`.
///
/// # Errors
/// Only those of the deserializer itself.
pub fn or_none<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Value::deserialize(deserializer).map(|value| T::deserialize(value).ok())
}

/// Reads any JSON that does not nest too deeply. A number too large for every type becomes null.
pub fn read_value(text: &str) -> Option<Value> {
    if is_too_deep(text) {
        return None;
    }
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str::<&RawValue>(text).map(|raw| piece_by_piece(raw.get())))
        .ok()
}

fn piece_by_piece(text: &str) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    if let Ok(fields) = serde_json::from_str::<HashMap<String, &RawValue>>(text) {
        let fields = fields.into_iter().map(|(name, raw)| (name, piece_by_piece(raw.get())));
        return Value::Object(fields.collect());
    }
    let members = serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default();
    match text.starts_with('[') {
        true => members.iter().map(|raw| piece_by_piece(raw.get())).collect(),
        false => Value::Null,
    }
}

/// Replaces everything inside strings that no JSON parser accepts: half of a surrogate pair becomes U+FFFD, a control
/// character a space, and the backslash of an invalid escape a question mark. A byte order mark becomes spaces.
/// Replacements keep their length, so offsets stay valid.
pub fn mend_text(text: &str) -> Cow<'_, str> {
    let is_suspect = |byte: u8| byte == b'\\' || byte < b' ';
    if !text.starts_with(MARK) && !text.bytes().any(is_suspect) {
        return Cow::Borrowed(text);
    }
    let mut mended: Option<Vec<u8>> = None;
    if text.starts_with(MARK) {
        mended = Some([b"   ", &text.as_bytes()[MARK.len_utf8()..]].concat());
    }
    for (at, replacement) in find_faults(text.as_bytes()) {
        let bytes = mended.get_or_insert_with(|| text.as_bytes().to_vec());
        bytes[at..at + replacement.len()].copy_from_slice(replacement);
    }
    match mended {
        Some(bytes) => Cow::Owned(String::from_utf8(bytes).expect("ASCII replaced by ASCII")),
        None => Cow::Borrowed(text),
    }
}

const MARK: char = '\u{feff}';
const REPLACED_ESCAPE: &[u8] = br"\ufffd";

/// The positions of invalid parts in strings, and their replacements.
fn find_faults(bytes: &[u8]) -> impl Iterator<Item = (usize, &'static [u8])> {
    let (mut at, mut is_inside) = (0, false);
    std::iter::from_fn(move || {
        while let Some(byte) = bytes.get(at) {
            let here = at;
            let (length, fault): (usize, Option<&'static [u8]>) = match byte {
                b'"' => {
                    is_inside = !is_inside;
                    (1, None)
                }
                b'\\' if is_inside => escape_length(&bytes[at..]),
                0..b' ' if is_inside => (1, Some(b" ")),
                _ => (1, None),
            };
            at += length;
            if let Some(replacement) = fault {
                return Some((here, replacement));
            }
        }
        None
    })
}

/// The length of the escape that begins here, and its replacement if it is invalid.
fn escape_length(bytes: &[u8]) -> (usize, Option<&'static [u8]>) {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => (2, None),
        Some(b'u') => match (code_unit(bytes), bytes.get(6..).and_then(code_unit)) {
            (None, _) => (1, Some(b"?")),
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => (12, None),
            (Some(0xd800..0xe000), _) => (6, Some(REPLACED_ESCAPE)),
            (Some(_), _) => (6, None),
        },
        _ => (1, Some(b"?")),
    }
}

/// The code unit of a leading `\uXXXX`.
fn code_unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(br"\u")?.get(..4)?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    u16::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| is_hex)?, 16).ok()
}

/// Whether the text nests deeper than [`MAX_DEPTH`]. Uses constant stack space.
pub fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut is_inside, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_inside => is_escaped = true,
            b'"' => is_inside = !is_inside,
            b'{' | b'[' if !is_inside => depth += 1,
            b'}' | b']' if !is_inside => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// A number that may come as a string or with a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    whole: i64,
    is_exact: bool,
}

impl Number {
    /// The number without its fraction, for times and sizes.
    pub fn cut(self) -> i64 {
        self.whole
    }

    /// The number, for codes; none if it has a fraction.
    pub fn exact(self) -> Option<i64> {
        self.is_exact.then_some(self.whole)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a string of digits")
    }

    fn visit_i64<E: Error>(self, whole: i64) -> Result<Number, E> {
        Ok(Number { whole, is_exact: true })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        i64::try_from(number).map_err(E::custom).and_then(|whole| self.visit_i64(whole))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
        // Beyond this a float cannot represent every integer.
        const MAX: f64 = 9_007_199_254_740_992.0;
        if !(-MAX..=MAX).contains(&number) {
            return Err(E::custom("the number is out of range"));
        }
        Ok(Number { whole: number as i64, is_exact: number.fract() == 0.0 })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        let text = text.trim();
        match text.parse() {
            Ok(whole) => self.visit_i64(whole),
            Err(_) => text.parse().map_err(E::custom).and_then(|number| self.visit_f64(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        for (sent, read) in [
            (r#""Ana \ud83d""#, "Ana \u{fffd}"),
            (r#""\udc4d up""#, "\u{fffd} up"),
            (r#""\ud83d\ud83d\udc4d""#, "\u{fffd}\u{1f44d}"),
            (r#""\uD83Dx\uDC4D""#, "\u{fffd}x\u{fffd}"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""a \ud8""#, "a ?ud8"),
            (r#""a \u""#, "a ?u"),
            (r#""a \x""#, "a ?x"),
            ("\"a\tb\u{0}c\"", "a b c"),
        ] {
            let mended = mend_text(sent);
            assert_eq!(mended.len(), sent.len(), "{sent}: offsets stay valid");
            assert_eq!(serde_json::from_str::<String>(&mended).unwrap(), read, "{sent}");
        }
        assert_eq!(mend_text("\u{feff}{}"), "   {}");
    }

    #[test]
    fn well_formed_text_is_not_changed() {
        for good in [
            r#"{"a":"\ud83d\udc4d \"q\" \\ud83d \u00e9"}"#,
            "{\n\t\"a\": 1\n}",
            r#"["\\", "\ud7ff", "\ue000"]"#,
            "",
        ] {
            assert!(matches!(mend_text(good), Cow::Borrowed(_)), "{good}");
        }
    }

    #[test]
    fn invalid_utf_8_costs_only_itself() {
        let read: Vec<String> = from_slice(b"[\"Ana \xf0\x9f\x91\",\"Bo\"]").unwrap();
        assert_eq!(read, ["Ana \u{fffd}", "Bo"]);
        assert!(from_slice::<Vec<String>>(b"\xf0\x9f\x91").is_none());
    }

    #[test]
    fn a_number_that_is_too_large_for_any_type_costs_only_itself() {
        let read = read_value(r#"{"a":1e999,"b":[1,-1e999,{"c":"x","d":1e999}],"e":2}"#).unwrap();
        let expected =
            serde_json::json!({"a": null, "b": [1, null, {"c": "x", "d": null}], "e": 2});
        assert_eq!(read, expected);
        for bad in ["", "{", "[1e999", "{\"a\":1e999} x"] {
            assert_eq!(read_value(bad), None, "{bad}");
        }
        assert_eq!(read_value(&"[".repeat(100_000)), None);
    }

    #[test]
    fn a_malformed_optional_field_counts_as_none() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Answer {
            id: String,
            #[serde(default, deserialize_with = "or_none")]
            life: Option<Number>,
        }
        let life = |text: &str| {
            let answer: Answer = from_slice(text.as_bytes()).unwrap();
            assert_eq!(answer.id, "a");
            answer.life.map(Number::cut)
        };
        assert_eq!(life(r#"{"id":"a","life":"3599"}"#), Some(3599));
        assert_eq!(life(r#"{"id":"a","life":3599.5}"#), Some(3599));
        for odd in ["null", "\"soon\"", "[]", "{}", "true", "1e999"] {
            assert_eq!(life(&format!(r#"{{"id":"a","life":{odd}}}"#)), None, "{odd}");
        }
        assert_eq!(life(r#"{"id":"a"}"#), None);
    }

    #[test]
    fn depth_counts_open_brackets_outside_strings() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_too_deep(&nested(64)));
        assert!(is_too_deep(&nested(65)));
        assert!(is_too_deep(&"{".repeat(1_000_000)));
        let brackets = "[".repeat(100);
        assert!(!is_too_deep(&format!(r#"{{"a":"{brackets}","b":"\"{brackets}"}}"#)));
        assert!(!is_too_deep(&"[],".repeat(100)));
    }

    #[test]
    fn a_number_is_read_in_every_form() {
        let read = |text: &str| serde_json::from_str::<Number>(text).ok();
        for (text, cut, exact) in [
            ("12", 12, Some(12)),
            ("-1", -1, Some(-1)),
            ("12.9", 12, None),
            ("7.0", 7, Some(7)),
            ("\" 12 \"", 12, Some(12)),
            ("\"3600.5\"", 3600, None),
            ("1732313171881.25", 1_732_313_171_881, None),
        ] {
            let number = read(text).unwrap();
            assert_eq!((number.cut(), number.exact()), (cut, exact), "{text}");
        }
        for bad in ["\"now\"", "\"\"", "null", "true", "[]", "1e300", "1e999", "\"nan\"", "\"inf\""]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read("18446744073709551615"), None);
    }
}
