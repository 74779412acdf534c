//! The messages that only the simulator builds: frames, and the lines and chat messages of a script (sections 6.12 to
//! 6.16; pure). The others are those of [`crate::rtms::server::message`].

use serde_json::{Map, Value, json};

use super::audio::Payload;
use super::script::{Person, Utterance};
pub(super) use crate::rtms::server::message::*;

/// The first of the codes that the simulator uses for the events of phone calls: Zoom's are not published.
pub(super) const PHONE_FIRST_CODE: u64 = 20_000;

/// The speaker fields of mixed audio, as JSON with a trailing comma.
pub(super) const MIXED: &str = r#""user_id":0,"#;

/// Messages 14, 15 and 16. `who` is the speaker fields as JSON with a trailing comma.
/// Formatted without serde: a load run sends a hundred thousand of these per second.
pub(super) fn media_frame(
    msg_type: u16,
    who: &str,
    payload: &Payload,
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

/// Message 17 of an utterance. The times are Unix milliseconds: of its start, of its end, and now.
pub(super) fn utterance(
    person: &Person,
    utterance: &Utterance,
    [start_ms, end_ms, timestamp_ms]: [i64; 3],
) -> String {
    transcript(TranscriptLine {
        speaker: speaker_fields(person),
        start_ms,
        end_ms,
        timestamp_ms,
        language: Some(utterance.language),
        // 1 is NEW (section 10.14): the simulator never revises a line.
        attribute: Some(1),
        text: &utterance.text,
    })
}

/// In an engagement the channel alone identifies the party (section 23.2).
fn speaker_fields(person: &Person) -> Map<String, Value> {
    let fields = match &person.channel_id {
        Some(channel_id) => json!({"channel_id": channel_id}),
        None => person.with_name(),
    };
    fields.as_object().cloned().unwrap_or_default()
}

/// Message 18, to everyone (6.16).
pub(super) fn chat_to_everyone(
    message_id: &str,
    person: &Person,
    text: &str,
    timestamp_ms: i64,
) -> String {
    chat(json!({
        "timestamp": timestamp_ms, "operation_type": 1, "message_id": message_id,
        "chat_session": {"type": 1, "id": ""}, "sender": person.with_name(), "data": text,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

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
