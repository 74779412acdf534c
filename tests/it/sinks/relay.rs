//! The relay of stored entries to a sink: order, retries, several daemons.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rtmsd::clock;
use rtmsd::hub::Hub;
use rtmsd::model::{
    Entry, EntryBody, NodeId, Outcome, Speaker, StopReason, TranscriptLine, UserId,
};
use rtmsd::sinks::Context;
use rtmsd::sinks::relay::{Relay, Relayed, Settings};
use rtmsd::store::Store;
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use crate::store::webhooks::*;
use crate::support::kit::eventually;
use crate::support::raw::Raw;
use crate::support::sinks::{Running, context, enable, hub};
use crate::support::stores::{TestStore, on_both};

const SINK: &str = "test";
const LONG: Duration = Duration::from_secs(60);
/// As Zoom makes them.
const STREAMS: [&str; 3] = ["/abc//def+gh==", "stream:1", "stream"];

/// A sink that keeps what it gets, and refuses when it is told to.
#[derive(Clone)]
struct Consumer {
    got: Arc<Mutex<Vec<Relayed>>>,
    count: watch::Sender<usize>,
    /// So many of the next deliveries are refused.
    refusing: Arc<Mutex<u32>>,
    refused: watch::Sender<u32>,
}

impl Consumer {
    fn new() -> Self {
        Self {
            got: Arc::default(),
            count: watch::Sender::new(0),
            refusing: Arc::default(),
            refused: watch::Sender::new(0),
        }
    }

    fn take(&self, entries: Vec<Relayed>) -> Result<(), &'static str> {
        let mut refusing = self.refusing.lock().unwrap();
        if *refusing > 0 {
            *refusing -= 1;
            self.refused.send_modify(|refused| *refused += 1);
            return Err("not now");
        }
        let mut got = self.got.lock().unwrap();
        got.extend(entries);
        self.count.send_replace(got.len());
        Ok(())
    }

    fn refuse(&self, deliveries: u32) {
        *self.refusing.lock().unwrap() = deliveries;
    }

    async fn has(&self, count: usize) {
        let mut counts = self.count.subscribe();
        let enough = timeout(LONG, counts.wait_for(|got| *got >= count)).await;
        assert!(enough.is_ok(), "{} of {count} came", self.got.lock().unwrap().len());
    }

    async fn has_refused(&self, count: u32) {
        let mut refused = self.refused.subscribe();
        timeout(LONG, refused.wait_for(|refused| *refused >= count)).await.unwrap().unwrap();
    }

    fn ids(&self) -> Vec<String> {
        self.got.lock().unwrap().iter().map(|relayed| relayed.entry.id()).collect()
    }

    fn entries(&self) -> Vec<Entry> {
        self.got.lock().unwrap().iter().map(|relayed| relayed.entry.clone()).collect()
    }

    /// Repeats apart, every stream's numbers go up, and they are these.
    fn assert_whole(&self, expected: &[Entry]) {
        let mut reached: HashMap<String, u64> = HashMap::new();
        let mut entries = self.entries();
        entries.retain(|entry| {
            let seen = reached.entry(entry.stream_id.to_string()).or_default();
            let is_new = entry.seq > *seen;
            *seen = entry.seq.max(*seen);
            is_new
        });
        entries.sort_by(|a, b| (&a.stream_id, a.seq).cmp(&(&b.stream_id, b.seq)));
        let mut expected = expected.to_vec();
        expected.sort_by(|a, b| (&a.stream_id, a.seq).cmp(&(&b.stream_id, b.seq)));
        assert!(entries == expected, "{} entries, not {}", entries.len(), expected.len());
    }
}

fn settings() -> Settings {
    let poll_interval = Duration::from_millis(20);
    Settings { poll_interval, max_entries: 50, ..Settings::default() }
}

fn start(
    store: &Store,
    hub: &Arc<Hub>,
    node: u128,
    relay: Settings,
    consumer: &Consumer,
) -> Running {
    let context = Context { relay, ..context(store, Arc::clone(hub), node) };
    let (relay, consumer) = (Relay::new(&context, SINK), consumer.clone());
    let deliver = move |entries| std::future::ready(consumer.take(entries));
    Running::spawn(|stop| relay.run(stop, async || Ok(true), deliver))
}

/// Stores entries `from..=to` of a stream.
pub(super) async fn store_lines(store: &Store, stream: &str, from: u64, to: u64) -> Vec<Entry> {
    let record = read(store, stream).await;
    let line = |seq: u64| Entry {
        session_id: record.session_id,
        stream_id: record.stream_id.clone(),
        stream_ordinal: record.ordinal,
        seq,
        at_ms: 1_000 + seq as i64,
        body: EntryBody::Transcript(TranscriptLine {
            speaker: Speaker::participant(UserId(7), Some("Ana".into())),
            text: format!("line {seq}"),
            start_ms: 1,
            end_ms: 2,
            language: None,
            attribute: None,
        }),
    };
    let entries: Vec<Entry> = (from..=to).map(line).collect();
    store.write_entries(&unclaimed(&entries)).await.unwrap();
    entries
}

#[tokio::test]
async fn a_sink_gets_every_entry_once_and_each_streams_in_order() {
    on_both(async |test| {
        let (store, consumer) = (&test.store, Consumer::new());
        enable(store, SINK).await;
        let running = start(store, &hub(store), 1, settings(), &consumer);
        let mut expected = Vec::new();
        for stream in STREAMS {
            announce(store, stream).await;
        }
        for part in 0..5 {
            for stream in STREAMS {
                expected.extend(store_lines(store, stream, part * 30 + 1, part * 30 + 30).await);
            }
        }
        consumer.has(expected.len()).await;
        running.stop().await;
        consumer.assert_whole(&expected);
        let mut ids = consumer.ids();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), expected.len(), "each once, and no two have the same id");
        let first = consumer.got.lock().unwrap()[0].clone();
        assert_eq!(first.account_id.as_deref(), Some("acc1"));
    })
    .await;
}

#[tokio::test]
async fn a_sink_that_is_new_begins_with_what_is_stored_from_then_on() {
    on_both(async |test| {
        let (store, consumer) = (&test.store, Consumer::new());
        announce(store, "live").await;
        announce(store, "over").await;
        store_lines(store, "live", 1, 20).await;
        store_lines(store, "over", 1, 20).await;
        let over = stream_id("over");
        store.finish_stream(&over, 0, 1, Outcome::Stopped, None, 5).await.unwrap();
        enable(store, SINK).await;
        let expected = store_lines(store, "live", 21, 25).await;
        let running = start(store, &hub(store), 1, settings(), &consumer);
        consumer.has(5).await;
        running.stop().await;
        assert_eq!(consumer.entries(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_sink_that_was_away_goes_on_where_it_was() {
    on_both(async |test| {
        let (store, consumer) = (&test.store, Consumer::new());
        enable(store, SINK).await;
        announce(store, "s").await;
        let mut expected = store_lines(store, "s", 1, 70).await;
        let running = start(store, &hub(store), 1, settings(), &consumer);
        consumer.has(70).await;
        running.stop().await;
        expected.extend(store_lines(store, "s", 71, 200).await);
        let now_ms = clock::now_ms();
        let ended =
            store.finish_stream(&stream_id("s"), 0, 1, Outcome::Stopped, None, now_ms).await;
        expected.extend(ended.unwrap());
        announce(store, "later").await;
        expected.extend(store_lines(store, "later", 1, 3).await);
        let store = test.reopened().await;
        let running = start(&store, &hub(&store), 2, settings(), &consumer);
        consumer.has(204).await;
        running.stop().await;
        consumer.assert_whole(&expected);
        assert_eq!(consumer.entries().len(), 204, "nothing twice");
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_is_killed_again_and_again_loses_nothing() {
    on_both(async |test| {
        let seed = rand::random();
        eprintln!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let (store, consumer) = (&test.store, Consumer::new());
        enable(store, SINK).await;
        let mut expected = Vec::new();
        for stream in STREAMS {
            announce(store, stream).await;
            expected.extend(store_lines(store, stream, 1, 400).await);
        }
        let brief = Settings { max_entries: 7, ..settings() };
        loop {
            let before = *consumer.count.borrow();
            let running = start(store, &hub(store), 1, brief.clone(), &consumer);
            consumer.has(before + rng.random_range(1..200)).await;
            running.kill().await;
            let mut reached = HashMap::new();
            for entry in consumer.entries() {
                let seq = reached.entry(entry.stream_id.clone()).or_insert(0);
                *seq = entry.seq.max(*seq);
            }
            if reached.values().sum::<u64>() + 250 > expected.len() as u64 {
                break;
            }
        }
        let running = start(store, &hub(store), 1, brief, &consumer);
        running.stop().await;
        consumer.assert_whole(&expected);
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_is_delivered_again_and_holds_up_nobody() {
    on_both(async |test| {
        let (store, consumer) = (&test.store, Consumer::new());
        enable(store, SINK).await;
        announce(store, "s").await;
        consumer.refuse(3);
        let running = start(store, &hub(store), 1, settings(), &consumer);
        let mut expected = store_lines(store, "s", 1, 60).await;
        consumer.has_refused(2).await;
        expected.extend(store_lines(store, "s", 61, 120).await);
        consumer.has(120).await;
        running.stop().await;
        assert_eq!(consumer.entries(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_delivery_without_an_answer_is_tried_again() {
    let test = TestStore::sqlite().await;
    let (store, consumer) = (&test.store, Consumer::new());
    enable(store, SINK).await;
    announce(store, "s").await;
    let expected = store_lines(store, "s", 1, 5).await;
    let relay = Settings { deliver_timeout: Duration::from_millis(50), ..settings() };
    let relay = Relay::new(&Context { relay, ..context(store, hub(store), 1) }, SINK);
    let (is_first, taking) = (Mutex::new(true), consumer.clone());
    let deliver = move |entries| {
        let hangs = std::mem::take(&mut *is_first.lock().unwrap());
        let taking = taking.clone();
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            taking.take(entries)
        }
    };
    let running = Running::spawn(|stop| relay.run(stop, async || Ok(true), deliver));
    consumer.has(5).await;
    running.stop().await;
    assert_eq!(consumer.entries(), expected);
}

#[tokio::test]
async fn what_was_deleted_meanwhile_is_passed_over() {
    on_both(async |test| {
        let (store, consumer) = (&test.store, Consumer::new());
        enable(store, SINK).await;
        announce(store, "s").await;
        store_lines(store, "s", 1, 60).await;
        consumer.refuse(u32::MAX);
        let running = start(store, &hub(store), 1, settings(), &consumer);
        consumer.has_refused(1).await;
        let now_ms = clock::now_ms();
        let end = store
            .finish_stream(&stream_id("s"), 0, 1, Outcome::Stopped, Some(StopReason(8)), now_ms)
            .await;
        // The next refusal may be of entries that were read before the deletion, the one after it is not.
        let refused = *consumer.refused.borrow();
        consumer.has_refused(refused + 2).await;
        consumer.refuse(0);
        consumer.has(1).await;
        running.stop().await;
        assert_eq!(consumer.entries(), [end.unwrap().unwrap()]);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_stream_is_relayed_although_the_clock_of_its_daemon_is_a_minute_behind() {
    static AHEAD_MS: AtomicI64 = AtomicI64::new(0);
    let now_ms = || clock::now_ms() + AHEAD_MS.load(Ordering::SeqCst);
    let test = TestStore::sqlite().await;
    let (store, consumer) = (&test.store, Consumer::new());
    let mut raw = Raw::connect(&test.database).await;
    raw.execute("INSERT INTO sinks (name, through_ms) VALUES ('test', 0)").await;
    announce(store, "s").await;
    store_lines(store, "s", 1, 2).await;
    let context = Context { relay: settings(), now_ms, ..context(store, hub(store), 1) };
    let (relay, taking) = (Relay::new(&context, SINK), consumer.clone());
    let deliver = move |entries| std::future::ready(taking.take(entries));
    let running = Running::spawn(|stop| relay.run(stop, async || Ok(true), deliver));
    consumer.has(2).await;
    let ended_at_ms = clock::now_ms() - 60_000;
    store.finish_stream(&stream_id("s"), 0, 1, Outcome::Stopped, None, ended_at_ms).await.unwrap();
    AHEAD_MS.store(20_000, Ordering::SeqCst);
    consumer.has(3).await;
    running.stop().await;
}

#[tokio::test]
async fn while_nothing_is_wanted_nothing_is_read_and_another_daemon_may_hold_the_sink() {
    let test = TestStore::sqlite().await;
    let (store, consumer) = (&test.store, Consumer::new());
    enable(store, SINK).await;
    announce(store, "s").await;
    let expected = store_lines(store, "s", 1, 5).await;
    let is_wanted = Arc::new(AtomicBool::new(true));
    let relay = Relay::new(&Context { relay: settings(), ..context(store, hub(store), 1) }, SINK);
    let (wanting, taking) = (Arc::clone(&is_wanted), consumer.clone());
    let wants = move || std::future::ready(Ok(wanting.load(Ordering::SeqCst)));
    let deliver = move |entries| std::future::ready(taking.take(entries));
    let running = Running::spawn(|stop| relay.run(stop, wants, deliver));
    consumer.has(5).await;
    is_wanted.store(false, Ordering::SeqCst);
    let other = NodeId(Uuid::from_u128(2));
    eventually("the lease is free", async || store.hold_sink(SINK, other, 0).await.unwrap()).await;
    store_lines(store, "s", 6, 7).await;
    is_wanted.store(true, Ordering::SeqCst);
    consumer.has(7).await;
    running.stop().await;
    assert_eq!(consumer.entries()[..5], expected);
}

#[tokio::test]
async fn news_from_the_hub_is_relayed_at_once() {
    let test = TestStore::sqlite().await;
    let (store, consumer) = (&test.store, Consumer::new());
    enable(store, SINK).await;
    announce(store, "s").await;
    let hub = hub(store);
    let patient = Settings { poll_interval: 100 * LONG, ..settings() };
    let running = start(store, &hub, 1, patient, &consumer);
    for seq in 1..=3 {
        let entries = store_lines(store, "s", seq, seq).await;
        hub.publish(entries);
        consumer.has(seq as usize).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn two_daemons_on_one_store_deliver_once_between_them() {
    let test = TestStore::postgres().await;
    let (one, other) = (&test.store, test.reopened().await);
    let consumer = Consumer::new();
    enable(one, SINK).await;
    let runnings = [
        start(one, &hub(one), 1, settings(), &consumer),
        start(&other, &hub(&other), 2, settings(), &consumer),
    ];
    let mut expected = Vec::new();
    for stream in STREAMS {
        announce(one, stream).await;
        expected.extend(store_lines(one, stream, 1, 200).await);
    }
    consumer.has(600).await;
    for running in runnings {
        running.stop().await;
    }
    consumer.assert_whole(&expected);
    assert_eq!(consumer.entries().len(), 600, "nothing twice");
}

#[tokio::test]
async fn another_daemon_takes_over_from_one_that_died() {
    let test = TestStore::postgres().await;
    let (one, other) = (&test.store, test.reopened().await);
    let consumer = Consumer::new();
    enable(one, SINK).await;
    announce(one, "s").await;
    let brief = || Settings { lease: Duration::from_millis(400), ..settings() };
    let dying = start(one, &hub(one), 1, brief(), &consumer);
    let mut expected = store_lines(one, "s", 1, 10).await;
    consumer.has(10).await;
    let heir = start(&other, &hub(&other), 2, brief(), &consumer);
    dying.kill().await;
    expected.extend(store_lines(&other, "s", 11, 20).await);
    consumer.has(20).await;
    heir.stop().await;
    consumer.assert_whole(&expected);
}

#[tokio::test]
async fn a_daemon_that_cannot_deliver_leaves_the_sink_to_one_that_can() {
    let test = TestStore::postgres().await;
    let (one, other) = (&test.store, test.reopened().await);
    let (failing, working) = (Consumer::new(), Consumer::new());
    enable(one, SINK).await;
    announce(one, "s").await;
    failing.refuse(u32::MAX);
    let brief = || Settings { lease: Duration::from_millis(200), ..settings() };
    let stuck = start(one, &hub(one), 1, brief(), &failing);
    let expected = store_lines(one, "s", 1, 10).await;
    failing.has_refused(1).await;
    let heir = start(&other, &hub(&other), 2, brief(), &working);
    working.has(10).await;
    stuck.kill().await;
    heir.stop().await;
    assert_eq!(working.entries(), expected);
}
