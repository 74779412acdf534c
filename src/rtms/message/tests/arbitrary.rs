//! Random input never panics the parser (property tests).

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::samples::GOOD;
use super::{malformed, parse};
use crate::rtms::message::Message;

/// Words of the protocol, so that random objects come close to real ones.
const KEYS: [&str; 22] = [
    "msg_type",
    "content",
    "event",
    "data",
    "user_id",
    "user_name",
    "timestamp",
    "sequence",
    "status_code",
    "reason",
    "stop_reason",
    "media_server",
    "server_urls",
    "event_type",
    "participants",
    "state",
    "rtms_session_id",
    "start_time",
    "end_time",
    "operation_type",
    "sender",
    "message_id",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[{\\[\"]{1,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            object(inner),
        ]
    })
}

fn object(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(&KEYS[..]), values), 0..6).prop_map(|pairs| {
        Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    })
}

/// An object with a number that we know, mostly.
fn nearly_a_message() -> impl Strategy<Value = String> {
    (0_u16..32, object(any_json())).prop_map(|(number, value)| {
        let mut fields: Map<String, Value> = value.as_object().cloned().unwrap_or_default();
        fields.insert("msg_type".into(), number.into());
        Value::Object(fields).to_string()
    })
}

fn is_read(number: u16) -> bool {
    matches!(number, 2 | 4 | 6 | 8 | 9 | 12 | 14..=18 | 22 | 29)
}

proptest! {
    #[test]
    fn arbitrary_text_is_read_or_refused(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn arbitrary_json_is_read_or_refused(value in any_json()) {
        let _ = parse(&value.to_string());
    }

    #[test]
    fn only_messages_whose_fields_are_needed_can_be_malformed(text in nearly_a_message()) {
        match parse(&text) {
            Err(malformed) => prop_assert!(is_read(malformed.kind.msg_type), "{}", text),
            Ok(Message::Unknown(number)) => prop_assert!(!is_read(number), "{}", text),
            Ok(_) => {}
        }
    }

    #[test]
    fn a_good_message_with_one_byte_changed_is_read_or_refused(
        index in 0..GOOD.len(), at in any::<prop::sample::Index>(), byte in 0_u8..128,
    ) {
        let mut bytes = GOOD[index].as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = parse(std::str::from_utf8(&bytes).expect("ASCII"));
    }
}

#[test]
fn every_truncation_of_a_good_message_is_refused() {
    for text in GOOD {
        assert!(parse(text).is_ok(), "{text}");
        for end in 0..text.len() {
            let cut = text.get(..end).expect("the samples are ASCII");
            let (number, reason) = malformed(cut);
            assert_eq!(reason, "not_json", "{cut}");
            let told = text.starts_with(&format!(r#"{{"msg_type":{number}"#));
            assert!(number == 0 || told, "{cut}");
        }
    }
}

#[test]
fn a_deep_message_is_refused_without_a_stack_overflow() {
    for open in ["[", r#"{"data":"#] {
        let text = format!(r#"{{"msg_type":18,"content":{{"data":{}"#, open.repeat(100_000));
        assert_eq!(malformed(&text).1, "not_json");
        let inside = serde_json::to_string(&open.repeat(100_000)).unwrap();
        let chat = format!(r#"{{"msg_type":18,"content":{{"data":{inside}}}}}"#);
        assert!(matches!(parse(&chat), Ok(Message::Chat(..))));
    }
}
