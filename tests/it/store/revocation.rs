//! A revoked stream: from the transaction of the revocation on, nobody stores, reads or hands over what people said in
//! it, and the deletion for its user is complete only after its end.

use std::collections::HashSet;

use rtmsd::model::{AppRooms, Cursor, Delivery, EntryKind, NodeId, Outcome, SessionId, StopReason};
use rtmsd::store::{Claim, Offer, Offered, Store};
use serde_json::Value;
use uuid::Uuid;

use super::entries::line;
use super::fence::{appends, claim};
use super::webhooks::*;
use crate::support::audit::trail;
use crate::support::raw::Raw;
use crate::support::stores::on_both;

const LONG: i64 = 60_000;

async fn lines(store: &Store, session: SessionId) -> usize {
    let entries = store.entries_after(session, &Cursor::default(), &[], 1000).await.unwrap();
    entries.iter().filter(|entry| entry.body.kind() == EntryKind::Transcript).count()
}

/// A stream with three lines, then its revocation.
async fn revoked(store: &Store, by: Delivery) -> (SessionId, Claim) {
    let session = announce(store, "s").await;
    let old = claim(store, 1, "s", LONG).await;
    assert_eq!(
        store.write_entries(&appends(&old, 1, &["a", "b", "c"])).await.unwrap(),
        HashSet::new()
    );
    assert_eq!(lines(store, session).await, 3);
    assert!(store.revoked_streams().await.unwrap().is_empty());
    record(store, by).await;
    assert_eq!(store.revoked_streams().await.unwrap(), [stream_id("s")]);
    (session, old)
}

#[tokio::test]
async fn what_a_revoked_stream_says_is_neither_stored_nor_read_nor_handed_over() {
    on_both(async |test| {
        for by in [deauthorized(500), stopped("s", 500, Some(8))] {
            let test = test.fresh().await;
            let (store, s) = (&test.store, stream_id("s"));
            let (session, old) = revoked(store, by).await;
            assert_eq!(lines(store, session).await, 0, "readers get none of it");
            assert_eq!(store.entry(&s, 2).await.unwrap(), None, "nor do outgoing webhooks");
            let late = store.write_entries(&appends(&old, 4, &["late"])).await.unwrap();
            assert_eq!(late, HashSet::from([s.clone()]), "its runner is fenced");
            let offer = Offer { epoch: old.stream.epoch, place: 1, at_ms: 5, body: line("late") };
            let offered = store.offer(&s, &[offer]).await.unwrap();
            assert_eq!(offered, Offered { kept: 0, late: 1 });
            let mut raw = Raw::connect(&test.database).await;
            assert_eq!(raw.count("SELECT COUNT(*) FROM entries WHERE body LIKE '%late%'").await, 0);
            assert_eq!(raw.count("SELECT COUNT(*) FROM handovers WHERE body IS NOT NULL").await, 0);
            // Its node claims it again, to end it.
            let again = claim(store, 1, "s", LONG).await;
            assert!(again.stream.is_revoked() && !again.is_taken_over);
            let (epoch, outcome) = (again.stream.epoch, Outcome::Stopped);
            let last =
                store.finish_stream(&s, epoch, 1, outcome, Some(StopReason(8)), 600).await.unwrap();
            assert_eq!(last.map(|entry| entry.seq), Some(4), "no number is given twice");
            assert_eq!(raw.count("SELECT COUNT(*) FROM entries WHERE personal = 1").await, 0);
        }
    })
    .await;
}

/// The runner learns of the revocation before it has the new epoch, so it ends the stream with the old epoch and again with
/// the new one.
#[tokio::test]
async fn a_revoked_stream_whose_runner_ends_it_twice_is_deleted_once() {
    on_both(async |test| {
        let store = &test.store;
        let (_, old) = revoked(store, deauthorized(500)).await;
        let end = async |epoch, at_ms| {
            let (s, reason) = (stream_id("s"), Some(StopReason(8)));
            store.finish_stream(&s, epoch, 1, Outcome::Stopped, reason, at_ms).await.unwrap()
        };
        assert_eq!(end(old.stream.epoch, 600).await, None, "its epoch has passed");
        let again = claim(store, 1, "s", LONG).await;
        assert!(end(again.stream.epoch, 610).await.is_some());
        while store.delete_some(620).await.unwrap() {}
        for action in ["data.deleted", "stream.revoke"] {
            let mut trail = trail(store, 20).await;
            trail.retain(|row| row.action == action && row.subject == "s");
            assert_eq!(trail.len(), 1, "{action}");
        }
        let mut raw = Raw::connect(&test.database).await;
        assert_eq!(raw.count("SELECT COUNT(*) FROM entries WHERE personal = 1").await, 0);
    })
    .await;
}

async fn deleted(store: &Store) -> Vec<Value> {
    let trail = trail(store, 20).await.into_iter();
    let rows = trail.filter(|row| row.action == "data.deleted" && row.subject == "u1");
    rows.map(|row| serde_json::from_str(&row.detail).unwrap()).collect()
}

#[tokio::test]
async fn a_users_deletion_is_complete_when_no_stream_of_the_user_runs() {
    on_both(async |test| {
        let store = &test.store;
        revoked(store, deauthorized(500)).await;
        // It waits for this stream and holds up no other deletion.
        record(store, started_by("u2", "other", 510)).await;
        record(store, deauthorized_by("nobody", 520)).await;
        while store.delete_some(530).await.unwrap() {}
        assert_eq!(deleted(store).await, Vec::<Value>::new());
        assert_eq!(trail(store, 1).await[0].subject, "nobody");
        let epoch = claim(store, 1, "s", LONG).await.stream.epoch;
        let s = stream_id("s");
        store.finish_stream(&s, epoch, 1, Outcome::Stopped, None, 600).await.unwrap().unwrap();
        while store.delete_some(610).await.unwrap() {}
        let done = deleted(store).await;
        assert_eq!((done.len(), &done[0]["streams"]), (1, &1.into()));
    })
    .await;
}

/// No daemon ends it.
#[tokio::test]
async fn a_users_deletion_waits_a_minute_at_most() {
    on_both(async |test| {
        let store = &test.store;
        revoked(store, deauthorized(500)).await;
        assert!(!store.delete_some(60_499).await.unwrap());
        while store.delete_some(60_500).await.unwrap() {}
        assert_eq!(deleted(store).await.len(), 1);
        let mut raw = Raw::connect(&test.database).await;
        assert_eq!(raw.count("SELECT COUNT(*) FROM entries WHERE personal = 1").await, 0);
    })
    .await;
}

/// A later start of the same user belongs to the user who has returned.
#[tokio::test]
async fn a_revoked_stream_does_not_begin_again() {
    on_both(async |test| {
        let store = &test.store;
        revoked(store, deauthorized(500)).await;
        let again = record(store, started("s", 9000, OTHER_URL)).await;
        assert_eq!(again, rtmsd::store::Recorded::AlreadyEnded);
        let node = NodeId(Uuid::from_u128(2));
        assert!(
            claim_orphans(store, node, LONG, 10, &AppRooms::default()).await.unwrap().is_empty()
        );
    })
    .await;
}
