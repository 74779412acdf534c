//! Quirks: documented deviations in Zoom's messages and behaviour that clients must tolerate (section 18, point 8).

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::rtms::message::msg_type;

/// One deviation, which a client must tolerate. In scripts: `"quirks": ["binary_frames"]`, or as a fault
/// `{"kind": "quirk", "name": "binary_frames"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// Messages 2 and 4 have no `protocol_version`.
    NoProtocolVersion,
    /// Every object of a message has an additional, unknown field.
    UnknownFields,
    /// `user_id` is a string.
    TextUserIds,
    /// Timestamps are strings.
    TextTimestamps,
    /// Timestamps are Unix seconds, except those of keep-alives.
    SecondTimestamps,
    /// `reason` is named `stop_reason` in message 8; `stop_reason` is named `reason` in message 9 and in webhooks.
    RenamedReasons,
    /// Events have an `event_code` in place of `event_type`, as in protocol version 2, whose codes are not public
    /// (section 23.4): a client can only keep such an event as it is.
    EventCodes,
    /// `payload_encrypted` is named `payload_encryption` in message 4.
    PayloadEncryption,
    /// `content` of audio, video and share messages is the base64 string itself (conflict 19.20).
    PlainContent,
    /// A media handshake is refused with a message 2 (conflict 19.30).
    #[serde(rename = "media_errors_in_2")]
    MediaErrorsIn2,
    /// The fields of RTMS webhooks are in `payload.object` (conflict 19.4).
    NestedWebhooks,
    /// Every webhook is sent twice.
    DuplicateWebhooks,
    /// `rtms_stopped` is delivered before `rtms_started`.
    StopBeforeStart,
    /// Streams are announced with a URL on which nothing listens.
    DeadUrl,
    /// An ending stream sends state 3 but not state 4.
    NoTerminatedState,
    /// The socket stays open after a refused handshake.
    OpenAfterError,
    /// Key frames and still images are half a megabyte large.
    LargeFrames,
    /// Messages are sent in binary frames, as Zoom's own client does (section 22).
    BinaryFrames,
    /// Messages are split into fragments, possibly inside a character.
    FragmentedFrames,
}

/// The quirks that change the JSON of messages, as opposed to how or when they are sent.
const MESSAGE_QUIRKS: u32 = Quirk::NoProtocolVersion.bit()
    | Quirk::UnknownFields.bit()
    | Quirk::TextUserIds.bit()
    | Quirk::TextTimestamps.bit()
    | Quirk::SecondTimestamps.bit()
    | Quirk::RenamedReasons.bit()
    | Quirk::EventCodes.bit()
    | Quirk::PayloadEncryption.bit()
    | Quirk::PlainContent.bit()
    | Quirk::MediaErrorsIn2.bit();

/// The active quirks, as one bit each. Sockets of a meeting share them, and a script changes them at run time.
#[derive(Debug, Default)]
pub(super) struct Quirks(AtomicU32);

impl Quirks {
    pub(super) fn of(quirks: &[Quirk]) -> Self {
        Self(AtomicU32::new(quirks.iter().fold(0, |bits, quirk| bits | quirk.bit())))
    }

    pub(super) fn set(&self, quirk: Quirk, on: bool) {
        // Relaxed: the bits guard no other data, and it does not matter which message sees a change first.
        if on {
            self.0.fetch_or(quirk.bit(), Ordering::Relaxed);
        } else {
            self.0.fetch_and(!quirk.bit(), Ordering::Relaxed);
        }
    }

    pub(super) fn has(&self, quirk: Quirk) -> bool {
        self.0.load(Ordering::Relaxed) & quirk.bit() != 0
    }

    /// Applies the quirks to a message.
    pub(super) fn alter_message(&self, text: String) -> String {
        if self.0.load(Ordering::Relaxed) & MESSAGE_QUIRKS == 0 {
            // Without quirks nothing is parsed: a load run sends a hundred thousand messages per second.
            return text;
        }
        let mut message: Value =
            serde_json::from_str(&text).expect("the simulator sends only JSON");
        let kind = message["msg_type"].as_u64().and_then(|kind| u16::try_from(kind).ok());
        if let (Some(fields), Some(kind)) = (message.as_object_mut(), kind) {
            self.alter_fields(fields, kind);
        }
        message.to_string()
    }

    fn alter_fields(&self, message: &mut Map<String, Value>, kind: u16) {
        if self.has(Quirk::NoProtocolVersion) {
            message.remove("protocol_version");
        }
        if self.has(Quirk::PayloadEncryption) {
            rename_field(message, "payload_encrypted", "payload_encryption");
        }
        let is_refusal = message.get("status_code").is_some_and(|code| *code != 0);
        if self.has(Quirk::MediaErrorsIn2) && kind == msg_type::DATA_HAND_SHAKE_RESP && is_refusal {
            message.insert("msg_type".to_owned(), msg_type::SIGNALING_HAND_SHAKE_RESP.into());
        }
        if self.has(Quirk::RenamedReasons) {
            match kind {
                msg_type::STREAM_STATE_UPDATE => rename_field(message, "reason", "stop_reason"),
                msg_type::SESSION_STATE_UPDATE => rename_field(message, "stop_reason", "reason"),
                _ => {}
            }
        }
        // After the renames above, which look only at the top level; before `content` loses its fields.
        self.alter_object(message, kind);
        let is_media = (msg_type::MEDIA_DATA_AUDIO..=msg_type::MEDIA_DATA_SHARE).contains(&kind);
        if self.has(Quirk::PlainContent) && is_media {
            let data = message["content"]["data"].take();
            message.insert("content".to_owned(), data);
        }
    }

    /// Applies the quirks that concern every object of a message, at any depth.
    fn alter_object(&self, object: &mut Map<String, Value>, kind: u16) {
        if self.has(Quirk::EventCodes) {
            replace_event_type(object);
        }
        for (name, value) in object.iter_mut() {
            match value {
                Value::Object(inner) => self.alter_object(inner, kind),
                Value::Array(items) => {
                    for inner in items.iter_mut().filter_map(Value::as_object_mut) {
                        self.alter_object(inner, kind);
                    }
                }
                Value::Number(number) => {
                    if let Some(number) = number.as_i64() {
                        *value = self.alter_number(name, number, kind);
                    }
                }
                _ => {}
            }
        }
        // Last, so that the new field is not itself altered.
        if self.has(Quirk::UnknownFields) {
            object.insert("not_yet_known".to_owned(), json!({"a": [1, "b", null]}));
        }
    }

    fn alter_number(&self, name: &str, number: i64, kind: u16) -> Value {
        let is_time = matches!(name, "timestamp" | "start_time" | "end_time");
        let is_keep_alive = kind == msg_type::KEEP_ALIVE_REQ;
        // A keep-alive's timestamp is echoed and matched, so it keeps its milliseconds.
        let seconds = is_time && !is_keep_alive && self.has(Quirk::SecondTimestamps);
        let number = if seconds { number / 1000 } else { number };
        let is_text = (is_time && self.has(Quirk::TextTimestamps))
            || (name == "user_id" && self.has(Quirk::TextUserIds));
        if is_text { number.to_string().into() } else { number.into() }
    }

    /// Applies the quirks to a webhook body.
    pub(super) fn alter_webhook(&self, body: String) -> String {
        if !self.has(Quirk::NestedWebhooks) && !self.has(Quirk::RenamedReasons) {
            return body;
        }
        let mut event: Value = serde_json::from_str(&body).expect("the simulator sends only JSON");
        let is_rtms = event["event"].as_str().is_some_and(|name| name.contains("rtms_"));
        if !is_rtms {
            return body;
        }
        if let Some(payload) = event["payload"].as_object_mut() {
            if self.has(Quirk::RenamedReasons) {
                rename_field(payload, "stop_reason", "reason");
            }
            if self.has(Quirk::NestedWebhooks) {
                // As in `meeting.started`, `account_id` stays outside of the object (section 13.7).
                let account_id = payload.remove("account_id").unwrap_or_default();
                let object = std::mem::take(payload);
                event["payload"] = json!({"account_id": account_id, "object": object});
            }
        }
        event.to_string()
    }
}

impl Quirk {
    const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Parses the name that scripts use.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        serde_json::from_value(name.into()).map_err(|error| error.to_string())
    }
}

/// Replaces a type by a code that is none of the types: codes are unique over all products, and types are not.
fn replace_event_type(object: &mut Map<String, Value>) {
    const FIRST_CODE: u64 = 10_000;
    if let Some(number) = object.remove("event_type").and_then(|number| number.as_u64()) {
        object.insert("event_code".to_owned(), (FIRST_CODE + number).into());
    }
}

fn rename_field(object: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = object.remove(from) {
        object.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn altered(quirk: Quirk, message: Value) -> Value {
        serde_json::from_str(&Quirks::of(&[quirk]).alter_message(message.to_string())).unwrap()
    }

    #[test]
    fn without_quirks_a_message_is_unchanged_to_the_byte() {
        let text = r#"{ "msg_type" : 12 }"#.to_owned();
        assert_eq!(Quirks::default().alter_message(text.clone()), text);
        assert_eq!(Quirks::default().alter_webhook(text.clone()), text);
    }

    #[test]
    fn each_quirk_alters_the_field_that_it_names() {
        let frame = json!({"msg_type": 14, "content": {
            "user_id": 16778240, "data": "AAAB", "timestamp": 1732313190020_i64}});
        let content = |quirk| altered(quirk, frame.clone())["content"].take();
        assert_eq!(content(Quirk::TextUserIds)["user_id"], "16778240");
        assert_eq!(content(Quirk::TextTimestamps)["timestamp"], "1732313190020");
        assert_eq!(content(Quirk::SecondTimestamps)["timestamp"], 1732313190);
        assert_eq!(content(Quirk::PlainContent), "AAAB");
        assert!(content(Quirk::UnknownFields)["not_yet_known"].is_object());
        let answer = json!({"msg_type": 4, "protocol_version": 1, "status_code": 0,
            "payload_encrypted": false});
        let named = altered(Quirk::PayloadEncryption, answer.clone());
        assert_eq!(named["payload_encryption"], false);
        assert!(
            altered(Quirk::NoProtocolVersion, answer.clone()).get("protocol_version").is_none()
        );
        assert_eq!(altered(Quirk::MediaErrorsIn2, answer)["msg_type"], 4);
        let refusal = json!({"msg_type": 4, "status_code": 3});
        assert_eq!(altered(Quirk::MediaErrorsIn2, refusal)["msg_type"], 2);
        let state = json!({"msg_type": 8, "state": 4, "reason": 6});
        assert_eq!(altered(Quirk::RenamedReasons, state)["stop_reason"], 6);
        let state = json!({"msg_type": 9, "state": 5, "stop_reason": 6});
        assert_eq!(altered(Quirk::RenamedReasons, state)["reason"], 6);
        let event = json!({"msg_type": 6, "event": {"event_type": 3}});
        assert_eq!(altered(Quirk::EventCodes, event)["event"], json!({"event_code": 10_003}));
    }

    #[test]
    fn a_keep_alive_keeps_its_milliseconds() {
        let keep_alive = json!({"msg_type": 12, "timestamp": 1732313190020_i64});
        assert_eq!(altered(Quirk::SecondTimestamps, keep_alive.clone()), keep_alive);
    }

    #[test]
    fn rtms_webhooks_are_nested_and_renamed_and_other_webhooks_are_unchanged() {
        let quirks = Quirks::of(&[Quirk::NestedWebhooks, Quirk::RenamedReasons]);
        let alter = |event: &Value| -> Value {
            serde_json::from_str(&quirks.alter_webhook(event.to_string())).unwrap()
        };
        let stopped = json!({"event": "meeting.rtms_stopped", "event_ts": 1,
            "payload": {"account_id": "a", "rtms_stream_id": "S", "stop_reason": 6}});
        let object = json!({"rtms_stream_id": "S", "reason": 6});
        assert_eq!(alter(&stopped)["payload"], json!({"account_id": "a", "object": object}));
        let other = json!({"event": "meeting.started", "payload": {"object": {}}});
        assert_eq!(alter(&other), other);
    }

    #[test]
    fn quirks_are_turned_on_and_off_one_by_one() {
        let quirks = Quirks::of(&[Quirk::DeadUrl]);
        quirks.set(Quirk::FragmentedFrames, true);
        assert!(quirks.has(Quirk::DeadUrl) && quirks.has(Quirk::FragmentedFrames));
        quirks.set(Quirk::DeadUrl, false);
        assert!(!quirks.has(Quirk::DeadUrl) && quirks.has(Quirk::FragmentedFrames));
        assert_eq!(Quirk::parse("dead_url"), Ok(Quirk::DeadUrl));
        assert!(Quirk::parse("dead").unwrap_err().contains("unknown variant"));
    }
}
