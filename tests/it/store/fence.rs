//! A runner that was replaced by another can write nothing more, whatever the order of events.

use std::collections::HashSet;
use std::time::Duration;

use rtmsd::model::{
    Cursor, Entry, EntryBody, FrameCount, Gap, GapCause, Medium, MediumAccount, NodeId, Outcome,
    SessionId, StreamId, StreamStatus, Tally,
};
use rtmsd::store::{Append, Claim, Offer, OfferKey, Offered, Store, StreamUpdate};
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::entries::line;
use super::webhooks::*;
use crate::support::raw::Raw;
use crate::support::stores::{TestStore, on_both};

const LONG: i64 = 60_000;
const OVER: i64 = 0;

fn node(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

pub(super) async fn claim(store: &Store, n: u128, stream: &str, lease_ms: i64) -> Claim {
    claim_stream(store, node(n), &stream_id(stream), lease_ms).await.unwrap().expect("it is free")
}

/// Entries with these texts, as the runner of this claim writes them, from number `seq` on.
pub(super) fn appends(claim: &Claim, seq: u64, texts: &[&str]) -> Vec<Append> {
    let entry = |(text, seq): (&&str, u64)| Entry {
        session_id: claim.stream.session_id,
        stream_id: claim.stream.stream_id.clone(),
        stream_ordinal: claim.stream.ordinal,
        seq,
        at_ms: 5,
        body: line(text),
    };
    let entries: Vec<Entry> = texts.iter().zip(seq..).map(entry).collect();
    under(claim.stream.epoch, &entries)
}

async fn texts(store: &Store, session: SessionId) -> Vec<String> {
    let entries = store.entries_after(session, &Cursor::default(), &[], 1000).await.unwrap();
    let text = |entry: &Entry| match &entry.body {
        EntryBody::Transcript(line) => Some(line.text.clone()),
        _ => None,
    };
    entries.iter().filter_map(text).collect()
}

fn only(stream: &str) -> HashSet<StreamId> {
    HashSet::from([stream_id(stream)])
}

#[tokio::test]
async fn a_runner_whose_stream_was_claimed_writes_no_entries_no_figures_and_no_end() {
    on_both(async |test| {
        let store = &test.store;
        let (session, s) = (announce(store, "s").await, stream_id("s"));
        let old = claim(store, 1, "s", OVER).await;
        assert_eq!(store.write_entries(&appends(&old, 1, &["one"])).await.unwrap(), HashSet::new());
        let new = claim(store, 2, "s", LONG).await;
        assert_eq!(new.last_seq, 1);

        let (old_epoch, new_epoch) = (old.stream.epoch, new.stream.epoch);
        assert_eq!(store.write_entries(&appends(&old, 2, &["lost"])).await.unwrap(), only("s"));
        let (status, tally) = (Some(StreamStatus::Live), Some(Tally::default()));
        let update = StreamUpdate { epoch: old_epoch, status, tally, ..StreamUpdate::default() };
        let fenced = store.update_streams(&[(s.clone(), update)], 9).await.unwrap();
        assert_eq!(fenced, std::slice::from_ref(&s));
        let outcome = Outcome::WindowExpired;
        assert_eq!(store.finish_stream(&s, old_epoch, 1, outcome, None, 9).await.unwrap(), None);
        assert_eq!(read(store, "s").await.status, StreamStatus::Announced);

        assert_eq!(store.write_entries(&appends(&new, 2, &["two"])).await.unwrap(), HashSet::new());
        assert_eq!(texts(store, session).await, ["one", "two"]);
        let ended = store.finish_stream(&s, new_epoch, 1, outcome, None, 9).await.unwrap();
        assert_eq!(ended.map(|entry| entry.seq), Some(3));
    })
    .await;
}

#[tokio::test]
async fn one_fenced_stream_in_a_batch_costs_no_other() {
    on_both(async |test| {
        let store = &test.store;
        let session = announce(store, "a").await;
        announce(store, "b").await;
        announce(store, "c").await;
        let (a, b) = (claim(store, 1, "a", LONG).await, claim(store, 1, "b", OVER).await);
        let c = claim(store, 1, "c", LONG).await;
        claim(store, 2, "b", LONG).await;
        store.finish_stream(&stream_id("c"), 1, 1, Outcome::Gone, None, 9).await.unwrap().unwrap();
        let batch =
            [appends(&a, 1, &["a1", "a2"]), appends(&b, 1, &["b1"]), appends(&c, 1, &["c1"])];
        let fenced = store.write_entries(&batch.concat()).await.unwrap();
        assert_eq!(fenced, HashSet::from([stream_id("b"), stream_id("c")]));
        assert_eq!(texts(store, session).await, ["a1", "a2"]);
    })
    .await;
}

#[tokio::test]
async fn the_same_batch_again_is_no_collision_and_another_epochs_number_is_one() {
    on_both(async |test| {
        let store = &test.store;
        let (session, s) = (announce(store, "s").await, stream_id("s"));
        let old = claim(store, 1, "s", OVER).await;
        let batch = appends(&old, 1, &["one", "two"]);
        for _ in 0..2 {
            assert_eq!(store.write_entries(&batch).await.unwrap(), HashSet::new());
        }
        let new = claim(store, 2, "s", LONG).await;
        // What a runner writes that did not read the end of the log.
        let fenced = store.write_entries(&appends(&new, 2, &["zwei", "drei"])).await.unwrap();
        assert_eq!(fenced, only("s"));
        assert_eq!(texts(store, session).await, ["one", "two"]);
        assert_eq!(store.last_seq_of(&s, old.stream.epoch).await.unwrap(), 2);
        assert_eq!(store.last_seq_of(&s, new.stream.epoch).await.unwrap(), 0);
    })
    .await;
}

/// Writes entries until it is fenced. Returns how many there were before, and how many it wrote.
async fn write_until_fenced(store: Store, claim: Claim) -> (u64, u64) {
    const MOST: u64 = 300;
    for written in 0..MOST {
        let entry = appends(&claim, claim.last_seq + 1 + written, &["something"]);
        if !store.write_entries(&entry).await.unwrap().is_empty() {
            return (claim.last_seq, written);
        }
    }
    (claim.last_seq, MOST)
}

/// Nodes take a stream from each other while each writes as fast as it can: each knows everything that was written
/// before, and nothing is written unnoticed.
async fn race(test: &TestStore, stream: &str) {
    const NODES: u128 = 12;
    let store = &test.store;
    let session = announce(store, stream).await;
    let mut writers = JoinSet::new();
    for n in 1..=NODES {
        let claim = claim(store, n, stream, OVER).await;
        writers.spawn(write_until_fenced(store.clone(), claim));
        sleep(Duration::from_millis(7)).await;
    }
    claim(store, NODES + 1, stream, LONG).await;
    let mut spans = writers.join_all().await;
    spans.sort_unstable();
    let mut last = 0;
    for (before, written) in spans {
        assert_eq!(before, last, "a claim knows everything that was written before it");
        last = before + written;
    }
    let found = store.entries_after(session, &Cursor::default(), &[], 100_000).await.unwrap();
    let found = found.iter().filter(|entry| entry.stream_id.as_str() == stream).count();
    assert_eq!(found as u64, last);
    assert!(last > 0);
}

#[tokio::test]
async fn nothing_slips_in_between_a_claim_and_the_number_that_it_reads() {
    on_both(async |test| {
        for round in 0..4 {
            race(test, &format!("s{round}")).await;
        }
    })
    .await;
}

fn offer(epoch: i64, place: i64, text: &str) -> Offer {
    Offer { epoch, place, at_ms: 7, body: line(text) }
}

fn kept(kept: u64) -> Offered {
    Offered { kept, late: 0 }
}

fn late(late: u64) -> Offered {
    Offered { kept: 0, late }
}

async fn open_offers(store: &Store) -> Vec<Offer> {
    store.offers(&stream_id("s"), OfferKey::default(), 9).await.unwrap()
}

#[tokio::test]
async fn what_one_node_offers_another_takes_once() {
    on_both(async |test| {
        let store = &test.store;
        let (session, s) = (announce(store, "s").await, stream_id("s"));
        let old = claim(store, 1, "s", OVER).await.stream.epoch;
        let new = claim(store, 2, "s", LONG).await;
        let all = [offer(old, 1, "one"), offer(old, 2, "two"), offer(old, 3, "three")];
        for _ in 0..2 {
            assert_eq!(store.offer(&s, &all).await.unwrap(), kept(3));
        }
        assert_eq!(store.offered_streams(node(1)).await.unwrap(), []);
        assert_eq!(store.offered_streams(node(2)).await.unwrap(), std::slice::from_ref(&s));
        assert_eq!(store.offers(&s, OfferKey::default(), 2).await.unwrap(), all[..2]);
        assert_eq!(store.offers(&s, all[1].key(), 2).await.unwrap(), all[2..]);

        let mut taken = appends(&new, 1, &["one"]);
        taken[0].offer = Some(all[0].key());
        for _ in 0..2 {
            assert_eq!(store.write_entries(&taken).await.unwrap(), HashSet::new());
        }
        let rest = [all[1].key(), all[2].key()];
        store.dismiss_offers(&s, old, &rest).await.unwrap();
        assert_eq!(
            open_offers(store).await,
            all[1..],
            "not by a node that does not run the stream"
        );
        store.dismiss_offers(&s, new.stream.epoch, &rest).await.unwrap();
        // The first did not receive its answer.
        assert_eq!(store.offer(&s, &all).await.unwrap(), kept(3));
        assert_eq!(open_offers(store).await, []);
        assert_eq!(texts(store, session).await, ["one"]);
    })
    .await;
}

#[tokio::test]
async fn an_offer_is_taken_only_by_a_valid_write_and_is_deleted_with_the_stream() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        let s = stream_id("s");
        let first = claim(store, 1, "s", OVER).await.stream.epoch;
        let second = claim(store, 2, "s", OVER).await;
        let one = [offer(first, 1, "one")];
        assert_eq!(store.offer(&s, &one).await.unwrap(), kept(1));
        let third = claim(store, 3, "s", LONG).await.stream.epoch;
        let mut taken = appends(&second, 1, &["one"]);
        taken[0].offer = Some(one[0].key());
        assert_eq!(store.write_entries(&taken).await.unwrap(), only("s"));
        assert_eq!(open_offers(store).await, one);

        store.finish_stream(&s, third, 1, Outcome::Gone, None, 9).await.unwrap().unwrap();
        assert_eq!(open_offers(store).await, []);
        assert_eq!(store.offer(&s, &one).await.unwrap(), late(1), "it has ended");
        assert_eq!(open_offers(store).await, []);
    })
    .await;
}

/// The ledger's count of lines that were handed over too late.
async fn late_lines(store: &Store) -> FrameCount {
    read(store, "s").await.ledger[0].handed_over_late
}

#[tokio::test]
async fn what_is_handed_over_after_the_end_is_counted_once_where_it_is_missing() {
    on_both(async |test| {
        let store = &test.store;
        let (session, s) = (announce(store, "s").await, stream_id("s"));
        let old = claim(store, 1, "s", OVER).await.stream.epoch;
        let epoch = claim(store, 2, "s", LONG).await.stream.epoch;
        let mut account = MediumAccount::new(Medium::Transcript, 0);
        account.gaps = vec![Gap { start_ms: 100, end_ms: 200, cause: GapCause::DaemonRestarted }];
        let update = StreamUpdate { epoch, ledger: Some(vec![account]), ..Default::default() };
        store.update_streams(&[(s.clone(), update)], 9).await.unwrap();
        let offer = |place, at_ms| Offer { at_ms, ..offer(old, place, "12345") };
        // One waits at the end of the stream, undecided.
        let waiting = [offer(1, 150)];
        assert_eq!(store.offer(&s, &waiting).await.unwrap(), kept(1));
        store.finish_stream(&s, epoch, 1, Outcome::Gone, None, 300).await.unwrap().unwrap();
        assert_eq!(late_lines(store).await, FrameCount { frames: 1, bytes: 5 });
        // Two arrive later, one of which the other node also received; the answer was lost.
        let all = [offer(1, 150), offer(2, 160), offer(3, 250)];
        for _ in 0..2 {
            assert_eq!(store.offer(&s, &all).await.unwrap(), late(3));
            assert_eq!(late_lines(store).await, FrameCount { frames: 2, bytes: 10 });
        }
        assert_eq!(open_offers(store).await, []);
        let entries = store.entries_after(session, &Cursor::default(), &[], 9).await.unwrap();
        assert_eq!(entries.len(), 1, "the last entry stays the last: {entries:?}");
        let mut raw = Raw::connect(&test.database).await;
        assert_eq!(raw.count("SELECT COUNT(*) FROM handovers WHERE body IS NOT NULL").await, 0);
    })
    .await;
}
