//! The positions and leases of sinks.

use rtmsd::model::{EndpointStatus, EventKind, NodeId, Outcome};
use rtmsd::store::{EndpointChange, Store, WEBHOOKS_SINK};
use uuid::Uuid;

use super::outgoing::{configured_endpoint, endpoint};
use super::webhooks::*;
use crate::support::audit::act;
use crate::support::raw::Raw;
use crate::support::stores::on_both;

const ONE: NodeId = NodeId(Uuid::from_u128(1));
const OTHER: NodeId = NodeId(Uuid::from_u128(2));

const LONG: i64 = 60_000;
const OVER: i64 = 0;

/// Takes the sink and returns the epoch of the hold.
async fn hold(store: &Store, node: NodeId, lease_ms: i64) -> i64 {
    store.hold_sink("sink", node, lease_ms).await.unwrap().expect("it is free").epoch
}

/// The streams and numbers that a sink would receive.
async fn page(store: &Store, through_ms: i64, after: &str, limit: u32) -> Vec<(String, u64)> {
    page_of("sink", store, through_ms, after, limit).await
}

async fn page_of(
    sink: &str,
    store: &Store,
    through_ms: i64,
    after: &str,
    limit: u32,
) -> Vec<(String, u64)> {
    let page = store.sink_page(sink, through_ms, after, limit).await.unwrap();
    let entries = page.entries.iter();
    entries.map(|one| (one.entry.stream_id.to_string(), one.entry.seq)).collect()
}

fn at(stream: &str, seqs: &[u64]) -> Vec<(String, u64)> {
    seqs.iter().map(|seq| (stream.to_owned(), *seq)).collect()
}

#[tokio::test]
async fn a_sink_that_is_held_says_when() {
    on_both(async |test| {
        let mut raw = Raw::connect(&test.database).await;
        raw.execute("INSERT INTO sinks (name, through_ms) VALUES ('broker', 15)").await;
        let held = "SELECT COUNT(*) FROM sinks WHERE held_at_ms > 1600000000000";
        assert_eq!(raw.count(held).await, 0);
        let node = ONE;
        assert!(test.store.hold_sink("broker", node, 1000).await.unwrap().is_some());
        assert_eq!(raw.count(held).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_sink_belongs_to_one_node_until_its_lease_ends_or_is_given_back() {
    on_both(async |test| {
        let store = &test.store;
        let hold = async |node, lease_ms| {
            store.hold_sink("sink", node, lease_ms).await.unwrap().map(|hold| hold.epoch)
        };
        assert_eq!(hold(ONE, LONG).await, Some(1));
        assert_eq!(hold(OTHER, LONG).await, None);
        assert_eq!(hold(ONE, OVER).await, Some(1), "the owner extends it");
        assert_eq!(hold(OTHER, LONG).await, Some(2), "another owner, another epoch");
        store.release_sink("sink", ONE).await.unwrap();
        assert_eq!(hold(ONE, LONG).await, None, "only the owner can release it");
        store.release_sink("sink", OTHER).await.unwrap();
        assert_eq!(hold(ONE, LONG).await, Some(3));
        let began_ms = rtmsd::clock::now_ms();
        let other = store.hold_sink("another", OTHER, LONG).await.unwrap();
        let since_ms = other.unwrap().through_ms - began_ms;
        assert!((-1_000..60_000).contains(&since_ms), "it begins now, by the database's clock");
    })
    .await;
}

#[tokio::test]
async fn pages_continue_from_stream_to_stream_and_end() {
    on_both(async |test| {
        let store = &test.store;
        let epoch = hold(store, ONE, LONG).await;
        for stream in ["a", "b"] {
            announce(store, stream).await;
            log(store, stream, 1..=3).await;
        }
        assert_eq!(page(store, 0, "", 4).await, [at("a", &[1, 2, 3]), at("b", &[1])].concat());
        assert_eq!(page(store, 0, "a", 4).await, at("b", &[1, 2, 3]));
        assert_eq!(store.sink_page("sink", 0, "b", 4).await.unwrap().last, None);
        let reached = [(stream_id("a"), 2), (stream_id("b"), 3)];
        assert!(store.move_sink("sink", epoch, &reached).await.unwrap());
        let back = [(stream_id("a"), 1), (stream_id("gone"), 1)];
        assert!(store.move_sink("sink", epoch, &back).await.unwrap());
        assert_eq!(page(store, 0, "", 4).await, at("a", &[3]));
        let other = store.sink_page("another", 0, "", 9).await.unwrap();
        assert_eq!(other.entries.len(), 6, "each sink has its own positions");
    })
    .await;
}

#[tokio::test]
async fn streams_that_ended_before_a_sinks_mark_are_skipped() {
    on_both(async |test| {
        let store = &test.store;
        let epoch = hold(store, ONE, LONG).await;
        announce(store, "s").await;
        log(store, "s", 1..=1).await;
        store.finish_stream(&stream_id("s"), 0, 1, Outcome::Stopped, None, 50).await.unwrap();
        assert_eq!(page(store, 50, "", 4).await, at("s", &[1, 2]));
        assert_eq!(page(store, 51, "", 4).await, []);
        let through_ms = rtmsd::clock::now_ms() + 60_000;
        assert!(store.move_sink_through("sink", epoch, through_ms).await.unwrap());
        assert!(store.move_sink_through("sink", epoch, through_ms - 10).await.unwrap());
        let held = store.hold_sink("sink", ONE, LONG).await.unwrap().unwrap();
        assert_eq!(held.through_ms, through_ms, "it is never set back");
    })
    .await;
}

#[tokio::test]
async fn a_node_whose_sink_was_taken_moves_it_no_further() {
    on_both(async |test| {
        let store = &test.store;
        let old = hold(store, ONE, OVER).await;
        announce(store, "a").await;
        log(store, "a", 1..=3).await;
        let new = hold(store, OTHER, LONG).await;
        let far_ms = rtmsd::clock::now_ms() + 60_000;
        assert!(!store.move_sink("sink", old, &[(stream_id("a"), 3)]).await.unwrap());
        assert!(!store.move_sink_through("sink", old, far_ms).await.unwrap());
        assert_eq!(page(store, 0, "", 9).await, at("a", &[1, 2, 3]));
        let hold = store.hold_sink("sink", OTHER, LONG).await.unwrap().unwrap();
        assert!(hold.epoch == new && hold.through_ms < far_ms);
        assert!(store.move_sink("sink", new, &[(stream_id("a"), 2)]).await.unwrap());
        assert_eq!(page(store, 0, "", 9).await, at("a", &[3]));
    })
    .await;
}

#[tokio::test]
async fn the_first_endpoint_that_wants_entries_receives_those_stored_since_then() {
    on_both(async |test| {
        let store = &test.store;
        let news = async || page_of(WEBHOOKS_SINK, store, 0, "", 100).await;
        let change = async |id, is_enabled| {
            let change = EndpointChange { is_enabled: Some(is_enabled), ..Default::default() };
            assert!(store.change_endpoint(id, &change, &act("boss", 1)).await.unwrap());
        };
        announce(store, "s").await;
        log(store, "s", 1..=5).await;
        let ends = endpoint(store, &[EventKind::SessionEnded]).await;
        assert!(!store.wants_entries().await.unwrap());
        let lines = endpoint(store, &[EventKind::TranscriptLine]).await;
        assert!(store.wants_entries().await.unwrap());
        assert_eq!(news().await, [], "entries from before");
        log(store, "s", 6..=7).await;
        endpoint(store, &[]).await;
        change(lines, true).await;
        assert_eq!(news().await, at("s", &[6, 7]), "another endpoint skips nothing");
        let all = store.endpoints().await.unwrap();
        for id in all.iter().map(|it| it.endpoint.id).filter(|id| *id != ends) {
            change(id, false).await;
        }
        assert!(!store.wants_entries().await.unwrap());
        log(store, "s", 8..=8).await;
        change(lines, true).await;
        log(store, "s", 9..=9).await;
        assert_eq!(news().await, at("s", &[9]), "what came while nobody wanted entries is skipped");
    })
    .await;
}

#[tokio::test]
async fn a_configured_endpoint_that_wanted_entries_before_a_restart_continues_where_it_was() {
    on_both(async |test| {
        let store = &test.store;
        let configured = [configured_endpoint()];
        store.configure_endpoints(&configured, 1).await.unwrap();
        announce(store, "s").await;
        log(store, "s", 1..=2).await;
        store.configure_endpoints(&configured, 2).await.unwrap();
        assert_eq!(page_of(WEBHOOKS_SINK, store, 0, "", 100).await, at("s", &[1, 2]));
        store.disable_endpoint(configured[0].id, EndpointStatus::Failing, 3).await.unwrap();
        store.configure_endpoints(&configured, 4).await.unwrap();
        assert_eq!(page_of(WEBHOOKS_SINK, store, 0, "", 100).await, [], "it was disabled");
    })
    .await;
}
