//! A recording outlives the process that makes it.

use rtmsd::simulator::MeetingAction;

use super::kit::*;
use crate::support::kit::{Home, Log, Scene, TestDaemon, Zoom, endless, eventually, zoom};
use crate::support::process::Process;

const LINE_MS: u32 = 100;

fn home() -> Home {
    recording_of(Home::sqlite(), "audio,transcript")
}

/// Waits until so much sound has reached the disk.
async fn on_disk(home: &Home, bytes: u64) {
    eventually("sound is on disk", async || {
        let wavs =
            spooled(home).into_iter().filter(|path| path.extension().is_some_and(|e| e == "wav"));
        let size =
            |path: &std::path::PathBuf| std::fs::metadata(path).map_or(0, |about| about.len());
        (wavs.map(|path| size(&path)).sum::<u64>() > bytes).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_kill_leaves_playable_files_and_the_manifest_names_the_gap() {
    let home = home();
    let (process, api) = Process::serve(&home).await;
    let zoom = Zoom::open(zoom(endless(LINE_MS))).await;
    zoom.post.deliver_to(api.0);
    let stream = eventually("a stream", async || zoom.simulator.report().streams.pop()).await;
    let log = Log::follow(api, &stream.instance_id).await;
    on_disk(&home, 100_000).await;
    process.signal("KILL");
    assert_eq!(process.ended().await.status.code(), None);
    for path in spooled(&home).iter().filter(|path| path.extension().is_some_and(|e| e == "wav")) {
        // As it lies there.
        probe(&std::fs::read(path).unwrap(), "killed.wav");
    }

    let (process, api) = Process::serve(&home).await;
    zoom.post.deliver_to(api.0);
    let log = log.moved_to(api);
    log.entries("picked_up", 1).await;
    let lines = log.page().of("transcript").len();
    log.lines(lines + 10).await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    log.over().await;
    let recorded = recorded(api, log.session_id(), "stored").await;
    let files = recorded.checked().await;
    let manifest = recorded.manifest().await;
    assert!(causes(&manifest, "audio").contains(&"daemon_restarted".to_owned()), "{manifest:#}");
    let mix = &files["1-audio-mix.wav"];
    let span = |file: &serde_json::Value| {
        let of = |name: &str| file[name].as_i64().unwrap();
        (of("last_ms") - of("first_ms")) as f64 / 1_000.0
    };
    let listed = recorded.view["files"].as_array().unwrap();
    let about = listed.iter().find(|file| file["file"] == "1-audio-mix.wav").unwrap();
    let duration_s = duration_s(&probe(mix, "mix.wav"));
    assert!((duration_s - span(about)).abs() < 0.1, "{duration_s} {about}");
    assert_eq!(manifest["part"], 1, "one recording, not two");
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

#[tokio::test]
async fn a_stop_and_a_start_make_one_recording() {
    let Scene { home, daemon, zoom, log } = Scene::open(home(), zoom(endless(LINE_MS))).await;
    on_disk(&home, 50_000).await;
    daemon.stop().await;
    let daemon = TestDaemon::start(&home).await;
    zoom.post.deliver_to(daemon.address);
    let log = log.moved_to(daemon.api());
    log.entries("picked_up", 1).await;
    let lines = log.page().of("transcript").len();
    log.lines(lines + 10).await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    log.over().await;
    let recorded = recorded(daemon.api(), log.session_id(), "stored").await;
    let files = recorded.checked().await;
    let voices = files.iter().filter(|(name, _)| name.starts_with("1-audio-16"));
    let heard: usize = voices.map(|(_, wav)| sounding_frames(wav)).sum();
    // What Zoom sent while no daemon ran is lost, or is sent again to the next one.
    assert!(heard > 100 && heard as u64 <= zoom.medium("audio").frames, "{heard}");
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_recording_of_a_stream_that_ended_while_no_daemon_ran_is_stored_at_the_next_start() {
    let Scene { home, daemon, zoom, log } = Scene::open(home(), zoom(endless(LINE_MS))).await;
    // More bytes than the voice tracks can have before the first sync, which writes the mix.
    on_disk(&home, 150_000).await;
    daemon.kill().await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let daemon = TestDaemon::start(&home).await;
    zoom.post.deliver_to(daemon.address);
    let log = log.moved_to(daemon.api());
    let recorded = recorded(daemon.api(), log.session_id(), "stored").await;
    let files = recorded.checked().await;
    assert!(sounding_frames(&files["1-audio-mix.wav"]) > 50);
    eventually("the spool is empty", async || spooled(&home).is_empty().then_some(())).await;
}
