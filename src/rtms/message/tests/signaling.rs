//! Handshake answers, events, and changes of state.

use super::{event, lost, malformed, parse, unknown};
use crate::model::{Participant, UserId};
use crate::model::{StopReason, UnreadableMessages};
use crate::rtms::message::{Event, HandshakeAnswer, Message};

fn signaling_answer(text: &str) -> HandshakeAnswer {
    match parse(text).unwrap() {
        Message::SignalingAnswer(answer) => answer,
        other => panic!("not an answer: {other:?}"),
    }
}

fn ana() -> Participant {
    Participant { user_id: UserId(16_778_240), user_name: Some("Ana".into()) }
}

fn nameless(id: u64) -> Participant {
    Participant { user_id: UserId(id), user_name: None }
}

#[test]
fn a_good_answer_2_names_the_media_urls() {
    let answer = signaling_answer(
        r#"{"msg_type":2,"protocol_version":1,"sequence":0,"status_code":0,"reason":"",
            "media_server":{"server_urls":{"audio":"wss://a.zoom.us","share":"wss://s.zoom.us"}}}"#,
    );
    assert_eq!((answer.status_code, answer.reason.as_str()), (0, ""));
    assert_eq!(answer.media_url(&["audio"]), Some("wss://a.zoom.us"));
    assert_eq!(answer.media_url(&["deskshare", "share"]), Some("wss://s.zoom.us"));
    assert_eq!(answer.media_url(&["all"]), None);
}

#[test]
fn an_empty_media_url_is_none_and_does_not_hide_its_alias() {
    let answer = signaling_answer(
        r#"{"msg_type":2,"status_code":0,
            "media_server":{"server_urls":{"deskshare":"","share":"wss://s.zoom.us","all":""}}}"#,
    );
    assert_eq!(answer.media_url(&["deskshare", "share"]), Some("wss://s.zoom.us"));
    assert_eq!(answer.media_url(&["all"]), None);
}

#[test]
fn a_refusing_answer_2_has_a_status_and_a_reason() {
    let answer = signaling_answer(
        r#"{"msg_type":2,"protocol_version":1,"sequence":1,"status_code":3,"reason":"Invalid signature"}"#,
    );
    assert_eq!((answer.status_code, answer.reason.as_str()), (3, "Invalid signature"));
    assert_eq!(answer.media_url(&["all"]), None);
}

#[test]
fn an_answer_without_a_status_is_malformed() {
    assert_eq!(malformed(r#"{"msg_type":2,"reason":""}"#), lost(2, "status_code"));
    assert_eq!(malformed(r#"{"msg_type":4,"media_params":{}}"#), lost(4, "status_code"));
    assert_eq!(malformed(r#"{"msg_type":2,"status_code":"ok"}"#), lost(2, "status_code"));
    assert_eq!(malformed(r#"{"msg_type":4,"status_code":0.5}"#), lost(4, "status_code"));
}

/// An acceptance must say where the media servers are; without readable URLs it counts as no answer.
#[test]
fn an_acceptance_with_unreadable_urls_is_malformed() {
    for odd in [r#"["wss://a"]"#, "7", r#""wss://a""#, "true"] {
        let text =
            format!(r#"{{"msg_type":2,"status_code":0,"media_server":{{"server_urls":{odd}}}}}"#);
        assert_eq!(malformed(&text), lost(2, "server_urls"), "{odd}");
    }
    let one_odd = r#"{"msg_type":2,"status_code":0,"media_server":{"server_urls":{"audio":7,"all":"wss://a"}}}"#;
    assert_eq!(signaling_answer(one_odd).media_url(&["audio", "all"]), Some("wss://a"));
}

#[test]
fn a_refusal_needs_only_its_status() {
    for odd in ["null", "7", "[]", r#""wss://a""#, "1e999", r#"{"audio":null}"#] {
        for server in [format!(r#"{{"server_urls":{odd}}}"#), odd.to_owned()] {
            let text = format!(
                r#"{{"msg_type":2,"status_code":3,"reason":"no","media_server":{server},"media_params":{odd}}}"#
            );
            let answer = signaling_answer(&text);
            assert_eq!((answer.status_code, answer.reason.as_str()), (3, "no"), "{text}");
            assert_eq!(answer.media_url(&["audio"]), None);
        }
    }
}

#[test]
fn event_1_is_the_first_packet() {
    let text = r#"{"msg_type":6,"event":{"event_type":1,"timestamp":1732313172300}}"#;
    assert_eq!(event(text), (Some(1_732_313_172_300), Event::FirstPacket));
}

#[test]
fn event_2_is_a_change_of_the_active_speaker() {
    let text = r#"{"msg_type":6,"event":{"event_type":2,"timestamp":1732313199000,"user_id":16778240,"user_name":"Ana"}}"#;
    assert_eq!(event(text), (Some(1_732_313_199_000), Event::ActiveSpeaker(ana())));
}

#[test]
fn event_3_is_people_joining() {
    let text = r#"{"msg_type":6,"event":{"event_type":3,"timestamp":1,"participants":[
        {"user_id":16778240,"user_name":"Ana"},{"user_id":"16779264"}]}}"#;
    assert_eq!(event(text).1, Event::Joined(vec![ana(), nameless(16_779_264)]));
}

#[test]
fn event_4_is_people_leaving_without_their_names() {
    let text = r#"{"msg_type":6,"event":{"event_type":4,"timestamp":1732313260000,"participants":[{"user_id":16779264}]}}"#;
    assert_eq!(event(text).1, Event::Left(vec![nameless(16_779_264)]));
}

#[test]
fn events_5_and_6_are_sharing() {
    let text = r#"{"msg_type":6,"event":{"event_type":5,"timestamp":1732313210000,"user_id":16778240,"user_name":"Ana"}}"#;
    assert_eq!(event(text).1, Event::SharingStarted(ana()));
    let text = r#"{"msg_type":6,"event":{"event_type":6,"timestamp":1732313220000}}"#;
    assert_eq!(event(text), (Some(1_732_313_220_000), Event::SharingStopped));
}

#[test]
fn event_7_is_a_media_connection_interrupted_whatever_else_it_says() {
    for extra in ["", r#","media_type":1"#, r#","media_type":"audio","user_id":"nobody""#] {
        let text = format!(
            r#"{{"msg_type":6,"event":{{"event_type":7,"timestamp":1732313230000{extra}}}}}"#
        );
        assert_eq!(event(&text).1, Event::MediaInterrupted, "{extra}");
    }
}

#[test]
fn events_8_and_9_are_cameras_on_and_off() {
    let text = r#"{"msg_type":6,"event":{"event_type":8,"timestamp":1,"participants":[{"user_id":16778240}]}}"#;
    assert_eq!(event(text).1, Event::VideoOn(vec![nameless(16_778_240)]));
    let text = r#"{"msg_type":6,"event":{"event_type":9,"timestamp":1,"participants":[]}}"#;
    assert_eq!(event(text).1, Event::VideoOff(vec![]));
}

#[test]
fn an_event_without_the_people_it_is_about_is_malformed() {
    for number in [2, 3, 4, 5] {
        let text = format!(r#"{{"msg_type":6,"event":{{"event_type":{number},"timestamp":1}}}}"#);
        let field = if number == 3 || number == 4 { "participants" } else { "user_id" };
        assert_eq!(malformed(&text), lost(6, field), "event {number}");
    }
    for number in [8, 9] {
        let text =
            format!(r#"{{"msg_type":6,"event":{{"event_type":{number},"participants":7}}}}"#);
        assert_eq!(malformed(&text), lost(6, "participants"), "event {number}");
    }
    assert_eq!(malformed(r#"{"msg_type":6}"#), lost(6, "event"));
    assert_eq!(malformed(r#"{"msg_type":6,"event":[1]}"#), lost(6, "event"));
    assert_eq!(malformed(r#"{"msg_type":6,"event":{"timestamp":1}}"#), lost(6, "event_type"));
}

/// Contact Center numbers its events from 8 on anew and describes the parties in another way (section 10.2).
#[test]
fn a_contact_center_event_is_not_malformed() {
    let text = r#"{"msg_type":6,"event":{"event_type":8,"event_ts":1732313172300,"timestamp":1732313172300,
        "participant_info":{"channel_id":"c1","user_id":"KDcuGIm1QgePTO8WbOqwIQ","participant_mode":"caller"}}}"#;
    let Ok(Message::Event(update)) = parse(text) else { panic!("not an event") };
    let mut unreadable = UnreadableMessages::default();
    let party = update.contact_center(&mut unreadable).unwrap().participant.unwrap();
    assert_eq!(party.user_id.as_deref(), Some("KDcuGIm1QgePTO8WbOqwIQ"));
    assert!(unreadable.is_empty());
    let text =
        r#"{"msg_type":6,"event":{"event_type":13,"event_ts":1732313172300,"user_id":"KDcu"}}"#;
    assert_eq!(event(text), (Some(1_732_313_172_300), Event::Unknown(13)));
}

#[test]
fn an_event_of_an_unknown_number_is_never_malformed() {
    for number in [0, 10, 11, 12, 13, 14, 29, 65_535] {
        let text = format!(
            r#"{{"msg_type":6,"event":{{"event_type":{number},"participants":"x","user_id":[],"timestamp":"soon"}}}}"#
        );
        assert_eq!(event(&text).1, Event::Unknown(number), "event {number}");
    }
    let huge = r#"{"msg_type":6,"event":{"event_type":70000}}"#;
    assert!(matches!(event(huge).1, Event::Unknown(_)));
}

#[test]
fn every_stream_state_is_read_with_its_reason() {
    for state in 0..=6 {
        let text =
            format!(r#"{{"msg_type":8,"state":{state},"reason":14,"timestamp":1732313271881}}"#);
        let Message::StreamState { state: read, reason, at_ms } = parse(&text).unwrap() else {
            panic!("not a stream state")
        };
        assert_eq!((read, reason, at_ms), (state, Some(StopReason(14)), Some(1_732_313_271_881)));
    }
    assert_eq!(malformed(r#"{"msg_type":8,"reason":14}"#), lost(8, "state"));
}

#[test]
fn a_session_state_names_its_session() {
    let text = r#"{"msg_type":9,"state":2,"rtms_session_id":"sess-1","timestamp":1732313172500}"#;
    let Message::SessionState { rtms_session_id, state, reason, at_ms } = parse(text).unwrap()
    else {
        panic!("not a session state")
    };
    assert_eq!((rtms_session_id.as_str(), state, reason), ("sess-1", 2, None));
    assert_eq!(at_ms, Some(1_732_313_172_500));
    assert_eq!(malformed(r#"{"msg_type":9,"rtms_session_id":"sess-1"}"#), lost(9, "state"));
}

#[test]
fn answers_that_nothing_hangs_on_are_noted() {
    for text in [
        r#"{"msg_type":11,"rtms_session_id":"sess-1","state":2,"timestamp":1732313180000}"#,
        r#"{"msg_type":20,"state":1,"rtms_stream_id":"s","timestamp":1694204592}"#,
        r#"{"msg_type":22,"rtms_stream_id":"s","status_code":2}"#,
        r#"{"msg_type":29,"status_code":0}"#,
    ] {
        assert!(matches!(parse(text), Ok(Message::Noted)), "{text}");
    }
}

#[test]
fn the_answer_to_a_video_subscription_tells_about_whom_and_how() {
    let text = r#"{"msg_type":29,"user_id":1,"status_code":44,"reason":"","timestamp":1}"#;
    let Ok(Message::VideoAnswer { user_id, status_code }) = parse(text) else {
        panic!("not an answer about video");
    };
    assert_eq!((user_id, status_code), (UserId(1), 44));
}

#[test]
fn requests_that_only_we_send_and_reserved_numbers_are_unknown() {
    for number in [0, 1, 3, 5, 7, 10, 13, 19, 21, 23, 24, 25, 26, 27, 28, 30, 999, 65_535] {
        for rest in
            ["", r#","content":7"#, r#","content":{"user_id":[],"data":{"a":[1]}},"event":3"#]
        {
            assert_eq!(unknown(&format!(r#"{{"msg_type":{number}{rest}}}"#)), number);
        }
    }
}

#[test]
fn a_number_too_large_for_us_is_unknown_too() {
    for number in ["65536", "70000", "-1", "4294967297"] {
        assert_eq!(unknown(&format!(r#"{{"msg_type":{number},"content":[]}}"#)), 0, "{number}");
    }
}
