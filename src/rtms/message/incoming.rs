use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Number, Value};
use thiserror::Error;

use super::chat;
use super::codes::{Medium, chat_operation, msg_type};
use super::content::{Content, FrameInfo};
use super::event::{EventUpdate, ParticipantWire, event};
use super::short::Short;
use super::time::Lenient;
use crate::model::{ChatMessage, Participant, TranscriptLine, UserId};

/// A message from Zoom, as far as a decision hangs on it.
#[derive(Debug)]
pub enum Message<'a> {
    /// 2: the answer to the signaling handshake; on a media link an old form of 4 (conflict 19.30).
    SignalingAnswer(HandshakeAnswer),
    /// 4: the answer to a media handshake.
    MediaAnswer(HandshakeAnswer),
    /// 6
    Event(EventUpdate<'a>),
    /// 8
    StreamState { state: i64, reason: Option<i64>, at_ms: Option<i64> },
    /// 9
    SessionState { rtms_session_id: String, state: i64, reason: Option<i64>, at_ms: Option<i64> },
    /// 12
    KeepAlive(KeepAlive<'a>),
    /// 14 to 16
    Frame(Medium, FrameInfo),
    /// 17; the time is when Zoom sent it.
    Transcript(Option<i64>, TranscriptLine),
    /// 18
    Chat(Option<i64>, ChatMessage),
    /// 29
    VideoAnswer { user_id: UserId, status_code: i64 },
    /// 11, 20, 22: known, and nothing hangs on them.
    Noted,
    /// A number that this version does not know.
    Unknown(u16),
}

/// The answer to a handshake (sections 6.2 and 6.4).
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct HandshakeAnswer {
    /// 0 is success (section 10.3).
    #[serde(deserialize_with = "lenient")]
    pub status_code: i64,
    #[serde(default, deserialize_with = "lenient_text")]
    pub reason: String,
    /// Message 2 only: the media URLs by key.
    #[serde(default)]
    media_server: Option<MediaServer>,
    /// Message 4 only: what Zoom gives, by medium.
    #[serde(default)]
    pub media_params: Value,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct MediaServer {
    #[serde(default)]
    server_urls: HashMap<String, Value>,
}

impl HandshakeAnswer {
    /// The media URL under the first of these keys that is there.
    pub fn media_url(&self, keys: &[&str]) -> Option<&str> {
        let urls = &self.media_server.as_ref()?.server_urls;
        keys.iter().find_map(|key| urls.get(*key)?.as_str().filter(|url| !url.is_empty()))
    }
}

/// Whatever came is echoed as it came (sections 6.11 and 22).
#[derive(Debug)]
pub struct KeepAlive<'a> {
    pub timestamp: &'a RawValue,
    pub sequence: Option<&'a RawValue>,
}

/// A message that cannot be read, or that lacks what its type must have. Says where, never what.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Malformed {
    #[error("not a JSON object with an integer msg_type")]
    NotAMessage,
    #[error("msg_type {0} lacks a field or has one of a wrong type")]
    Fields(u16),
}

#[derive(Deserialize)]
struct Head<'a> {
    msg_type: u16,
    #[serde(borrow, default)]
    content: Content<'a>,
}

#[derive(Deserialize)]
struct Kind {
    msg_type: Number,
}

/// Reads one message. Media frames take a single pass and copy nothing.
pub fn parse(text: &str) -> Result<Message<'_>, Malformed> {
    if !text.trim_start().starts_with('{') {
        return Err(Malformed::NotAMessage);
    }
    match serde_json::from_str::<Head<'_>>(text) {
        Ok(head) => parse_known(text, head.msg_type, &head.content),
        Err(_) => parse_known(text, number(text)?, &Content::default()),
    }
}

/// The number of a message that has a `content` of another kind than frames, or none that we know.
fn number(text: &str) -> Result<u16, Malformed> {
    let kind: Kind = serde_json::from_str(text).map_err(|_| Malformed::NotAMessage)?;
    if kind.msg_type.is_f64() {
        return Err(Malformed::NotAMessage);
    }
    let number = kind.msg_type.as_u64().and_then(|number| u16::try_from(number).ok());
    Ok(number.unwrap_or(msg_type::UNDEFINED))
}

fn parse_known<'a>(
    text: &'a str,
    number: u16,
    content: &Content<'_>,
) -> Result<Message<'a>, Malformed> {
    let frame = |medium| {
        let info = content.frame_info(text).ok_or(Malformed::Fields(number))?;
        Ok(Message::Frame(medium, info))
    };
    match number {
        msg_type::MEDIA_DATA_AUDIO => frame(Medium::Audio),
        msg_type::MEDIA_DATA_VIDEO => frame(Medium::Video),
        msg_type::MEDIA_DATA_SHARE => frame(Medium::Share),
        msg_type::MEDIA_DATA_TRANSCRIPT => transcript(text),
        msg_type::MEDIA_DATA_CHAT => chat_message(text),
        msg_type::SIGNALING_HAND_SHAKE_RESP => fields(text, number).map(Message::SignalingAnswer),
        msg_type::DATA_HAND_SHAKE_RESP => fields(text, number).map(Message::MediaAnswer),
        msg_type::EVENT_UPDATE => event(text),
        msg_type::STREAM_STATE_UPDATE => stream_state(text),
        msg_type::SESSION_STATE_UPDATE => session_state(text),
        msg_type::KEEP_ALIVE_REQ => keep_alive(text),
        msg_type::VIDEO_SUBSCRIPTION_RESP => video_answer(text),
        msg_type::SESSION_STATE_RESP
        | msg_type::STREAM_STATE_RESP
        | msg_type::STREAM_CLOSE_RESP => Ok(Message::Noted),
        number => Ok(Message::Unknown(number)),
    }
}

pub(super) fn fields<'a, T: Deserialize<'a>>(text: &'a str, number: u16) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|_| Malformed::Fields(number))
}

fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Lenient::deserialize(deserializer).map(|number| number.0)
}

/// A text that may be absent, null, or (in Zoom's mock) something else.
fn lenient_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

/// A reason number; the mock sends strings, which are ignored (section 6.8).
fn reason_number(value: &Value) -> Option<i64> {
    value.as_i64()
}

#[derive(Deserialize)]
struct TranscriptWire {
    content: TranscriptContent,
}

#[derive(Deserialize)]
struct TranscriptContent {
    #[serde(default)]
    user_id: Option<UserId>,
    #[serde(default)]
    user_name: Option<Short>,
    data: String,
    #[serde(default)]
    timestamp: Option<Lenient>,
    #[serde(default)]
    start_time: Option<Lenient>,
    #[serde(default)]
    end_time: Option<Lenient>,
    #[serde(default)]
    language: Option<Lenient>,
    #[serde(default)]
    attribute: Option<Lenient>,
}

fn transcript(text: &str) -> Result<Message<'_>, Malformed> {
    let wire: TranscriptWire = fields(text, msg_type::MEDIA_DATA_TRANSCRIPT)?;
    let content = wire.content;
    let sent_ms = content.timestamp.map(Lenient::as_ms);
    let start_ms = content.start_time.map(Lenient::as_ms).or(sent_ms).unwrap_or(0);
    let line = TranscriptLine {
        user_id: content.user_id.unwrap_or(UserId(0)),
        user_name: content.user_name.map(|name| name.0).filter(|name| !name.is_empty()),
        text: content.data,
        start_ms,
        end_ms: content.end_time.map(Lenient::as_ms).or(sent_ms).unwrap_or(start_ms).max(start_ms),
        language: content.language.map(|language| language.0),
        attribute: content.attribute.map(|attribute| attribute.0),
    };
    Ok(Message::Transcript(sent_ms, line))
}

#[derive(Deserialize)]
struct ChatWire {
    content: ChatContent,
}

/// Which of these sit in `content` and which inside `content.data` is not certain: both are read (section 6.16).
#[derive(Deserialize, Default)]
#[serde(default)]
struct ChatContent {
    timestamp: Option<Lenient>,
    operation_type: Option<Lenient>,
    message_id: Option<Short>,
    parent_message_id: Option<Short>,
    sender: Option<ParticipantWire>,
    user_id: Option<UserId>,
    user_name: Option<Short>,
    chat_session: Value,
    receiver: Value,
    files: Value,
    delete_file_id_list: Value,
    data: Value,
}

impl ChatContent {
    /// The object inside `data`, whether it came as an object or as its JSON text. A text with anything else of a
    /// message beside it is what was typed, whatever it looks like.
    fn inner(&mut self) -> Option<ChatContent> {
        match &self.data {
            Value::Object(_) => serde_json::from_value(self.data.take()).ok(),
            Value::String(text) if self.is_bare() && text.trim_start().starts_with('{') => {
                serde_json::from_str(text).ok().filter(ChatContent::is_envelope)
            }
            _ => None,
        }
    }

    /// Whether there is nothing but a time and `data`.
    fn is_bare(&self) -> bool {
        let ids = [&self.message_id, &self.parent_message_id, &self.user_name];
        let extras = [&self.chat_session, &self.receiver, &self.files, &self.delete_file_id_list];
        self.sender.is_none()
            && self.user_id.is_none()
            && self.operation_type.is_none()
            && ids.iter().all(|text| text.is_none())
            && extras.iter().all(|value| value.is_null())
    }

    fn is_envelope(&self) -> bool {
        self.data.is_string() || self.message_id.is_some() || self.operation_type.is_some()
    }

    fn into_message(self) -> ChatMessage {
        let sender = self.sender.map(Participant::from);
        let user_name = self.user_name.map(|name| name.0);
        ChatMessage {
            user_id: sender.as_ref().map(|sender| sender.user_id).or(self.user_id),
            user_name: sender.and_then(|sender| sender.user_name).or(user_name),
            text: self.data.as_str().unwrap_or_default().to_owned(),
            operation: self.operation_type.map(|operation| operation.0),
            operation_name: self
                .operation_type
                .and_then(|operation| chat_operation::name(operation.0))
                .map(Into::into),
            session: chat::session(&self.chat_session).map(Box::new),
            receiver: chat::receiver(&self.receiver),
            files: chat::files(&self.files),
            deleted_file_ids: chat::deleted_files(&self.delete_file_id_list),
            message_id: self.message_id.map(|id| id.0),
            parent_message_id: self.parent_message_id.map(|id| id.0),
        }
    }
}

fn chat_message(text: &str) -> Result<Message<'_>, Malformed> {
    let mut outer = fields::<ChatWire>(text, msg_type::MEDIA_DATA_CHAT)?.content;
    let at_ms = outer.timestamp.map(Lenient::as_ms);
    let inner = outer.inner();
    let mut message = outer.into_message();
    if let Some(inner) = inner.map(ChatContent::into_message) {
        message.user_id = message.user_id.or(inner.user_id);
        message.user_name = message.user_name.or(inner.user_name);
        message.operation = message.operation.or(inner.operation);
        message.operation_name = message.operation_name.or(inner.operation_name);
        message.session = message.session.or(inner.session);
        message.receiver = message.receiver.or(inner.receiver);
        message.files.extend(inner.files);
        message.deleted_file_ids.extend(inner.deleted_file_ids);
        message.message_id = message.message_id.or(inner.message_id);
        message.parent_message_id = message.parent_message_id.or(inner.parent_message_id);
        message.text = inner.text;
    }
    Ok(Message::Chat(at_ms, message))
}

#[derive(Deserialize)]
struct StateWire {
    state: Lenient,
    #[serde(default)]
    reason: Value,
    #[serde(default)]
    stop_reason: Value,
    #[serde(default)]
    timestamp: Option<Lenient>,
    #[serde(default)]
    rtms_session_id: Option<Short>,
}

fn stream_state(text: &str) -> Result<Message<'_>, Malformed> {
    let wire: StateWire = fields(text, msg_type::STREAM_STATE_UPDATE)?;
    Ok(Message::StreamState {
        state: wire.state.0,
        reason: reason_number(&wire.reason).or_else(|| reason_number(&wire.stop_reason)),
        at_ms: wire.timestamp.map(Lenient::as_ms),
    })
}

fn session_state(text: &str) -> Result<Message<'_>, Malformed> {
    let wire: StateWire = fields(text, msg_type::SESSION_STATE_UPDATE)?;
    Ok(Message::SessionState {
        rtms_session_id: wire.rtms_session_id.map_or_else(String::new, |id| id.0),
        state: wire.state.0,
        reason: reason_number(&wire.stop_reason).or_else(|| reason_number(&wire.reason)),
        at_ms: wire.timestamp.map(Lenient::as_ms),
    })
}

#[derive(Deserialize)]
struct KeepAliveWire<'a> {
    #[serde(borrow)]
    timestamp: &'a RawValue,
    #[serde(borrow, default)]
    sequence: Option<&'a RawValue>,
}

/// The longest echo: a number, or a number in quotes.
const MAX_ECHO_BYTES: usize = 32;

fn keep_alive(text: &str) -> Result<Message<'_>, Malformed> {
    let wire: KeepAliveWire<'_> = fields(text, msg_type::KEEP_ALIVE_REQ)?;
    let is_long = |value: &RawValue| value.get().len() > MAX_ECHO_BYTES;
    if is_long(wire.timestamp) || wire.sequence.is_some_and(is_long) {
        return Err(Malformed::Fields(msg_type::KEEP_ALIVE_REQ));
    }
    Ok(Message::KeepAlive(KeepAlive { timestamp: wire.timestamp, sequence: wire.sequence }))
}

#[derive(Deserialize)]
struct VideoAnswerWire {
    #[serde(default)]
    user_id: Option<UserId>,
    #[serde(default)]
    status_code: Option<Lenient>,
}

/// Without its person an answer is about nobody.
fn video_answer(text: &str) -> Result<Message<'_>, Malformed> {
    let wire: VideoAnswerWire = fields(text, msg_type::VIDEO_SUBSCRIPTION_RESP)?;
    Ok(match (wire.user_id, wire.status_code) {
        (Some(user_id), Some(status)) => Message::VideoAnswer { user_id, status_code: status.0 },
        _ => Message::Noted,
    })
}
