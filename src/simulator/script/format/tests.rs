//! The format of scripts: parsing, mistakes and their places.

use serde_json::{Value, json};

use super::*;

fn script(timeline: Value) -> Result<Script, ScriptError> {
    let file = json!({
        "title": "T", "meeting_id": "91234567890", "account_id": "a", "host": "u",
        "people": [{"key": "ana", "user_id": 16778240, "name": "Ana \"A\" Silva"},
                   {"key": "bo", "user_id": 16779264, "name": "Bo"}],
        "timeline": timeline, "end": {"at_ms": 60000}
    });
    Script::parse(&file.to_string())
}

fn error_of(timeline: Value) -> String {
    script(timeline).unwrap_err().to_string()
}

#[test]
fn an_utterance_becomes_a_speak_cue_and_a_line_cue_at_its_end() {
    let script = script(json!([
        {"at_ms": 0, "join": "ana"},
        {"at_ms": 1500, "say": {"who": "ana", "text": "Hi.", "duration_ms": 1900}}
    ]))
    .unwrap();
    let times: Vec<u32> = script.cues.iter().map(|(at_ms, _)| *at_ms).collect();
    assert_eq!(times, [0, 1500, 3400]);
    assert!(matches!(script.cues[2].1, Cue::Line(0)));
    let fields = r#""user_id":16778240,"user_name":"Ana \"A\" Silva","#;
    assert_eq!(script.people[0].frame_fields, fields);
}

#[test]
fn utterances_written_out_of_order_are_played_in_order() {
    let script = script(json!([
        {"at_ms": 0, "join": "ana"},
        {"at_ms": 5000, "say": {"who": "ana", "text": "second", "duration_ms": 100}},
        {"at_ms": 1000, "say": {"who": "ana", "text": "first", "duration_ms": 100}}
    ]))
    .unwrap();
    assert_eq!(script.utterances[0].text, "first");
    assert!(matches!(script.cues[1], (1000, Cue::Speak(0))));
    assert!(matches!(script.cues[4], (5100, Cue::Line(1))));
}

#[test]
fn an_error_names_its_place_in_the_script() {
    let say = |who: &str| json!({"who": who, "text": "x", "duration_ms": 1});
    assert_eq!(
        error_of(json!([{"at_ms": 0, "join": "ana"}, {"at_ms": 1, "say": say("eve")}])),
        "timeline[1].say.who: is not a key in people"
    );
    assert_eq!(
        error_of(json!([{"at_ms": 7, "say": say("bo")}])),
        "timeline at_ms 7: bo is not in the meeting"
    );
    assert_eq!(error_of(json!([{"at_ms": 0}])), "timeline[0]: must hold exactly one event");
    assert!(error_of(json!([{"at_ms": 0, "jion": "ana"}])).contains("unknown field `jion`"));
    assert!(error_of(json!([{"at_ms": 90000, "join": "ana"}])).starts_with("end.at_ms: is before"));
}

#[test]
fn the_parties_of_an_engagement_are_identified_by_channel() {
    let engagement = |people: Value, timeline: Value| {
        let file = json!({
            "title": "T", "product": "contact_center", "meeting_id": "91234567890",
            "account_id": "a", "host": "u", "people": people, "timeline": timeline,
            "end": {"at_ms": 60000}
        });
        Script::parse(&file.to_string())
    };
    let agent = json!({"key": "ana", "user_id": 1, "name": "Ana", "channel_id": "c\"1"});
    let other = json!({"key": "cat", "user_id": 2, "name": ""});
    let pressed = json!({"at_ms": 0, "engagement": {"who": "cat", "event_type": 34}});
    let script = engagement(json!([agent, other]), json!([pressed])).unwrap();
    assert_eq!(script.people[0].frame_fields, r#""channel_id":"c\"1","#);
    assert_eq!(script.people[1].channel_id.as_deref(), Some("cat"));
    assert!(script.people[1].party().get("display_name").is_none());
    assert!(matches!(script.ending, Ending::At { stop_reason: 21, .. }), "the customer left");
    let same = json!({"key": "x", "user_id": 3, "name": "X", "channel_id": "c\"1"});
    let error = engagement(json!([agent, same]), json!([])).unwrap_err().to_string();
    assert_eq!(error, "people[1].channel_id: is used twice");
    let other = error_of(json!([{"at_ms": 0, "engagement": {"who": "bo", "event_type": 34}}]));
    assert_eq!(other, "timeline[0].engagement: is only allowed with product contact_center");
}

#[test]
fn an_audio_file_outside_of_the_scripts_folder_is_refused() {
    for name in ["../x.al", "/etc/x.al", "", ".x"] {
        let say = json!({"who": "ana", "text": "x", "audio": name, "duration_ms": 1});
        let text = error_of(json!([{"at_ms": 0, "join": "ana"}, {"at_ms": 0, "say": say}]));
        assert!(text.starts_with("timeline[1].say.audio"), "{text}");
    }
}

#[test]
fn faults_become_verb_cues() {
    let script = script(json!([
        {"at_ms": 0, "join": "ana"},
        {"at_ms": 1, "fault": {"kind": "cut", "link": "signaling"}},
        {"at_ms": 2, "fault": {"kind": "fail_over"}}
    ]))
    .unwrap();
    assert!(matches!(script.cues[1].1, Cue::Action(MeetingAction::Cut { .. })));
    assert!(matches!(script.cues[2].1, Cue::Action(MeetingAction::FailOver)));
}

#[test]
fn the_built_in_script_parses_and_every_line_has_a_recorded_voice() {
    let script = Script::built_in();
    assert!(script.utterances.iter().all(|utterance| matches!(utterance.voice, Voice::Clip(_))));
}
