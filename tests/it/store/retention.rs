//! What is deleted, when, and what stays.

use rtmsd::model::{
    Cursor, Entry, EntryBody, NodeId, Outcome, Participant, SessionId, StreamId, UserId,
};
use rtmsd::store::{SessionDeletion, Store};

use super::webhooks::*;
use crate::support::stores::on_both;

/// What somebody did, and what says nothing of anybody.
async fn say(store: &Store, session_id: SessionId, stream: &str) {
    let person = Participant { user_id: UserId(7), user_name: Some("Ana".into()) };
    let bodies = [EntryBody::ParticipantJoined(person), EntryBody::Moved {}];
    let entry = |(body, seq)| Entry {
        session_id,
        stream_id: stream_id(stream),
        stream_ordinal: 1,
        seq,
        at_ms: 5,
        body,
    };
    let entries: Vec<Entry> = bodies.into_iter().zip(1..).map(entry).collect();
    store.write_entries(&entries).await.unwrap();
}

async fn end(store: &Store, stream: &StreamId, reason: i64, now_ms: i64) {
    let ended = store.finish_stream(stream, 1, Outcome::Stopped, Some(reason), now_ms).await;
    ended.unwrap().expect("it ran");
}

async fn kinds(store: &Store, session_id: SessionId) -> Vec<&'static str> {
    let entries = store.entries_after(session_id, &Cursor::default(), &[], 100).await.unwrap();
    entries.iter().map(|entry| entry.body.kind().as_str()).collect()
}

#[tokio::test]
async fn a_session_that_lives_is_not_deleted_and_one_that_is_over_leaves_nothing() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        say(store, id, "s1").await;
        let other = record(store, started_in("other", "s2", 1, "wss://x.zoom.us")).await;
        assert_eq!(other, changed("s2"));
        assert_eq!(store.delete_session(id, "boss", 10).await.unwrap(), SessionDeletion::Live);
        end(store, &stream_id("s1"), 6, 20).await;
        for _ in 0..2 {
            let asked = store.delete_session(id, "boss", 30).await.unwrap();
            assert_eq!(asked, SessionDeletion::Asked);
        }
        while store.delete_some(40).await.unwrap() {}
        assert!(store.session(id).await.unwrap().is_none());
        assert!(store.stream(&stream_id("s1")).await.unwrap().is_none());
        assert!(store.stream(&stream_id("s2")).await.unwrap().is_some(), "another session's");
        assert_eq!(store.delete_session(id, "boss", 50).await.unwrap(), SessionDeletion::Unknown);
        let trail = store.audit_trail(10).await.unwrap();
        let deleted: Vec<_> = trail.iter().filter(|row| row.action == "data.deleted").collect();
        assert_eq!(deleted.len(), 1, "asked for twice, done once");
        assert_eq!((&*deleted[0].actor, &deleted[0].subject), ("boss", &id.to_string()));
        let told = store.deletions_after(0, "", 10).await.unwrap();
        let told: Vec<_> = told.iter().map(|it| (&*it.scope, &it.subject, it.at_ms)).collect();
        assert_eq!(told, [("session", &id.to_string(), 40)]);
        assert!(store.deletions_after(40, "~", 10).await.unwrap().is_empty());
        // A copy of a webhook that was answered is still a copy.
        assert_eq!(record(store, started("s1", 1, URL)).await, rtmsd::store::Recorded::Repeat);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_begins_while_its_session_is_deleted_stays() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        end(store, &stream_id("s1"), 6, 20).await;
        store.delete_session(id, "boss", 30).await.unwrap();
        record(store, started("s9", 5000, URL)).await;
        while store.delete_some(40).await.unwrap() {}
        let late = store.stream(&stream_id("s9")).await.unwrap().expect("it runs");
        assert_eq!((late.session_id, late.ended_at_ms), (id, None));
    })
    .await;
}

#[tokio::test]
async fn old_logs_are_forgotten_and_young_ones_are_not() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        say(store, id, "s1").await;
        end(store, &stream_id("s1"), 6, 1000).await;
        assert!(!store.expire_entries(1000, 2000).await.unwrap(), "not older than that");
        assert_eq!(kinds(store, id).await, ["participant_joined", "moved", "ended"]);
        while store.expire_entries(1001, 2000).await.unwrap() {}
        assert!(kinds(store, id).await.is_empty());
        let stream = store.stream(&stream_id("s1")).await.unwrap().expect("its figures stay");
        assert_eq!(stream.outcome, Some(Outcome::Stopped));
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_runs_is_not_forgotten_however_old_it_is() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        claim_stream(store, NodeId(uuid::Uuid::nil()), &stream_id("s1"), 10, 1000).await.unwrap();
        say(store, id, "s1").await;
        assert!(!store.expire_entries(i64::MAX, 2000).await.unwrap());
        assert_eq!(kinds(store, id).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn of_a_revoked_stream_its_webhooks_are_forgotten_too_and_that_is_noted() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        say(store, id, "s1").await;
        end(store, &stream_id("s1"), 8, 1000).await;
        assert_eq!(kinds(store, id).await, ["moved", "ended"]);
        while store.delete_some(2000).await.unwrap() {}
        let newest = &store.audit_trail(1).await.unwrap()[0];
        assert_eq!((&*newest.action, &*newest.subject), ("data.deleted", "s1"));
        let detail: serde_json::Value = serde_json::from_str(&newest.detail).unwrap();
        assert_eq!((&detail["scope"], &detail["deliveries"]), (&"stream".into(), &1.into()));
    })
    .await;
}
