//! What each message becomes.

use std::time::Duration;

use super::driver::Driver;
use super::{AUDIO, AUDIO_FRAME, KEEP_ALIVE, LINE, SIGNALING, TRANSCRIPT, setup, state};
use crate::model::params::ConnectionMode;
use crate::model::{
    EntryBody, EntryKind, IdKey, Instance, Lost, Medium, Participant, Product, StopReason,
    StreamStatus, Unreadable, UserId,
};
use crate::rtms::message::Outgoing;

fn entry_of(text: &str) -> (Option<i64>, EntryBody) {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(SIGNALING, text);
    let mut entries = driver.entries();
    assert_eq!(entries.len(), 1, "{text}");
    entries.remove(0)
}

fn json_of(text: &str) -> serde_json::Value {
    serde_json::to_value(entry_of(text).1).unwrap()
}

fn event(number: u16, rest: &str) -> String {
    format!(r#"{{"msg_type":6,"event":{{"event_type":{number},"timestamp":1732313172300{rest}}}}}"#)
}

const ANA: &str = r#","user_id":7,"user_name":"Ana""#;
const PEOPLE: &str = r#","participants":[{"user_id":7,"user_name":"Ana"}]"#;

#[test]
fn the_first_packet_becomes_an_entry_at_zooms_time() {
    assert_eq!(entry_of(&event(1, "")), (Some(1_732_313_172_300), EntryBody::FirstPacket {}));
}

#[test]
fn every_event_about_a_person_becomes_an_entry() {
    for (number, rest, kind) in [
        (2, ANA, "active_speaker"),
        (3, PEOPLE, "participant_joined"),
        (4, PEOPLE, "participant_left"),
        (5, ANA, "sharing_started"),
        (8, PEOPLE, "video_on"),
        (9, PEOPLE, "video_off"),
    ] {
        let expected = serde_json::json!({ "kind": kind, "user_id": 7, "user_name": "Ana" });
        assert_eq!(json_of(&event(number, rest)), expected, "event {number}");
    }
}

#[test]
fn the_end_of_sharing_becomes_an_entry() {
    assert_eq!(json_of(&event(6, "")), serde_json::json!({ "kind": "sharing_stopped" }));
}

#[test]
fn what_zoom_says_again_after_a_rejoin_is_no_news() {
    let mut driver = Driver::live(&[Medium::Audio]);
    let roster = event(3, PEOPLE);
    driver.hear(SIGNALING, &roster);
    driver.forget();
    driver.hear(SIGNALING, &roster);
    assert!(driver.entries().is_empty());
    driver.hear(SIGNALING, &event(4, PEOPLE));
    driver.hear(SIGNALING, &roster);
    assert_eq!(driver.said(), ["entry participant_left", "entry participant_joined"]);
}

#[test]
fn people_who_join_together_become_an_entry_each() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(SIGNALING, &event(3, r#","participants":[{"user_id":7},{"user_id":8}]"#));
    assert_eq!(driver.said(), ["entry participant_joined", "entry participant_joined"]);
}

#[test]
fn a_leave_without_a_name_gets_it_from_the_roster() {
    let mut driver = Driver::live(&[Medium::Transcript]);
    driver.hear(SIGNALING, &event(3, PEOPLE));
    driver.forget();
    driver.hear(SIGNALING, &event(4, r#","participants":[{"user_id":7},{"user_id":8}]"#));
    driver.hear(TRANSCRIPT, LINE);
    let names: Vec<_> = driver
        .entries()
        .into_iter()
        .map(|(_, body)| match body {
            EntryBody::ParticipantLeft(person) => person.user_name,
            EntryBody::Transcript(line) => line.speaker.name,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, [Some("Ana".to_owned()), None, Some("Ana".to_owned())]);
}

#[test]
fn the_roster_has_a_bound_and_keeps_whom_it_knows() {
    let named = |id: u32| format!(r#"{{"user_id":{id},"user_name":"n{id}"}}"#);
    let people = |ids: std::ops::Range<u32>| ids.map(named).collect::<Vec<_>>().join(",");
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(SIGNALING, &event(3, &format!(r#","participants":[{}]"#, people(0..3_000))));
    driver.hear(SIGNALING, &event(2, r#","user_id":5,"user_name":"Eva""#));
    driver.forget();
    let leave = r#","participants":[{"user_id":5},{"user_id":2047},{"user_id":2048}]"#;
    driver.hear(SIGNALING, &event(4, leave));
    let names = driver.entries().into_iter().map(|(_, body)| match body {
        EntryBody::ParticipantLeft(person) => person.user_name,
        other => panic!("{other:?}"),
    });
    assert_eq!(names.collect::<Vec<_>>(), [Some("Eva".to_owned()), Some("n2047".into()), None]);
}

#[test]
fn a_name_of_any_length_is_cut_before_it_is_noted_and_remembered() {
    let mut driver = Driver::live(&[Medium::Audio]);
    let (long, cut) = ("x".repeat(100_000), "x".repeat(1024));
    driver.hear(SIGNALING, &event(2, &format!(r#","user_id":7,"user_name":"{long}""#)));
    driver.hear(SIGNALING, &event(4, r#","participants":[{"user_id":7}]"#));
    let entries = driver.entries();
    let name = |index: usize| serde_json::to_value(&entries[index].1).unwrap()["user_name"].clone();
    assert_eq!(name(0), cut);
    assert_eq!(name(1), cut);
}

/// After a rejoin Zoom reports everybody who is there (section 3.2).
#[test]
fn people_who_are_present_are_not_noted_again_after_a_rejoin() {
    let mut driver = Driver::live(&[Medium::Audio]);
    let both = r#","participants":[{"user_id":7,"user_name":"Ana"},{"user_id":8}]"#;
    let three = r#","participants":[{"user_id":7},{"user_id":8},{"user_id":9}]"#;
    driver.hear(SIGNALING, &event(3, both));
    driver.lose(SIGNALING);
    driver.catch_up();
    driver.join();
    driver.forget();
    driver.hear(SIGNALING, &event(3, both));
    assert!(driver.said().is_empty());
    driver.hear(SIGNALING, &event(3, three));
    let nine = Participant { user_id: UserId(9), user_name: None };
    let joined = (Some(1_732_313_172_300), EntryBody::ParticipantJoined(nine));
    assert_eq!(driver.entries(), [joined]);
}

#[test]
fn people_who_are_present_are_not_noted_again_after_a_move() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(SIGNALING, &event(3, PEOPLE));
    driver.move_to("wss://other.zoom.us");
    driver.join();
    driver.forget();
    driver.hear(SIGNALING, &event(3, PEOPLE));
    assert!(driver.said().is_empty());
}

#[test]
fn somebody_named_twice_in_one_join_is_noted_once() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(SIGNALING, &event(3, r#","participants":[{"user_id":7},{"user_id":"7"}]"#));
    assert_eq!(driver.said(), ["entry participant_joined"]);
}

#[test]
fn somebody_who_left_and_comes_back_is_noted_again() {
    let mut driver = Driver::live(&[Medium::Audio]);
    for _ in 0..3 {
        driver.hear(SIGNALING, &event(3, PEOPLE));
        driver.hear(SIGNALING, &event(4, PEOPLE));
        assert_eq!(driver.said(), ["entry participant_joined", "entry participant_left"]);
    }
}

#[test]
fn somebody_who_spoke_before_the_join_was_reported_is_noted_as_joining() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(SIGNALING, &event(2, ANA));
    driver.hear(SIGNALING, &event(3, PEOPLE));
    assert_eq!(driver.said(), ["entry active_speaker", "entry participant_joined"]);
}

#[test]
fn another_name_of_somebody_present_is_remembered_and_no_entry() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(SIGNALING, &event(3, PEOPLE));
    driver.forget();
    driver.hear(SIGNALING, &event(3, r#","participants":[{"user_id":7,"user_name":"Anna"}]"#));
    assert!(driver.said().is_empty());
    driver.hear(SIGNALING, &event(4, r#","participants":[{"user_id":7}]"#));
    let (_, body) = driver.entries().remove(0);
    assert_eq!(serde_json::to_value(body).unwrap()["user_name"], "Anna");
}

#[test]
fn the_roster_survives_a_rejoin() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(SIGNALING, &event(3, PEOPLE));
    driver.lose(SIGNALING);
    driver.catch_up();
    driver.join();
    driver.forget();
    driver.hear(SIGNALING, &event(4, r#","participants":[{"user_id":7}]"#));
    let (_, body) = driver.entries().remove(0);
    assert_eq!(serde_json::to_value(body).unwrap()["user_name"], "Ana");
}

#[test]
fn an_event_of_an_unknown_number_is_counted_and_kept() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(SIGNALING, &event(15, r#","participants":"odd""#));
    driver.hear(SIGNALING, &event(8, r#","participants":"odd""#));
    let kinds: Vec<_> = driver.entries().iter().map(|(_, body)| body.kind()).collect();
    assert_eq!(kinds, [EntryKind::UnknownEvent]);
    assert_eq!(driver.stream.unknown().get(&6), Some(&1));
    let odd = Unreadable::new(6, Lost::Message, "participants");
    assert_eq!(driver.stream.take_unreadable().count(&odd), 1);
}

#[test]
fn what_happens_to_a_chat_group_becomes_an_entry_with_the_raw_event_beside_it() {
    for (number, change) in [
        (10, "created"),
        (11, "deleted"),
        (12, "members_added"),
        (13, "members_deleted"),
        (14, "member_status_changed"),
    ] {
        let rest = r#","chat_group":{"id":"g1","name":"Team"},"members":[{"user_id":"7","user_name":"Ana","status":2},{}]"#;
        let json = json_of(&event(number, rest));
        assert_eq!(json["kind"], "chat_group");
        assert_eq!((&json["change"], &json["group_id"]), (&change.into(), &"g1".into()));
        let ana =
            serde_json::json!({ "user_id": 7, "user_name": "Ana", "status": "in_waiting_room" });
        assert_eq!(json["members"], serde_json::json!([ana]));
        assert_eq!(json["raw"]["event_type"], number);
    }
    let bare = json_of(&event(10, r#","members":"odd""#));
    assert_eq!(
        (&bare["group_id"], &bare["members"]),
        (&serde_json::Value::Null, &serde_json::json!([]))
    );
}

#[test]
fn an_event_with_only_a_code_is_kept_as_it_is() {
    let coded = r#"{"msg_type":6,"event":{"event_code":10,"timestamp":5,"group_id":"g1"}}"#;
    let entry = json_of(coded);
    assert_eq!((&entry["kind"], &entry["event_code"]), (&"unknown_event".into(), &10.into()));
    assert_eq!(
        (&entry["event_type"], &entry["raw"]["group_id"]),
        (&serde_json::Value::Null, &"g1".into())
    );
}

#[test]
fn an_unknown_type_is_kept_as_it_is_without_a_key_of_the_transport() {
    let unknown =
        r#"{"msg_type":6,"event":{"event_type":99,"timestamp":5,"x":[{"srt_passphrase":"p"}]}}"#;
    let entry = json_of(unknown);
    assert_eq!((&entry["kind"], &entry["event_type"]), (&"unknown_event".into(), &99.into()));
    assert_eq!(entry["raw"]["x"][0]["srt_passphrase"], "[redacted]");
}

#[test]
fn a_raw_event_of_more_than_4_kib_is_not_kept() {
    let long = |bytes: usize| json_of(&event(10, &format!(r#","x":"{}""#, "x".repeat(bytes))));
    assert!(long(3_900)["raw"].is_object());
    assert!(long(4_096)["raw"].is_null());
}

/// What an engagement makes of an event.
fn engagement_entry(text: &str) -> serde_json::Value {
    let mut setup = setup(&[Medium::Audio], ConnectionMode::Split);
    setup.instance = Instance::new(Product::ContactCenter, IdKey::EngagementId, "e1").unwrap();
    let mut driver = Driver::new(setup, 1);
    driver.join();
    driver.forget();
    driver.hear(SIGNALING, text);
    let mut entries = driver.entries();
    assert_eq!(entries.len(), 1, "{text}");
    serde_json::to_value(entries.remove(0).1).unwrap()
}

#[test]
fn the_numbers_from_8_on_mean_something_else_in_contact_center() {
    for (number, name) in [
        (8, "consumer_answered"),
        (9, "consumer_end"),
        (14, "monitor_started"),
        (29, "conference_participant_left"),
    ] {
        let entry = engagement_entry(&event(number, PEOPLE));
        assert_eq!(entry["kind"], "contact_center_event");
        assert_eq!((&entry["code"], &entry["name"]), (&number.into(), &name.into()));
        assert_eq!(entry["raw"]["participants"][0]["user_id"], 7);
    }
    for number in 30..=34 {
        let entry = engagement_entry(&event(number, r#","digits":"42""#));
        assert_eq!((&entry["code"], &entry["name"]), (&number.into(), &"ivr".into()));
        assert_eq!(entry["raw"]["digits"], "42");
    }
    let newer = engagement_entry(&event(35, ""));
    assert_eq!((&newer["code"], &newer["name"]), (&35.into(), &serde_json::Value::Null));
    assert_eq!(engagement_entry(&event(2, ANA))["kind"], "active_speaker");
}

#[test]
fn the_party_of_a_contact_center_event_is_read_under_both_spellings() {
    for key in ["participant_info", "paticipant_info"] {
        let rest = format!(
            r#","{key}":{{"channel_id":"c1","participant_mode":"caller","user_id":"KDcu","display_name":"Ana","queue_id":5}}"#
        );
        let party = engagement_entry(&event(8, &rest))["participant"].clone();
        let expected = serde_json::json!({ "channel_id": "c1", "mode": "caller", "user_id": "KDcu",
            "display_name": "Ana", "queue_id": "5", "queue_name": null, "phone_number": null });
        assert_eq!(party, expected);
    }
}

#[test]
fn every_stream_state_becomes_an_entry_with_its_reason() {
    let names =
        ["inactive", "active", "interrupted", "terminating", "terminated", "paused", "resumed"];
    for (number, name) in names.iter().enumerate() {
        let mut driver = Driver::live(&[Medium::Audio]);
        driver.hear(SIGNALING, &state(number.try_into().unwrap(), 6));
        let (at_ms, body) = driver.entries().remove(0);
        assert_eq!(at_ms, Some(1_732_313_271_881));
        assert_eq!(
            body,
            EntryBody::StreamState { state: (*name).into(), reason: Some(StopReason(6)) }
        );
    }
    let body = EntryBody::StreamState { state: "unknown".into(), reason: Some(StopReason(6)) };
    assert_eq!(entry_of(&state(99, 6)).1, body);
}

#[test]
fn a_pause_is_a_status_until_the_resumption() {
    let mut driver = Driver::live(&[Medium::Audio]);
    for (number, status) in [
        (5, StreamStatus::Paused),
        (6, StreamStatus::Live),
        (5, StreamStatus::Paused),
        (1, StreamStatus::Live),
    ] {
        driver.hear(SIGNALING, &state(number, 0));
        assert_eq!(driver.stream.status(), status);
    }
}

#[test]
fn a_paused_stream_answers_keep_alives_and_stays() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.hear(SIGNALING, &state(5, 0));
    for _ in 0..20 {
        driver.pass(Duration::from_secs(10));
        driver.forget();
        driver.hear(SIGNALING, KEEP_ALIVE);
        driver.hear(AUDIO, KEEP_ALIVE);
        assert_eq!(driver.said(), ["send 13 to signaling", "send 13 to audio"]);
    }
    assert_eq!(driver.stream.status(), StreamStatus::Paused);
}

#[test]
fn a_session_state_becomes_an_entry_and_ends_nothing() {
    for (number, name) in
        ["inactive", "initialize", "started", "paused", "resumed", "stopped", "unknown"]
            .iter()
            .enumerate()
    {
        let text = format!(
            r#"{{"msg_type":9,"state":{number},"stop_reason":6,"rtms_session_id":"s-1","timestamp":1732313172500}}"#
        );
        let mut driver = Driver::live(&[Medium::Audio]);
        driver.hear(SIGNALING, &text);
        let body = EntryBody::SessionState {
            rtms_session_id: "s-1".into(),
            state: (*name).into(),
            reason: Some(StopReason(6)),
        };
        assert_eq!(driver.entries(), [(Some(1_732_313_172_500), body)]);
        assert_eq!(driver.stream.status(), StreamStatus::Live, "{name}");
    }
}

#[test]
fn a_keep_alive_is_answered_on_its_own_socket_as_it_came() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(AUDIO, r#"{"msg_type":12,"timestamp":"17","sequence":42}"#);
    assert_eq!(driver.said(), ["send 13 to audio"]);
    driver.hear(SIGNALING, KEEP_ALIVE);
    let expected = [
        r#"{"msg_type":13,"timestamp":"17","sequence":42}"#,
        r#"{"msg_type":13,"timestamp":1732313182000}"#,
    ];
    assert_eq!(driver.sent(), expected);
}

#[test]
fn a_transcript_line_becomes_an_entry_at_its_send_time() {
    let mut driver = Driver::live(&[Medium::Transcript]);
    driver.hear(TRANSCRIPT, LINE);
    let (at_ms, body) = driver.entries().remove(0);
    assert_eq!(at_ms, Some(1_732_313_191_600));
    assert_eq!(serde_json::to_value(body).unwrap()["text"], "Good morning");
}

#[test]
fn a_chat_message_becomes_an_entry() {
    let mut driver = Driver::live(&[Medium::Chat]);
    driver
        .hear(super::CHAT, r#"{"msg_type":18,"content":{"timestamp":1732313192000,"data":"hi"}}"#);
    assert_eq!(driver.said(), ["entry chat"]);
}

#[test]
fn audio_video_and_share_become_frames() {
    let media = [Medium::Audio, Medium::Video, Medium::Share];
    let mut driver = Driver::live(&media);
    for (medium, number) in media.into_iter().zip([14, 15, 16]) {
        let text = format!(r#"{{"msg_type":{number},"content":{{"data":"AAAB"}}}}"#);
        driver.hear(super::only(medium), &text);
        assert_eq!(driver.said(), [format!("{} frame", medium.as_str())]);
    }
}

#[test]
fn answers_that_nothing_hangs_on_and_unknown_messages_change_nothing() {
    let mut driver = Driver::live(&[Medium::Audio]);
    for number in [11, 20, 22, 23, 27, 29, 31, 4_000] {
        driver.hear(SIGNALING, &format!(r#"{{"msg_type":{number}}}"#));
    }
    driver.hear(AUDIO, r#"{"msg_type":23,"content":{"language_id":9}}"#);
    assert!(driver.said().is_empty());
    assert_eq!(driver.stream.unknown().get(&23), Some(&2));
    assert_eq!(driver.stream.unknown().get(&4_000), Some(&1));
}

#[test]
fn unknown_numbers_are_told_apart_up_to_a_bound() {
    let mut driver = Driver::live(&[Medium::Audio]);
    for number in 1_000..2_000 {
        driver.hear(SIGNALING, &format!(r#"{{"msg_type":{number}}}"#));
    }
    assert_eq!(driver.stream.unknown().len(), 64);
}

#[test]
fn a_message_on_the_wrong_kind_of_link_is_counted_and_ignored() {
    let mut driver = Driver::live(&[Medium::Audio, Medium::Transcript]);
    driver.hear(SIGNALING, AUDIO_FRAME);
    driver.hear(SIGNALING, LINE);
    driver.hear(AUDIO, &state(4, 6));
    driver.hear(AUDIO, super::MEDIA_INTERRUPTED);
    assert!(driver.said().is_empty());
    assert_eq!(driver.stream.unknown().get(&0), Some(&4));
    assert_eq!(driver.stream.status(), StreamStatus::Live);
}

#[test]
fn a_malformed_message_is_skipped_and_costs_no_link() {
    let mut driver = Driver::stable(&[Medium::Audio, Medium::Transcript]);
    for bad in [r#"{"msg_type":17,"content":{}}"#, "", "[]", "\u{fffd}\u{fffd}\u{fffd}", "{}"] {
        driver.hear(TRANSCRIPT, bad);
        driver.hear(SIGNALING, bad);
    }
    assert!(driver.said().is_empty());
    let unreadable = driver.stream.take_unreadable();
    let no_data = Unreadable::new(17, Lost::Message, "data");
    assert_eq!((unreadable.total(), unreadable.count(&no_data)), (10, 2));
    assert!(driver.stream.take_unreadable().is_empty());
    driver.hear(TRANSCRIPT, LINE);
    assert_eq!(driver.said(), ["entry transcript"]);
}

/// Garbage does not count as a sign of life: it neither ends a link nor keeps it up.
#[test]
fn a_link_that_brings_nothing_readable_is_given_up_like_a_silent_one() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    for _ in 0..10 {
        driver.pass(Duration::from_secs(5));
        driver.hear(SIGNALING, KEEP_ALIVE);
        driver.hear(AUDIO, r#"{"msg_type":14,"content":{"data":null}}"#);
        driver.forget();
    }
    driver.pass(Duration::from_secs(6));
    assert_eq!(driver.said()[..2], ["drop audio", "audio is down"]);
}

#[test]
fn a_handshake_answered_only_by_garbage_counts_as_unanswered() {
    let mut driver = Driver::new(setup(&[Medium::Audio], ConnectionMode::Split), 1);
    driver.open(SIGNALING);
    for _ in 0..3 {
        driver.pass(Duration::from_secs(3));
        driver.hear(SIGNALING, r#"{"msg_type":2,"status_code":"ok"}"#);
    }
    driver.forget();
    driver.pass(Duration::from_secs(2));
    assert_eq!(driver.said()[..2], ["drop signaling", "signaling is down"]);
}

#[test]
fn a_keep_alive_without_a_time_is_answered_with_the_time_of_the_answer() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(AUDIO, r#"{"msg_type":12}"#);
    assert_eq!(driver.said(), ["send 13 to audio"]);
    let mut answer = Outgoing::KeepAlive { timestamp: None, sequence: None };
    answer.stamp(1_732_313_182_000);
    assert_eq!(answer.to_json(), r#"{"msg_type":13,"timestamp":1732313182000}"#);
}

/// Rosters as public bug reports show them (section 23.5).
#[test]
fn a_malformed_participant_in_a_roster_costs_no_other() {
    let mut driver = Driver::live(&[Medium::Audio]);
    let good = (1..20).map(|id| format!(r#"{{"user_id":{id},"user_name":"n{id} \ud83d"}}"#));
    let phone = r#"{"user_name":"+49 30 …"}"#.to_owned();
    let list = good.chain([phone, "null".into(), r#"{"user_id":-1}"#.into()]);
    let list = list.collect::<Vec<_>>().join(",");
    driver.hear(SIGNALING, &event(3, &format!(r#","participants":[{list}]"#)));
    assert_eq!(driver.said(), ["entry participant_joined"; 19]);
    let lost = driver.stream.take_unreadable();
    assert_eq!(lost.count(&Unreadable::new(6, Lost::Member, "participants")), 3);
    assert_eq!(lost.total(), 3);
    for odd in [r#""user_id":null"#, r#""user_id":-1"#, r#""user_id":"""#] {
        driver.hear(SIGNALING, &event(2, &format!(",{odd}")));
        driver.hear(SIGNALING, &event(3, r#","participants":null"#));
    }
    assert!(driver.said().is_empty());
    assert_eq!(driver.stream.take_unreadable().total(), 6);
    driver.hear(SIGNALING, &event(2, r#","user_id":7.0"#));
    assert_eq!(driver.said(), ["entry active_speaker"]);
}
