//! The messages to a live consumer, except in Twilio's dialect (pure).

use std::sync::{Arc, LazyLock, OnceLock};

use base64::Engine;
use base64::engine::{GeneralPurposeConfig, Simd};
use bytes::Bytes;
use serde::Serialize;

use crate::hub::{Encoded, Frame, Person, StreamInfo};
use crate::model::{
    AppName, ChannelId, Cursor, Entry, EntryView, IdKey, Medium, Metadata, Product, Session,
    SessionId, SessionStatus, Speaker, SpeakerUserId, StreamId,
};
use crate::rtms::params::Effective;

/// Raised when an existing client would misread the messages.
const VERSION: u32 = 1;

pub(super) static BASE64: LazyLock<Simd> =
    LazyLock::new(|| Simd::standard(GeneralPurposeConfig::new()));

/// All text messages.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireMessage<'a> {
    Hello {
        version: u32,
        format: &'a str,
        /// `None` if all sessions are followed.
        session: Option<SessionView<'a>>,
        /// The position behind which the entries of the session begin.
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
        streams: Vec<StreamView<'a>>,
    },
    Stream {
        /// `running` (the stream has started or changed) or `over` (it has stopped running here).
        state: &'a str,
        #[serde(flatten)]
        stream: StreamView<'a>,
    },
    Entry {
        cursor: &'a str,
        #[serde(flatten)]
        entry: EntryView<'a>,
    },
    Dropped {
        medium: &'a str,
        count: u64,
    },
    End {
        session_id: SessionId,
        cursor: &'a str,
    },
    Error {
        code: &'a str,
        detail: String,
    },
}

#[derive(Debug, Serialize)]
struct SessionView<'a> {
    id: SessionId,
    app: &'a AppName,
    product: Product,
    instance_id: Option<&'a str>,
    meeting_id: Option<&'a str>,
    status: SessionStatus,
    metadata: Option<&'a Metadata>,
}

#[derive(Debug, Serialize)]
struct StreamView<'a> {
    session_id: SessionId,
    stream_id: &'a StreamId,
    app: &'a AppName,
    /// The number of the stream in its session, from 1.
    ordinal: u32,
    /// The former name of `ordinal`: deprecated, sent for one more release.
    stream: u32,
    product: Product,
    instance_id: &'a str,
    first_packet_ms: Option<i64>,
    /// What Zoom sends; a medium is null if it is not received, and before Zoom's first answer.
    parameters: &'a Effective,
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<&'a [Arc<Person>]>,
}

/// A frame without its payload.
#[derive(Debug, Serialize)]
struct FrameHead<'a> {
    r#type: &'a str,
    session_id: SessionId,
    stream_id: &'a StreamId,
    ordinal: u32,
    /// The former name of `ordinal`: deprecated, sent for one more release.
    stream: u32,
    medium: &'a str,
    /// Counts the stream's frames of this medium, so that a missing one is noticed.
    seq: u64,
    at_ms: i64,
    /// Since the stream's first packet.
    offset_ms: Option<i64>,
    /// `None` for mixed audio.
    user_id: Option<&'a SpeakerUserId>,
    user_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<&'a ChannelId>,
    /// The speaker in mixed audio, as Zoom last reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker_id: Option<&'a SpeakerUserId>,
}

/// A stream with its present and past participants.
pub(super) type RunningStream = (Arc<StreamInfo>, Vec<Arc<Person>>);

/// The first information for a consumer.
pub(super) struct Hello {
    /// None if all sessions are followed.
    pub session: Option<Session>,
    /// The position behind which the entries of that session begin.
    pub cursor: Option<Cursor>,
    pub running: Vec<RunningStream>,
}

pub(super) fn hello_message(format: &str, hello: &Hello) -> String {
    let session = hello.session.as_ref().map(|session| SessionView {
        id: session.id,
        app: &session.app,
        product: session.instance.product,
        instance_id: (session.instance.key != IdKey::MeetingId).then(|| session.instance.id()),
        meeting_id: session.meeting_id.as_deref(),
        status: session.status,
        metadata: session.metadata.as_ref(),
    });
    let cursor = hello.cursor.as_ref().map(Cursor::to_string);
    let streams = hello.running.iter();
    let streams = streams.map(|(stream, people)| stream_view(stream, Some(people))).collect();
    stream_text(&WireMessage::Hello { version: VERSION, format, session, cursor, streams })
}

pub(super) fn stream_message(stream: &StreamInfo, is_over: bool) -> String {
    let state = if is_over { "over" } else { "running" };
    stream_text(&WireMessage::Stream { state, stream: stream_view(stream, None) })
}

pub(super) fn entry_message(cursor: &str, entry: &Entry) -> String {
    stream_text(&WireMessage::Entry { cursor, entry: EntryView::of(entry) })
}

pub(super) fn dropped_message(medium: Medium, count: u64) -> String {
    stream_text(&WireMessage::Dropped { medium: medium.as_str(), count })
}

pub(super) fn end_message(session_id: SessionId, cursor: &str) -> String {
    stream_text(&WireMessage::End { session_id, cursor })
}

pub(super) fn error_message(code: &str, detail: String) -> String {
    stream_text(&WireMessage::Error { code, detail })
}

/// A frame as one object, its payload in base64.
pub(super) fn json_frame(frame: &Frame) -> Bytes {
    let encode = || {
        let mut text = frame_head(frame);
        text.reserve(frame.payload.len() * 4 / 3 + 32);
        // Replaces the closing brace.
        text.pop();
        text.push_str(",\"payload\":\"");
        BASE64.encode_string(&frame.payload, &mut text);
        text.push_str("\"}");
        Bytes::from(text)
    };
    encoded_once(frame, |encoded| &encoded.json, encode)
}

/// A frame as the length of its head (two bytes, big-endian), its head in JSON, and its payload.
pub(super) fn binary_frame(frame: &Frame) -> Bytes {
    let encode = || {
        let head = frame_head(frame);
        let length = u16::try_from(head.len()).expect("ids and names are bounded well below 64 kB");
        [&length.to_be_bytes(), head.as_bytes(), &frame.payload].concat().into()
    };
    encoded_once(frame, |encoded| &encoded.binary, encode)
}

/// The first consumer encodes; the others share its bytes.
fn encoded_once(
    frame: &Frame,
    form: fn(&Encoded) -> &OnceLock<Bytes>,
    encode: impl FnOnce() -> Bytes,
) -> Bytes {
    match &frame.encoded {
        Some(encoded) => form(encoded).get_or_init(encode).clone(),
        None => encode(),
    }
}

fn frame_head(frame: &Frame) -> String {
    let stream = frame.stream();
    let speaker = frame.speaker();
    let active = frame.source.active_speaker.as_deref();
    to_json(&FrameHead {
        r#type: "frame",
        session_id: stream.session_id,
        stream_id: &stream.stream_id,
        ordinal: stream.ordinal,
        stream: stream.ordinal,
        medium: frame.medium.as_str(),
        seq: frame.seq,
        at_ms: frame.at_ms,
        offset_ms: frame.offset_ms(),
        user_id: speaker.and_then(|speaker| speaker.user_id.as_ref()),
        user_name: speaker.and_then(short_name),
        channel_id: speaker.and_then(|speaker| speaker.channel_id.as_ref()),
        speaker_id: active.and_then(|person| person.speaker.user_id.as_ref()),
    })
}

/// A name short enough for a head.
fn short_name(speaker: &Speaker) -> Option<&str> {
    const MAX_NAME_BYTES: usize = 4096;
    let name = speaker.name.as_deref()?;
    Some(&name[..name.floor_char_boundary(MAX_NAME_BYTES)])
}

fn stream_view<'a>(stream: &'a StreamInfo, people: Option<&'a [Arc<Person>]>) -> StreamView<'a> {
    StreamView {
        session_id: stream.session_id,
        stream_id: &stream.stream_id,
        app: &stream.app,
        ordinal: stream.ordinal,
        stream: stream.ordinal,
        product: stream.instance.product,
        instance_id: stream.instance.id(),
        first_packet_ms: stream.first_packet_ms,
        parameters: &stream.effective,
        people,
    }
}

fn stream_text(message: &WireMessage<'_>) -> String {
    to_json(message)
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("no map has other keys than text")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::hub::{FrameSource, stream_info};
    use crate::model::UserId;

    fn frame(payload: &'static [u8], speaker: Option<Speaker>) -> Frame {
        let stream = StreamInfo { ordinal: 2, first_packet_ms: Some(1_000), ..stream_info() };
        let of = |speaker| Arc::new(Person { speaker, joined_ms: None, left_ms: None });
        let source = FrameSource {
            stream: Arc::new(stream),
            active_speaker: speaker.is_none().then(|| of(ana())),
            speaker: speaker.map(of),
        };
        Frame {
            source: Arc::new(source),
            medium: Medium::Audio,
            seq: 9,
            at_ms: 1_020,
            payload: Bytes::from_static(payload),
            encoded: Some(Arc::default()),
        }
    }

    fn ana() -> Speaker {
        Speaker::participant(UserId(7), Some("Ana \"A\" Silva".to_owned()))
    }

    fn expected() -> Value {
        json!({
            "type": "frame", "session_id": Uuid::nil(), "stream_id": "s1", "ordinal": 2, "stream": 2,
            "medium": "audio", "seq": 9, "at_ms": 1_020, "offset_ms": 20,
            "user_id": 7, "user_name": "Ana \"A\" Silva",
        })
    }

    #[test]
    fn a_binary_frame_is_a_length_a_head_and_the_payload() {
        let bytes = binary_frame(&frame(b"\x00\xff{}", Some(ana())));
        let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let head: Value = serde_json::from_slice(&bytes[2..2 + length]).unwrap();
        assert_eq!(head, expected());
        assert_eq!(bytes[2 + length..], b"\x00\xff{}"[..]);
    }

    #[test]
    fn a_json_frame_is_the_head_and_the_payload_in_base64() {
        let mut object: Value =
            serde_json::from_slice(&json_frame(&frame(b"\x00\xff{}", Some(ana())))).unwrap();
        let payload = object.as_object_mut().unwrap().remove("payload").unwrap();
        assert_eq!(object, expected());
        assert_eq!(payload, "AP97fQ==");
    }

    #[test]
    fn mixed_audio_has_no_user_and_names_the_active_speaker() {
        let object: Value = serde_json::from_slice(&json_frame(&frame(b"", None))).unwrap();
        assert_eq!((&object["user_id"], &object["user_name"]), (&Value::Null, &Value::Null));
        assert_eq!(object["speaker_id"], 7);
    }

    #[test]
    fn a_party_of_an_engagement_is_named_by_its_channel() {
        let party = Speaker { channel_id: ChannelId::new("c1"), ..Speaker::default() };
        let object: Value = serde_json::from_slice(&json_frame(&frame(b"", Some(party)))).unwrap();
        assert_eq!((&object["user_id"], &object["channel_id"]), (&Value::Null, &json!("c1")));
        assert!(expected().get("channel_id").is_none(), "a meeting has none");
    }

    #[test]
    fn a_frame_is_encoded_once_for_all_consumers() {
        let frame = frame(b"abc", None);
        // Each consumer has a clone of its own.
        assert_eq!(json_frame(&frame).as_ptr(), json_frame(&frame.clone()).as_ptr());
        assert_eq!(binary_frame(&frame).as_ptr(), binary_frame(&frame.clone()).as_ptr());
    }
}
