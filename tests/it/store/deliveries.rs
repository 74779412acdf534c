//! Zoom's webhooks in the store: effects, copies and concurrent deliveries.

use rtmsd::model::{AppScope, Cutoffs, Notice, Outcome, SessionStatus, StopReason, StreamStatus};
use rtmsd::store::{Recorded, SessionPage};

use super::webhooks::*;
use crate::support::stores::on_both;

#[tokio::test]
async fn a_start_creates_a_session_and_its_first_stream() {
    on_both(async |test| {
        let store = &test.store;
        assert_eq!(record(store, started("s", 5, URL)).await, changed("s"));
        let stream = read(store, "s").await;
        assert_eq!((stream.ordinal, stream.generation, stream.interrupts), (1, 1, 0));
        assert_eq!((stream.event_ts_ms, stream.server_urls.as_str()), (5, URL));
        assert_eq!((stream.status, stream.outcome), (StreamStatus::Announced, None));
        let session = store.session(stream.session_id).await.unwrap().unwrap();
        assert_eq!(session.instance, meeting("m"));
        assert_eq!(session.status, SessionStatus::Connecting);
        assert_eq!(session.account_id.as_deref(), Some("acc1"));
        assert_eq!(session.operator_id.as_deref(), Some("u1"));
        assert_eq!((session.meeting_id, session.ended_at_ms), (None, None));
    })
    .await;
}

#[tokio::test]
async fn the_same_bytes_again_are_a_repeat_and_change_nothing() {
    on_both(async |test| {
        let store = &test.store;
        for delivery in [started("s", 1, URL), interrupted("s", 2), stopped("s", 3, Some(6))] {
            assert_eq!(record(store, delivery.clone()).await, changed("s"));
            let before = read(store, "s").await;
            assert_eq!(store.record_delivery(&delivery).await.unwrap(), Recorded::Repeat);
            assert_eq!(read(store, "s").await, before);
        }
    })
    .await;
}

#[tokio::test]
async fn an_irrelevant_event_is_recorded_once() {
    on_both(async |test| {
        assert_eq!(record(&test.store, other(1)).await, Recorded::NoChange);
        assert_eq!(record(&test.store, other(1)).await, Recorded::Repeat);
        assert_eq!(record(&test.store, other(2)).await, Recorded::NoChange);
    })
    .await;
}

#[tokio::test]
async fn a_newer_start_or_other_urls_at_the_same_time_move_a_live_stream() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        assert_eq!(record(store, started("s", 1, OTHER_URL)).await, changed("s"));
        let moved = read(store, "s").await;
        assert_eq!((moved.generation, moved.server_urls.as_str()), (2, OTHER_URL));
        assert_eq!(record(store, started("s", 2, OTHER_URL)).await, changed("s"));
        let moved = read(store, "s").await;
        assert_eq!((moved.generation, moved.event_ts_ms), (3, 2));
        assert_eq!(store.streams_of(moved.session_id).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_older_start_or_one_without_news_changes_nothing() {
    on_both(async |test| {
        let store = &test.store;
        record(store, started("s", 10, URL)).await;
        let before = read(store, "s").await;
        assert_eq!(record(store, started("s", 9, OTHER_URL)).await, Recorded::NoChange);
        let mut reworded = started("s", 10, URL);
        reworded.digest = "0".repeat(64);
        assert_eq!(record(store, reworded).await, Recorded::NoChange);
        assert_eq!(read(store, "s").await, before);
    })
    .await;
}

#[tokio::test]
async fn a_start_after_the_stop_webhook_never_changes_anything() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        assert_eq!(record(store, stopped("s", 2, Some(6))).await, changed("s"));
        assert_eq!(record(store, started("s", 3, OTHER_URL)).await, Recorded::AlreadyEnded);
        let id = stream_id("s");
        assert!(store.finish_stream(&id, 0, 1, Outcome::Stopped, None, 4).await.unwrap().is_some());
        assert_eq!(record(store, started("s", 5, OTHER_URL)).await, Recorded::AlreadyEnded);
        assert_eq!(read(store, "s").await.status, StreamStatus::Ended);
    })
    .await;
}

#[tokio::test]
async fn a_stop_that_comes_before_its_start_is_remembered() {
    on_both(async |test| {
        let store = &test.store;
        assert_eq!(record(store, stopped("s", 7, Some(6))).await, Recorded::NoChange);
        let stone = read(store, "s").await;
        assert_eq!((stone.status, stone.outcome), (StreamStatus::Ended, Some(Outcome::Stopped)));
        assert_eq!((stone.stop_seen_at_ms, stone.ended_at_ms), (Some(7), Some(7)));
        assert_eq!((stone.stop_reason, stone.generation), (Some(StopReason(6)), 0));
        assert_eq!(record(store, started("s", 8, URL)).await, Recorded::AlreadyEnded);
        assert_eq!(read(store, "s").await, stone);
        let session = store.session(stone.session_id).await.unwrap().unwrap();
        assert_eq!(session.status, SessionStatus::Ended);
    })
    .await;
}

#[tokio::test]
async fn a_newer_start_revives_a_stream_that_the_daemon_ended() {
    on_both(async |test| {
        let store = &test.store;
        let session = announce(store, "s").await;
        let id = stream_id("s");
        assert!(
            store
                .finish_stream(&id, 0, 1, Outcome::WindowExpired, None, 2)
                .await
                .unwrap()
                .is_some()
        );
        assert_eq!(record(store, started("s", 1, OTHER_URL)).await, Recorded::AlreadyEnded);
        assert_eq!(record(store, started("s", 3, OTHER_URL)).await, changed("s"));
        let revived = read(store, "s").await;
        assert_eq!((revived.status, revived.outcome), (StreamStatus::Announced, None));
        assert_eq!((revived.ended_at_ms, revived.generation), (None, 2));
        assert_eq!(revived.server_urls, OTHER_URL);
        let session = store.session(session).await.unwrap().unwrap();
        assert_eq!((session.status, session.ended_at_ms), (SessionStatus::Connecting, None));
    })
    .await;
}

#[tokio::test]
async fn the_first_stop_stays_and_a_reason_may_come_later() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        assert_eq!(record(store, stopped("s", 2, None)).await, changed("s"));
        assert_eq!(record(store, stopped("s", 3, Some(10))).await, changed("s"));
        assert_eq!(record(store, stopped("s", 4, Some(6))).await, Recorded::NoChange);
        let stream = read(store, "s").await;
        assert_eq!((stream.stop_seen_at_ms, stream.stop_reason), (Some(2), Some(StopReason(10))));
        assert_eq!((stream.status, stream.outcome), (StreamStatus::Announced, None));
        assert_eq!(record(store, stopped("s", 5, Some(8))).await, changed("s"));
        assert_eq!(
            read(store, "s").await.stop_reason,
            Some(StopReason(8)),
            "a revocation overrides every other reason"
        );
    })
    .await;
}

#[tokio::test]
async fn a_stop_of_a_stream_that_the_daemon_ended_is_noted_and_its_outcome_stays() {
    on_both(async |test| {
        let store = &test.store;
        let session = announce(store, "s").await;
        assert!(
            store
                .finish_stream(&stream_id("s"), 0, 1, Outcome::Closed, None, 2)
                .await
                .unwrap()
                .is_some()
        );
        let before = store.session(session).await.unwrap().unwrap();
        assert_eq!(before.status, SessionStatus::Stopped);
        assert_eq!(record(store, stopped("s", 3, Some(6))).await, Recorded::NoChange);
        let stream = read(store, "s").await;
        assert_eq!((stream.stop_seen_at_ms, stream.stop_reason), (Some(3), Some(StopReason(6))));
        assert_eq!((stream.outcome, stream.ended_at_ms), (Some(Outcome::Closed), Some(2)));
        let after = store.session(session).await.unwrap().unwrap();
        assert_eq!(after.status, SessionStatus::Ended);
    })
    .await;
}

#[tokio::test]
async fn an_interruption_counts_on_a_live_stream_only() {
    on_both(async |test| {
        let store = &test.store;
        assert_eq!(record(store, interrupted("s", 1)).await, Recorded::NoChange);
        assert_eq!(store.stream(&stream_id("s")).await.unwrap(), None);
        announce(store, "s").await;
        assert_eq!(record(store, interrupted("s", 2)).await, changed("s"));
        assert_eq!(record(store, stopped("s", 3, Some(6))).await, changed("s"));
        assert_eq!(record(store, interrupted("s", 4)).await, Recorded::NoChange);
        assert_eq!(read(store, "s").await.interrupts, 1);
    })
    .await;
}

#[tokio::test]
async fn text_that_postgres_cannot_hold_costs_a_character_and_not_the_delivery() {
    on_both(async |test| {
        let mut delivery = started("s", 1, "wss://a\0b");
        delivery.event = "meeting\0".into();
        assert_eq!(record(&test.store, delivery).await, changed("s"));
        assert_eq!(read(&test.store, "s").await.server_urls, "wss://a\u{FFFD}b");
    })
    .await;
}

#[tokio::test]
async fn streams_announced_at_the_same_time_share_a_session_and_get_ordinals_of_their_own() {
    const STREAMS: u32 = 12;
    on_both(async |test| {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..STREAMS {
            let store = test.store.clone();
            tasks.spawn(async move {
                store.record_delivery(&started(&format!("s{n}"), 1, URL)).await.unwrap()
            });
        }
        for recorded in tasks.join_all().await {
            assert!(matches!(recorded, Recorded::Changed { .. }));
        }
        let page = SessionPage { limit: 10, ..SessionPage::default() };
        let sessions = test.store.sessions(&page).await.unwrap();
        assert_eq!(sessions.len(), 1);
        let streams = test.store.streams_of(sessions[0].id).await.unwrap();
        let ordinals: Vec<u32> = streams.iter().map(|stream| stream.ordinal).collect();
        assert_eq!(ordinals, (1..=STREAMS).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn one_of_several_concurrent_copies_counts() {
    on_both(async |test| {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let store = test.store.clone();
            tasks.spawn(async move { store.record_delivery(&started("s", 1, URL)).await.unwrap() });
        }
        let recorded = tasks.join_all().await;
        let repeats = recorded.iter().filter(|recorded| **recorded == Recorded::Repeat).count();
        assert_eq!(repeats, 11, "{recorded:?}");
        assert_eq!(read(&test.store, "s").await.generation, 1);
    })
    .await;
}

#[tokio::test]
async fn a_stream_announced_in_two_meetings_at_the_same_time_belongs_to_one() {
    on_both(async |test| {
        for round in 0..10 {
            let name = format!("s{round}");
            let (one, other) = (format!("m{round}"), format!("n{round}"));
            let here = started_in(&one, &name, 1, URL);
            let there = started_in(&other, &name, 2, URL);
            let (here, there) =
                tokio::join!(test.store.record_delivery(&here), test.store.record_delivery(&there));
            assert_eq!(without_session(there.unwrap()), changed(&name), "it is newer, or first");
            here.unwrap();
        }
        let page = SessionPage { limit: 100, ..SessionPage::default() };
        assert_eq!(test.store.sessions(&page).await.unwrap().len(), 10);
    })
    .await;
}

#[tokio::test]
async fn failovers_announced_at_the_same_time_leave_the_newest() {
    on_both(async |test| {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 1..=12 {
            let store = test.store.clone();
            let delivery = started("s", n, &format!("wss://rtms-{n}.zoom.us"));
            tasks.spawn(async move { store.record_delivery(&delivery).await.unwrap() });
        }
        let recorded = tasks.join_all().await;
        let moves =
            recorded.into_iter().filter(|one| without_session(one.clone()) == changed("s")).count();
        let stream = read(&test.store, "s").await;
        assert_eq!((stream.event_ts_ms, &*stream.server_urls), (12, "wss://rtms-12.zoom.us"));
        assert_eq!(stream.generation, moves as i64);
    })
    .await;
}

#[tokio::test]
async fn a_large_backlog_is_pruned_as_a_whole() {
    on_both(async |test| {
        for n in 0..1_001 {
            record(&test.store, other(n)).await;
        }
        assert_eq!(test.store.prune_deliveries(&Cutoffs::all(1_000)).await.unwrap(), 1_000);
        assert_eq!(record(&test.store, other(1_000)).await, Recorded::Repeat);
    })
    .await;
}

#[tokio::test]
async fn pruned_deliveries_are_forgotten_and_younger_ones_are_not() {
    on_both(async |test| {
        let store = &test.store;
        record(store, other(10)).await;
        record(store, other(20)).await;
        assert_eq!(store.prune_deliveries(&Cutoffs::all(20)).await.unwrap(), 1);
        assert_eq!(record(store, other(20)).await, Recorded::Repeat);
        assert_eq!(record(store, other(10)).await, Recorded::NoChange);
    })
    .await;
}

#[tokio::test]
async fn concurrent_deliveries_are_each_recorded_and_answered() {
    on_both(async |test| {
        let store = &test.store;
        let names: Vec<String> = (0..150).map(|n| format!("s{n}")).collect();
        // Every third twice: the second is a repeat, whichever is recorded first.
        let copies = names.iter().step_by(3);
        let all = names
            .iter()
            .chain(copies)
            .map(|name| record(store, started(name, 1, "wss://a.zoom.us")));
        let answers = futures_util::future::join_all(all).await;
        let is_changed = |name: &&String| answers.contains(&changed(name));
        assert_eq!(names.iter().filter(is_changed).count(), 150);
        assert_eq!(answers.iter().filter(|answer| **answer == Recorded::Repeat).count(), 50);
    })
    .await;
}

#[tokio::test]
async fn concurrent_copies_of_an_event_without_an_effect_count_once() {
    on_both(async |test| {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..400 {
            let store = test.store.clone();
            // The copies come in either order.
            let at_ms = if n < 200 { n % 40 } else { 39 - n % 40 };
            tasks.spawn(async move { store.record_delivery(&other(at_ms)).await.unwrap() });
        }
        let recorded = tasks.join_all().await;
        let new = recorded.iter().filter(|recorded| **recorded == Recorded::NoChange).count();
        assert_eq!(new, 40, "{recorded:?}");
    })
    .await;
}

#[tokio::test]
async fn a_notice_is_filed_with_the_session_it_names_or_with_the_account() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        let session = read(store, "s").await.session_id;
        let by_id = Notice { instance_id: Some("m".into()), ..Notice::default() };
        let by_stream = Notice { stream_id: Some(stream_id("s")), ..Notice::default() };
        let unknown = Notice { instance_id: Some("elsewhere".into()), ..Notice::default() };
        for (at_ms, notice) in [(2, by_id), (3, by_stream), (4, unknown), (5, Notice::default())] {
            assert_eq!(record(store, notice_of(at_ms, notice)).await, Recorded::NoChange);
        }
        let of_session = store.deliveries_of(session, 10).await.unwrap();
        let listed: Vec<_> =
            of_session.iter().map(|listed| (listed.event_ts_ms, listed.notice.is_some())).collect();
        assert_eq!(listed, [(1, false), (2, true), (3, true)]);
        let of_account = store.account_notices(&AppScope::All, 10).await.unwrap();
        let listed: Vec<i64> = of_account.iter().map(|notice| notice.event_ts_ms).collect();
        assert_eq!(listed, [5, 4]);
        assert_eq!(store.account_notices(&AppScope::All, 1).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_cancel_other_deliveries() {
    on_both(async |test| {
        let store = &test.store;
        let leaves = record(store, started("left", 1, "wss://a.zoom.us"));
        let stays = record(store, started("stays", 1, "wss://a.zoom.us"));
        let (left, stayed) =
            tokio::join!(tokio::time::timeout(std::time::Duration::from_millis(1), leaves), stays);
        assert_eq!(without_session(stayed), changed("stays"));
        // Recorded or not, it can be delivered again.
        let again = record(store, started("left", 1, "wss://a.zoom.us")).await;
        assert!(left.is_ok() || [changed("left"), Recorded::Repeat].contains(&again));
    })
    .await;
}

#[tokio::test]
async fn a_long_notice_is_listed_without_its_body() {
    on_both(async |test| {
        let mut long = notice_of(1, Notice::default());
        long.body = format!("{{\"payload\":\"{}\"}}", "x".repeat(100_000));
        record(&test.store, long).await;
        let listed = test.store.account_notices(&AppScope::All, 10).await.unwrap();
        assert_eq!((listed.len(), &listed[0].body), (1, &None));
    })
    .await;
}
