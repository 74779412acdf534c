use rtmsd::model::{EntryBody, NodeId, Outcome};
use rtmsd::store::Store;
use uuid::Uuid;

use super::webhooks::*;
use crate::support::stores::on_both;

const ONE: NodeId = NodeId(Uuid::from_u128(1));
const OTHER: NodeId = NodeId(Uuid::from_u128(2));

/// The streams and numbers that a sink would get.
async fn page(store: &Store, through_ms: i64, after: &str, limit: u32) -> Vec<(String, u64)> {
    let page = store.sink_page("sink", through_ms, after, limit).await.unwrap();
    let entries = page.entries.iter();
    entries.map(|one| (one.entry.stream_id.to_string(), one.entry.seq)).collect()
}

async fn log(store: &Store, stream: &str, seqs: std::ops::RangeInclusive<u64>) {
    let record = read(store, stream).await;
    let entry = |seq| rtmsd::model::Entry {
        session_id: record.session_id,
        stream_id: record.stream_id.clone(),
        stream_ordinal: record.ordinal,
        seq,
        at_ms: 1,
        body: EntryBody::Moved {},
    };
    store.write_entries(&seqs.map(entry).collect::<Vec<_>>()).await.unwrap();
}

fn at(stream: &str, seqs: &[u64]) -> Vec<(String, u64)> {
    seqs.iter().map(|seq| (stream.to_owned(), *seq)).collect()
}

#[tokio::test]
async fn a_sink_belongs_to_one_node_until_its_lease_ends_or_is_given_back() {
    on_both(async |test| {
        let hold = async |node, now_ms| {
            test.store.hold_sink("sink", node, now_ms, 10).await.unwrap().is_some()
        };
        assert!(hold(ONE, 100).await);
        assert!(!hold(OTHER, 109).await);
        assert!(hold(ONE, 105).await, "the owner prolongs it");
        assert!(!hold(OTHER, 114).await);
        assert!(hold(OTHER, 115).await);
        test.store.release_sink("sink", ONE).await.unwrap();
        assert!(!hold(ONE, 116).await, "what is not one's own is not given back");
        test.store.release_sink("sink", OTHER).await.unwrap();
        assert!(hold(ONE, 116).await);
        let other = test.store.hold_sink("another", OTHER, 116, 10).await.unwrap();
        assert_eq!(other.unwrap().through_ms, 116);
    })
    .await;
}

#[tokio::test]
async fn pages_go_from_stream_to_stream_and_end() {
    on_both(async |test| {
        let store = &test.store;
        store.hold_sink("sink", ONE, 0, 10).await.unwrap();
        for stream in ["a", "b"] {
            announce(store, stream).await;
            log(store, stream, 1..=3).await;
        }
        assert_eq!(page(store, 0, "", 4).await, [at("a", &[1, 2, 3]), at("b", &[1])].concat());
        assert_eq!(page(store, 0, "a", 4).await, at("b", &[1, 2, 3]));
        assert_eq!(store.sink_page("sink", 0, "b", 4).await.unwrap().last, None);
        store.move_sink("sink", &[(stream_id("a"), 2), (stream_id("b"), 3)]).await.unwrap();
        store.move_sink("sink", &[(stream_id("a"), 1), (stream_id("gone"), 1)]).await.unwrap();
        assert_eq!(page(store, 0, "", 4).await, at("a", &[3]));
        let other = store.sink_page("another", 0, "", 9).await.unwrap();
        assert_eq!(other.entries.len(), 6, "each sink has its own positions");
    })
    .await;
}

#[tokio::test]
async fn streams_that_ended_before_a_sinks_mark_are_not_looked_at() {
    on_both(async |test| {
        let store = &test.store;
        store.hold_sink("sink", ONE, 0, 10).await.unwrap();
        announce(store, "s").await;
        log(store, "s", 1..=1).await;
        store.finish_stream(&stream_id("s"), 1, Outcome::Stopped, None, 50).await.unwrap();
        assert_eq!(page(store, 50, "", 4).await, at("s", &[1, 2]));
        assert_eq!(page(store, 51, "", 4).await, []);
        store.move_sink_through("sink", 40).await.unwrap();
        store.move_sink_through("sink", 30).await.unwrap();
        let held = store.hold_sink("sink", ONE, 60, 10).await.unwrap().unwrap();
        assert_eq!(held.through_ms, 40, "it is never set back");
    })
    .await;
}
