//! The exact text of everything we send.

use serde_json::value::RawValue;

use crate::model::params::Params;
use crate::model::{IdKey, MediaSet, Medium, StreamId, UserId};
use crate::rtms::message::{Handshake, Outgoing};
use crate::secret::Secret;

fn stream_id() -> StreamId {
    StreamId::parse("e1f2a3b4-0000").unwrap()
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn who(key: IdKey, instance_id: &str) -> Handshake {
    let signature = Secret::new("19302915".to_owned());
    Handshake { key, instance_id: instance_id.into(), stream_id: stream_id(), signature }
}

#[test]
fn message_1_asks_to_join() {
    let message = |key, buffer_data| Outgoing::SignalingHandshake {
        who: who(key, "4444AAA/iAi=="),
        buffer_data,
    };
    assert_eq!(
        message(IdKey::MeetingUuid, true).to_json(),
        r#"{"msg_type":1,"protocol_version":1,"sequence":1,"meeting_uuid":"4444AAA/iAi==","rtms_stream_id":"e1f2a3b4-0000","signature":"19302915","buffer_data":true}"#
    );
    assert_eq!(
        message(IdKey::SessionId, false).to_json(),
        r#"{"msg_type":1,"protocol_version":1,"sequence":1,"session_id":"4444AAA/iAi==","rtms_stream_id":"e1f2a3b4-0000","signature":"19302915","buffer_data":false}"#
    );
}

#[test]
fn message_3_asks_for_media() {
    let message = Outgoing::MediaHandshake {
        who: who(IdKey::MeetingUuid, "4444"),
        media_type: 8,
        media_params: Params::default().media_params(Medium::Transcript.into()),
    };
    assert_eq!(
        message.to_json(),
        r#"{"msg_type":3,"protocol_version":1,"sequence":1,"meeting_uuid":"4444","rtms_stream_id":"e1f2a3b4-0000","signature":"19302915","media_type":8,"payload_encryption":false,"media_params":{"transcript":{"content_type":5,"enable_lid":true,"src_language":9}}}"#
    );
}

#[test]
fn message_3_asks_for_every_medium_as_section_6_3_shows_it() {
    let expected: serde_json::Value = serde_json::from_str(
        r#"{"audio":{"content_type":2,"sample_rate":1,"channel":1,"codec":1,"data_opt":2,"send_rate":20},
            "video":{"content_type":3,"codec":7,"resolution":2,"data_opt":3,"fps":25},
            "deskshare":{"content_type":3,"codec":5,"resolution":3,"fps":1},
            "transcript":{"content_type":5,"src_language":9,"enable_lid":true},
            "chat":{"content_type":5}}"#,
    )
    .unwrap();
    assert_eq!(Params::default().media_params(MediaSet::ALL), expected);
}

#[test]
fn a_signature_is_sent_and_never_printed() {
    let signaling =
        Outgoing::SignalingHandshake { who: who(IdKey::MeetingUuid, "4444"), buffer_data: true };
    let media = Outgoing::MediaHandshake {
        who: who(IdKey::MeetingUuid, "4444"),
        media_type: 8,
        media_params: serde_json::Value::Null,
    };
    for message in [signaling, media] {
        assert!(message.to_json().contains("19302915"));
        assert!(!format!("{message:?}").contains("19302915"));
    }
}

#[test]
fn message_5_subscribes() {
    assert_eq!(
        Outgoing::Subscribe(vec![2, 3]).to_json(),
        r#"{"msg_type":5,"events":[{"event_type":2,"subscribe":true},{"event_type":3,"subscribe":true}]}"#
    );
}

#[test]
fn message_7_says_that_we_are_ready() {
    let text = Outgoing::Ready(stream_id()).to_json();
    assert_eq!(text, r#"{"msg_type":7,"rtms_stream_id":"e1f2a3b4-0000"}"#);
}

#[test]
fn message_13_echoes_what_came() {
    let plain = Outgoing::KeepAlive { timestamp: Some(raw("1732313182000")), sequence: None };
    assert_eq!(plain.to_json(), r#"{"msg_type":13,"timestamp":1732313182000}"#);
    let both = Outgoing::KeepAlive { timestamp: Some(raw("\"17\"")), sequence: Some(raw("42")) };
    assert_eq!(both.to_json(), r#"{"msg_type":13,"timestamp":"17","sequence":42}"#);
}

#[test]
fn message_21_asks_to_close() {
    let text = Outgoing::Close(stream_id()).to_json();
    assert_eq!(text, r#"{"msg_type":21,"rtms_stream_id":"e1f2a3b4-0000"}"#);
}

#[test]
fn a_video_subscription_tells_whom_and_when() {
    let mut message = Outgoing::SubscribeVideo { user_id: UserId(16_778_240), at_ms: None };
    message.stamp(1_732_313_200_000);
    message.stamp(5);
    assert_eq!(
        message.to_json(),
        r#"{"msg_type":28,"user_id":16778240,"subscribe":true,"timestamp":1732313200000}"#
    );
}
