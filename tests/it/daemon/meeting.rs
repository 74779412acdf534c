//! A meeting without faults: everything arrives once, in order, and adds up.

use rtmsd::simulator::{Quirk, Settings};
use serde_json::{Value, json};

use crate::support::kit::{Home, Page, Scene, chatter, script, zoom};

const LINES: u32 = 40;

/// Two minutes in which everything happens that there is an event for, played 30 times as fast.
fn busy() -> Settings {
    let mut timeline = chatter(LINES, 3_000);
    for (at_ms, what) in [
        (60_000, json!({"join": "chidi"})),
        (61_000, json!({"chat": {"who": "bo", "text": "first <b>chat</b>"}})),
        (62_000, json!({"share_start": "ana"})),
        (63_000, json!({"video_on": "bo"})),
        (80_000, json!({"chat": {"who": "chidi", "text": "second\n\"chat\" \u{1f44b}"}})),
        (90_000, json!({"video_off": "bo"})),
        (91_000, json!({"share_stop": {}})),
        (92_000, json!({"leave": "chidi"})),
    ] {
        let mut item = what;
        item["at_ms"] = at_ms.into();
        timeline.push(item);
    }
    Settings { speed: 30.0, ..zoom(script(timeline, 121_000)) }
}

async fn plays(scene: Scene) {
    let page = scene.log.over().await;
    let stream = scene.ended().await;
    assert_eq!(stream.end(), ("stopped", Some(6)));
    page.assert_numbered();
    assert_lines(&page, scene.zoom.medium("transcript").frames);
    assert_happenings(&page);
    assert_tallies(&scene, &serde_json::to_value(stream.tally).unwrap());
    scene.zoom.close_clean().await;
}

/// Zoom keeps no transcript for who is not there yet: what it sent are the last lines of the script.
fn assert_lines(page: &Page, sent: u64) {
    let script: Vec<String> = (0..LINES).map(|index| format!("line {index}")).collect();
    let sent = usize::try_from(sent).unwrap();
    assert!(sent > script.len() / 2, "only {sent} lines were sent");
    assert_eq!(page.texts(), script[script.len() - sent..]);
    for line in page.of("transcript") {
        let number: u32 = line["text"].as_str().unwrap()["line ".len()..].parse().unwrap();
        let speaker = if number.is_multiple_of(2) { "Ana Silva" } else { "Bo" };
        assert_eq!(line["user_name"], speaker);
        let length_ms = line["end_ms"].as_i64().unwrap() - line["start_ms"].as_i64().unwrap();
        assert_eq!(length_ms, 3_000);
    }
}

fn assert_happenings(page: &Page) {
    let names = |kind: &str| -> Vec<Value> {
        page.of(kind).iter().map(|entry| entry["user_name"].clone()).collect()
    };
    let chats: Vec<_> = page.of("chat").iter().map(|chat| chat["text"].clone()).collect();
    assert_eq!(chats, ["first <b>chat</b>", "second\n\"chat\" \u{1f44b}"]);
    assert_eq!(names("participant_joined"), ["Ana Silva", "Bo", "Chidi"]);
    // At the end everybody leaves; only then without a name from Zoom, and with ours.
    assert_eq!(names("participant_left"), ["Chidi", "Ana Silva", "Bo"]);
    assert_eq!(names("sharing_started"), ["Ana Silva"]);
    assert_eq!(page.of("sharing_stopped").len(), 1);
    assert_eq!((names("video_on"), names("video_off")), (vec!["Bo".into()], vec!["Bo".into()]));
    let speakers = names("active_speaker");
    assert!(speakers.len() > LINES as usize / 2);
    assert!(speakers.windows(2).all(|pair| pair[0] != pair[1]), "{speakers:?}");
    assert_eq!(page.of("first_packet").len(), 1);
    let mut states: Vec<_> = page.of("stream_state").iter().map(|s| s["state"].clone()).collect();
    // A medium that joins late gets an answer to its own message 7.
    states.dedup();
    assert_eq!(states, ["active", "terminating", "terminated"]);
    assert_eq!(page.of("ended").len(), 1);
    assert_eq!(page.entries.last().unwrap()["kind"], "ended");
}

/// What the daemon counted, medium by medium, is what the simulator sent.
fn assert_tallies(scene: &Scene, tally: &Value) {
    for medium in ["audio", "video", "share", "transcript", "chat"] {
        let (sent, counted) = (scene.zoom.medium(medium), &tally[medium]);
        assert_eq!(sent.dropped, 0, "{medium}");
        assert!(sent.frames > 0, "{medium}");
        assert_eq!(counted["frames"], sent.frames, "{medium}");
        assert_eq!(counted["bytes"], sent.bytes, "{medium}");
    }
}

#[tokio::test]
async fn a_meeting_over_one_socket_per_medium_is_complete_on_sqlite() {
    plays(Scene::open(Home::sqlite(), busy()).await).await;
}

#[tokio::test]
async fn a_meeting_over_one_socket_for_all_with_tls_is_complete_on_postgres() {
    let home = Home::postgres().await.set("MEDIA_SOCKET_CONNECTION_MODE", "unified");
    plays(Scene::open_tls(home, busy()).await).await;
}

#[tokio::test]
async fn a_meeting_in_binary_frames_is_complete() {
    let settings = Settings { quirks: vec![Quirk::BinaryFrames], ..busy() };
    plays(Scene::open(Home::sqlite(), settings).await).await;
}

#[tokio::test]
async fn a_meeting_in_fragmented_frames_is_complete() {
    let settings = Settings { quirks: vec![Quirk::FragmentedFrames], ..busy() };
    plays(Scene::open(Home::sqlite(), settings).await).await;
}
