//! Media frames and keep-alives.

use super::{lost, malformed, parse, unreadable};
use crate::model::{Lost, Medium, Product, Speaker, SpeakerUserId, UserId};
use crate::rtms::message::{KeepAlive, MediaFrame, Message};

fn frame(text: &str) -> MediaFrame {
    match parse(text).unwrap() {
        Message::Frame(frame) => frame,
        other => panic!("not a frame: {other:?}"),
    }
}

fn speaker(text: &str, product: Product) -> Speaker {
    frame(text).speaker(product).to_speaker()
}

fn keep_alive(text: &str) -> KeepAlive {
    match parse(text).unwrap() {
        Message::KeepAlive(request) => request,
        other => panic!("not a keep-alive: {other:?}"),
    }
}

#[test]
fn an_audio_frame_tells_its_speaker_time_and_size() {
    let text = r#"{"msg_type":14,"content":{"user_id":16778240,"user_name":"Ana","data":"AAAB","length":3,"timestamp":1732313190020}}"#;
    let frame = frame(text);
    assert_eq!((frame.medium, frame.payload_bytes), (Medium::Audio, 3));
    assert_eq!(speaker(text, Product::Meeting), Speaker::participant(UserId(16_778_240), None));
    assert_eq!(frame.at_ms, Some(1_732_313_190_020));
}

#[test]
fn mixed_audio_has_nobody_or_number_0() {
    let text = r#"{"msg_type":14,"content":{"user_id":0,"data":"AAA=","timestamp":1732313190020}}"#;
    assert_eq!(speaker(text, Product::Meeting), Speaker::default());
    let text = r#"{"msg_type":14,"content":{"data":"AAA=","timestamp":1732313190020}}"#;
    assert_eq!(speaker(text, Product::Meeting), Speaker::default());
    assert_eq!(frame(text).payload_bytes, 2);
}

#[test]
fn contact_center_audio_carries_a_channel() {
    let text = r#"{"msg_type":14,"content":{"channel_id":"c-1","user_id":"7","data":"AAAB","timestamp":1732313190020}}"#;
    let party = speaker(text, Product::ContactCenter);
    assert_eq!(party.channel_id.unwrap().as_str(), "c-1");
    assert_eq!(
        party.user_id,
        SpeakerUserId::text("7"),
        "here a text is not a participant's number"
    );
    let text = r#"{"msg_type":14,"content":{"channel_id":"c-1","data":"AAAB"}}"#;
    assert_eq!(speaker(text, Product::ContactCenter).user_id, None);
}

#[test]
fn video_and_share_are_frames_of_their_medium() {
    let body =
        r#""content":{"user_id":7,"user_name":"Bo","data":"AAAAAA==","timestamp":1732313190020}"#;
    assert_eq!(frame(&format!(r#"{{"msg_type":15,{body}}}"#)).medium, Medium::Video);
    let frame = frame(&format!(r#"{{{body},"msg_type":16}}"#));
    assert_eq!((frame.medium, frame.payload_bytes), (Medium::Share, 4));
}

#[test]
fn a_frame_without_a_payload_is_malformed() {
    for number in [14, 15, 16] {
        for rest in ["", r#","content":null"#, r#","content":7"#, r#","content":[]"#] {
            let text = format!(r#"{{"msg_type":{number}{rest}}}"#);
            assert_eq!(malformed(&text), lost(number, "content"), "{text}");
        }
        for content in ["{}", r#"{"data":null}"#, r#"{"data":{"a":1}}"#, r#"{"data":7}"#] {
            let text = format!(r#"{{"msg_type":{number},"content":{content}}}"#);
            assert_eq!(malformed(&text), lost(number, "data"), "{text}");
        }
    }
}

#[test]
fn an_unreadable_frame_keeps_its_time() {
    let text = r#"{"msg_type":14,"content":{"user_id":[],"data":null,"timestamp":1732313190020}}"#;
    assert_eq!(parse(text).unwrap_err().at_ms, Some(1_732_313_190_020));
}

#[test]
fn a_malformed_field_of_a_frame_costs_only_that_field() {
    for (field, reason) in [
        (r#""user_id":-1"#, Some("user_id")),
        (r#""user_id":7.5"#, Some("user_id")),
        (r#""user_id":[]"#, Some("user_id")),
        (r#""user_id":1e999"#, Some("user_id")),
        (r#""user_id":"customer-contact-id""#, None),
        (r#""user_id":"""#, None),
        (r#""channel_id":[1]"#, Some("channel_id")),
        (r#""timestamp":"soon""#, Some("timestamp")),
        (r#""timestamp":{}"#, Some("timestamp")),
        (r#""timestamp":"""#, None),
    ] {
        let text = format!(r#"{{"msg_type":14,"content":{{"data":"AAAB",{field}}}}}"#);
        let frame = frame(&text);
        let number = speaker(&text, Product::Meeting).number();
        assert_eq!(
            (frame.medium, frame.payload_bytes, number, frame.at_ms),
            (Medium::Audio, 3, None, None)
        );
        assert_eq!(frame.payload().unwrap(), [0, 0, 1][..], "{text}");
        let expected = reason.map(|reason| (14, Lost::Field, reason.to_owned(), 1));
        assert_eq!(unreadable(&text), Vec::from_iter(expected), "{text}");
    }
    let whole = r#"{"msg_type":14,"content":{"data":"AAAB","user_id":7.0}}"#;
    assert_eq!(speaker(whole, Product::Meeting).number(), Some(UserId(7)));
}

/// The replacement has the same length, so the payload stays where it was.
#[test]
fn a_frame_with_a_name_that_is_not_utf_8_is_still_a_frame() {
    for text in [
        r#"{"msg_type":14,"content":{"user_name":"Ana \ud83d","user_id":7,"data":"AAAB"}}"#,
        r#"{"msg_type":14,"content":{"\ud83d":"x","user_id":7,"data":"AAAB"}}"#,
        "\u{feff}{\"msg_type\":14,\"content\":{\"user_name\":\"a\tb\",\"user_id\":7,\"data\":\"AAAB\"}}",
        r#" {"msg_type":"14","content":{"user_name":"Ana \u","user_id":7,"data":"AA\/B"}}"#,
        r#"{"msg_type":3,"msg_type":14,"content":{"user_id":1,"user_id":7,"data":"AAAB"}}"#,
    ] {
        let frame = frame(text);
        let number = speaker(text, Product::Meeting).number();
        assert_eq!((number, frame.payload_bytes), (Some(UserId(7)), 3), "{text}");
        assert_eq!(frame.payload().unwrap().len(), 3, "{text}");
        assert_eq!(unreadable(text), [], "{text}");
    }
}

#[test]
fn a_keep_alive_is_echoed_as_it_came() {
    let request = keep_alive(r#"{"msg_type":12,"timestamp":1732313182000}"#);
    assert_eq!(request.timestamp.unwrap().get(), "1732313182000");
    assert!(request.sequence.is_none());
    let request =
        keep_alive(r#"{ "sequence" : 42, "msg_type" : 12, "timestamp" : "1732313182000" }"#);
    assert_eq!(request.timestamp.unwrap().get(), r#""1732313182000""#);
    assert_eq!(request.sequence.unwrap().get(), "42");
}

#[test]
fn a_field_that_cannot_be_echoed_is_left_out_of_the_answer() {
    assert!(keep_alive(r#"{"msg_type":12}"#).timestamp.is_none());
    assert!(keep_alive(r#"{"msg_type":12,"timestamp":null,"sequence":null}"#).timestamp.is_none());
    let nines = "9".repeat(64);
    for odd in [format!(r#""{nines}""#), nines, "[1]".to_owned(), "{}".to_owned()] {
        let text = format!(r#"{{"msg_type":12,"timestamp":{odd},"sequence":{odd}}}"#);
        let request = keep_alive(&text);
        assert!(request.timestamp.is_none() && request.sequence.is_none(), "{text}");
        let expected = ["sequence", "timestamp"].map(|name| (12, Lost::Field, name.to_owned(), 1));
        assert_eq!(unreadable(&text), expected);
    }
}
