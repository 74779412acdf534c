//! A random walk of webhooks and runners over both stores at once: their rows never differ.

use std::fmt::Debug;

use futures_util::future::{join, join_all};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rtmsd::model::{
    NodeId, Outcome, Session, SessionId, SessionStatus, StopReason, StreamRecord, StreamStatus,
};
use rtmsd::store::{SessionPage, Store, StreamUpdate};
use uuid::Uuid;

use super::webhooks::*;
use crate::support::stores::TestStore;

const STEPS: usize = 600;
const SEEDS: u64 = 3;

/// Enough for some to be running at the end: a stop is final.
const STREAMS: u32 = 30;
const URLS: [&str; 2] = [URL, OTHER_URL];
const REASONS: [Option<i64>; 4] = [None, Some(6), Some(8), Some(10)];

fn pick<T: Copy>(rng: &mut StdRng, values: &[T]) -> T {
    values[rng.random_range(0..values.len())]
}

/// One call, and its answer without the ids that each store generates.
async fn step(store: &Store, rng: &mut StdRng, now_ms: i64) -> String {
    let name = &*format!("s{}", rng.random_range(0..STREAMS));
    let stream = stream_id(name);
    let event_ts_ms = now_ms - rng.random_range(0..4);
    let node = NodeId(Uuid::from_u128(rng.random_range(1..3)));
    // Usually the epoch that its runner has, sometimes an older one.
    let epoch = store.stream(&stream).await.unwrap().map_or(0, |stream| stream.epoch);
    let epoch = epoch - i64::from(rng.random_ratio(1, 5));
    match rng.random_range(0..12) {
        0..4 => describe(record(store, started(name, event_ts_ms, pick(rng, &URLS))).await),
        4 => describe(record(store, stopped(name, event_ts_ms, pick(rng, &REASONS))).await),
        5 => describe(record(store, interrupted(name, event_ts_ms)).await),
        6 | 7 => {
            let status = Some(pick(rng, &StreamStatus::ALL));
            let update = StreamUpdate { epoch, status, ..StreamUpdate::default() };
            describe(store.update_streams(&[(stream, update)], now_ms).await.unwrap())
        }
        8 => {
            let (outcome, reason) = (pick(rng, &Outcome::ALL), pick(rng, &REASONS));
            let generation = rng.random_range(1..6);
            let ended = store
                .finish_stream(&stream, epoch, generation, outcome, reason.map(StopReason), now_ms)
                .await;
            describe(ended.unwrap().map(|entry| (entry.seq, entry.body)))
        }
        9 => {
            let lease_ms = pick(rng, &[0, 60_000]);
            let claim = claim_stream(store, node, &stream, lease_ms).await.unwrap();
            describe(claim.map(|claim| (without_id(claim.stream), claim.is_taken_over)))
        }
        10 => {
            store.give_back(&stream, epoch, pick(rng, &[0, 60_000])).await.unwrap();
            describe("given back")
        }
        _ => describe(store.release_leases(node).await.unwrap()),
    }
}

fn describe(answer: impl Debug) -> String {
    format!("{answer:?}")
}

fn without_id(stream: StreamRecord) -> StreamRecord {
    StreamRecord { session_id: SessionId(Uuid::nil()), ..stream }
}

async fn everything(store: &Store) -> (Vec<Session>, Vec<StreamRecord>) {
    let page = SessionPage { limit: 100, ..SessionPage::default() };
    let sessions = store.sessions(&page).await.unwrap();
    let mut streams = Vec::new();
    for session in &sessions {
        let own = store.streams_of(session.id).await.unwrap();
        assert_eq!(session.status, derived(&own), "{session:?} {own:?}");
        streams.extend(own.into_iter().map(without_id));
    }
    let anonymous = |session| Session { id: SessionId(Uuid::nil()), ..session };
    (sessions.into_iter().map(anonymous).collect(), streams)
}

/// A session's status, derived without SQL.
fn derived(streams: &[StreamRecord]) -> SessionStatus {
    let running: Vec<_> = streams.iter().filter(|stream| stream.outcome.is_none()).collect();
    // The reason of a stream that a policy left out counts only if there is no other.
    let joined = |stream: &&StreamRecord| stream.outcome != Some(Outcome::LeftOut);
    let reason = streams.iter().rev().filter(joined).find_map(|stream| stream.stop_reason);
    let reason = reason.or_else(|| streams.iter().rev().find_map(|stream| stream.stop_reason));
    if running.iter().any(|stream| stream.status != StreamStatus::Announced) {
        SessionStatus::Live
    } else if !running.is_empty() {
        SessionStatus::Connecting
    } else if reason == Some(StopReason(6)) {
        SessionStatus::Ended
    } else {
        SessionStatus::Stopped
    }
}

#[tokio::test]
async fn the_same_history_leaves_the_same_rows_on_both_stores() {
    join_all((0..SEEDS).map(walk)).await;
}

async fn walk(seed: u64) {
    let (sqlite, postgres) = (TestStore::sqlite().await, TestStore::postgres().await);
    let mut rngs = [StdRng::seed_from_u64(seed), StdRng::seed_from_u64(seed)];
    for n in 0..STEPS {
        let now_ms = 10 + n as i64 / 4;
        let [one, other] = &mut rngs;
        let (left, right) =
            join(step(&sqlite.store, one, now_ms), step(&postgres.store, other, now_ms)).await;
        assert_eq!(left, right, "seed {seed}, step {n}");
        if n % 20 == 0 || n == STEPS - 1 {
            let (left, right) = join(everything(&sqlite.store), everything(&postgres.store)).await;
            assert_eq!(left, right, "seed {seed}, step {n}");
        }
    }
}
