//! Streams: updates, ends, and the sessions derived from them.

use rtmsd::model::{
    Gap, GapCause, Lost, Medium, MediumAccount, MediumTally, OpenGap, Outcome, SessionStatus,
    StopReason, StreamStatus, Tally, UnknownMessages, Unreadable, UnreadableMessages,
};
use rtmsd::store::{SessionPage, StreamUpdate};

use super::webhooks::*;
use crate::support::raw::Raw;
use crate::support::stores::on_both;

fn status(status: StreamStatus) -> StreamUpdate {
    StreamUpdate { status: Some(status), ..StreamUpdate::default() }
}

#[tokio::test]
async fn an_update_writes_only_the_fields_it_has() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        let audio = MediumTally { frames: 3, bytes: 1_920, first_ms: Some(7), last_ms: Some(47) };
        let tally = Tally { audio, ..Tally::default() };
        let mut account = MediumAccount::new(Medium::Audio, 7);
        account.gaps = vec![Gap { start_ms: 47, end_ms: 67, cause: GapCause::Failover }];
        account.open = Some(OpenGap { start_ms: 90, cause: GapCause::Paused });
        let mut unreadable = UnreadableMessages::default();
        unreadable.add(Unreadable::new(14, Lost::Message, "data"));
        let unreadable = unreadable.seen_at(8);
        let update = StreamUpdate {
            epoch: 0,
            status: Some(StreamStatus::Live),
            first_packet_ms: Some(7),
            tally: Some(tally),
            unknown_messages: Some(UnknownMessages::from([(23, 2)])),
            unreadable_messages: Some(unreadable.clone()),
            effective: None,
            ledger: Some(vec![account.clone()]),
        };
        store.update_streams(&[(stream_id("s").clone(), update.clone())], 8).await.unwrap();
        store
            .update_streams(&[(stream_id("s").clone(), status(StreamStatus::Paused).clone())], 9)
            .await
            .unwrap();
        let stream = read(store, "s").await;
        assert_eq!(stream.status, StreamStatus::Paused);
        assert_eq!((stream.first_packet_ms, stream.tally), (Some(7), tally));
        assert_eq!(stream.unknown_messages, UnknownMessages::from([(23, 2)]));
        assert_eq!(stream.unreadable_messages, unreadable);
        assert_eq!(stream.ledger, [account.clone()]);
    })
    .await;
}

#[tokio::test]
async fn an_update_neither_ends_a_stream_nor_revives_an_ended_one() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        store
            .update_streams(&[(stream_id("s").clone(), status(StreamStatus::Ended).clone())], 2)
            .await
            .unwrap();
        assert_eq!(read(store, "s").await.status, StreamStatus::Announced);
        store.finish_stream(&stream_id("s"), 0, 1, Outcome::Closed, None, 3).await.unwrap();
        let ended = read(store, "s").await;
        store
            .update_streams(&[(stream_id("s").clone(), status(StreamStatus::Live).clone())], 4)
            .await
            .unwrap();
        assert_eq!(read(store, "s").await, ended);
        store
            .update_streams(&[(stream_id("x").clone(), status(StreamStatus::Live).clone())], 4)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_once_and_its_first_outcome_stays() {
    on_both(async |test| {
        let store = &test.store;
        let s = stream_id("s");
        assert!(store.finish_stream(&s, 0, 1, Outcome::Gone, None, 1).await.unwrap().is_none());
        announce(store, "s").await;
        assert!(
            store
                .finish_stream(&s, 0, 1, Outcome::Stopped, Some(StopReason(6)), 2)
                .await
                .unwrap()
                .is_some()
        );
        assert!(
            store
                .finish_stream(&s, 0, 1, Outcome::Failed, Some(StopReason(1)), 3)
                .await
                .unwrap()
                .is_none()
        );
        let stream = read(store, "s").await;
        assert_eq!((stream.status, stream.ended_at_ms), (StreamStatus::Ended, Some(2)));
        assert_eq!(
            (stream.outcome, stream.stop_reason),
            (Some(Outcome::Stopped), Some(StopReason(6)))
        );
        assert_eq!(stream.stop_seen_at_ms, None);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_moved_meanwhile_is_not_ended_by_its_runner() {
    on_both(async |test| {
        let store = &test.store;
        let s = stream_id("s");
        announce(store, "s").await;
        record(store, started("s", 2, OTHER_URL)).await;
        assert!(
            store.finish_stream(&s, 0, 1, Outcome::WindowExpired, None, 3).await.unwrap().is_none()
        );
        assert_eq!(read(store, "s").await.ended_at_ms, None);
        assert!(
            store.finish_stream(&s, 0, 2, Outcome::WindowExpired, None, 4).await.unwrap().is_some()
        );
    })
    .await;
}

#[tokio::test]
async fn a_stopped_stream_is_ended_even_by_a_runner_that_missed_a_move() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        record(store, started("s", 2, OTHER_URL)).await;
        record(store, stopped("s", 3, Some(6))).await;
        let s = stream_id("s");
        assert!(store.finish_stream(&s, 0, 1, Outcome::Stopped, None, 4).await.unwrap().is_some());
        assert_eq!(read(store, "s").await.stop_reason, Some(StopReason(6)));
    })
    .await;
}

#[tokio::test]
async fn a_session_follows_its_streams() {
    on_both(async |test| {
        let store = &test.store;
        let (a, b) = (stream_id("a"), stream_id("b"));
        let session = announce(store, "a").await;
        let now = async || {
            let session = store.session(session).await.unwrap().unwrap();
            (session.status, session.updated_at_ms, session.ended_at_ms)
        };
        assert_eq!(now().await, (SessionStatus::Connecting, 1, None));
        for live in [StreamStatus::Live, StreamStatus::Interrupted, StreamStatus::Paused] {
            store.update_streams(&[(a.clone(), status(live).clone())], 2).await.unwrap();
            assert_eq!(now().await, (SessionStatus::Live, 2, None));
        }
        announce(store, "b").await;
        assert_eq!(now().await.0, SessionStatus::Live);
        store.finish_stream(&a, 0, 1, Outcome::Stopped, Some(StopReason(6)), 3).await.unwrap();
        assert_eq!(now().await, (SessionStatus::Connecting, 3, None));
        store.finish_stream(&b, 0, 1, Outcome::Stopped, Some(StopReason(2)), 4).await.unwrap();
        assert_eq!(now().await, (SessionStatus::Stopped, 4, Some(4)));
        record(store, started("c", 5, URL)).await;
        assert_eq!(now().await, (SessionStatus::Connecting, 5, None));
        store
            .finish_stream(&stream_id("c"), 0, 1, Outcome::Stopped, Some(StopReason(6)), 6)
            .await
            .unwrap();
        assert_eq!(now().await, (SessionStatus::Ended, 6, Some(6)));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_of_a_row_costs_no_other() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        announce(store, "t").await;
        let mut raw = Raw::connect(&test.database).await;
        raw.execute(
            "UPDATE streams SET tally = '{', unknown_messages = '?', unreadable_messages = '[',
                    ledger = 'nope', media = 'x', effective = '[' WHERE stream_id = 's'",
        )
        .await;
        raw.execute("UPDATE sessions SET metadata = '{', media = '['").await;
        let stream = read(store, "s").await;
        assert_eq!((stream.tally, stream.ledger), (Tally::default(), Vec::new()));
        assert_eq!((stream.media, stream.effective), (None, None));
        let session = store.session(stream.session_id).await.unwrap().unwrap();
        assert_eq!((session.metadata, session.media), (None, None));
        // A row with an unknown status is skipped.
        raw.execute("UPDATE streams SET status = 'dancing' WHERE stream_id = 's'").await;
        assert!(store.streams_of(stream.session_id).await.unwrap().iter().all(|s| s.stream_id != stream.stream_id));
        assert_eq!(read(store, "t").await.status, StreamStatus::Announced);
        raw.execute("UPDATE sessions SET status = 'dancing' WHERE id = (SELECT session_id FROM streams WHERE stream_id = 's')")
            .await;
        let page = SessionPage { limit: 10, ..SessionPage::default() };
        let ids: Vec<_> = store.sessions(&page).await.unwrap().iter().map(|s| s.id).collect();
        assert!(!ids.contains(&stream.session_id));
    })
    .await;
}
