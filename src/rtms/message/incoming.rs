//! Parses the messages that Zoom sends (rtms-protocol.md section 6). Frames take one pass that copies nothing. Other
//! messages, and frames that this pass cannot read, are read field by field.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::HandshakeAnswer;
use super::chat;
use super::codes::msg_type;
use super::content::{Content, MediaFrame};
use super::event::EventUpdate;
use super::reader::{Fields, Reader};
use super::speaker::Tokens;
use crate::json::{self, Number};
use crate::model::{
    ChatMessage, Lost, Medium, Product, Speaker, StopReason, TranscriptLine, Unreadable,
    UnreadableMessages, UserId,
};

/// A message from Zoom, with the fields that rtmsd uses.
#[derive(Debug)]
pub enum Message {
    /// 2: the answer to the signaling handshake; on a media link an old form of 4 (conflict 19.30).
    SignalingAnswer(HandshakeAnswer),
    /// 4: the answer to a media handshake.
    MediaAnswer(HandshakeAnswer),
    /// 6
    Event(EventUpdate),
    /// 8
    StreamState {
        /// The state of the stream (section 10.5).
        state: i64,
        /// Why the state changed (section 10.6), if Zoom says so.
        reason: Option<StopReason>,
        /// Zoom's time, Unix milliseconds, if it gave one.
        at_ms: Option<i64>,
    },
    /// 9
    SessionState {
        /// The session inside the stream.
        rtms_session_id: String,
        /// The state of that session (section 10.4): 4 is RESUMED.
        state: i64,
        /// Why the session stopped (section 10.6), if Zoom says so.
        reason: Option<StopReason>,
        /// Zoom's time of the change, Unix milliseconds.
        at_ms: Option<i64>,
    },
    /// 12
    KeepAlive(KeepAlive),
    /// 14 to 16
    Frame(MediaFrame),
    /// 17; the time is when Zoom sent it.
    Transcript(Option<i64>, TranscriptLine),
    /// 18
    Chat(Option<i64>, ChatMessage),
    /// 29
    VideoAnswer {
        /// The participant.
        user_id: UserId,
        /// The status (section 10.3); 0 is success.
        status_code: i64,
    },
    /// 11, 20, 22: known, but they change nothing.
    Noted,
    /// A number that this version does not know.
    Unknown(u16),
}

/// A keep-alive request. Its fields are echoed exactly as received (sections 6.11 and 22); none where there is nothing
/// to echo.
#[derive(Debug)]
pub struct KeepAlive {
    /// Zoom's `timestamp`, as raw JSON.
    pub timestamp: Option<Box<RawValue>>,
    /// Zoom's `sequence`, as raw JSON.
    pub sequence: Option<Box<RawValue>>,
}

/// A message that cannot be read, or that lacks a field without which it means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The type of the message, and what cannot be read in it.
    pub kind: Unreadable,
    /// When Zoom made the message, Unix milliseconds, if that can be read.
    pub at_ms: Option<i64>,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msg_type {} cannot be read: {}", self.kind.msg_type, self.kind.reason)
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    msg_type: u16,
    #[serde(borrow, default)]
    content: Content<'a>,
}

/// Reads one message. Media frames take a single pass and copy nothing. `unreadable` counts what cannot be read: a
/// field, a list member, or the whole message.
///
/// # Errors
/// The message means nothing without the part that cannot be read.
pub(super) fn parse_message(
    text: &str,
    unreadable: &mut UnreadableMessages,
) -> Result<Message, Malformed> {
    if let Some(frame) = read_frame(text) {
        return Ok(Message::Frame(frame));
    }
    // Only now: mending scans the whole text, and a frame's payload is large (rtms-protocol.md section 23.5).
    let text = json::mend_text(text);
    let (fields, is_whole) = Fields::read(&text);
    let number = read_msg_type(&fields);
    let lost = |number, reason| Unreadable::new(number, Lost::Message, reason);
    let kind = match (number, is_whole) {
        (number, false) => lost(number.unwrap_or(msg_type::UNDEFINED), "not_json"),
        (None, true) => lost(msg_type::UNDEFINED, "no_msg_type"),
        (Some(number), true) => {
            return Reader::read(number, unreadable, |reader| {
                read_message(number, reader, &fields, &text)
            });
        }
    };
    unreadable.add(kind.clone());
    Err(Malformed { kind, at_ms: None })
}

/// Counts a message that is too large to be read. Its first bytes, `head`, may still have its type.
pub(super) fn too_large(head: &str, unreadable: &mut UnreadableMessages) -> Malformed {
    let text = json::mend_text(head);
    let (fields, _) = Fields::read(&text);
    let number = read_msg_type(&fields).unwrap_or(msg_type::UNDEFINED);
    let kind = Unreadable::new(number, Lost::Message, "too_large");
    unreadable.add(kind.clone());
    Malformed { kind, at_ms: None }
}

/// Reads a well-formed frame; none for anything else.
fn read_frame(text: &str) -> Option<MediaFrame> {
    // serde would also read a struct from a JSON array.
    if !text.starts_with('{') {
        return None;
    }
    let head: Head<'_> = serde_json::from_str(text).ok()?;
    head.content.frame(frame_medium(head.msg_type)?, text)
}

fn frame_medium(number: u16) -> Option<Medium> {
    Medium::of_message(number).filter(|medium| medium.has_frames())
}

/// The `msg_type`. A number out of range is an unknown type.
fn read_msg_type(fields: &Fields<'_>) -> Option<u16> {
    let number = serde_json::from_str::<Number>(fields.raw("msg_type")?.get()).ok()?;
    Some(u16::try_from(number.exact()?).unwrap_or(msg_type::UNDEFINED))
}

fn read_message(
    number: u16,
    reader: &mut Reader,
    fields: &Fields<'_>,
    text: &str,
) -> Result<Message, Malformed> {
    if let Some(medium) = frame_medium(number) {
        return odd_frame(medium, reader, fields, text);
    }
    match number {
        msg_type::MEDIA_DATA_TRANSCRIPT => read_transcript(reader, fields),
        msg_type::MEDIA_DATA_CHAT => chat::read_message(reader, fields),
        msg_type::SIGNALING_HAND_SHAKE_RESP => {
            HandshakeAnswer::read(reader, fields).map(Message::SignalingAnswer)
        }
        msg_type::DATA_HAND_SHAKE_RESP => {
            HandshakeAnswer::read(reader, fields).map(Message::MediaAnswer)
        }
        msg_type::EVENT_UPDATE => EventUpdate::read(reader, fields).map(Message::Event),
        msg_type::STREAM_STATE_UPDATE => stream_state(reader, fields),
        msg_type::SESSION_STATE_UPDATE => session_state(reader, fields),
        msg_type::KEEP_ALIVE_REQ => Ok(Message::KeepAlive(keep_alive(reader, fields))),
        msg_type::VIDEO_SUBSCRIPTION_RESP => Ok(video_answer(reader, fields)),
        msg_type::SESSION_STATE_RESP
        | msg_type::STREAM_STATE_RESP
        | msg_type::STREAM_CLOSE_RESP => Ok(Message::Noted),
        number => Ok(Message::Unknown(number)),
    }
}

fn odd_frame(
    medium: Medium,
    reader: &mut Reader,
    fields: &Fields<'_>,
    text: &str,
) -> Result<Message, Malformed> {
    let content = Content::read(reader, fields).ok_or_else(|| reader.without("content"))?;
    let at_ms = content.at_ms();
    match content.frame(medium, text) {
        Some(frame) => Ok(Message::Frame(frame)),
        None => Err(Malformed { at_ms, ..reader.without("data") }),
    }
}

fn read_transcript(reader: &mut Reader, fields: &Fields<'_>) -> Result<Message, Malformed> {
    let content = reader.object(fields, "content").ok_or_else(|| reader.without("content"))?;
    let sent_ms = reader.time(&content, "timestamp");
    let Some(text) = reader.field(&content, "data") else {
        return Err(Malformed { at_ms: sent_ms, ..reader.without("data") });
    };
    // 0 stands for an unset time: the feed replaces it (rtms-protocol.md section 23.5).
    let start_ms = reader.time(&content, "start_time").or(sent_ms).unwrap_or(0);
    let end_ms = reader.time(&content, "end_time").or(sent_ms).unwrap_or(start_ms);
    // A number in quotes stays a text here: its meaning depends on the product.
    let who = Tokens::read(reader, &content).speaker(Product::ContactCenter);
    let line = TranscriptLine {
        speaker: Speaker { name: reader.name(&content, "user_name"), ..who.to_speaker() },
        text,
        start_ms,
        end_ms: end_ms.max(start_ms),
        language: reader.code(&content, "language"),
        attribute: reader.code(&content, "attribute"),
    };
    Ok(Message::Transcript(sent_ms, line))
}

fn stream_state(reader: &mut Reader, fields: &Fields<'_>) -> Result<Message, Malformed> {
    Ok(Message::StreamState {
        state: reader.code(fields, "state").ok_or_else(|| reader.without("state"))?,
        // Zoom's docs name the field both ways (rtms-protocol.md conflict 19.14).
        reason: read_reason(reader, fields, ["reason", "stop_reason"]),
        at_ms: reader.time(fields, "timestamp"),
    })
}

fn session_state(reader: &mut Reader, fields: &Fields<'_>) -> Result<Message, Malformed> {
    Ok(Message::SessionState {
        rtms_session_id: reader.text(fields, "rtms_session_id").unwrap_or_default(),
        state: reader.code(fields, "state").ok_or_else(|| reader.without("state"))?,
        reason: read_reason(reader, fields, ["stop_reason", "reason"]),
        at_ms: reader.time(fields, "timestamp"),
    })
}

/// A reason number. Zoom's mock server sends words instead, which are ignored (section 6.8).
fn read_reason(
    reader: &mut Reader,
    fields: &Fields<'_>,
    names: [&'static str; 2],
) -> Option<StopReason> {
    let code = names.into_iter().find_map(|name| {
        let is_text = fields.raw(name).is_some_and(|raw| raw.get().starts_with('"'));
        match is_text {
            true => reader.tried(|reader| reader.code(fields, name)).flatten(),
            false => reader.code(fields, name),
        }
    });
    code.map(StopReason)
}

/// The longest echo: a number, or a number in quotes.
const MAX_ECHO_BYTES: usize = 32;

fn keep_alive(reader: &mut Reader, fields: &Fields<'_>) -> KeepAlive {
    let mut echo = |name| {
        let raw = fields.raw(name)?;
        // The echo goes back to Zoom as it came, so its size and form are bounded.
        let is_plain = |value: Value| !value.is_object() && !value.is_array();
        let is_echoed = raw.get().len() <= MAX_ECHO_BYTES
            && serde_json::from_str(raw.get()).is_ok_and(is_plain);
        if !is_echoed {
            reader.lose_field(name);
        }
        is_echoed.then(|| raw.to_owned())
    };
    KeepAlive { timestamp: echo("timestamp"), sequence: echo("sequence") }
}

/// Reads the answer to a video subscription. An answer without a participant is ignored.
fn video_answer(reader: &mut Reader, fields: &Fields<'_>) -> Message {
    let user_id = reader.user_id(fields, "user_id");
    let status_code = reader.code(fields, "status_code");
    match (user_id, status_code) {
        (Some(user_id), Some(status_code)) => Message::VideoAnswer { user_id, status_code },
        _ => Message::Noted,
    }
}
