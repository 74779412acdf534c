//! What becomes of live streams when the daemon stops, and of those it left when it starts again.

use rtmsd::simulator::MeetingAction;

use crate::support::kit::{Home, Scene, TestDaemon, endless, zoom};

const LINE_MS: u32 = 100;

async fn live(home: Home) -> Scene {
    let scene =
        Scene::open(home.set("MEDIA_TYPES", "transcript,audio"), zoom(endless(LINE_MS))).await;
    scene.live().await;
    scene.log.lines(3).await;
    scene
}

async fn is_picked_up_again(home: Home) {
    let Scene { home, daemon, zoom, log } = live(home).await;
    // It would come again when the stream is back, and have it rebuilt once more.
    zoom.post.lose("meeting.rtms_interrupted");
    daemon.stop().await;
    // A Close frame on signaling would have ended it with reason 20.
    let left = zoom.stream();
    assert_eq!((left.stop_reason, left.signaling_handshakes), (None, 1));

    let daemon = TestDaemon::start(&home).await;
    zoom.post.deliver_to(daemon.address);
    let log = log.moved_to(daemon.api());
    let page = log.until("the stream is picked up", |page| page.of("picked_up").len() == 1).await;
    let before = page.assert_chatter();
    log.lines(before + 5).await.assert_chatter();
    let stream = zoom.stream();
    assert_eq!((stream.stop_reason, stream.signaling_handshakes), (None, 2));

    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let page = log.entries("ended", 1).await;
    page.assert_numbered();
    let tally = daemon.api().reaches(log.session_id(), "ended").await.tally;
    assert_eq!(tally.transcript.frames, page.of("transcript").len() as u64);
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_stream_that_is_left_goes_on_after_the_restart_on_sqlite() {
    is_picked_up_again(Home::sqlite()).await;
}

#[tokio::test]
async fn a_stream_that_is_left_goes_on_after_the_restart_on_postgres() {
    is_picked_up_again(Home::postgres().await).await;
}

#[tokio::test]
async fn a_stream_that_is_closed_has_ended_for_both_sides() {
    let home = Home::sqlite().set("SHUTDOWN_STREAMS", "close");
    let Scene { home, daemon, zoom, log } = live(home).await;
    daemon.stop().await;
    assert_eq!(zoom.stream().stop_reason, Some(20));

    let daemon = TestDaemon::start(&home).await;
    zoom.post.deliver_to(daemon.address);
    let log = log.moved_to(daemon.api());
    let stream = daemon.api().reaches(log.session_id(), "ended").await;
    assert_eq!(stream.end(), ("closed", Some(20)));
    let page = log.entries("ended", 1).await;
    page.assert_numbered();
    assert!(page.of("picked_up").is_empty());
    assert_eq!(zoom.stream().signaling_handshakes, 1);
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_stream_that_ended_while_the_daemon_was_down_is_finished_after_the_restart() {
    let Scene { home, daemon, zoom, log } = live(Home::sqlite()).await;
    daemon.stop().await;
    zoom.post.lose("meeting.rtms_stopped");
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let daemon = TestDaemon::start(&home).await;
    let log = log.moved_to(daemon.api());
    log.entries("ended", 1).await.assert_numbered();
    let stream = daemon.api().reaches(log.session_id(), "ended").await;
    assert_eq!(stream.end(), ("gone", None));
}
