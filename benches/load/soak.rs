//! A soak: streams run for long while links of half of them are cut, and live consumers come and go. Memory must stay
//! flat, and of the other half nothing may be lost.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rtmsd::simulator::{CutKind, LinkName, MeetingAction, Simulator};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use crate::Args;
use crate::account::{self, live_sessions};
use crate::process::resident_kb;
use crate::receiver::Receiver;
use crate::round::{Running, keep_alives, quantile, sent_in};
use crate::subscribers::open;

const LINKS: [LinkName; 3] = [LinkName::Audio, LinkName::Transcript, LinkName::Signaling];
const REPORT_EVERY_S: u64 = 60;
/// How long a consumer stays at most.
const LONGEST_VISIT_S: u64 = 10;

/// Runs `args.seconds` with `args.subscribers` consumers at a time, and a cut a second.
pub(crate) async fn run(args: &Args, seed: u64) {
    println!("seed {seed}");
    let receiver = Receiver::Daemon(env!("CARGO_BIN_EXE_rtmsd").into());
    let running = Running::start(args, &receiver).await;
    let Running { port, mut process, pid, zoom, live, _folder, .. } = running;
    println!("{live} of {} live", args.streams);
    let mut visitors = JoinSet::new();
    for visitor in 0..u64::from(args.subscribers) {
        visitors.spawn(come_and_go(port, StdRng::seed_from_u64(seed + 1 + visitor)));
    }
    let cut = cut_links(args, &zoom, pid, StdRng::seed_from_u64(seed)).await;
    visitors.shutdown().await;
    let report = zoom.shutdown().await;
    let received = account::received(port).await;
    let (mut whole, mut missing_in_cut) = (0, 0);
    for stream in &report.streams {
        let got = received.get(&stream.stream_id).copied().unwrap_or(0);
        let missing = sent_in(stream).abs_diff(got);
        if cut.contains(&stream.meeting_id) {
            missing_in_cut += missing;
        } else if missing == 0 {
            whole += 1;
        } else {
            println!("stream {}: {missing} messages differ", stream.stream_id);
        }
    }
    println!(
        "{whole} streams without a cut are whole; {} were cut and miss {missing_in_cut} messages",
        cut.len()
    );
    println!("{} breaches of the protocol", report.breaches);
    process.kill().await.expect("the daemon can be ended");
}

/// Cuts a link a second, of the first half of the meetings, and prints a line a minute. Returns the meetings.
async fn cut_links(args: &Args, zoom: &Simulator, pid: u32, mut random: StdRng) -> HashSet<String> {
    let meetings = zoom.live_meetings();
    let (mut cut, began) = (HashSet::new(), Instant::now());
    let mut seconds = interval(Duration::from_secs(1));
    for second in 0..u64::from(args.seconds) {
        seconds.tick().await;
        let meeting = &meetings[random.random_range(0..meetings.len().div_ceil(2))];
        let link = LINKS[random.random_range(0..LINKS.len())];
        let action = MeetingAction::Cut { link, how: CutKind::default() };
        if zoom.perform(meeting, action).await.is_ok() {
            cut.insert(meeting.clone());
        }
        if second % REPORT_EVERY_S == 0 {
            let mut took = keep_alives(&zoom.report());
            took.sort_unstable();
            println!(
                "{:>5} s: {} MB, keep-alives answered within {:.1} ms (99 %) and {:.1} ms (all)",
                began.elapsed().as_secs(),
                resident_kb(pid) / 1024,
                quantile(&took, 0.99) as f64 / 1000.0,
                quantile(&took, 1.0) as f64 / 1000.0,
            );
        }
    }
    cut
}

/// A consumer that reads one session after another.
async fn come_and_go(port: u16, mut random: StdRng) {
    loop {
        let sessions = live_sessions(port).await;
        if sessions.is_empty() {
            sleep(Duration::from_secs(1)).await;
            continue;
        }
        let session = &sessions[random.random_range(0..sessions.len())];
        let mut socket =
            open(port, &format!("/api/v1/sdk/sessions/{session}/live?format=binary")).await;
        let visit = Duration::from_secs(random.random_range(1..=LONGEST_VISIT_S));
        let _ = timeout(visit, async { while let Some(Ok(_)) = socket.next().await {} }).await;
    }
}
