use super::malformed;
use crate::model::UserId;
use crate::rtms::message::{FrameInfo, KeepAlive, Malformed, Medium, Message, parse};

fn frame(text: &str) -> (Medium, FrameInfo) {
    match parse(text).unwrap() {
        Message::Frame(medium, info) => (medium, info),
        other => panic!("not a frame: {other:?}"),
    }
}

fn keep_alive(text: &str) -> KeepAlive<'_> {
    match parse(text).unwrap() {
        Message::KeepAlive(request) => request,
        other => panic!("not a keep-alive: {other:?}"),
    }
}

#[test]
fn an_audio_frame_tells_its_speaker_time_and_size() {
    let text = r#"{"msg_type":14,"content":{"user_id":16778240,"user_name":"Ana","data":"AAAB","length":3,"timestamp":1732313190020}}"#;
    let (medium, info) = frame(text);
    assert_eq!((medium, info.bytes), (Medium::Audio, 3));
    assert_eq!(info.user_id, Some(UserId(16_778_240)));
    assert_eq!(info.at_ms, Some(1_732_313_190_020));
}

#[test]
fn mixed_audio_has_nobody_or_number_0() {
    let text = r#"{"msg_type":14,"content":{"user_id":0,"data":"AAA=","timestamp":1732313190020}}"#;
    assert_eq!(frame(text).1.user_id, Some(UserId(0)));
    let text = r#"{"msg_type":14,"content":{"data":"AAA=","timestamp":1732313190020}}"#;
    assert_eq!((frame(text).1.user_id, frame(text).1.bytes), (None, 2));
}

#[test]
fn contact_center_audio_carries_a_channel() {
    let text = r#"{"msg_type":14,"content":{"channel_id":"c-1","user_id":1,"data":"AAAB","timestamp":1732313190020}}"#;
    assert_eq!(frame(text).1.bytes, 3);
}

#[test]
fn video_and_share_are_frames_of_their_medium() {
    let body =
        r#""content":{"user_id":7,"user_name":"Bo","data":"AAAAAA==","timestamp":1732313190020}"#;
    assert_eq!(frame(&format!(r#"{{"msg_type":15,{body}}}"#)).0, Medium::Video);
    let (medium, info) = frame(&format!(r#"{{{body},"msg_type":16}}"#));
    assert_eq!((medium, info.bytes), (Medium::Share, 4));
}

#[test]
fn a_frame_without_a_payload_is_malformed() {
    for number in [14, 15, 16] {
        for rest in [
            "",
            r#","content":null"#,
            r#","content":{}"#,
            r#","content":{"data":null}"#,
            r#","content":{"data":{"a":1}}"#,
            r#","content":{"data":7}"#,
            r#","content":7"#,
            r#","content":{"data":"AAAA","user_id":"ana"}"#,
        ] {
            let text = format!(r#"{{"msg_type":{number}{rest}}}"#);
            assert_eq!(malformed(&text), Malformed::Fields(number), "{text}");
        }
    }
}

#[test]
fn a_keep_alive_is_echoed_as_it_came() {
    let request = keep_alive(r#"{"msg_type":12,"timestamp":1732313182000}"#);
    assert_eq!(request.timestamp.get(), "1732313182000");
    assert!(request.sequence.is_none());
    let request =
        keep_alive(r#"{ "sequence" : 42, "msg_type" : 12, "timestamp" : "1732313182000" }"#);
    assert_eq!(request.timestamp.get(), r#""1732313182000""#);
    assert_eq!(request.sequence.unwrap().get(), "42");
}

#[test]
fn a_keep_alive_that_cannot_be_echoed_is_malformed() {
    assert_eq!(malformed(r#"{"msg_type":12}"#), Malformed::Fields(12));
    let long = format!(r#"{{"msg_type":12,"timestamp":"{}"}}"#, "9".repeat(64));
    assert_eq!(malformed(&long), Malformed::Fields(12));
    let long = format!(r#"{{"msg_type":12,"timestamp":1,"sequence":[{}1]}}"#, "1,".repeat(64));
    assert_eq!(malformed(&long), Malformed::Fields(12));
}
