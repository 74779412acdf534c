//! What the store counts for metrics.

use rtmsd::model::{
    AppName, AppScope, NodeId, OutgoingEvent, RecordingId, RecordingStatus, SpoolId,
};
use rtmsd::store::{NewRecording, Store, StoreFigures};
use uuid::Uuid;

use super::installations::install;
use super::outgoing::{endpoint_of, gap_event};
use super::webhooks::*;
use crate::support::stores::on_both;

const NODE: NodeId = NodeId(Uuid::from_u128(1));

async fn figures(store: &Store) -> StoreFigures {
    store.figures(rtmsd::clock::now_ms()).await.unwrap()
}

#[tokio::test]
async fn an_empty_store_counts_nothing() {
    on_both(async |test| {
        let found = figures(&test.store).await;
        assert!(found.unclaimed_streams.is_empty() && found.recordings.is_empty());
        assert!(found.installations.is_empty() && found.waiting_deliveries.is_empty());
        assert!(found.sink_lags.is_empty());
    })
    .await;
}

#[tokio::test]
async fn streams_without_a_daemon_are_counted() {
    on_both(async |test| {
        let store = &test.store;
        for stream in ["s1", "s2", "s3"] {
            announce(store, stream).await;
        }
        let unclaimed = async || figures(store).await.unclaimed_streams;
        assert_eq!(unclaimed().await[0].count, 3);
        store.claim_streams(NODE, &[stream_id("s1")], 60_000).await.unwrap();
        // A lease that is over at once: its daemon died.
        store.claim_streams(NODE, &[stream_id("s2")], -1_000).await.unwrap();
        let found = unclaimed().await;
        assert_eq!((found[0].app.as_str(), found[0].count), ("default", 2));
    })
    .await;
}

#[tokio::test]
async fn recordings_and_installations_are_counted_by_status() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s1").await;
        let record = read(store, "s1").await;
        for _ in 0..2 {
            let new = NewRecording {
                id: RecordingId(Uuid::now_v7()),
                session_id: record.session_id,
                stream_id: &record.stream_id,
                ordinal: 1,
                spool: SpoolId(Uuid::from_u128(1)),
                started_at_ms: 5,
            };
            store.begin_recording(&new).await.unwrap();
        }
        install(store, "u1", 1).await;
        let found = figures(store).await;
        let recordings: Vec<_> =
            found.recordings.iter().map(|row| (&*row.app, &*row.status, row.count)).collect();
        assert_eq!(recordings, [("default", RecordingStatus::Recording.as_str(), 2)]);
        let installations: Vec<_> =
            found.installations.iter().map(|row| (&*row.app, &*row.status, row.count)).collect();
        assert_eq!(installations, [("default", "connected", 1)]);
    })
    .await;
}

#[tokio::test]
async fn deliveries_that_wait_are_counted_with_the_age_of_the_oldest() {
    on_both(async |test| {
        let store = &test.store;
        endpoint_of(store, AppScope::All).await;
        for (n, app) in [(1, None), (2, Some(AppName::default())), (3, Some(AppName::default()))] {
            let event = OutgoingEvent { app, ..gap_event(n) };
            store.enqueue_events(&[event], 10 * n).await.unwrap();
        }
        let mut found = figures(store).await.waiting_deliveries;
        found.sort_by(|one, other| one.app.cmp(&other.app));
        let found: Vec<_> = found.iter().map(|row| (&*row.app, row.count, row.oldest_ms)).collect();
        assert_eq!(found, [("", 1, 10), ("default", 2, 20)]);
    })
    .await;
}

#[tokio::test]
async fn a_broker_lacks_the_entries_that_it_has_not_taken() {
    on_both(async |test| {
        let store = &test.store;
        let lags = async || {
            let found = figures(store).await.sink_lags;
            found.into_iter().map(|row| (row.sink, row.count)).collect::<Vec<_>>()
        };
        announce(store, "s1").await;
        let epoch = store.hold_sink("nats", NODE, 60_000).await.unwrap().unwrap().epoch;
        log(store, "s1", 1..=5).await;
        assert_eq!(lags().await, [("nats".to_owned(), 5)]);
        assert!(store.move_sink("nats", epoch, &[(stream_id("s1"), 3)]).await.unwrap());
        assert_eq!(lags().await, [("nats".to_owned(), 2)]);
        let later = store.figures(rtmsd::clock::now_ms() + 3_600_000).await.unwrap();
        assert!(later.sink_lags.is_empty(), "nobody has held it for an hour");
    })
    .await;
}
