//! The database goes away while a meeting runs.

use std::time::Duration;

use rtmsd::simulator::MeetingAction;
use tokio::time::sleep;

use crate::support::kit::{Home, Log, Scene, endless, eventually, real, stopped, zoom};
use crate::support::{postgres, proxy::Proxy};

const LINE_MS: u32 = 100;
const OUTAGE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn ten_seconds_without_the_database_cost_nothing() {
    let mut proxy = Proxy::open().await;
    let url = proxy.url(&postgres::fresh_database().await);
    let home = Home::sqlite().set("DATABASE_URL", &url).set("MEDIA_TYPES", "transcript,audio");
    let mut settings = zoom(endless(LINE_MS));
    // Zoom waits long enough for the stream that is announced in the outage.
    settings.timings.signaling_window_ms = real(30_000);
    let scene = Scene::open(home, settings).await;
    scene.live().await;
    let before = scene.log.lines(3).await.of("transcript").len();
    let late = Log::of_session(scene.daemon.api(), scene.log.session_id().to_owned());
    late.lines(3).await;

    proxy.shut().await;
    assert_eq!(scene.zoom.post.send(&stopped("another", 6)).await, 503);
    // Zoom repeats the webhook of a meeting that begins now until it is accepted.
    scene.zoom.simulator.announce().unwrap();
    sleep(OUTAGE).await;
    let answered = scene.zoom.simulator.report().streams[0].keep_alives.answered;
    assert!(answered > 10, "{answered} keep-alives answered");
    proxy.reopen().await;

    let second = eventually("the second stream is announced", async || {
        scene.zoom.simulator.report().streams.get(1).cloned()
    });
    let second = second.await.instance_id;
    let second = scene.daemon.api().session_of(&second).await;
    scene.daemon.api().reaches(&second, "live").await;
    let meeting = &scene.zoom.simulator.live_meetings()[0];
    scene.zoom.simulator.perform(meeting, MeetingAction::Stop { reason: 6 }).await.unwrap();
    let page = scene.log.entries("ended", 1).await;
    page.assert_numbered();
    let sent = scene.zoom.simulator.report().streams[0].clone();
    assert_eq!(page.assert_chatter() as u64, sent.media["transcript"].frames);
    assert!(page.of("transcript").len() > before + 90, "lines went on in the outage");
    assert!(page.of("entries_lost").is_empty());
    assert_eq!((sent.signaling_handshakes, sent.media_handshakes), (1, 2));
    assert_eq!(late.entries("ended", 1).await.entries, page.entries);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_store_that_hangs_delays_no_keep_alive_and_loses_no_link() {
    let mut proxy = Proxy::open().await;
    let url = proxy.url(&postgres::fresh_database().await);
    let home = Home::sqlite().set("DATABASE_URL", &url).set("MEDIA_TYPES", "transcript,audio");
    let scene = Scene::open(home, zoom(endless(LINE_MS))).await;
    scene.live().await;
    proxy.stall();
    // Three that are not answered cost the link, and two seconds have four on each.
    let before = scene.zoom.stream().keep_alives;
    let stream = eventually("every link was asked again and again, and answered", async || {
        let stream = scene.zoom.stream();
        let asked = stream.keep_alives.sent - before.sent;
        (asked >= 30 && stream.keep_alives.answered == stream.keep_alives.sent).then_some(stream)
    })
    .await;
    assert_eq!((stream.keep_alives.timeouts, stream.lost_links), (0, 0));
    proxy.shut().await;
    proxy.reopen().await;
    scene.all_lines().await;
    scene.log.page().assert_chatter();
    scene.zoom.close_clean().await;
}
