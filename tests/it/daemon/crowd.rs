//! Many meetings at once.

use std::time::Duration;

use rtmsd::simulator::{MeetingAction, Script, Settings};
use serde_json::json;

use crate::support::kit::{Home, TestDaemon, Zoom, eventually_within, real, script, zoom};

const MEETINGS: u32 = 200;
/// The time limit for 400 TLS handshakes of a debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// A few words a second: 2,000 frames a second in all, which a debug build can do.
fn few_words() -> Script {
    let say = |second: u32| {
        json!({"at_ms": second * 1_000,
               "say": {"who": "ana", "text": "few words", "duration_ms": 200}})
    };
    script((0..600).map(say).collect(), 600_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_meetings_over_wss_are_all_live_and_all_keep_alives_answered() {
    let mut settings = Settings { meetings: MEETINGS, ..zoom(few_words()) };
    settings.timings.keep_alive_ms = real(2_000);
    settings.timings.handshake_ms = real(60_000);
    settings.timings.signaling_window_ms = real(120_000);
    settings.timings.media_window_ms = real(120_000);
    let zoom = Zoom::open_tls(settings).await;
    let ca = zoom.simulator.tls_files().unwrap().ca.display().to_string();
    let mut home = Home::sqlite()
        .set("MEDIA_TYPES", "transcript,audio")
        .set("MEDIA_SOCKET_CONNECTION_MODE", "unified")
        .set("RTMS_CA_FILE", &ca);
    home.timings.dial = LIMIT;
    home.timings.handshake = LIMIT;
    home.timings.signaling_window = LIMIT;
    home.timings.media_window = LIMIT;
    home.timings.silence = LIMIT;
    let daemon = TestDaemon::start(&home).await;
    zoom.post.deliver_to(daemon.address);
    eventually_within(LIMIT, "all meetings are live", async || {
        let sessions = daemon.api().sessions().await;
        let live = sessions.iter().filter(|session| session["status"] == "live");
        (live.count() == MEETINGS as usize).then_some(())
    })
    .await;
    eventually_within(LIMIT, "every link was asked twice and answered", async || {
        let streams = zoom.simulator.report().streams;
        let good = |answered: u64, sent: u64| sent >= 4 && answered == sent;
        let good = streams.iter().filter(|s| good(s.keep_alives.answered, s.keep_alives.sent));
        (good.count() == MEETINGS as usize).then_some(())
    })
    .await;
    let report = zoom.simulator.report();
    for stream in &report.streams {
        assert_eq!((stream.signaling_handshakes, stream.media_handshakes), (1, 1));
        assert_eq!((stream.keep_alives.timeouts, stream.lost_links), (0, 0));
        assert!(stream.media["audio"].frames > 0 && stream.refusals.is_empty());
    }
    for meeting in zoom.simulator.live_meetings() {
        zoom.simulator.perform(&meeting, MeetingAction::End).await.unwrap();
    }
    eventually_within(LIMIT, "all meetings have ended", async || {
        let sessions = daemon.api().sessions().await;
        sessions.iter().all(|session| session["status"] == "ended").then_some(())
    })
    .await;
    zoom.close_clean().await;
}
