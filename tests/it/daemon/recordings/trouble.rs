//! Failures of recordings affect neither streams nor other consumers.

use rtmsd::simulator::{CutKind, LinkName, MeetingAction};
use rtmsd::store::Location;
use serde_json::Value;

use super::kit::*;
use crate::support::kit::{Home, Log, Scene, endless, eventually, zoom};
use crate::support::raw::Raw;

const LINE_MS: u32 = 100;

async fn ledger(scene: &Scene) -> Vec<Value> {
    let path = format!("/api/v1/sdk/sessions/{}/ledger", scene.log.session_id());
    let answer = scene.daemon.api().get(&path).await.unwrap().json();
    answer["data"]["streams"][0]["media"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_full_spool_is_a_gap_in_the_ledger_and_the_stream_lives_on() {
    let home = recording_of(Home::sqlite(), "audio,transcript")
        .set("AUDIO_SAMPLE_RATE", "48000")
        .set("AUDIO_CHANNELS", "stereo")
        .set("RECORDINGS_SPOOL_BYTES", "1048576");
    let scene = Scene::open(home, zoom(endless(LINE_MS))).await;
    scene.live().await;
    let overflow = async || {
        let entries = scene.log.page().of("gap").into_iter().cloned().collect::<Vec<_>>();
        let media = ledger(&scene).await;
        let audio = media.into_iter().find(|account| account["medium"] == "audio")?;
        let is_open = audio["open_gap"]["cause"] == "sink_overflow";
        (is_open || entries.iter().any(|gap| gap["cause"] == "sink_overflow")).then_some(())
    };
    // The ledger of a live stream is stored every ten seconds.
    eventually("the ledger says that there is no room", overflow).await;
    let lines = scene.log.page().of("transcript").len();
    scene.log.lines(lines + 5).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    scene.log.over().await;
    let recorded = recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    let files = recorded.checked().await;
    let manifest = recorded.manifest().await;
    assert!(causes(&manifest, "audio").contains(&"sink_overflow".to_owned()), "{manifest:#}");
    assert!(!causes(&manifest, "transcript").contains(&"sink_overflow".to_owned()));
    probe(&files["1-audio-mix.wav"], "mix.wav");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_cut_a_pause_and_a_failover_are_silence_and_everything_stays_in_its_place() {
    let home = recording_of(Home::sqlite(), "audio,transcript");
    let scene = Scene::open(home, zoom(endless(LINE_MS))).await;
    scene.live().await;
    scene.log.lines(5).await;
    scene.zoom.perform(MeetingAction::Cut { link: LinkName::Audio, how: CutKind::Reset }).await;
    scene.log.entries("gap", 1).await;
    scene.live().await;
    scene.pauses_and_fails_over().await;
    let lines = scene.log.page().of("transcript").len();
    scene.log.lines(lines + 10).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    scene.log.over().await;
    let recorded = recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    let files = recorded.checked().await;
    let manifest = recorded.manifest().await;
    let causes = causes(&manifest, "audio");
    assert!(causes.contains(&"link_lost".to_owned()), "{causes:?}");
    assert!(causes.contains(&"paused".to_owned()), "{causes:?}");
    assert!(causes.contains(&"failover".to_owned()), "{causes:?}");
    let heard = sounding_frames(&files["1-audio-mix.wav"]);
    assert!(heard > 50, "{heard}");
    let stream = scene.stream().await;
    let frames = &manifest["frames"];
    let received = stream.tally.audio.frames;
    assert_eq!(frames["written"], received, "what was received is in the files: {frames}");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn what_is_revoked_is_deleted() {
    let home = recording_of(Home::sqlite(), "audio,transcript");
    let scene = Scene::open(home, zoom(endless(LINE_MS))).await;
    scene.log.lines(10).await;
    recorded(scene.daemon.api(), scene.log.session_id(), "recording").await;
    scene.zoom.perform(MeetingAction::Stop { reason: 8 }).await;
    scene.log.entries("ended", 1).await;
    eventually("the spool is empty", async || spooled(&scene.home).is_empty().then_some(())).await;
    let path = format!("/api/v1/sdk/sessions/{}/recordings", scene.log.session_id());
    let list = scene.daemon.api().get(&path).await.unwrap().json();
    assert_eq!(list["data"]["recordings"], serde_json::json!([]));
    assert_eq!(files_below(&folder(&scene.home)), Vec::<std::path::PathBuf>::new());
    scene.zoom.close_clean().await;
}

/// A recording's end must not be retried endlessly over an unreadable entry, which would never free its spool.
#[tokio::test]
async fn a_row_that_cannot_be_read_ends_neither_events_nor_transcript_nor_recording() {
    let home = recording_of(Home::sqlite(), "audio,transcript");
    let scene = Scene::open(home, zoom(endless(LINE_MS))).await;
    scene.live().await;
    scene.log.lines(5).await;
    let file = scene.home.folder().join("data/rtmsd.db");
    let mut raw = Raw::connect(&Location::Sqlite(file)).await;
    raw.execute("UPDATE entries SET body = '{\"kind\":\"transcript\",\"text\":[[[' WHERE kind = 'transcript' AND seq = (SELECT MIN(seq) FROM entries WHERE kind = 'transcript')").await;
    raw.execute("UPDATE entries SET body = '[' WHERE kind = 'link_up'").await;
    scene.log.lines(8).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let heard = scene.log.over().await;
    let id = scene.log.session_id();
    let again = Log::of_session(scene.daemon.api(), id.to_owned()).over().await;
    assert_eq!(again.entries.len(), heard.entries.len(), "no number is missing");
    assert_eq!(again.of("transcript").len() + 1, heard.of("transcript").len());
    assert_eq!(again.of("not_kept")[0]["what"], "link_up");
    let path = format!("/api/v1/sdk/sessions/{id}/transcript");
    let answer = scene.daemon.api().get(&path).await.unwrap();
    let lines = answer.json()["data"]["lines"].as_array().unwrap().len();
    assert_eq!((answer.status, lines), (200, again.of("transcript").len()));
    let recorded = recorded(scene.daemon.api(), id, "stored").await;
    recorded.checked().await;
    let text = recorded.text("1-transcript.jsonl").await;
    assert_eq!(text.lines().count(), lines);
    eventually("the spool is empty", async || spooled(&scene.home).is_empty().then_some(())).await;
    scene.zoom.close_clean().await;
}
