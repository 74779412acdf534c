//! Two daemons share a Postgres, and one is cut off from it or suspended while it runs a stream. Every line that Zoom
//! sent is stored once or lies in a gap, no number is assigned twice, and the stream ends when Zoom ends it.

#[path = "../../../benches/fence/entries.rs"]
pub(super) mod entries;

use std::time::Duration;

use rtmsd::sessions::Leases;
use rtmsd::simulator::{Duplicates, MeetingAction, Settings};
use tokio::time::sleep;

use self::entries::count_lines;
use super::chaos::run::account::{Ledger, Made, compare};
use crate::support::client::{exchange, head};
use crate::support::kit::{
    API_TOKEN, Api, Home, Log, Page, TestDaemon, Zoom, endless, eventually, real, zoom,
};
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::proxy::Proxy;

const LINE_MS: u32 = 100;
/// How long Zoom waits for a client that was disconnected.
const WINDOW: Duration = Duration::from_secs(60);
/// The lease of daemons inside the test process.
const LEASE: Duration = Duration::from_secs(2);
/// The lease of daemons that are processes of their own: the default.
const PROCESS_LEASE: Duration = Duration::from_secs(9);

fn home(database_url: &str) -> Home {
    let mut home = Home::sqlite()
        .set("DATABASE_URL", database_url)
        .set("API_TOKENS", &format!("tests:{API_TOKEN}:read+control+metrics"))
        .set("MEDIA_TYPES", "transcript,audio")
        .set("AUDIO_STREAMS", "mixed");
    // As long as Zoom's, see `settings`. A daemon without a lease dials anyway after a third of the first.
    (home.timings.signaling_window, home.timings.media_window) = (WINDOW, WINDOW);
    let interval = LEASE / 10;
    home.leases = Leases {
        lease: LEASE,
        poll_interval: interval,
        place_interval: interval,
        ..Leases::default()
    };
    home
}

fn settings(duplicates: Duplicates) -> Settings {
    let mut settings = zoom(endless(LINE_MS));
    settings.duplicates = duplicates;
    settings.remembers_frames = true;
    // The simulator uses the real Zoom's waits, so that it notices a suspended client as late.
    settings.timings.signaling_window_ms = real(WINDOW.as_millis() as u64);
    settings.timings.media_window_ms = real(WINDOW.as_millis() as u64);
    settings.timings.keep_alive_ms = real(8_000);
    settings
}

/// A stream, and its log at both daemons.
struct Watched {
    zoom: Zoom,
    first: Log,
    second: Log,
}

impl Watched {
    /// Opens a stream that the first daemon runs. Starts the second daemon afterwards, so that it cannot take the
    /// stream first, and sends it the webhooks from then on.
    async fn open(
        duplicates: Duplicates,
        first: Api,
        start_second: impl AsyncFnOnce() -> Api,
    ) -> Self {
        let zoom = Zoom::open(settings(duplicates)).await;
        zoom.post.deliver_to(first.0);
        let stream = zoom.announced().await;
        let log = Log::follow(first, &stream.instance_id).await;
        first.reaches(log.session_id(), "live").await;
        log.lines(5).await;
        let second = start_second().await;
        zoom.post.deliver_to(second.0);
        let there = Log::of_session(second, log.session_id().to_owned());
        Self { zoom, first: log, second: there }
    }

    /// Waits until the log has every line that was sent.
    async fn caught_up(&self) {
        let sent = usize::try_from(self.zoom.medium("transcript").frames).unwrap();
        self.first.lines(sent).await;
    }

    async fn until_sent(&self, lines: u64) {
        eventually("more lines are sent", async || {
            (self.zoom.medium("transcript").frames >= lines).then_some(())
        })
        .await;
    }

    /// Ends the meeting and compares everything stored with everything that Zoom sent. Returns the log and the number
    /// of lines that are missing, each inside a gap.
    async fn settle(&self, api: Api) -> (Page, usize) {
        self.until_sent(self.zoom.medium("transcript").frames + 10).await;
        assert_eq!(self.zoom.stream().stop_reason, None, "Zoom has not ended it");
        self.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
        let (page, there) = (self.first.over().await, self.second.over().await);
        assert_eq!(
            page.entries, there.entries,
            "both daemons show the same log, live and afterwards"
        );
        page.assert_numbered();
        assert_eq!(page.of("ended").len(), 1, "{:#?}", page.outline());
        assert_eq!(page.entries.last().unwrap()["outcome"], "stopped");
        let stream = self.zoom.stream();
        assert_eq!(stream.stop_reason, Some(6));
        let path = format!("/simulator/streams/{}/frames", stream.stream_id);
        let answer = exchange(self.zoom.simulator.addr(), &head("GET", &path, &[])).await;
        let made: Made = serde_json::from_slice(&answer.body).unwrap();
        let lines = count_lines(&page.entries, &made.media["transcript"]);
        let lines = lines.unwrap_or_else(|problem| panic!("{problem} {:#?}", page.outline()));
        check_ledgers(api, self.first.session_id(), &made).await;
        let report = self.zoom.simulator.report();
        assert!(report.is_clean(), "{:?} {:?}", self.zoom.stream().breaches, report.strays);
        assert_eq!(lines.sent, lines.stored + lines.in_gaps);
        (page, lines.in_gaps)
    }
}

/// Asserts that the ledger agrees with Zoom's record, frame by frame.
async fn check_ledgers(api: Api, session_id: &str, made: &Made) {
    let path = format!("/api/v1/sdk/sessions/{session_id}/ledger");
    let mut answer = api.get(&path).await.unwrap().json();
    let media = answer["data"]["streams"][0]["media"].take();
    let ledgers: Vec<Ledger> = serde_json::from_value(media).unwrap();
    assert_eq!(ledgers.len(), 2);
    for ledger in &ledgers {
        compare(ledger, made).unwrap_or_else(|problem| panic!("{}: {problem}", ledger.medium));
    }
}

/// Two daemons. The first reaches the database through a connection that can be cut.
struct Pair {
    proxy: Proxy,
    _first: TestDaemon,
    second: TestDaemon,
    _homes: [Home; 2],
    watched: Watched,
}

impl Pair {
    async fn open(duplicates: Duplicates) -> Self {
        Self::open_with(duplicates, |_| {}).await
    }

    async fn open_with(duplicates: Duplicates, change_second: impl FnOnce(&mut Leases)) -> Self {
        let proxy = Proxy::open().await;
        let url = postgres::fresh_database().await;
        let mut homes = [home(&proxy.url(&url)), home(&url)];
        change_second(&mut homes[1].leases);
        let first = TestDaemon::start(&homes[0]).await;
        let mut second = None;
        let start_second = async || second.insert(TestDaemon::start(&homes[1]).await).api();
        let watched = Watched::open(duplicates, first.api(), start_second).await;
        let second = second.expect("it was started");
        Self { proxy, _first: first, second, _homes: homes, watched }
    }
}

/// The log's entries of the wanted kinds, in order.
fn kinds<'a>(page: &'a Page, wanted: &[&str]) -> Vec<&'a str> {
    let kinds = page.entries.iter().map(|entry| entry["kind"].as_str().unwrap());
    kinds.filter(|kind| wanted.contains(kind)).collect()
}

#[tokio::test]
async fn a_daemon_cut_off_from_the_store_keeps_its_stream_while_zoom_refuses_the_other() {
    let Pair { proxy, second, watched, .. } = &mut Pair::open(Duplicates::Refuse).await;
    proxy.shut().await;
    eventually("the other daemon tries and is refused", async || {
        (watched.zoom.stream().refusals.values().sum::<u64>() > 1).then_some(())
    })
    .await;
    watched.until_sent(watched.zoom.medium("transcript").frames + 20).await;
    proxy.reopen().await;
    let stream = watched.zoom.stream();
    assert_eq!(stream.signaling_handshakes, 1);
    assert!(stream.refusals.keys().all(|status| *status == 8), "{:?}", stream.refusals);
    // An end that comes before the first daemon has its claim again is recorded by the second.
    watched.caught_up().await;
    let (page, missing) = watched.settle(second.api()).await;
    let interruptions = kinds(&page, &["picked_up", "link_down", "gap", "handed_over"]);
    assert_eq!(interruptions, [""; 0], "{:#?}", page.outline());
    assert_eq!(missing, 0);
}

#[tokio::test]
async fn a_daemon_that_gave_a_claim_back_does_not_claim_the_stream_again_at_its_next_poll() {
    // So often that a poll is always under way when the claim is given back.
    let poll_always = |leases: &mut Leases| leases.poll_interval = Duration::from_millis(1);
    let Pair { proxy, second, watched, .. } =
        &mut Pair::open_with(Duplicates::Refuse, poll_always).await;
    proxy.shut().await;
    eventually("the other daemon is refused several times", async || {
        (watched.zoom.stream().refusals.values().sum::<u64>() > 3).then_some(())
    })
    .await;
    let answer = second.api().get("/metrics").await.unwrap();
    let count = |event: &str| {
        let name = format!("rtms_leases_total{{event=\"{event}\"}} ");
        let mut values = answer.text().lines().filter_map(|line| line.strip_prefix(&*name));
        values.next().map_or(0, |value| value.parse::<u64>().unwrap())
    };
    assert_eq!(count("claimed_again"), 0);
    assert!(count("given_back") > 2, "the last one may not be counted yet");
}

async fn is_thrown_out(is_silent: bool) {
    let mut pair = Pair::open(Duplicates::Kick).await;
    let watched = &pair.watched;
    if is_silent {
        pair.proxy.stall();
    } else {
        pair.proxy.shut().await;
    }
    watched.second.entries("picked_up", 1).await;
    let taken_at = watched.zoom.medium("transcript").frames;
    watched.until_sent(taken_at + 30).await;
    // The daemon that Zoom disconnected does not reconnect and disconnect the other one.
    assert_eq!(watched.zoom.stream().signaling_handshakes, 2);
    pair.proxy.shut().await;
    pair.proxy.reopen().await;
    watched.second.entries("handed_over", 1).await;
    let (page, missing) = watched.settle(pair.second.api()).await;
    // They may come in several portions.
    let counts = page.of("handed_over").into_iter().map(|entry| entry["count"].as_u64().unwrap());
    assert!(counts.sum::<u64>() > 10, "more than a second of lines was received and not stored");
    assert_eq!(watched.zoom.stream().signaling_handshakes, 2);
    assert!(missing < 10, "{missing} lines are lost: only those of the hand-over may be");
}

#[tokio::test]
async fn lines_received_while_cut_off_from_the_store_are_handed_over_to_the_new_owner() {
    is_thrown_out(false).await;
}

#[tokio::test]
async fn lines_received_while_the_store_hung_are_handed_over_to_the_new_owner() {
    is_thrown_out(true).await;
}

/// Two daemons that are processes of their own.
struct Processes {
    first: Process,
    second: (Process, Api),
    _homes: [Home; 2],
    watched: Watched,
}

impl Processes {
    async fn open(duplicates: Duplicates, change_second: impl FnOnce(Home) -> Home) -> Self {
        let url = postgres::fresh_database().await;
        let homes = [home(&url), change_second(home(&url))];
        let first = Process::serve(&homes[0]).await;
        let mut second = None;
        let start_second = async || second.insert(Process::serve(&homes[1]).await).1;
        let watched = Watched::open(duplicates, first.1, start_second).await;
        let second = second.expect("it was started");
        Self { first: first.0, second, _homes: homes, watched }
    }
}

#[tokio::test]
async fn a_suspended_daemon_keeps_its_stream_while_zoom_refuses_the_other() {
    let pair = Processes::open(Duplicates::Refuse, |home| home).await;
    let watched = &pair.watched;
    pair.first.signal("STOP");
    eventually("the other daemon tries and is refused", async || {
        (!watched.zoom.stream().refusals.is_empty()).then_some(())
    })
    .await;
    sleep(Duration::from_secs(1)).await;
    pair.first.signal("CONT");
    watched.caught_up().await;
    let (_, missing) = watched.settle(pair.second.1).await;
    assert_eq!(missing, 0, "Zoom's bytes waited in its socket");
}

#[tokio::test]
async fn a_suspended_daemon_writes_nothing_over_the_one_that_replaced_it() {
    let pair = Processes::open(Duplicates::Kick, |home| home).await;
    let watched = &pair.watched;
    pair.first.signal("STOP");
    watched.second.entries("picked_up", 1).await;
    watched.until_sent(watched.zoom.medium("transcript").frames + 20).await;
    pair.first.signal("CONT");
    watched.second.entries("handed_over", 1).await;
    let (page, missing) = watched.settle(pair.second.1).await;
    let counts = page.of("handed_over").into_iter().map(|entry| entry["count"].as_u64().unwrap());
    assert!(counts.sum::<u64>() > 50, "the lines that waited in its sockets");
    assert!(missing < 20, "{missing} lines are lost");
}

/// The path of Debian's `faketime` library for this architecture.
fn library() -> String {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let found = libraries.into_iter().find(|library| library.exists());
    found.expect("the tests need faketime: apt-get install faketime").display().to_string()
}

#[tokio::test]
async fn a_daemon_with_a_clock_30_s_ahead_takes_no_stream_of_a_living_one() {
    let ahead = |home: Home| {
        home.set("LD_PRELOAD", &library())
            .set("FAKETIME", "+30s")
            .set("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    };
    let pair = Processes::open(Duplicates::Kick, ahead).await;
    let watched = &pair.watched;
    // The daemon polls for streams every three seconds.
    sleep(Duration::from_secs(8)).await;
    assert_eq!(watched.zoom.stream().signaling_handshakes, 1);
    assert_eq!(watched.first.page().of("picked_up").len(), 0);
    pair.first.signal("KILL");
    let killed = tokio::time::Instant::now();
    watched.second.entries("picked_up", 1).await;
    let took = killed.elapsed();
    assert!(took + Duration::from_secs(4) > PROCESS_LEASE, "after {took:?}");
}
