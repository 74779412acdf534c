//! Any broker gets every entry and deletion, whatever it and the daemon do.

mod memory;

use std::collections::HashSet;
use std::sync::Arc;

use rtmsd::model::{Entry, Outcome};
use rtmsd::store::Store;

use self::memory::Memory;
use super::relay::store_lines;
use crate::store::webhooks::*;
use crate::support::audit::act;
use crate::support::sinks::{Running, context, enable, hub};
use crate::support::stores::on_both;
use crate::support::wait::eventually;

/// A daemon with this broker as its only sink.
fn start(store: &Store, memory: &Arc<Memory>, node: u128) -> Running {
    Running::start(memory::build(memory, &context(store, hub(store), node)))
}

/// Ends a stream, deletes its session and returns the session's id.
async fn delete_session(store: &Store, stream: &str) -> String {
    let id = stream_id(stream);
    store.finish_stream(&id, 0, 1, Outcome::Stopped, None, 1).await.unwrap();
    let session = read(store, stream).await.session_id;
    store.delete_session(session, &act("boss", 2)).await.unwrap();
    let now_ms = rtmsd::clock::now_ms();
    while store.delete_some(now_ms).await.unwrap() {}
    session.to_string()
}

/// The ids of these messages in order, without repetitions.
fn ids(memory: &Memory, are_deletions: bool) -> Vec<String> {
    let mut seen = HashSet::new();
    let messages = memory.messages().into_iter();
    let messages = messages.filter(|message| (message.path[0] == "deleted") == are_deletions);
    messages
        .filter_map(|message| match are_deletions {
            true => serde_json::from_slice::<serde_json::Value>(&message.body).unwrap()["subject"]
                .as_str()
                .map(str::to_owned),
            false => message.id,
        })
        .filter(|id| seen.insert(id.clone()))
        .collect()
}

async fn has(memory: &Memory, are_deletions: bool, expected: &[String]) {
    let what = format!("the broker has {} (deletions: {are_deletions})", expected.len());
    eventually(&what, async || (ids(memory, are_deletions).len() == expected.len()).then_some(()))
        .await;
    assert_eq!(ids(memory, are_deletions), expected);
}

#[tokio::test]
async fn a_broker_in_one_file_gets_entries_and_deletions_in_order_over_failures_and_a_restart() {
    on_both(async |test| {
        let (store, memory) = (&test.store, Arc::new(Memory::default()));
        enable(store, "memory").await;
        enable(store, "memory_deletions").await;
        for (meeting, stream) in [("m0", "a"), ("m1", "b"), ("m2", "kept")] {
            record(store, started_in(meeting, stream, 1, URL)).await;
        }
        memory.fail_after(7);
        let running = start(store, &memory, 1);
        let mut lines = store_lines(store, "kept", 1, 60).await;
        let mut deleted = vec![delete_session(store, "a").await];
        memory.set_up(true);
        has(&memory, true, &deleted).await;
        let of_kept = |memory: &Memory| {
            let mut ids = ids(memory, false);
            ids.retain(|id| id.starts_with("kept:"));
            ids
        };
        eventually("the lines are there", async || {
            (of_kept(&memory).len() == lines.len()).then_some(())
        })
        .await;
        running.kill().await;
        // While no daemon runs.
        lines.extend(store_lines(store, "kept", 61, 120).await);
        deleted.push(delete_session(store, "b").await);
        memory.fail_after(0);
        memory.fail_after(3);
        let store = test.reopened().await;
        let running = start(&store, &memory, 1);
        has(&memory, true, &deleted).await;
        eventually("the later lines are there", async || {
            (of_kept(&memory).len() == lines.len()).then_some(())
        })
        .await;
        running.stop().await;
        assert_eq!(of_kept(&memory), lines.iter().map(Entry::id).collect::<Vec<_>>());
    })
    .await;
}
