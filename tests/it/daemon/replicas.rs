//! Two daemons on one Postgres: a stream has one runner, and a dead daemon's streams another.

use std::time::Duration;

use rtmsd::sessions::Leases;
use rtmsd::simulator::MeetingAction;

use crate::support::kit::{Home, Scene, TestDaemon, endless, eventually, zoom};

const LINE_MS: u32 = 100;
/// A batch interval of 20 ms, and what the commit and a busy machine may take beside it.
const MAX_LOST_LINES: usize = 500 / LINE_MS as usize;

async fn home() -> Home {
    let mut home = Home::postgres().await.set("MEDIA_TYPES", "transcript,audio");
    let (lease, poll_interval) = (Duration::from_millis(2_000), Duration::from_millis(200));
    home.leases =
        Leases { lease, poll_interval, place_interval: poll_interval, ..Leases::default() };
    home
}

#[tokio::test]
async fn one_daemon_runs_a_stream_and_the_other_takes_it_over_when_the_first_is_killed() {
    let Scene { home, daemon: first, zoom, log } =
        Scene::open(home().await, zoom(endless(LINE_MS))).await;
    let second = TestDaemon::start(&home).await;
    // Longer than a lease, which the first daemon therefore prolongs.
    log.lines(30).await;
    let stream = zoom.stream();
    assert_eq!((stream.signaling_handshakes, stream.refusals.len()), (1, 0));

    zoom.post.deliver_to(second.address);
    first.kill().await;
    let sent = usize::try_from(zoom.medium("transcript").frames).unwrap();
    let log = log.moved_to(second.api());
    let page = log.entries("picked_up", 1).await;
    let kept = page.assert_chatter();
    // The other daemon may have said more by now.
    let until = page.entries.iter().take_while(|entry| entry["kind"] != "picked_up");
    let first = until.filter(|entry| entry["kind"] == "transcript").count();
    assert!(sent - first <= MAX_LOST_LINES, "{} of {sent} lines are lost", sent - first);
    log.lines(kept + 10).await.assert_chatter();
    let stream = zoom.stream();
    assert_eq!((stream.signaling_handshakes, stream.refusals.len()), (2, 0));
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    log.entries("ended", 1).await.assert_numbered();
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_webhook_reaches_the_runner_through_whichever_daemon_took_it() {
    let scene = Scene::open(home().await, zoom(endless(LINE_MS))).await;
    let second = TestDaemon::start(&scene.home).await;
    scene.live().await;
    scene.zoom.post.deliver_to(second.address);
    scene.zoom.perform(MeetingAction::FailOver).await;
    eventually("the stream is live at the other server", async || {
        let stream = second.api().stream(scene.log.session_id()).await?;
        (stream.generation == 2 && stream.status == "live").then_some(())
    })
    .await;
    let known = scene.log.page().of("transcript").len();
    scene.log.lines(known + 3).await.assert_numbered();
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_subscriber_at_the_other_daemon_gets_every_entry_too() {
    let scene = Scene::open(home().await, zoom(endless(LINE_MS))).await;
    let second = TestDaemon::start(&scene.home).await;
    let there =
        crate::support::kit::Log::of_session(second.api(), scene.log.session_id().to_owned());
    there.lines(10).await.assert_numbered();
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let (here, there) = (scene.log.over().await, there.over().await);
    assert_eq!(here.entries, there.entries);
}
