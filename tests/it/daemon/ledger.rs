//! Gaps in the log and in the ledger, and their causes.

use rtmsd::simulator::{CutKind, LinkName, MeetingAction};
use serde_json::Value;

use crate::support::kit::{Home, Log, Page, Scene, TestDaemon, endless, eventually, zoom};

const LINE_MS: u32 = 100;

async fn live() -> Scene {
    let home = Home::sqlite().set("MEDIA_TYPES", "transcript,audio");
    let scene = Scene::open(home, zoom(endless(LINE_MS))).await;
    scene.live().await;
    scene.log.lines(5).await;
    scene
}

/// Waits for a gap of the transcript, and returns its cause.
async fn gap(log: &Log) -> String {
    let is_transcript = |entry: &&Value| entry["medium"] == "transcript";
    let found = |page: &Page| page.of("gap").into_iter().find(is_transcript).cloned();
    let page = log.until("a gap is in the log", |page| found(page).is_some()).await;
    let gap = found(&page).unwrap();
    assert!(gap["start_ms"].as_i64() < gap["end_ms"].as_i64(), "{gap}");
    gap["cause"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_link_that_is_cut_is_link_lost() {
    let scene = live().await;
    let cut = MeetingAction::Cut { link: LinkName::Transcript, how: CutKind::Reset };
    scene.zoom.perform(cut).await;
    assert_eq!(gap(&scene.log).await, "link_lost");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_server_that_fails_is_failover() {
    let scene = live().await;
    scene.zoom.perform(MeetingAction::FailOver).await;
    assert_eq!(gap(&scene.log).await, "failover");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_pause_is_paused_and_the_ledger_says_at_the_end_that_nothing_was_lost() {
    let scene = live().await;
    scene.zoom.perform(MeetingAction::Pause).await;
    scene.daemon.api().reaches(scene.log.session_id(), "paused").await;
    scene.zoom.perform(MeetingAction::Resume).await;
    assert_eq!(gap(&scene.log).await, "paused");
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let page = scene.log.over().await;
    page.assert_numbered();
    assert_eq!(page.of("summary").len(), 2, "{:#?}", page.outline());
    let path = format!("/api/v1/sdk/sessions/{}/ledger", scene.log.session_id());
    let ledger = scene.daemon.api().get(&path).await.unwrap().json();
    let media = ledger["data"]["streams"][0]["media"].as_array().unwrap().clone();
    for medium in &media {
        // A media link may close before the word of the end has come on signaling.
        let lost_ms =
            medium["expected_ms"].as_i64().unwrap() - medium["covered_ms"].as_i64().unwrap();
        assert!(lost_ms <= 2 * i64::from(LINE_MS), "{medium}");
        assert!(medium["paused_ms"].as_i64() > Some(0), "{medium}");
        assert!(medium["frames"].as_u64() > Some(0), "{medium}");
    }
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_kill_is_daemon_restarted() {
    let Scene { home, daemon, zoom, log } = live().await;
    daemon.kill().await;
    let daemon = TestDaemon::start(&home).await;
    zoom.post.deliver_to(daemon.address);
    let log = log.moved_to(daemon.api());
    assert_eq!(gap(&log).await, "daemon_restarted");
    let sessions = eventually("the ledger is there", async || {
        let path = format!("/api/v1/sdk/sessions/{}/ledger", log.session_id());
        daemon.api().get(&path).await.filter(|answer| answer.status == 200)
    });
    let media = sessions.await.json()["data"]["streams"][0]["media"].take();
    assert_eq!(media.as_array().map(Vec::len), Some(2), "{media}");
}
