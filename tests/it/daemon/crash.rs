//! SIGKILL in the middle of a meeting.

use std::time::Duration;

use rtmsd::clock::now_ms;
use rtmsd::simulator::MeetingAction;
use rtmsd::store::{Location, Store};
use tokio::time::sleep;

use crate::store::webhooks::stopped;
use crate::support::kit::{Home, Log, Zoom, endless, zoom};
use crate::support::process::Process;

const LINE_MS: u32 = 50;
/// The default batch interval, in lines.
const BATCH_LINES: usize = 250 / LINE_MS as usize;
/// How long people speak while no daemon runs.
const UNHEARD: Duration = Duration::from_secs(1);
/// What the commit, and a busy machine, may take beside it.
const SLACK_LINES: usize = 500 / LINE_MS as usize;

/// A daemon that has received some lines of a meeting.
async fn in_a_meeting(home: &Home) -> (Process, Zoom, Log) {
    let (process, api) = Process::serve(home).await;
    let zoom = Zoom::open(zoom(endless(LINE_MS))).await;
    zoom.post.deliver_to(api.0);
    let log = Log::follow(api, &zoom.announced().await.instance_id).await;
    log.lines(40).await;
    (process, zoom, log)
}

#[tokio::test]
async fn a_kill_costs_at_most_the_last_batch_and_the_numbering_goes_on() {
    let home = Home::sqlite().set("ENTRY_BATCH_MS", "").set("MEDIA_TYPES", "transcript,audio");
    let (process, zoom, log) = in_a_meeting(&home).await;
    process.signal("KILL");
    let sent = usize::try_from(zoom.medium("transcript").frames).unwrap();
    assert_eq!(process.ended().await.status.code(), None);

    // A subscriber from before the kill and one that reads everything after it get the same entries.
    let (process, api) = Process::serve(&home).await;
    zoom.post.deliver_to(api.0);
    let (before, after) = (log.moved_to(api), Log::of_session(api, log.session_id().to_owned()));
    let page = after.entries("picked_up", 1).await;
    let picked_up = page.entries.iter().position(|entry| entry["kind"] == "picked_up").unwrap();
    let kept = page.entries[..picked_up].iter().filter(|e| e["kind"] == "transcript").count();
    let lost = sent.saturating_sub(kept);
    assert!(lost <= BATCH_LINES + SLACK_LINES, "{lost} of {sent} lines are lost");
    after.lines(kept + 10).await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let (before, after) = (before.over().await, after.over().await);
    assert_eq!(before.entries, after.entries);
    after.assert_numbered();
    after.assert_chatter();
    let stream = zoom.stream();
    assert_eq!((stream.stop_reason, stream.signaling_handshakes), (Some(6), 2));
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

#[tokio::test]
async fn a_stream_stopped_while_no_daemon_ran_has_a_gap_until_its_end() {
    let home = Home::sqlite().set("ENTRY_BATCH_MS", "").set("MEDIA_TYPES", "transcript");
    let (process, zoom, log) = in_a_meeting(&home).await;
    process.signal("KILL");
    assert_eq!(process.ended().await.status.code(), None);
    sleep(UNHEARD).await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;

    // Before the restart, so that the daemon finds the stop when it takes its stream.
    let location = Location::Sqlite(home.folder().join("data/rtmsd.db"));
    let store = Store::open(&location).await.unwrap();
    let stop = stopped(&zoom.stream().stream_id, now_ms(), Some(6));
    store.record_delivery(&stop).await.unwrap();
    store.close().await;
    let (process, api) = Process::serve(&home).await;
    let page = Log::of_session(api, log.session_id().to_owned()).over().await;
    page.assert_numbered();
    assert_eq!(page.of("ended").len(), 1, "{:#?}", page.outline());
    assert_eq!(page.entries.last().unwrap()["outcome"], "stopped");
    assert!(
        page.of("gap").iter().any(|gap| gap["medium"] == "transcript"),
        "{:#?}",
        page.outline()
    );
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}
