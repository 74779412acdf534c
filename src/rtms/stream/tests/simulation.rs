//! Seeded runs of the state machine and its ledger against a model of Zoom, with random faults. After every run each
//! frame that the model sent was received or lies in a gap of its medium, and the ledger has exactly as many frames
//! outside its gaps as the model. A run that failed is run again with `SIMULATION_SEED=<seed>`.

mod client;
mod faults;
mod zoom;

use std::collections::BTreeMap;
use std::ops::Range;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use self::client::Client;
use self::faults::Faults;
use self::zoom::Zoom;
use crate::model::params::{AudioStreams, ConnectionMode};
use crate::model::{GapCause, Medium, Outcome, StreamStatus};

const RUNS: u64 = 2_000;
const TICK_MS: i64 = 100;
/// Longer than every window: what faults have broken has come back or has ended.
const CALM_MS: i64 = 90_000;
/// A link that died without a word so shortly before the end cannot be told from silence.
const QUIET_MS: i64 = 40_000;

/// What came of a run.
struct Told {
    outcome: Option<Outcome>,
    causes: Vec<GapCause>,
    sent: usize,
    received: usize,
    /// Received, and in a gap: the last one before each gap, and what came late.
    doubted: usize,
}

#[test]
fn in_every_run_each_frame_was_received_or_lies_in_a_gap() {
    for seed in seeds() {
        let _guard = Seed(seed);
        run(seed);
    }
}

/// Runs in which nothing happens would keep every promise, and so would a ledger that calls everything lost.
#[test]
fn runs_meet_every_cause_and_most_frames_come_through() {
    let told: Vec<Told> = (0..400).map(run).collect();
    // Only sinks cause these gaps, and the simulation has none.
    let of_sinks = [GapCause::SinkOverflow, GapCause::LeftOut];
    for cause in GapCause::ALL.into_iter().filter(|cause| !of_sinks.contains(cause)) {
        let met = told.iter().filter(|told| told.causes.contains(&cause)).count();
        assert!(met >= 3, "{cause:?} in {met} runs");
    }
    for outcome in [None, Some(Outcome::Stopped), Some(Outcome::Closed)] {
        assert!(told.iter().any(|told| told.outcome == outcome), "{outcome:?}");
    }
    let sum = |of: fn(&Told) -> usize| told.iter().map(of).sum::<usize>();
    let (sent, received, doubted) =
        (sum(|told| told.sent), sum(|told| told.received), sum(|told| told.doubted));
    assert!(received * 2 > sent, "{received} of {sent} came");
    assert!(doubted * 15 < received, "{doubted} of {received} that came are called lost");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let (one, two) = (run(11), run(11));
    assert_eq!((one.sent, one.received, one.causes), (two.sent, two.received, two.causes));
}

fn seeds() -> Range<u64> {
    match std::env::var("SIMULATION_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("SIMULATION_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..RUNS,
    }
}

/// Tells the seed of a run that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("run it again with SIMULATION_SEED={}", self.0);
        }
    }
}

fn run(seed: u64) -> Told {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mode = if rng.random_bool(0.3) { ConnectionMode::Unified } else { ConnectionMode::Split };
    let streams = match rng.random_bool(0.5) {
        true => AudioStreams::Mixed,
        false => AudioStreams::PerParticipant,
    };
    let mut zoom = Zoom::new(SmallRng::seed_from_u64(seed ^ 0x5a), streams, mode);
    let mut client = Client::new(seed, mode, streams);
    let mut faults = Faults::new(&mut rng);
    let until_ms = rng.random_range(40_000..120_000);
    let ends = rng.random_bool(0.7);
    let mut now_ms = 0;
    while now_ms < until_ms + CALM_MS && !client.is_over() {
        now_ms += TICK_MS;
        client.pass(now_ms, &mut zoom);
        zoom.pass(now_ms);
        if now_ms < until_ms {
            faults.pass(now_ms, &mut zoom, &mut client, &mut rng);
        } else if now_ms - until_ms < TICK_MS && ends {
            faults.end(&mut zoom, &mut client, &mut rng);
        }
    }
    check(&zoom, client)
}

fn check(zoom: &Zoom, mut client: Client) -> Told {
    let outcome = client.end().map(|end| end.outcome);
    let status = client.status();
    let is_well = matches!(status, StreamStatus::Live | StreamStatus::Paused);
    assert!(outcome.is_some() || is_well, "neither over nor live: {status:?}");
    let end_ms = client.close();
    let mut told = Told { outcome, causes: Vec::new(), sent: 0, received: 0, doubted: 0 };
    for (medium, sent) in &zoom.sent {
        let dead_ms = zoom.dead_since(*medium, end_ms - QUIET_MS);
        let last_ms = match (dead_ms, outcome) {
            (None, Some(Outcome::Stopped)) => end_ms,
            (dead_ms, _) => dead_ms.unwrap_or(end_ms) - in_flight_ms(*medium),
        };
        judge(*medium, sent, last_ms, &client, &mut told);
    }
    told.causes = client.gaps.iter().map(|(_, gap)| gap.cause).collect();
    told
}

/// How old may be what is on its way when Zoom did not end a stream, or a link died.
fn in_flight_ms(medium: Medium) -> i64 {
    if medium == Medium::Transcript { 5_000 } else { 500 }
}

fn judge(medium: Medium, sent: &[i64], last_ms: i64, client: &Client, told: &mut Told) {
    let nothing = BTreeMap::new();
    let received = client.received.get(&medium).unwrap_or(&nothing);
    let since_ms = client.account(medium).since_ms;
    let mut outside = 0;
    for at_ms in sent {
        let count = received.get(at_ms).copied().unwrap_or(0);
        assert!(count <= 1, "{medium:?} of {at_ms} came {count} times");
        let is_lost = client.is_lost(medium, *at_ms);
        let is_known = count == 1 || is_lost || *at_ms < since_ms || *at_ms > last_ms;
        assert!(
            is_known,
            "{medium:?} of {at_ms} is neither here nor there; since {since_ms}, to {last_ms}, {:?}",
            client.gaps
        );
        let is_expected = *at_ms >= since_ms && (count == 1 || *at_ms <= last_ms);
        outside += u64::from(is_expected && !is_lost);
        told.sent += 1;
        told.received += count;
        told.doubted += usize::from(count == 1 && is_lost);
    }
    let tally = client.tally_outside(medium);
    assert_eq!(tally, outside, "{medium:?} outside the gaps; since {since_ms}, {:?}", client.gaps);
}
