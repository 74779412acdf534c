//! Builds the messages that Zoom sends (section 6), as JSON text (pure).

use serde_json::{Map, Value, json};

use super::params::MediaParams;
use super::script::Person;
use super::status::Refusal;
use crate::rtms::message::msg_type;

pub(super) const EVENT_FIRST_PACKET: u64 = 1;
pub(super) const EVENT_ACTIVE_SPEAKER: u64 = 2;
pub(super) const EVENT_JOIN: u64 = 3;
pub(super) const EVENT_LEAVE: u64 = 4;
pub(super) const EVENT_SHARING_START: u64 = 5;
pub(super) const EVENT_SHARING_STOP: u64 = 6;
pub(super) const EVENT_MEDIA_INTERRUPTED: u64 = 7;
pub(super) const EVENT_VIDEO_ON: u64 = 8;
pub(super) const EVENT_VIDEO_OFF: u64 = 9;

/// Events of a Contact Center engagement (section 10.2).
pub(super) const EVENT_CONSUMER_ANSWERED: u64 = 8;
pub(super) const EVENT_CONSUMER_END: u64 = 9;
pub(super) const EVENT_USER_ANSWERED: u64 = 10;
pub(super) const EVENT_USER_END: u64 = 11;

pub(super) const STREAM_INACTIVE: u64 = 0;
pub(super) const STREAM_ACTIVE: u64 = 1;
pub(super) const STREAM_INTERRUPTED: u64 = 2;
pub(super) const STREAM_TERMINATING: u64 = 3;
pub(super) const STREAM_TERMINATED: u64 = 4;
pub(super) const STREAM_PAUSED: u64 = 5;
pub(super) const STREAM_RESUMED: u64 = 6;

pub(super) const SESSION_INITIALIZE: u64 = 1;
pub(super) const SESSION_STARTED: u64 = 2;
pub(super) const SESSION_PAUSED: u64 = 3;
pub(super) const SESSION_RESUMED: u64 = 4;
pub(super) const SESSION_STOPPED: u64 = 5;

/// The `sequence` of every handshake answer. The client's own is not echoed: Zoom does not promise that
/// (section 4), and its client sends large values (section 22).
const SEQUENCE: i32 = 1;

/// Message 2 with the media URLs.
pub(super) fn signaling_accepted(server_urls: Map<String, Value>) -> String {
    json!({
        "msg_type": msg_type::SIGNALING_HAND_SHAKE_RESP, "protocol_version": 1,
        "sequence": SEQUENCE, "status_code": 0, "reason": "",
        "media_server": {"server_urls": server_urls},
    })
    .to_string()
}

/// Message 4 with the effective parameters.
pub(super) fn media_accepted(params: &MediaParams) -> String {
    json!({
        "msg_type": msg_type::DATA_HAND_SHAKE_RESP, "protocol_version": 1,
        "sequence": SEQUENCE, "status_code": 0, "reason": "",
        "payload_encrypted": false, "media_params": params,
    })
    .to_string()
}

/// A refusal in a message 2 or 4, whichever `answer` says.
pub(super) fn handshake_refused(answer: u16, refusal: Refusal) -> String {
    json!({
        "msg_type": answer, "protocol_version": 1, "sequence": SEQUENCE,
        "status_code": refusal.code, "reason": refusal.reason,
    })
    .to_string()
}

/// Message 6. `fields` are specific to the event type.
pub(super) fn event(event_type: u64, timestamp_ms: i64, fields: Value) -> String {
    let mut event = json!({"event_type": event_type, "timestamp": timestamp_ms});
    if let (Value::Object(event), Value::Object(fields)) = (&mut event, fields) {
        event.extend(fields);
    }
    json!({"msg_type": msg_type::EVENT_UPDATE, "event": event}).to_string()
}

/// The first of the codes that the simulator uses for the events of phone calls: Zoom's are not published.
pub(super) const PHONE_FIRST_CODE: u64 = 20_000;

/// Message 6 with a code instead of a type.
pub(super) fn code_event(event_code: u64, timestamp_ms: i64, fields: Value) -> String {
    let mut event = json!({"event_code": event_code, "timestamp": timestamp_ms});
    if let (Value::Object(event), Value::Object(fields)) = (&mut event, fields) {
        event.extend(fields);
    }
    json!({"msg_type": msg_type::EVENT_UPDATE, "event": event}).to_string()
}

/// Message 8.
pub(super) fn stream_state(stream: &str, state: u64, reason: u16, timestamp_ms: i64) -> String {
    json!({
        "msg_type": msg_type::STREAM_STATE_UPDATE, "rtms_stream_id": stream, "state": state,
        "reason": reason, "timestamp": timestamp_ms,
    })
    .to_string()
}

/// Message 9. Only a stopped session has a reason.
pub(super) fn session_state(
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
pub(super) fn session_state_answer(session: &str, state: Option<u64>, timestamp_ms: i64) -> String {
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
pub(super) fn keep_alive(timestamp_ms: i64, sequence: i32) -> String {
    json!({
        "msg_type": msg_type::KEEP_ALIVE_REQ, "timestamp": timestamp_ms, "sequence": sequence,
    })
    .to_string()
}

/// Message 20.
pub(super) fn stream_state_answer(stream: &str, state: u64, timestamp_ms: i64) -> String {
    json!({
        "msg_type": msg_type::STREAM_STATE_RESP, "rtms_stream_id": stream, "state": state,
        "timestamp": timestamp_ms,
    })
    .to_string()
}

/// Message 22.
pub(super) fn close_answer(stream: &str, refusal: Option<Refusal>, timestamp_ms: i64) -> String {
    let (code, reason) = refusal.map_or((0, "OK"), |refusal| (refusal.code, refusal.reason));
    json!({
        "msg_type": msg_type::STREAM_CLOSE_RESP, "rtms_stream_id": stream, "status_code": code,
        "reason": reason, "timestamp": timestamp_ms,
    })
    .to_string()
}

/// Message 29.
pub(super) fn video_answer(user_id: &Value, refusal: Option<Refusal>, timestamp_ms: i64) -> String {
    let (code, reason) = refusal.map_or((0, "OK"), |refusal| (refusal.code, refusal.reason));
    json!({
        "msg_type": msg_type::VIDEO_SUBSCRIPTION_RESP, "user_id": user_id, "status_code": code,
        "reason": reason, "timestamp": timestamp_ms,
    })
    .to_string()
}

/// The speaker fields of mixed audio, as JSON with a trailing comma.
pub(super) const MIXED: &str = r#""user_id":0,"#;

/// Messages 14, 15 and 16. `who` is the speaker fields as JSON with a trailing comma.
/// Formatted without serde: a load run sends a hundred thousand of these per second.
pub(super) fn media_frame(
    msg_type: u16,
    who: &str,
    payload: &super::audio::Payload,
    timestamp_ms: i64,
) -> String {
    // No escaping: base64 and numbers need none, and `who` is JSON already.
    use std::fmt::Write;
    let mut text = String::with_capacity(payload.base64.len() + 192);
    let (data, length) = (&payload.base64, payload.length);
    let start = write!(text, r#"{{"msg_type":{msg_type},"content":{{{who}"#);
    let rest = write!(text, r#""data":"{data}","length":{length},"timestamp":{timestamp_ms}}}}}"#);
    start.and(rest).expect("writing to a String cannot fail");
    text
}

/// The content of a transcript message (6.15), with times in Unix milliseconds.
pub(super) struct TranscriptLine<'a> {
    pub person: &'a Person,
    pub start_ms: i64,
    pub end_ms: i64,
    pub timestamp_ms: i64,
    pub language: i64,
    pub text: &'a str,
}

/// Message 17.
pub(super) fn transcript(line: &TranscriptLine<'_>) -> String {
    // In an engagement the channel alone identifies the party (section 23.2).
    let mut content = match &line.person.channel_id {
        Some(channel_id) => json!({"channel_id": channel_id}),
        None => json!({"user_id": line.person.user_id, "user_name": line.person.name}),
    };
    // Attribute 1 is NEW (section 10.14): the simulator never revises a line.
    let fields = json!({
        "start_time": line.start_ms, "end_time": line.end_ms, "timestamp": line.timestamp_ms,
        "language": line.language, "attribute": 1, "data": line.text,
    });
    if let (Value::Object(content), Value::Object(fields)) = (&mut content, fields) {
        content.extend(fields);
    }
    json!({"msg_type": msg_type::MEDIA_DATA_TRANSCRIPT, "content": content}).to_string()
}

/// Message 18, to everyone (6.16).
pub(super) fn chat(
    message_id: &str,
    user_id: u32,
    user_name: &str,
    text: &str,
    timestamp_ms: i64,
) -> String {
    json!({
        "msg_type": msg_type::MEDIA_DATA_CHAT,
        "content": {
            "timestamp": timestamp_ms, "operation_type": 1, "message_id": message_id,
            "chat_session": {"type": 1, "id": ""},
            "sender": {"user_id": user_id, "user_name": user_name}, "data": text,
        },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::audio::Payload;

    #[test]
    fn a_media_frame_is_valid_json() {
        let payload = Payload { base64: "AAAB".into(), length: 3 };
        let ana = Person::new(16_778_240, "Ana \"A\"");
        let text = media_frame(14, &ana.frame_fields, &payload, 1_732_313_190_020);
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({"msg_type": 14, "content": {
                "user_id": 16778240, "user_name": "Ana \"A\"", "data": "AAAB", "length": 3,
                "timestamp": 1732313190020_i64}})
        );
        let mixed = media_frame(14, MIXED, &payload, 1);
        let mixed: Value = serde_json::from_str(&mixed).unwrap();
        assert_eq!(mixed["content"]["user_id"], 0);
        assert!(mixed["content"].get("user_name").is_none());
    }
}
