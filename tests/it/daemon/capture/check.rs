//! A captured run makes the same log again.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rtmsd::simulator::{CutKind, LinkName, MeetingAction};
use serde_json::json;

use super::kit::*;
use crate::daemon::peer::{Peer, PeerSocket};
use crate::support::kit::{
    Home, Log, Scene, TestDaemon, Zoom, chatter, endless, eventually, script, send_webhook,
    started, stopped, zoom,
};
use crate::support::process::Process;

#[tokio::test]
async fn a_run_with_cuts_a_pause_and_a_failover_makes_the_same_log_to_the_byte() {
    let scene = Scene::open(capturing("all"), zoom(endless(100))).await;
    scene.live().await;
    scene.log.lines(3).await;
    for how in [CutKind::Reset, CutKind::Close] {
        let links = scene.log.page().of("link_up").len();
        scene.zoom.perform(MeetingAction::Cut { link: LinkName::Audio, how }).await;
        scene.log.entries("link_up", links + 1).await;
        scene.live().await;
    }
    scene.pauses_and_fails_over().await;
    let lines = scene.log.page().of("transcript").len();
    scene.log.lines(lines + 3).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    scene.ended().await;
    let file = stored(scene.daemon.api(), scene.log.session_id()).await;
    let page = assert_same(&file, scene.daemon.api(), &scene.log).await;
    assert!(page.of("gap").len() > 1, "{:#?}", page.outline());
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn one_socket_with_every_medium_makes_the_same_log() {
    let home = capturing("all").set("MEDIA_SOCKET_CONNECTION_MODE", "unified");
    let mut timeline = chatter(1_000, 200);
    timeline.extend(
        (0..600).map(|n| json!({"at_ms": 300 * n, "chat": {"who": "bo", "text": "hello"}})),
    );
    timeline.extend([
        json!({"at_ms": 100, "video_on": "ana"}),
        json!({"at_ms": 500, "share_start": "bo"}),
        json!({"at_ms": 900, "share_stop": {}}),
        json!({"at_ms": 950, "join": "chidi"}),
    ]);
    let scene = Scene::open(home, zoom(script(timeline, 600_000))).await;
    scene.log.entries("chat", 1).await;
    scene.log.lines(3).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    scene.ended().await;
    let file = stored(scene.daemon.api(), scene.log.session_id()).await;
    let page = assert_same(&file, scene.daemon.api(), &scene.log).await;
    assert!(!page.of("chat").is_empty());
    scene.zoom.close_clean().await;
}

/// A stream whose links the test serves: its log, and the socket of its media.
async fn joined(daemon: &TestDaemon, stream: &str) -> (Log, PeerSocket) {
    let (mut signaling, mut media) = (Peer::listen().await, Peer::listen().await);
    assert_eq!(send_webhook(daemon.address, &started(stream, &signaling.url())).await, 200);
    let log = Log::follow(daemon.api(), stream).await;
    let mut first = signaling.accept().await;
    first.welcome(&media.url()).await;
    let mut second = media.accept().await;
    assert_eq!(second.hear().await["msg_type"], 3);
    second.say(&json!({ "msg_type": 4, "status_code": 0, "media_params": {} })).await;
    log.entries("link_up", 2).await;
    // It stays open for as long as the test runs.
    std::mem::forget(first);
    (log, second)
}

/// Messages that cannot be read, a field of a wrong type, and bytes that are no text.
#[tokio::test]
async fn what_cannot_be_read_is_in_the_file_as_it_came_and_costs_the_same_again() {
    for mode in ["all", "signaling"] {
        let mut home = capturing(mode).set("MEDIA_SOCKET_CONNECTION_MODE", "unified");
        // The test's peer sends no keep-alives.
        home.timings.silence = Duration::from_secs(60);
        let daemon = TestDaemon::start(&home).await;
        let (log, mut second) = joined(&daemon, "odd").await;
        for bytes in [
            &b"{\"msg_type\":17,\"content\":{\"user_id\":7,\"user_name\":\"Ana \xf0\x9f\",\"data\":\"cut\"}}"[..],
            b"\xff\xfe\xfd",
            b"{\"msg_type\":17,\"content\":{\"data\":\"never ends",
            br#"{"msg_type":14,"content":{"data":null}}"#,
            br#"{"msg_type":17,"content":{"data":"good","language":"fr-FR"}}"#,
            br#"{"msg_type":999,"content":{"data":"private"}}"#,
        ] {
            second.say_bytes(bytes).await;
        }
        log.lines(2).await;
        assert_eq!(send_webhook(daemon.address, &stopped("odd", 6)).await, 200);
        log.entries("ended", 1).await;
        let file = stored(daemon.api(), log.session_id()).await;
        match mode {
            "all" => drop(assert_same(&file, daemon.api(), &log).await),
            _ => {
                let text = text(&file);
                assert!(!["private", "never ends", "good"].iter().any(|word| text.contains(word)));
                let (entries, accounts, checked) = checked(&file);
                assert_eq!(checked.difference_count, 0, "{:?}", checked.differences);
                let kinds: Vec<_> = entries.iter().map(|entry| &entry["kind"]).collect();
                let page = log.over().await;
                let expected: Vec<_> = page.entries.iter().map(|entry| &entry["kind"]).collect();
                assert_eq!(kinds, expected);
                assert_eq!(accounts.len(), ledger(daemon.api(), &log).await.len());
            }
        }
    }
}

#[tokio::test]
async fn a_killed_process_leaves_a_file_that_is_read_and_the_next_one_continues_it() {
    let home = capturing("all").set("MEDIA_TYPES", "audio,transcript");
    let (process, api) = Process::serve(&home).await;
    let zoom = Zoom::open(zoom(endless(100))).await;
    zoom.post.deliver_to(api.0);
    let stream = eventually("a stream", async || zoom.simulator.report().streams.pop()).await;
    let log = Log::follow(api, &stream.instance_id).await;
    log.lines(3).await;
    let killed = eventually("lines are on disk", async || {
        let path = in_spool(&home).pop()?;
        let file = std::fs::read(path).ok()?;
        (rtmsd::capture::reader::Reader::open(&*file).is_ok() && text(&file).contains("\\\"line "))
            .then_some(())
    });
    killed.await;
    process.signal("KILL");
    assert_eq!(process.ended().await.status.code(), None);
    let file = std::fs::read(&in_spool(&home)[0]).unwrap();
    let (entries, _, checked) = checked(&file);
    assert!(entries.iter().any(|entry| entry["kind"] == "transcript"), "{checked:?}");
    assert_eq!(checked.runs, 1);

    let (process, api) = Process::serve(&home).await;
    zoom.post.deliver_to(api.0);
    let log = log.moved_to(api);
    log.entries("picked_up", 1).await;
    let lines = log.page().of("transcript").len();
    log.lines(lines + 3).await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let page = log.over().await;
    let file = stored(api, log.session_id()).await;
    let (entries, accounts, checked) = self::checked(&file);
    assert_eq!((checked.runs, checked.is_truncated), (2, false));
    // The second run is whole, and goes on with the numbers and the ledger of the store.
    let at = entries.iter().position(|entry| entry["kind"] == "picked_up").unwrap();
    let first = page.entries.iter().position(|entry| entry["kind"] == "picked_up").unwrap();
    assert_eq!(entries[at..], page.entries[first..]);
    assert_eq!(accounts, ledger(api, &log).await);
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

/// A message with a picture that does not shrink.
fn noise() -> String {
    let noise: Vec<u8> = (0..60_000).map(|_| rand::random()).collect();
    let data = BASE64_STANDARD.encode(noise);
    format!(r#"{{"msg_type":15,"content":{{"user_id":7,"data":"{data}"}}}}"#)
}

#[tokio::test]
async fn a_file_that_is_full_or_a_spool_that_is_costs_lines_and_never_the_stream() {
    for (name, why) in [("CAPTURE_BYTES", "size"), ("RECORDINGS_SPOOL_BYTES", "disk")] {
        let mut home: Home =
            capturing("all").set(name, "1048576").set("MEDIA_SOCKET_CONNECTION_MODE", "unified");
        home.timings.silence = Duration::from_secs(60);
        let daemon = TestDaemon::start(&home).await;
        let (log, mut media) = joined(&daemon, why).await;
        for number in 0..60 {
            media.say_bytes(noise().as_bytes()).await;
            let line = json!({"msg_type": 17, "content": {"user_id": 7, "data": "a line"}});
            media.say(&line).await;
            log.lines(number + 1).await;
        }
        assert_eq!(send_webhook(daemon.address, &stopped(why, 6)).await, 200);
        let page = log.over().await;
        assert_eq!((page.of("gap").len(), page.of("transcript").len()), (0, 60));
        let file = stored(daemon.api(), log.session_id()).await;
        let (_, _, checked) = checked(&file);
        assert!(checked.cut > 0, "{checked:?}");
        assert!(text(&file).contains(&format!("\"why\":\"{why}\"")));
        assert!(file.len() <= 1_048_576 + 100_000, "{}", file.len());
    }
}
