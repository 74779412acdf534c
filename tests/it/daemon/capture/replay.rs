//! A capture played to a client.

use rtmsd::capture::event::{Event, Record};
use rtmsd::secret::Secret;
use rtmsd::simulator::{
    CutKind, LinkName, MeetingAction, ReplayReport, ReplaySettings, ZoomApp, replay,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::kit::*;
use crate::support::kit::{Home, Log, Page, Scene, TestDaemon, endless, zoom};
use crate::support::process::Process;

const AUDIO_RESET: (LinkName, CutKind) = (LinkName::Audio, CutKind::Reset);
const SIGNALING_DROP: (LinkName, CutKind) = (LinkName::Signaling, CutKind::Drop);

/// The stream of a meeting with these cuts.
async fn captured(mode: &str, cuts: &[(LinkName, CutKind)]) -> (Vec<u8>, Page) {
    let home = capturing(mode).set("MEDIA_TYPES", "audio,transcript,chat");
    let scene = Scene::open(home, zoom(endless(100))).await;
    scene.live().await;
    scene.log.lines(3).await;
    for &(link, how) in cuts {
        let links = scene.log.page().of("link_up").len();
        scene.zoom.perform(MeetingAction::Cut { link, how }).await;
        scene.log.entries("link_up", links + 1).await;
        scene.live().await;
    }
    let lines = scene.log.page().of("transcript").len();
    scene.log.lines(lines + 3).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    scene.ended().await;
    let page = scene.log.over().await;
    let file = stored(scene.daemon.api(), scene.log.session_id()).await;
    scene.zoom.close_clean().await;
    (file, page)
}

fn settings(url: String, speed: f64) -> ReplaySettings {
    ReplaySettings {
        app: ZoomApp {
            client_id: "demoClientId01".to_owned(),
            client_secret: Secret::new("demoClientSecret01".to_owned()),
            secret_token: Secret::new("demoSecretToken01".to_owned()),
            webhook_url: Some(url),
            is_server_to_server: false,
        },
        skip_url_validation: false,
        speed,
        shifts_times: false,
        port: 0,
        tls_dir: None,
        tls_host: "localhost".to_owned(),
    }
}

async fn played(file: &[u8], home: &Home, speed: f64) -> (ReplayReport, Page) {
    let folder = TempDir::new().unwrap();
    let path = write(folder.path(), file);
    let daemon = TestDaemon::start(home).await;
    let settings = settings(format!("http://{}/webhook", daemon.address), speed);
    let report = replay(&path, settings, CancellationToken::new(), |_| {}).await.unwrap();
    let instance_id = read(file).0.instance_id;
    let log = Log::follow(daemon.api(), &instance_id).await;
    (report, log.over().await)
}

fn causes(page: &Page) -> Vec<&Value> {
    page.of("gap").iter().map(|gap| &gap["cause"]).collect()
}

/// The frames and bytes of audio in the summary.
fn audio_totals(page: &Page) -> (u64, u64) {
    let summaries = page.of("summary");
    let audio = summaries.iter().find(|summary| summary["medium"] == "audio").unwrap();
    (audio["frames"].as_u64().unwrap(), audio["bytes"].as_u64().unwrap())
}

/// The ups and downs of each link in their order, link by link: links that open or close in the same moment may be seen in
/// another order.
fn by_link(links: &[String]) -> Vec<&String> {
    let mut links: Vec<&String> = links.iter().collect();
    links.sort_by_key(|link| &link[1..]);
    links
}

#[tokio::test]
async fn a_replay_to_the_daemon_has_the_same_lines_gaps_and_end() {
    let (file, first) = captured("all", &[AUDIO_RESET, SIGNALING_DROP]).await;
    let is_webhook = |record: &&Record| matches!(record.event, Event::Webhook { .. });
    let webhooks = read(&file).1.iter().filter(is_webhook).count() as u64;
    for speed in [1.0, 4.0] {
        let home = Home::sqlite().set("MEDIA_TYPES", "audio,transcript,chat");
        let (report, again) = played(&file, &home, speed).await;
        assert_eq!(again.texts(), first.texts(), "{report:?}");
        // On a busy machine the daemon may see its three media links end before the stream does, and dial each once more.
        assert!(report.refused <= 3, "{report:?}");
        assert!(report.faults >= 2, "{report:?}");
        assert_eq!(report.webhooks, webhooks, "{report:?}");
        let (links, had) = (again.links(), first.links());
        let links = &links[..had.len().min(links.len())];
        // The file may have such a dial of one link that the replay does not repeat; the rest is the same.
        assert!(links.len() + 2 >= had.len(), "{links:?} instead of {had:?}");
        let mut expected = by_link(&had).into_iter();
        let is_there = by_link(links).into_iter().all(|link| expected.any(|other| other == link));
        assert!(is_there, "{links:?} instead of {had:?}");
        assert_eq!(again.of("ended")[0]["outcome"], first.of("ended")[0]["outcome"]);
        assert!(!causes(&again).is_empty());
    }
}

#[tokio::test]
async fn a_capture_without_content_replays_frames_of_the_same_size() {
    let (file, first) = captured("signaling", &[AUDIO_RESET]).await;
    let home = Home::sqlite().set("MEDIA_TYPES", "audio,transcript,chat");
    let (report, again) = played(&file, &home, 4.0).await;
    assert_eq!(again.texts().len(), first.texts().len(), "{report:?}");
    assert!(audio_totals(&first).0 > 0);
    assert_eq!(audio_totals(&again), audio_totals(&first), "{report:?}");
    assert_eq!(report.unsent, 0, "{report:?}");
}

/// At 100 times the speed, the losses and the end would come before the client dials again if the replay did not pause.
#[tokio::test]
async fn a_replay_pauses_for_a_client_that_is_late_to_open_a_link() {
    let (file, first) = captured("all", &[AUDIO_RESET, AUDIO_RESET]).await;
    let opened = |record: &&Record| matches!(record.event, Event::Opened { .. });
    let sockets = read(&file).1.iter().filter(opened).count() as u64;
    let home = Home::sqlite().set("MEDIA_TYPES", "audio,transcript,chat");
    let (report, again) = played(&file, &home, 100.0).await;
    assert_eq!(again.texts(), first.texts(), "{report:?}");
    assert_eq!((report.sockets, report.unsent), (sockets, 0), "{report:?}");
    assert!(report.paused_ms > 0, "{report:?}");
}

/// The file's daemon dialed audio first.
#[tokio::test]
async fn a_client_without_the_first_medium_of_the_file_is_not_waited_for() {
    let (file, first) = captured("all", &[AUDIO_RESET]).await;
    let home = Home::sqlite().set("MEDIA_TYPES", "transcript,chat");
    let (report, again) = played(&file, &home, 4.0).await;
    assert_eq!(again.texts(), first.texts(), "{report:?}");
    assert!(report.paused_ms < 5_000, "{report:?}");
}

#[tokio::test]
async fn a_client_with_one_socket_gets_what_came_on_several() {
    let (file, first) = captured("all", &[AUDIO_RESET, SIGNALING_DROP]).await;
    let home = Home::sqlite()
        .set("MEDIA_TYPES", "audio,transcript,chat")
        .set("MEDIA_SOCKET_CONNECTION_MODE", "unified");
    let (report, again) = played(&file, &home, 4.0).await;
    assert_eq!(again.texts(), first.texts(), "{report:?}");
}

#[tokio::test]
async fn the_command_names_what_is_wrong_with_a_file() {
    let folder = TempDir::new().unwrap();
    let none = write(folder.path(), b"not a capture");
    let run = |args: &[&str]| Process::spawn(args, &[], folder.path());
    let name = none.to_str().unwrap();
    let ended = run(&["replay", name, "--check"]).ended().await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.err.contains("not a capture of rtmsd"), "{ended:?}");
    let ended = run(&["replay", name, "--webhook-url", "http://127.0.0.1:1/"]).ended().await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.err.contains("not a capture of rtmsd"), "{ended:?}");
    let ended = run(&["replay", name]).ended().await;
    assert_eq!(ended.code(), 2, "one of --check and --webhook-url is needed: {ended:?}");
}
