//! Builds the messages that Zoom sends (rtms-protocol.md section 6), as JSON text.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::rtms::message::msg_type;

pub(crate) const EVENT_FIRST_PACKET: u64 = 1;
pub(crate) const EVENT_ACTIVE_SPEAKER: u64 = 2;
pub(crate) const EVENT_JOIN: u64 = 3;
pub(crate) const EVENT_LEAVE: u64 = 4;
pub(crate) const EVENT_SHARING_START: u64 = 5;
pub(crate) const EVENT_SHARING_STOP: u64 = 6;
pub(crate) const EVENT_MEDIA_INTERRUPTED: u64 = 7;
pub(crate) const EVENT_VIDEO_ON: u64 = 8;
pub(crate) const EVENT_VIDEO_OFF: u64 = 9;

/// Events of a Contact Center engagement (section 10.2).
pub(crate) const EVENT_CONSUMER_ANSWERED: u64 = 8;
pub(crate) const EVENT_CONSUMER_END: u64 = 9;
pub(crate) const EVENT_USER_ANSWERED: u64 = 10;
pub(crate) const EVENT_USER_END: u64 = 11;

pub(crate) const STREAM_INACTIVE: u64 = 0;
pub(crate) const STREAM_ACTIVE: u64 = 1;
pub(crate) const STREAM_INTERRUPTED: u64 = 2;
pub(crate) const STREAM_TERMINATING: u64 = 3;
pub(crate) const STREAM_TERMINATED: u64 = 4;
pub(crate) const STREAM_PAUSED: u64 = 5;
pub(crate) const STREAM_RESUMED: u64 = 6;

pub(crate) const SESSION_INITIALIZE: u64 = 1;
pub(crate) const SESSION_STARTED: u64 = 2;
pub(crate) const SESSION_PAUSED: u64 = 3;
pub(crate) const SESSION_RESUMED: u64 = 4;
pub(crate) const SESSION_STOPPED: u64 = 5;

/// The `sequence` of every handshake answer. The client's own is not echoed: Zoom does not promise that
/// (section 4), and its client sends large values (section 22).
const SEQUENCE: i32 = 1;

/// Message 2 with the media URLs.
pub(crate) fn signaling_accepted(server_urls: Map<String, Value>) -> String {
    json!({
        "msg_type": msg_type::SIGNALING_HAND_SHAKE_RESP, "protocol_version": 1,
        "sequence": SEQUENCE, "status_code": 0, "reason": "",
        "media_server": {"server_urls": server_urls},
    })
    .to_string()
}

/// Message 4 with the effective parameters, an object for each medium of the socket.
pub(crate) fn media_accepted(params: impl Serialize) -> String {
    json!({
        "msg_type": msg_type::DATA_HAND_SHAKE_RESP, "protocol_version": 1,
        "sequence": SEQUENCE, "status_code": 0, "reason": "",
        "payload_encrypted": false, "media_params": params,
    })
    .to_string()
}

/// A refusal in a message 2 or 4, whichever `answer` says.
pub(crate) fn handshake_refused(answer: u16, refusal: Refusal) -> String {
    json!({
        "msg_type": answer, "protocol_version": 1, "sequence": SEQUENCE,
        "status_code": refusal.code, "reason": refusal.reason,
    })
    .to_string()
}

/// Message 6. `fields` are specific to the event type.
pub(crate) fn event(event_type: u64, timestamp_ms: i64, fields: Value) -> String {
    event_update(json!({"event_type": event_type, "timestamp": timestamp_ms}), fields)
}

/// Message 6 with a code instead of a type.
pub(crate) fn code_event(event_code: u64, timestamp_ms: i64, fields: Value) -> String {
    event_update(json!({"event_code": event_code, "timestamp": timestamp_ms}), fields)
}

fn event_update(mut event: Value, fields: Value) -> String {
    if let (Value::Object(event), Value::Object(fields)) = (&mut event, fields) {
        event.extend(fields);
    }
    json!({"msg_type": msg_type::EVENT_UPDATE, "event": event}).to_string()
}

/// Message 8.
pub(crate) fn stream_state(stream: &str, state: u64, reason: u16, timestamp_ms: i64) -> String {
    json!({
        "msg_type": msg_type::STREAM_STATE_UPDATE, "rtms_stream_id": stream, "state": state,
        "reason": reason, "timestamp": timestamp_ms,
    })
    .to_string()
}

/// Message 9. Only a stopped session has a reason.
pub(crate) fn session_state(
    session: &str,
    state: u64,
    reason: Option<u16>,
    timestamp_ms: i64,
) -> String {
    let mut message = json!({
        "msg_type": msg_type::SESSION_STATE_UPDATE, "rtms_session_id": session, "state": state,
        "timestamp": timestamp_ms,
    });
    if let Some(reason) = reason {
        message["stop_reason"] = reason.into();
    }
    message.to_string()
}

/// Message 11. An unknown session (`None`) is answered with a status code.
pub(crate) fn session_state_answer(session: &str, state: Option<u64>, timestamp_ms: i64) -> String {
    let mut message = json!({
        "msg_type": msg_type::SESSION_STATE_RESP, "rtms_session_id": session,
        "timestamp": timestamp_ms,
    });
    match state {
        Some(state) => message["state"] = state.into(),
        None => {
            message["status_code"] = Refusal::SESSION_ID.code.into();
            message["reason"] = Refusal::SESSION_ID.reason.into();
        }
    }
    message.to_string()
}

/// Message 12. Zoom's own client answers only if it has both a timestamp and a sequence (section 22).
pub(crate) fn keep_alive(timestamp_ms: i64, sequence: i32) -> String {
    json!({
        "msg_type": msg_type::KEEP_ALIVE_REQ, "timestamp": timestamp_ms, "sequence": sequence,
    })
    .to_string()
}

/// Message 20.
pub(crate) fn stream_state_answer(stream: &str, state: u64, timestamp_ms: i64) -> String {
    json!({
        "msg_type": msg_type::STREAM_STATE_RESP, "rtms_stream_id": stream, "state": state,
        "timestamp": timestamp_ms,
    })
    .to_string()
}

/// Message 22.
pub(crate) fn close_answer(stream: &str, refusal: Option<Refusal>, timestamp_ms: i64) -> String {
    let (code, reason) = refusal.map_or((0, "OK"), |refusal| (refusal.code, refusal.reason));
    json!({
        "msg_type": msg_type::STREAM_CLOSE_RESP, "rtms_stream_id": stream, "status_code": code,
        "reason": reason, "timestamp": timestamp_ms,
    })
    .to_string()
}

/// Message 29.
pub(crate) fn video_answer(user_id: &Value, refusal: Option<Refusal>, timestamp_ms: i64) -> String {
    let (code, reason) = refusal.map_or((0, "OK"), |refusal| (refusal.code, refusal.reason));
    json!({
        "msg_type": msg_type::VIDEO_SUBSCRIPTION_RESP, "user_id": user_id, "status_code": code,
        "reason": reason, "timestamp": timestamp_ms,
    })
    .to_string()
}

/// The content of a transcript message (6.15), with times in Unix milliseconds.
pub(crate) struct TranscriptLine<'a> {
    /// The fields that identify the speaker.
    pub speaker: Map<String, Value>,
    pub start_ms: i64,
    pub end_ms: i64,
    pub timestamp_ms: i64,
    pub language: Option<i64>,
    /// Section 10.14.
    pub attribute: Option<i64>,
    pub text: &'a str,
}

/// Message 17.
pub(crate) fn transcript(line: TranscriptLine<'_>) -> String {
    let mut content = line.speaker;
    let mut add = |name: &str, value: Value| content.insert(name.to_owned(), value);
    add("start_time", line.start_ms.into());
    add("end_time", line.end_ms.into());
    add("timestamp", line.timestamp_ms.into());
    add("data", line.text.into());
    if let Some(language) = line.language {
        add("language", language.into());
    }
    if let Some(attribute) = line.attribute {
        add("attribute", attribute.into());
    }
    json!({"msg_type": msg_type::MEDIA_DATA_TRANSCRIPT, "content": content}).to_string()
}

/// Message 18 (6.16).
pub(crate) fn chat(content: Value) -> String {
    json!({"msg_type": msg_type::MEDIA_DATA_CHAT, "content": content}).to_string()
}
