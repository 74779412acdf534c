//! Media frames: read in one pass, their payload decoded on demand (rtms-protocol.md sections 6.12 to 6.14).

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig, Simd};
use bytes::{Bytes, BytesMut};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::codes::msg_type;
use super::reader::{Fields, Reader};
use super::speaker::{self, Tokens};
use super::time::normalize_ms;
use crate::json::{self, Number};
use crate::model::{Lost, Medium, Product, SpeakerRef, Unreadable};

/// The size of a block of short payloads. A block stays in memory until its last payload is dropped.
const BLOCK_BYTES: usize = 8 * 1024;
/// The longest payload that shares a block.
const MAX_SHARED_BYTES: u32 = 2 * 1024;

/// An audio, video or share message (rtms-protocol.md sections 6.12 to 6.14). Its payload stays encoded until a
/// consumer needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaFrame {
    /// Audio, video or share.
    pub medium: Medium,
    /// When Zoom made the frame, Unix milliseconds.
    pub at_ms: Option<i64>,
    /// The length of the payload in bytes, after base64.
    pub payload_bytes: u32,
    /// The message. UTF-8.
    pub(super) text: Bytes,
    /// The position of the base64 text in the message. `None` when the text has escapes and must be unescaped
    /// first.
    data: Option<Span>,
    /// The positions of the JSON of `user_id` and `channel_id` in the message.
    user_id: Option<Span>,
    channel_id: Option<Span>,
}

impl MediaFrame {
    /// The frame's speaker; empty for the mixed stream.
    pub fn speaker(&self, product: Product) -> SpeakerRef<'_> {
        let token = |span: Option<Span>| str::from_utf8(self.text.get(span?.range())?).ok();
        let tokens = Tokens { user_id: token(self.user_id), channel_id: token(self.channel_id) };
        tokens.speaker(product)
    }

    /// The message as Zoom sent it. UTF-8.
    pub fn wire(&self) -> &Bytes {
        &self.text
    }

    /// Decodes the payload.
    ///
    /// # Errors
    /// It is not base64.
    pub fn payload(&self) -> Result<Bytes, Unreadable> {
        self.decode_with(|base64| BASE64.decode(base64).ok().map(Bytes::from))
    }

    /// Like [`Self::payload`], but decodes a short payload into a block that it shares with others. Only for payloads
    /// that are kept for about the same time.
    ///
    /// # Errors
    /// It is not base64.
    pub fn payload_into_block(&self, block: &mut BytesMut) -> Result<Bytes, Unreadable> {
        match self.payload_bytes {
            ..=MAX_SHARED_BYTES => self.decode_with(|base64| decode_into_block(base64, block)),
            _ => self.payload(),
        }
    }

    fn decode_with(
        &self,
        decode: impl FnOnce(&[u8]) -> Option<Bytes>,
    ) -> Result<Bytes, Unreadable> {
        let bytes = match self.data.and_then(|span| self.text.get(span.range())) {
            Some(base64) => decode(base64),
            None => self.escaped_payload().and_then(|base64| decode(base64.as_bytes())),
        };
        bytes.ok_or_else(|| Unreadable::new(self.medium.msg_type(), Lost::Message, "data"))
    }

    fn escaped_payload(&self) -> Option<String> {
        let text = json::mend_text(str::from_utf8(&self.text).ok()?);
        let content = Content::read(&mut Reader::new(msg_type::UNDEFINED), &Fields::of(&text)?)?;
        content.data.map(Cow::into_owned)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The position of `part`, a slice of `text`, in `text`.
    fn of(part: &str, text: &str) -> Option<Self> {
        // A slice of another text yields a position that does not fit or lies outside; the reader then finds
        // nothing.
        let start = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
        let end = u32::try_from(start.wrapping_add(part.len())).ok()?;
        Some(Self { start: u32::try_from(start).ok()?, end })
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Decodes into the free part of `block`. If that is too small, replaces `block` with a new one first.
fn decode_into_block(base64: &[u8], block: &mut BytesMut) -> Option<Bytes> {
    let max_len = base64.len().div_ceil(4) * 3;
    if block.capacity() < max_len {
        *block = BytesMut::with_capacity(BLOCK_BYTES.max(max_len));
    }
    block.resize(max_len, 0);
    let decoded = BASE64.decode_slice(base64, block).ok().map(|length| block.split_to(length));
    block.clear();
    decoded.map(BytesMut::freeze)
}

/// Accepts base64 without padding, which some senders leave out.
static BASE64: LazyLock<Simd> = LazyLock::new(|| {
    Simd::standard(
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            // Some encoders leave bits set after the last byte; the bytes are the same.
            .with_decode_allow_trailing_bits(true),
    )
});

/// The `content` of messages 14 to 16, borrowed from the frame. It is read in the same pass as `msg_type`,
/// because these are nearly all messages. Unknown fields are skipped. A malformed field ends that pass, and
/// [`Content::read`] then reads the fields one by one.
#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    who: Tokens<'a>,
    at_ms: Option<i64>,
    data: Option<Cow<'a, str>>,
}

impl<'a> Content<'a> {
    /// Reads the fields one by one and leaves out those that cannot be read.
    pub(super) fn read(reader: &mut Reader, fields: &Fields<'a>) -> Option<Self> {
        let raw = fields.raw("content")?;
        let payload = |raw: &'a RawValue| serde_json::from_str::<Payload<'a>>(raw.get()).ok()?.0;
        if raw.get().starts_with('"') {
            return Some(Self { data: payload(raw), ..Self::default() });
        }
        let content = reader.object(fields, "content")?;
        Some(Self {
            who: Tokens::read(reader, &content),
            at_ms: reader.time(&content, "timestamp"),
            data: content.raw("data").and_then(payload),
        })
    }

    /// When Zoom made the frame, Unix milliseconds.
    pub(super) fn at_ms(&self) -> Option<i64> {
        self.at_ms
    }

    /// Returns the frame; `None` when there is no payload text. `text` is the whole message; the codec puts it
    /// into the frame.
    pub(super) fn frame(&self, medium: Medium, text: &str) -> Option<MediaFrame> {
        let data = self.data.as_ref()?;
        let span = |part: &str| Span::of(part, text);
        Some(MediaFrame {
            medium,
            at_ms: self.at_ms,
            payload_bytes: decoded_len(data),
            text: Bytes::new(),
            data: match data {
                Cow::Borrowed(data) => span(data),
                Cow::Owned(_) => None,
            },
            user_id: self.who.user_id.and_then(span),
            channel_id: self.who.channel_id.and_then(span),
        })
    }
}

/// The number of bytes behind a base64 text, with or without its padding.
fn decoded_len(base64: &str) -> u32 {
    let padding = base64.bytes().rev().take(2).take_while(|byte| *byte == b'=').count();
    // Always fits: the transport cuts messages at 16 MiB.
    u32::try_from((base64.len() - padding) * 3 / 4).unwrap_or(u32::MAX)
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a content object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content<'de>, A::Error> {
        let mut content = Content::default();
        while let Some(KeyText(key)) = map.next_key()? {
            match &*key {
                "user_id" => {
                    // Kept as JSON: its meaning depends on the product, which only the stream knows.
                    let token = map.next_value::<&RawValue>()?.get();
                    content.who.user_id = Some(well_formed(token, speaker::is_user_id)?);
                }
                "channel_id" => {
                    let token = map.next_value::<&RawValue>()?.get();
                    content.who.channel_id = Some(well_formed(token, speaker::is_channel_id)?);
                }
                "timestamp" => {
                    let time = map.next_value::<Option<Number>>()?;
                    content.at_ms = time.map(|time| normalize_ms(time.cut()));
                }
                "data" => content.data = map.next_value::<Payload<'de>>()?.0,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(content)
    }

    /// Old docs show the payload as the content itself (rtms-protocol.md conflict 19.20).
    fn visit_borrowed_str<E: Error>(self, data: &'de str) -> Result<Content<'de>, E> {
        Ok(Content { data: Some(Cow::Borrowed(data)), ..Content::default() })
    }

    fn visit_str<E: Error>(self, data: &str) -> Result<Content<'de>, E> {
        Ok(Content { data: Some(Cow::Owned(data.to_owned())), ..Content::default() })
    }

    fn visit_unit<E: Error>(self) -> Result<Content<'de>, E> {
        Ok(Content::default())
    }
}

/// Fails on a malformed id, which ends the single pass.
fn well_formed<E: Error>(token: &str, is_sound: fn(&str) -> bool) -> Result<&str, E> {
    if is_sound(token) { Ok(token) } else { Err(E::custom("an odd id")) }
}

/// The name of a JSON field.
pub(super) struct KeyText<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for KeyText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Payload::deserialize(deserializer).map(|payload| KeyText(payload.0.unwrap_or_default()))
    }
}

/// A text, borrowed if it has no escapes. Any other value (chat has objects) is skipped.
struct Payload<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Payload<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PayloadVisitor)
    }
}

struct PayloadVisitor;

impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = Payload<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Payload(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Payload(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Payload(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Payload(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Payload(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_payload_is_told_without_decoding_it() {
        for (text, bytes) in [("", 0), ("AA==", 1), ("AAA=", 2), ("AAAA", 3), ("AAAAAA==", 4)] {
            assert_eq!(decoded_len(text), bytes, "{text}");
        }
        for (text, bytes) in [("==", 0), ("AA", 1), ("AAE", 2), ("AAAimeB", 5)] {
            assert_eq!(decoded_len(text), bytes, "{text} has no padding, or nothing else");
        }
    }

    fn read(text: &str) -> (MediaFrame, Option<Bytes>) {
        #[derive(serde::Deserialize)]
        struct Whole<'a> {
            #[serde(borrow)]
            content: Content<'a>,
        }
        let whole: Whole<'_> = serde_json::from_str(text).unwrap();
        let frame = whole.content.frame(Medium::Audio, text).unwrap();
        let frame = MediaFrame { text: Bytes::copy_from_slice(text.as_bytes()), ..frame };
        let payload = frame.payload().ok();
        (frame, payload)
    }

    #[test]
    fn a_payload_comes_out_of_its_place_in_the_message() {
        let text = r#"{"msg_type":14,"content":{"data":"AAECAw==","user_id":1}}"#;
        let (frame, bytes) = read(text);
        assert!(frame.data.is_some());
        assert_eq!(bytes.unwrap(), [0, 1, 2, 3][..]);
    }

    #[test]
    fn a_payload_with_escapes_or_without_padding_is_the_same_bytes() {
        let escaped = r#"{"content":{"data":"\/\/79"}}"#;
        let (frame, bytes) = read(escaped);
        assert_eq!(frame.data, None);
        assert_eq!(bytes.unwrap(), [255, 254, 253][..]);
        assert_eq!(read(r#"{"content":{"data":"AAE"}}"#).1.unwrap(), [0, 1][..]);
    }

    #[test]
    fn short_payloads_share_a_block_until_it_is_full_and_long_ones_do_not() {
        let mut block = BytesMut::new();
        let mut decoded = |bytes: usize| {
            let payload = vec![bytes as u8; bytes];
            let (frame, _) =
                read(&format!(r#"{{"content":{{"data":"{}"}}}}"#, BASE64.encode(&payload)));
            let shared = frame.payload_into_block(&mut block).unwrap();
            assert_eq!(shared, payload);
            (shared.as_ptr() as usize, shared)
        };
        let shared: Vec<_> = (0..20).map(|_| decoded(640)).collect();
        let follows = shared.windows(2).filter(|two| two[1].0 == two[0].0 + 640).count();
        assert_eq!(follows, 18, "a new block begins once");
        let (long, after) = (decoded(2_049), decoded(640));
        assert_eq!(after.0, shared[19].0 + 640);
        assert_ne!(long.0, after.0);
        assert!(read(r#"{"content":{"data":"n o"}}"#).0.payload_into_block(&mut block).is_err());
    }

    #[test]
    fn what_is_not_base64_is_no_payload() {
        assert_eq!(read(r#"{"content":{"data":"n o"}}"#).1, None);
    }

    #[test]
    fn a_payload_without_escapes_is_borrowed() {
        let text = r#"{"user_id":7,"channel_id":"c-1","timestamp":1732313190020,"data":"AAAB","later":{"x":[1]}}"#;
        let content: Content = serde_json::from_str(text).unwrap();
        assert!(matches!(content.data, Some(Cow::Borrowed("AAAB"))));
        assert_eq!((content.who.user_id, content.who.channel_id), (Some("7"), Some(r#""c-1""#)));
        assert_eq!(content.at_ms, Some(1_732_313_190_020));
    }
}
