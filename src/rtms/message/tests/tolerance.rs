//! The tolerance list of section 18.8 and what Zoom's texts and mock disagree about.

use super::{event, lost, malformed, parse};
use crate::model::{Participant, Product, SpeakerRef, SpeakerUserId, StopReason, UserId};
use crate::rtms::message::{Event, Message};

#[test]
fn the_protocol_version_may_be_missing() {
    for number in [2, 4] {
        let text = format!(r#"{{"msg_type":{number},"status_code":0}}"#);
        assert!(parse(&text).is_ok(), "{text}");
    }
}

#[test]
fn unknown_fields_are_skipped() {
    for text in super::samples::GOOD {
        let number = format!("{:?}", std::mem::discriminant(&parse(text).unwrap()));
        let more =
            text.replacen('{', r#"{"ui_state":{"a":[1,{"b":null}]},"is_broadcast":true,"#, 1);
        let read = parse(&more).unwrap_or_else(|error| panic!("{error}: {more}"));
        assert_eq!(format!("{:?}", std::mem::discriminant(&read)), number, "{more}");
    }
}

#[test]
fn a_content_where_none_belongs_is_skipped() {
    for content in ["7", "[]", "true", r#"{"user_id":"ana"}"#] {
        let text = format!(r#"{{"msg_type":12,"timestamp":1,"content":{content}}}"#);
        assert!(matches!(parse(&text), Ok(Message::KeepAlive(_))), "{text}");
    }
}

#[test]
fn a_user_id_may_be_a_string() {
    let text = r#"{"msg_type":6,"event":{"event_type":2,"user_id":"7","user_name":""}}"#;
    let seven = Participant { user_id: UserId(7), user_name: None };
    assert_eq!(event(text).1, Event::ActiveSpeaker(seven));
    let text = r#"{"msg_type":14,"content":{"user_id":"7","data":"AAAA"}}"#;
    let Message::Frame(info) = parse(text).unwrap() else { panic!("not audio") };
    let seven = Some(SpeakerUserId::Number(UserId(7)));
    assert_eq!(info.speaker(Product::Meeting).to_speaker().user_id, seven);
    let text = r#"{"msg_type":17,"content":{"user_id":"7","data":"x"}}"#;
    let Message::Transcript(_, line) = parse(text).unwrap() else { panic!("not a line") };
    assert_eq!(line.speaker.in_product(Product::Meeting).user_id, seven);
    let text = r#"{"msg_type":18,"content":{"sender":{"user_id":"7"},"data":"x"}}"#;
    let Message::Chat(_, message) = parse(text).unwrap() else { panic!("not chat") };
    assert_eq!(message.user_id, Some(UserId(7)));
}

#[test]
fn a_timestamp_may_be_a_string_and_in_seconds() {
    for time in ["1732313172300", r#""1732313172300""#, "1732313172300.0", "1732313172300000"] {
        let text = format!(r#"{{"msg_type":6,"event":{{"event_type":1,"timestamp":{time}}}}}"#);
        assert_eq!(event(&text).0, Some(1_732_313_172_300), "{time}");
    }
    let text = r#"{"msg_type":8,"state":1,"timestamp":1694204592}"#;
    let Message::StreamState { at_ms, .. } = parse(text).unwrap() else { panic!("not a state") };
    assert_eq!(at_ms, Some(1_694_204_592_000));
    let text = r#"{"msg_type":15,"content":{"timestamp":"1694204592","data":"AAAA"}}"#;
    let Message::Frame(info) = parse(text).unwrap() else { panic!("not a frame") };
    assert_eq!(info.at_ms, Some(1_694_204_592_000));
}

#[test]
fn the_reason_of_a_session_state_has_two_names() {
    for name in ["reason", "stop_reason"] {
        let text = format!(r#"{{"msg_type":9,"state":5,"{name}":6,"rtms_session_id":"s"}}"#);
        let Message::SessionState { reason, .. } = parse(&text).unwrap() else { panic!("{text}") };
        assert_eq!(reason, Some(StopReason(6)), "{name}");
    }
}

#[test]
fn the_reason_of_a_stream_state_has_two_names() {
    for name in ["reason", "stop_reason"] {
        let text = format!(r#"{{"msg_type":8,"state":4,"{name}":8}}"#);
        let Message::StreamState { reason, .. } = parse(&text).unwrap() else { panic!("{text}") };
        assert_eq!(reason, Some(StopReason(8)), "{name}");
    }
}

#[test]
fn a_reason_in_words_is_ignored() {
    let text = r#"{"msg_type":8,"state":4,"reason":"ACTION_BY_USER","rtms_stream_id":"s"}"#;
    let Message::StreamState { state, reason, .. } = parse(text).unwrap() else { panic!("{text}") };
    assert_eq!((state, reason), (4, None));
}

#[test]
fn the_encryption_flag_of_a_media_answer_has_two_names() {
    for name in ["payload_encrypted", "payload_encryption"] {
        let text = format!(r#"{{"msg_type":4,"status_code":0,"{name}":true,"media_params":{{}}}}"#);
        let Message::MediaAnswer(answer) = parse(&text).unwrap() else { panic!("{text}") };
        assert_eq!(answer.status_code, 0);
    }
}

#[test]
fn the_content_of_a_frame_may_be_the_payload_itself() {
    for (text, bytes) in [
        (r#"{"msg_type":14,"content":"AAAA"}"#, 3),
        (r#"{"msg_type":14,"content":"\/9j\/AA=="}"#, 4),
    ] {
        let Message::Frame(info) = parse(text).unwrap() else { panic!("{text}") };
        let nobody = info.speaker(Product::Meeting);
        assert_eq!((nobody, info.at_ms, info.payload_bytes), (SpeakerRef::default(), None, bytes));
    }
}

#[test]
fn the_refusal_of_a_media_handshake_may_come_as_a_2() {
    let text = r#"{"msg_type":2,"status_code":22,"reason":"Invalid audio codec"}"#;
    let Message::SignalingAnswer(answer) = parse(text).unwrap() else { panic!("{text}") };
    assert_eq!(answer.status_code, 22);
}

#[test]
fn a_reason_may_be_null_or_a_number() {
    for (reason, read) in [("null", ""), ("17", "17"), (r#""no""#, "no")] {
        let text = format!(r#"{{"msg_type":4,"status_code":"17","reason":{reason}}}"#);
        let Message::MediaAnswer(answer) = parse(&text).unwrap() else { panic!("{text}") };
        assert_eq!((answer.status_code, answer.reason.as_str()), (17, read));
    }
}

#[test]
fn an_event_may_be_dated_as_in_contact_center_and_have_a_code_beside_its_type() {
    for body in [
        r#""event_type":1,"event_ts":1732313172300"#,
        r#""event_type":1,"event_code":2,"timestamp":1732313172300,"event_ts":1732313172300"#,
    ] {
        let text = format!(r#"{{"msg_type":6,"event":{{{body}}}}}"#);
        assert_eq!(event(&text), (Some(1_732_313_172_300), Event::FirstPacket), "{body}");
    }
}

#[test]
fn an_event_with_only_a_code_is_unknown_and_none_of_the_types() {
    let text = r#"{"msg_type":6,"event":{"event_code":1,"timestamp":1732313172300}}"#;
    assert_eq!(event(text), (Some(1_732_313_172_300), Event::Unknown(0)));
    assert!(parse(r#"{"msg_type":6,"event":{"timestamp":5}}"#).is_err());
}

fn long() -> String {
    "n".repeat(5_000)
}

#[test]
fn a_name_is_cut_to_1024_bytes_wherever_it_comes() {
    let person = format!(r#"{{"user_id":7,"user_name":"{}"}}"#, long());
    let name = Some("n".repeat(1024));
    let cut = Participant { user_id: UserId(7), user_name: name.clone() };
    let one = format!(r#"{{"msg_type":6,"event":{{"event_type":2,{}}}"#, &person[1..]);
    assert_eq!(event(&one).1, Event::ActiveSpeaker(cut.clone()));
    let text = format!(r#"{{"msg_type":6,"event":{{"event_type":3,"participants":[{person}]}}}}"#);
    assert_eq!(event(&text).1, Event::Joined(vec![cut]));
    for content in [
        format!(r#"{{"data":"hi",{}"#, &person[1..]),
        format!(r#"{{"data":"hi","sender":{person}}}"#),
        format!(r#"{{"data":{{"data":"hi","sender":{person}}}}}"#),
    ] {
        let text = format!(r#"{{"msg_type":18,"content":{content}}}"#);
        let Message::Chat(_, message) = parse(&text).unwrap() else { panic!("not chat") };
        assert_eq!(message.user_name, name);
    }
    let text = format!(r#"{{"msg_type":17,"content":{{"data":"hi",{}}}"#, &person[1..]);
    let Message::Transcript(_, line) = parse(&text).unwrap() else { panic!("not a line") };
    assert_eq!(line.speaker.name, name);
}

#[test]
fn identifiers_that_become_part_of_an_entry_are_cut_to_1024_bytes() {
    let long = long();
    let text = format!(r#"{{"msg_type":9,"state":2,"rtms_session_id":"{long}"}}"#);
    let Message::SessionState { rtms_session_id, .. } = parse(&text).unwrap() else {
        panic!("not a session state")
    };
    assert_eq!(rtms_session_id, "n".repeat(1024));
    let ids = format!(r#""message_id":"{long}","parent_message_id":"{long}","data":"hi""#);
    for content in [format!("{{{ids}}}"), format!(r#"{{"data":{{{ids}}}}}"#)] {
        let text = format!(r#"{{"msg_type":18,"content":{content}}}"#);
        let Message::Chat(_, message) = parse(&text).unwrap() else { panic!("not chat") };
        assert_eq!(message.message_id, Some("n".repeat(1024)));
        assert_eq!(message.parent_message_id, Some("n".repeat(1024)));
    }
}

#[test]
fn what_was_said_or_typed_is_never_cut() {
    let long = long();
    let text = format!(r#"{{"msg_type":17,"content":{{"user_id":7,"data":"{long}"}}}}"#);
    let Message::Transcript(_, line) = parse(&text).unwrap() else { panic!("not a line") };
    assert_eq!(line.text, long);
    let text = format!(r#"{{"msg_type":18,"content":{{"data":"{long}"}}}}"#);
    let Message::Chat(_, message) = parse(&text).unwrap() else { panic!("not chat") };
    assert_eq!(message.text, long);
}

#[test]
fn what_is_no_message_is_malformed() {
    for text in [
        "",
        " ",
        "null",
        "7",
        "[]",
        "\"x\"",
        "{}",
        "{",
        "[12]",
        r#"[14,{"data":"AAAA"}]"#,
        "\u{fffd}\u{fffd}\u{fffd}",
    ] {
        let reason = if text == "{}" { "no_msg_type" } else { "not_json" };
        assert_eq!(malformed(text), lost(0, reason), "{text:?}");
    }
    for number in ["null", "1.5", r#""ping""#, "[]", "1e999"] {
        let text = format!(r#"{{"msg_type":{number}}}"#);
        assert_eq!(malformed(&text), lost(0, "no_msg_type"), "{text}");
    }
    assert_eq!(malformed(r#"{"msg_type":12} x"#), lost(12, "not_json"));
}

#[test]
fn the_number_of_a_message_may_be_a_text() {
    for number in ["12", r#""12""#, "12.0"] {
        let text = format!(r#"{{"msg_type":{number},"timestamp":1}}"#);
        assert!(matches!(parse(&text), Ok(Message::KeepAlive(_))), "{text}");
    }
}

#[test]
fn a_malformed_message_says_where_and_never_what() {
    let text = r#"{"msg_type":17,"content":{"data":["confidential"]}}"#;
    let malformed = parse(text).unwrap_err();
    assert!(!format!("{malformed:?} {malformed}").contains("confidential"));
}
