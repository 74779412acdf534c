//! Leases on both stores, by the database's clock: a lease of zero length has expired, one of a minute has not.

use futures_util::future::join_all;
use rtmsd::model::{
    AppName, AppRooms, Delivery, MeetingChange, NodeId, Outcome, StopReason, StreamStatus,
    WebhookEffect,
};
use rtmsd::store::{LeasedStream, Store, StreamUpdate};
use uuid::Uuid;

use super::webhooks::*;
use crate::support::raw::Raw;
use crate::support::stores::{TestStore, on_both};

const LONG: i64 = 60_000;
const OVER: i64 = 0;
const MEETINGS: usize = 40;

fn node(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

#[tokio::test]
async fn a_claimed_stream_is_not_given_to_another_node_until_its_lease_expires() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        let s = stream_id("s");
        let claim = claim_stream(store, node(1), &s, LONG).await.unwrap().unwrap();
        assert_eq!((claim.stream, claim.last_seq), (read(store, "s").await, 0));
        assert_eq!(claim_stream(store, node(2), &s, LONG).await.unwrap(), None);
        assert!(claim_stream(store, node(1), &s, OVER).await.unwrap().is_some());
        assert!(claim_stream(store, node(2), &s, LONG).await.unwrap().is_some());
        assert_eq!(claim_stream(store, node(1), &s, LONG).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn every_claim_and_the_end_raise_the_epoch_and_a_renewal_does_not() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        let s = stream_id("s");
        assert_eq!(read(store, "s").await.epoch, 0);
        for (n, epoch) in [(1, 1), (1, 2), (2, 3)] {
            let claim = claim_stream(store, node(n), &s, OVER).await.unwrap().unwrap();
            assert_eq!(claim.stream.epoch, epoch);
        }
        assert_eq!(
            claim_orphans(store, node(1), LONG, 9, &AppRooms::default()).await.unwrap()[0]
                .stream
                .epoch,
            4
        );
        assert_eq!(store.renew_leases(node(1), LONG).await.unwrap()[0].epoch, 4);
        store.finish_stream(&s, 4, 1, Outcome::Gone, None, 9).await.unwrap().unwrap();
        assert_eq!(read(store, "s").await.epoch, 5);
    })
    .await;
}

#[tokio::test]
async fn a_claim_says_whether_the_stream_was_taken_from_a_node_that_did_not_release_it() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        let s = stream_id("s");
        let claim = async |n, lease_ms| {
            let claim = claim_stream(store, node(n), &s, lease_ms).await.unwrap();
            claim.map(|claim| claim.is_taken_over)
        };
        assert_eq!(claim(1, LONG).await, Some(false), "it was free");
        assert_eq!(claim(1, OVER).await, Some(false), "it was the node's own");
        assert_eq!(claim(2, LONG).await, Some(true));
        assert_eq!(claim(2, LONG).await, Some(true), "as the claim whose answer was lost");
        store.release_leases(node(2)).await.unwrap();
        assert_eq!(claim(1, OVER).await, Some(false), "it was released");
        let orphans = claim_orphans(store, node(2), LONG, 9, &AppRooms::default()).await.unwrap();
        assert!(orphans[0].is_taken_over);
    })
    .await;
}

#[tokio::test]
async fn many_streams_are_claimed_and_released_together() {
    on_both(async |test| {
        let store = &test.store;
        // More than one statement takes.
        let ids: Vec<_> = (100..230).map(|n| stream_id(&format!("s{n}"))).collect();
        for id in &ids {
            announce(store, id.as_str()).await;
        }
        log(store, "s101", 1..=3).await;
        claim_stream(store, node(2), &ids[5], LONG).await.unwrap().unwrap();
        claim_stream(store, node(2), &ids[70], OVER).await.unwrap().unwrap();
        let claims = store.claim_streams(node(1), &ids, LONG).await.unwrap();
        let claimed: Vec<_> = claims.iter().map(|claim| claim.stream.stream_id.clone()).collect();
        let expected: Vec<_> = ids.iter().filter(|id| **id != ids[5]).cloned().collect();
        assert_eq!(claimed, expected, "all but the one that another node has");
        for claim in &claims {
            let id = &claim.stream.stream_id;
            assert_eq!(claim.last_seq, if *id == ids[1] { 3 } else { 0 });
            assert_eq!(claim.is_taken_over, *id == ids[70]);
        }

        assert_eq!(store.free_streams(&ids).await.unwrap(), []);
        let (few, others) = ids.split_at(100);
        store.release_streams(node(2), others).await.unwrap();
        assert_eq!(store.free_streams(&ids).await.unwrap(), [], "they are not that node's");
        store.release_streams(node(1), few).await.unwrap();
        let mut free = store.free_streams(&ids).await.unwrap();
        free.sort();
        let expected: Vec<_> = few.iter().filter(|id| **id != ids[5]).cloned().collect();
        assert_eq!(free, expected);
        let again = store.claim_streams(node(3), &few[..2], LONG).await.unwrap();
        assert!(again.iter().all(|claim| !claim.is_taken_over), "they were released");
        assert_eq!(store.free_streams(few).await.unwrap().len(), free.len() - 2);
    })
    .await;
}

#[tokio::test]
async fn a_released_claim_is_hidden_for_a_while_and_given_on_request() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        let s = stream_id("s");
        claim_stream(store, node(1), &s, OVER).await.unwrap().unwrap();
        let claim = claim_stream(store, node(2), &s, LONG).await.unwrap().unwrap();
        store.give_back(&s, claim.stream.epoch - 1, OVER).await.unwrap();
        assert_eq!(
            claim_orphans(store, node(3), LONG, 9, &AppRooms::default()).await.unwrap(),
            [],
            "not by its old epoch"
        );
        store.give_back(&s, claim.stream.epoch, LONG).await.unwrap();
        assert_eq!(store.renew_leases(node(2), LONG).await.unwrap(), []);
        assert_eq!(claim_orphans(store, node(3), LONG, 9, &AppRooms::default()).await.unwrap(), []);
        let claim = claim_stream(store, node(1), &s, LONG).await.unwrap().unwrap();
        assert!(claim.is_taken_over);
        store.give_back(&s, claim.stream.epoch, OVER).await.unwrap();
        assert_eq!(
            claim_orphans(store, node(3), LONG, 9, &AppRooms::default()).await.unwrap().len(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn an_unknown_or_ended_stream_cannot_be_claimed() {
    on_both(async |test| {
        let store = &test.store;
        assert_eq!(claim_stream(store, node(1), &stream_id("x"), LONG).await.unwrap(), None);
        announce(store, "s").await;
        store.finish_stream(&stream_id("s"), 0, 1, Outcome::Gone, None, 2).await.unwrap();
        assert_eq!(claim_stream(store, node(1), &stream_id("s"), LONG).await.unwrap(), None);
        assert_eq!(
            claim_orphans(store, node(1), LONG, 10, &AppRooms::default()).await.unwrap(),
            []
        );
    })
    .await;
}

#[tokio::test]
async fn a_stopped_stream_can_be_claimed_and_held_until_it_is_finished() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        record(store, stopped("s", 2, Some(6))).await;
        let claims = claim_orphans(store, node(1), LONG, 10, &AppRooms::default()).await.unwrap();
        assert_eq!(claims[0].stream.stop_reason, Some(StopReason(6)));
        assert_eq!(store.renew_leases(node(1), LONG).await.unwrap().len(), 1);
        store
            .finish_stream(&stream_id("s"), 1, 1, Outcome::Stopped, Some(StopReason(6)), 5)
            .await
            .unwrap();
        assert_eq!(store.renew_leases(node(1), LONG).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn orphans_are_the_streams_without_a_valid_lease() {
    on_both(async |test| {
        let store = &test.store;
        for name in ["a", "b", "c", "d"] {
            announce(store, name).await;
        }
        claim_stream(store, node(1), &stream_id("a"), LONG).await.unwrap().unwrap();
        claim_stream(store, node(1), &stream_id("b"), OVER).await.unwrap().unwrap();
        assert_eq!(
            names(&claim_orphans(store, node(2), LONG, 2, &AppRooms::default()).await.unwrap()),
            ["b", "c"]
        );
        assert_eq!(
            names(&claim_orphans(store, node(2), LONG, 9, &AppRooms::default()).await.unwrap()),
            ["d"]
        );
        assert_eq!(
            names(&claim_orphans(store, node(2), LONG, 9, &AppRooms::default()).await.unwrap()),
            [""; 0]
        );
    })
    .await;
}

#[tokio::test]
async fn an_app_gets_no_more_orphans_than_it_has_room_for_and_keeps_no_other_from_its_own() {
    on_both(async |test| {
        let store = &test.store;
        let acme = AppName::parse("acme").unwrap();
        // The app's streams come first, and there are more of them than one call looks at.
        for n in 0..4 {
            record(store, signed_by(&acme, started(&format!("a{n}"), 1, URL))).await;
        }
        announce(store, "b").await;
        let claim = async |room: usize| {
            let rooms = [(acme.clone(), room)].into_iter().collect();
            names(&claim_orphans(store, node(1), LONG, 3, &rooms).await.unwrap())
        };
        assert_eq!(claim(1).await, ["a0"]);
        assert_eq!(claim(0).await, ["b"]);
        assert_eq!(claim(0).await, [""; 0]);
        // Zoom has stopped one: its end is recorded whether the app has room or not.
        record(store, signed_by(&acme, stopped("a2", 2, Some(6)))).await;
        assert_eq!(claim(0).await, ["a2"]);
        assert_eq!(claim(9).await, ["a1", "a3"]);
    })
    .await;
}

fn names(claims: &[rtmsd::store::Claim]) -> Vec<String> {
    let mut names: Vec<_> = claims.iter().map(|claim| claim.stream.stream_id.to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_lease_from_before_the_clock_of_the_database_was_set_back_is_corrected() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        claim_stream(store, node(1), &stream_id("s"), LONG).await.unwrap().unwrap();
        let mut raw = Raw::connect(&test.database).await;
        raw.execute("UPDATE streams SET lease_until_ms = 9000000000000000").await;
        store.renew_leases(node(1), LONG).await.unwrap();
        let ahead = "SELECT COUNT(*) FROM streams WHERE lease_until_ms = 9000000000000000";
        assert_eq!(raw.count(ahead).await, 0);
    })
    .await;
}

#[tokio::test]
async fn renewing_extends_leases_and_returns_changes() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        announce(store, "of_nobody").await;
        claim_stream(store, node(1), &stream_id("s"), LONG).await.unwrap().unwrap();
        record(store, started("s", 2, OTHER_URL)).await;
        let streams = store.renew_leases(node(1), LONG).await.unwrap();
        let stream = LeasedStream {
            stream_id: stream_id("s"),
            epoch: 1,
            generation: 2,
            interrupts: 0,
            is_stopped: false,
            stop_reason: None,
            video_user_id: None,
        };
        assert_eq!(streams, [stream]);
        assert_eq!(claim_stream(store, node(2), &stream_id("s"), LONG).await.unwrap(), None);
        claim_stream(store, node(1), &stream_id("s"), OVER).await.unwrap().unwrap();
        claim_stream(store, node(2), &stream_id("s"), LONG).await.unwrap().unwrap();
        assert_eq!(store.renew_leases(node(1), LONG).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn released_streams_are_free_at_once() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "a").await;
        announce(store, "b").await;
        assert_eq!(
            claim_orphans(store, node(1), LONG, 9, &AppRooms::default()).await.unwrap().len(),
            2
        );
        assert_eq!(store.release_leases(node(2)).await.unwrap(), 0);
        assert_eq!(store.release_leases(node(1)).await.unwrap(), 2);
        assert_eq!(
            claim_orphans(store, node(2), LONG, 9, &AppRooms::default()).await.unwrap().len(),
            2
        );
    })
    .await;
}

#[tokio::test]
async fn a_revived_stream_has_no_owner() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        claim_stream(store, node(1), &stream_id("s"), LONG).await.unwrap().unwrap();
        store.finish_stream(&stream_id("s"), 1, 1, Outcome::Gone, None, 1_001).await.unwrap();
        record(store, started("s", 2, OTHER_URL)).await;
        assert_eq!(
            claim_orphans(store, node(2), LONG, 9, &AppRooms::default()).await.unwrap().len(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn nodes_that_claim_at_the_same_time_never_both_win() {
    const NODES: u128 = 6;
    const STREAMS: usize = 20;
    on_both(async |test| {
        for n in 0..STREAMS {
            announce(&test.store, &format!("s{n:02}")).await;
        }
        let mut tasks = tokio::task::JoinSet::new();
        for n in 1..=NODES {
            let store = test.store.clone();
            tasks.spawn(async move {
                let first = stream_id("s00");
                let one = claim_stream(&store, node(n), &first, LONG);
                let rooms = AppRooms::default();
                let some = claim_orphans(&store, node(n), LONG, 7, &rooms);
                let (one, some) = tokio::join!(one, some);
                let mut won = names(&some.unwrap());
                won.extend(one.unwrap().map(|claim| claim.stream.stream_id.to_string()));
                // A node may claim its own stream twice.
                won.sort();
                won.dedup();
                won
            });
        }
        let mut won: Vec<String> = tasks.join_all().await.concat();
        let wins = won.len();
        won.sort();
        won.dedup();
        assert_eq!(won.len(), wins, "a stream was won twice: {won:?}");
        assert!(won.contains(&"s00".to_owned()), "{won:?}");
    })
    .await;
}

#[tokio::test]
async fn a_new_process_on_the_same_sqlite_file_finds_every_stream_free() {
    let test = TestStore::sqlite().await;
    announce(&test.store, "s").await;
    claim_stream(&test.store, node(1), &stream_id("s"), LONG).await.unwrap().unwrap();
    let store = test.reopened().await;
    assert_eq!(
        claim_orphans(&store, node(2), LONG, 9, &AppRooms::default()).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn another_process_on_the_same_postgres_respects_leases() {
    let test = TestStore::postgres().await;
    announce(&test.store, "s").await;
    claim_stream(&test.store, node(1), &stream_id("s"), LONG).await.unwrap().unwrap();
    let store = test.reopened().await;
    assert_eq!(claim_orphans(&store, node(2), LONG, 9, &AppRooms::default()).await.unwrap(), []);
}

/// Postgres finds such a circle only after a second, and ends one of the transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_with_many_streams_do_not_wait_for_each_other_in_a_circle() {
    let test = TestStore::postgres().await;
    let store = &test.store;
    let ids: Vec<_> = (0..80).map(|n| stream_id(&format!("s{n}"))).collect();
    for id in &ids {
        record(store, started_in(&format!("m{id}"), id.as_str(), 1, URL)).await;
    }
    let backwards: Vec<_> = ids.iter().rev().cloned().collect();
    let updates: Vec<_> = backwards
        .iter()
        .map(|id| {
            (
                id.clone(),
                StreamUpdate { status: Some(StreamStatus::Live), ..StreamUpdate::default() },
            )
        })
        .collect();
    for round in 0..12 {
        let claims = async {
            store.claim_streams(node(1), &backwards, LONG).await.unwrap();
            store.renew_leases(node(1), LONG).await.unwrap();
            store.release_streams(node(1), &backwards).await.unwrap();
        };
        let further_claims = async {
            store.claim_streams(node(2), &ids, LONG).await.unwrap();
            store.release_leases(node(2)).await.unwrap();
        };
        let webhooks = backwards.iter().chain(&ids).enumerate().map(async |(n, id)| {
            let delivery = interrupted(id.as_str(), 1000 * round + n as i64);
            store.record_delivery(&delivery).await.unwrap()
        });
        let updated = async { store.update_streams(&updates, 5).await.unwrap() };
        tokio::join!(claims, further_claims, updated, join_all(webhooks));
    }
    assert_eq!(deadlocks(&test).await, 0);
}

#[tokio::test]
async fn webhooks_of_streams_and_of_meetings_at_two_daemons_do_not_wait_for_each_other() {
    let test = TestStore::postgres().await;
    let (one, two) = (&test.store, &test.reopened().await);
    let name = |n: usize| (format!("m{n}"), format!("s{n}"));
    for n in 0..MEETINGS {
        let (meeting, stream) = name(n);
        record(one, started_in(&meeting, &stream, 1, URL)).await;
    }
    for round in 2..10 {
        // At one daemon the streams of the even meetings and the ends of the odd ones, at the other the reverse.
        let half = async |store: &Store, parity: usize| {
            let deliveries = (0..MEETINGS).map(|n| {
                let (meeting, stream) = name(n);
                match n % 2 == parity {
                    true => started_in(&meeting, &stream, round, URL),
                    false => meeting_changed_in(&meeting, round),
                }
            });
            let recording = deliveries.map(async |delivery| store.record_delivery(&delivery).await);
            join_all(recording).await.into_iter().for_each(|recorded| drop(recorded.unwrap()));
        };
        tokio::join!(half(one, 0), half(two, 1));
    }
    two.close().await;
    assert_eq!(deadlocks(&test).await, 0);
}

fn meeting_changed_in(name: &str, event_ts_ms: i64) -> Delivery {
    let mut delivery = meeting_changed(event_ts_ms, MeetingChange::Ended);
    if let WebhookEffect::Meeting(changed) = &mut delivery.announcement {
        changed.instance = meeting(name);
    }
    delivery.digest = format!("{name} {event_ts_ms}");
    delivery
}

/// How many circles of waiting transactions Postgres has broken.
async fn deadlocks(test: &TestStore) -> i64 {
    // A server process reports what it counted when it ends.
    test.store.close().await;
    let mut raw = Raw::connect(&test.database).await;
    let count = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    raw.count(count).await
}
