//! Events for outgoing webhooks: which are stored, when, and for which endpoints.

use std::collections::BTreeSet;

use rtmsd::model::{
    AppName, AppScope, Cutoffs, EndpointId, EndpointSource, EndpointStatus, Entry, EntryBody,
    EventKind, Outcome, OutgoingEvent, SessionId, Speaker, StopReason, StreamStatus,
    TranscriptLine, UserId,
};
use rtmsd::store::{
    Attempt, DeliveryStatus, EndpointChange, GrantedTo, NewEndpoint, SealedSecrets, SealedTokens,
    Store, StreamUpdate,
};
use serde_json::json;
use uuid::Uuid;

use super::webhooks::*;
use crate::support::audit::act;
use crate::support::raw::Raw;
use crate::support::stores::on_both;

const MAX: u32 = 50;
/// A lease that lasts, and one that expires at once.
const LEASE_MS: i64 = 60_000;
const OVER: i64 = 0;

fn new(events: &[EventKind], source: EndpointSource) -> NewEndpoint {
    let secrets = SealedSecrets { current: "v1.k.one".into(), previous: None };
    NewEndpoint {
        apps: AppScope::All,
        id: EndpointId(Uuid::now_v7()),
        source,
        url: "https://example.com/".into(),
        description: String::new(),
        events: events.to_vec(),
        secrets,
    }
}

/// A configured endpoint for all events.
pub(super) fn configured_endpoint() -> NewEndpoint {
    new(&[], EndpointSource::Configuration)
}

pub(super) async fn endpoint(store: &Store, events: &[EventKind]) -> EndpointId {
    let new = new(events, EndpointSource::Api);
    assert!(store.create_endpoint(&new, MAX, &act("boss", 1)).await.unwrap());
    new.id
}

/// An endpoint for all events of these apps.
pub(super) async fn endpoint_of(store: &Store, apps: AppScope) -> EndpointId {
    let new = NewEndpoint { apps, ..new(&[], EndpointSource::Api) };
    assert!(store.create_endpoint(&new, MAX, &act("boss", 1)).await.unwrap());
    new.id
}

pub(super) fn gap_event(n: i64) -> OutgoingEvent {
    OutgoingEvent::new(EventKind::GapRecorded, "s", n, json!({ "n": n }))
}

/// The types of the events stored for an endpoint, oldest first.
pub(super) async fn kinds(store: &Store, id: EndpointId) -> Vec<&'static str> {
    let log = store.deliveries_of_endpoint(id, &AppScope::All, None, 100).await.unwrap();
    log.iter().rev().map(|delivery| delivery.kind.as_str()).collect()
}

fn line(session_id: SessionId, stream: &str, seq: u64) -> Entry {
    let line = TranscriptLine {
        speaker: Speaker::participant(UserId(7), Some("Ana".into())),
        text: "something private".into(),
        start_ms: 1,
        end_ms: 2,
        language: None,
        attribute: None,
    };
    let (stream_id, body) = (stream_id(stream), EntryBody::Transcript(line));
    Entry { session_id, stream_id, stream_ordinal: 1, seq, at_ms: 5, body }
}

#[tokio::test]
async fn an_event_stored_twice_is_one_delivery_to_each_subscriber() {
    on_both(async |test| {
        let store = &test.store;
        let all = endpoint(store, &[]).await;
        let gaps = endpoint(store, &[EventKind::GapRecorded, EventKind::Test]).await;
        let lines = endpoint(store, &[EventKind::TranscriptLine]).await;
        let off = endpoint(store, &[]).await;
        let change = EndpointChange { is_enabled: Some(false), ..Default::default() };
        assert!(store.change_endpoint(off, &change, &act("boss", 2)).await.unwrap());
        let both = async |n| {
            let events = [gap_event(n), gap_event(n)];
            futures_util::future::join(
                store.enqueue_events(&events, 10),
                store.enqueue_events(&events, 10),
            )
            .await
        };
        for n in 0..5 {
            let (first, second) = both(n).await;
            first.unwrap();
            second.unwrap();
        }
        for id in [all, gaps] {
            assert_eq!(kinds(store, id).await, ["gap.recorded"; 5]);
        }
        for id in [lines, off] {
            assert_eq!(kinds(store, id).await, [""; 0]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_delivery_is_claimed_by_one_of_many_and_by_another_after_the_lease() {
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint(store, &[]).await;
        let events: Vec<_> = (0..20).map(gap_event).collect();
        store.enqueue_events(&events, 10).await.unwrap();
        assert_eq!(store.endpoints_with_due_deliveries().await.unwrap(), [id]);
        let claim = || store.claim_deliveries(id, LEASE_MS, 4);
        let claims = futures_util::future::join_all((0..8).map(|_| claim())).await;
        let claimed: Vec<_> = claims.into_iter().flat_map(Result::unwrap).collect();
        let ids: BTreeSet<_> = claimed.iter().map(|delivery| &delivery.event.id).collect();
        assert_eq!(ids.len(), claimed.len(), "none twice");
        while !claim().await.unwrap().is_empty() {}
        assert_eq!(store.endpoints_with_due_deliveries().await.unwrap(), []);
        let mut raw = Raw::connect(&test.database).await;
        raw.execute("UPDATE outgoing_deliveries SET due_at_ms = due_at_ms - 60001").await;
        let later = claim().await.unwrap();
        assert!(later.iter().all(|delivery| delivery.attempts == 2));
        // The first one returns late: its result is not recorded.
        let late = claimed.iter().find(|old| old.event.id == later[0].event.id).unwrap();
        let (done, ok) = (DeliveryStatus::Delivered, Attempt::default());
        store.settle_delivery(late, done, None, &ok).await.unwrap();
        let failed = Attempt { status: Some(500), ..Attempt::default() };
        let waiting = DeliveryStatus::Waiting;
        let failing_ms = store.settle_delivery(late, waiting, Some(0), &failed).await.unwrap();
        assert_eq!(failing_ms, None, "nor is the endpoint's health");
        let log = store.deliveries_of_endpoint(id, &AppScope::All, None, 100).await.unwrap();
        assert!(log.iter().all(|delivery| delivery.status == DeliveryStatus::Waiting));
        store.settle_delivery(&later[0], done, None, &ok).await.unwrap();
        let log = store.deliveries_of_endpoint(id, &AppScope::All, None, 100).await.unwrap();
        let delivered = log.iter().filter(|delivery| delivery.status == done).count();
        assert_eq!((delivered, log.len()), (1, 20));
    })
    .await;
}

#[tokio::test]
async fn deliveries_are_due_by_the_databases_clock_whatever_a_daemons_says() {
    const HOUR_MS: i64 = 3_600_000;
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint(store, &[]).await;
        let now_ms = rtmsd::clock::now_ms();
        // Two daemons, one an hour ahead and one an hour behind.
        store.enqueue_events(&[gap_event(1)], now_ms + HOUR_MS).await.unwrap();
        store.enqueue_events(&[gap_event(2)], now_ms - HOUR_MS).await.unwrap();
        let claim = async |lease_ms| store.claim_deliveries(id, lease_ms, 9).await.unwrap();
        let claimed = claim(LEASE_MS).await;
        assert_eq!(claimed.len(), 2, "both are due at once");
        assert_eq!(claim(LEASE_MS).await.len(), 0, "and claimed by no one else");
        let failed = Attempt { status: Some(500), ..Attempt::default() };
        let waiting = DeliveryStatus::Waiting;
        let wait_ms = [Some(HOUR_MS), Some(0)];
        for (delivery, wait_ms) in claimed.iter().zip(wait_ms) {
            let failing_ms = store.settle_delivery(delivery, waiting, wait_ms, &failed).await;
            assert!((0..60_000).contains(&failing_ms.unwrap().expect("it fails")));
        }
        let again = claim(OVER).await;
        assert_eq!(again.len(), 1, "the other one waits");
        assert_eq!(claim(OVER).await[0].attempts, 3, "an expired claim is free");
        let log = store.deliveries_of_endpoint(id, &AppScope::All, None, 9).await.unwrap();
        let due_ms = log.iter().filter_map(|it| Some(it.due_at_ms? - it.last_at_ms?));
        assert_eq!(due_ms.collect::<Vec<_>>(), [HOUR_MS]);
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_can_never_be_sent_blocks_no_other() {
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint(store, &[]).await;
        let events: Vec<_> = (0..3).map(gap_event).collect();
        store.enqueue_events(&events, 10).await.unwrap();
        let mut raw = Raw::connect(&test.database).await;
        raw.execute(
            "INSERT INTO outgoing_deliveries (endpoint_id, event_id, status, attempts, due_at_ms, created_at_ms)
             SELECT id, 'evt_orphan', 'waiting', 0, 1, 1 FROM webhook_endpoints",
        )
        .await;
        raw.execute(
            "UPDATE outgoing_events SET kind = 'of.a.newer.version'
              WHERE id = (SELECT MIN(id) FROM outgoing_events)",
        )
        .await;
        let claimed = store.claim_deliveries(id, LEASE_MS, 9).await.unwrap();
        assert_eq!(claimed.len(), 2);
        assert_eq!(store.count_waiting(id, 9).await.unwrap(), 2, "the others have ended");
        raw.execute("UPDATE outgoing_events SET kind = 'gap.recorded'").await;
        let log = store.deliveries_of_endpoint(id, &AppScope::All, None, 9).await.unwrap();
        let failed = log.iter().find(|it| it.status == DeliveryStatus::Failed).unwrap();
        assert_eq!(failed.last_error.as_deref(), Some("unreadable"));
        assert!(store.resend_delivery(id, &failed.event_id, &AppScope::All, &act("boss", 20)).await.unwrap());
        assert_eq!(store.claim_deliveries(id, LEASE_MS, 9).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_delivery_is_due_at_once_and_counts_no_attempt() {
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint(store, &[]).await;
        store.enqueue_events(&[gap_event(1)], 10).await.unwrap();
        let claimed = store.claim_deliveries(id, LEASE_MS, 4).await.unwrap();
        store.release_delivery(&claimed[0]).await.unwrap();
        let again = store.claim_deliveries(id, LEASE_MS, 4).await.unwrap();
        assert_eq!((again.len(), again[0].attempts), (1, 1));
        assert_eq!(again[0].event, gap_event(1));
    })
    .await;
}

#[tokio::test]
async fn a_change_of_a_stream_or_session_emits_its_event_once_in_the_same_transaction() {
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint(store, &[]).await;
        announce(store, "s1").await;
        let stream = stream_id("s1");
        let becomes = async |status, now_ms| {
            let update = StreamUpdate { status: Some(status), ..Default::default() };
            store.update_streams(&[(stream.clone(), update)], now_ms).await.unwrap();
        };
        let steps =
            [StreamStatus::Live, StreamStatus::Live, StreamStatus::Interrupted, StreamStatus::Live];
        for (status, now_ms) in steps.into_iter().zip(10..) {
            becomes(status, now_ms).await;
        }
        for _ in 0..2 {
            store
                .finish_stream(&stream, 0, 1, Outcome::Stopped, Some(StopReason(6)), 20)
                .await
                .unwrap();
        }
        let emitted: BTreeSet<_> = kinds(store, id).await.into_iter().collect();
        assert_eq!(kinds(store, id).await.len(), emitted.len(), "each once");
        let expected = [
            "session.started",
            "stream.started",
            "stream.interrupted",
            "stream.resumed",
            "stream.ended",
            "session.ended",
        ];
        assert_eq!(emitted, expected.into());
    })
    .await;
}

#[tokio::test]
async fn a_lost_grant_emits_its_event_once() {
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint(store, &[EventKind::InstallationNeedsReconnect]).await;
        let granted = GrantedTo {
            app: AppName::default(),
            account_id: "acc1".into(),
            user_id: "ana".into(),
            display_name: None,
            email: None,
            scope: String::new(),
            api_base_url: None,
            address: None,
        };
        let seal = |_| SealedTokens { access: "v1.k.a".into(), refresh: None, expires_at_ms: None };
        let installation = store.save_installation(&granted, seal, 5).await.unwrap();
        for is_new in [true, false] {
            let given_up = store.give_up_grant(installation.id, 1, 10).await.unwrap();
            assert_eq!(given_up, is_new);
        }
        assert_eq!(kinds(store, id).await, ["installation.needs_reconnect"]);
    })
    .await;
}

#[tokio::test]
async fn deleted_data_is_neither_sent_nor_kept_in_the_log() {
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint(store, &[]).await;
        let session_id = announce(store, "s1").await;
        let (first, second) = (line(session_id, "s1", 1), line(session_id, "s1", 2));
        store.write_entries(&unclaimed(&[first.clone(), second.clone()])).await.unwrap();
        let emitted = OutgoingEvent::of_entry(&first, &AppName::default()).unwrap();
        let waiting = OutgoingEvent::of_entry(&second, &AppName::default()).unwrap();
        store.enqueue_events(std::slice::from_ref(&emitted), 10).await.unwrap();
        let claimed = store.claim_deliveries(id, LEASE_MS, 9).await.unwrap();
        let echo = Attempt {
            status: Some(200),
            error: None,
            answer: Some("got: something private".into()),
        };
        let done = DeliveryStatus::Delivered;
        store.settle_delivery(&claimed[0], done, None, &echo).await.unwrap();
        store.enqueue_events(&[waiting], 12).await.unwrap();

        store
            .finish_stream(&stream_id("s1"), 0, 1, Outcome::Stopped, Some(StopReason(8)), 20)
            .await
            .unwrap();
        while store.delete_some(30).await.unwrap() {}
        assert_eq!(store.entry(&stream_id("s1"), 2).await.unwrap(), None, "nothing to send");
        let log = store.deliveries_of_endpoint(id, &AppScope::All, None, 100).await.unwrap();
        assert!(log.iter().all(|delivery| delivery.last_answer.is_none()));
        let deleted = log.iter().filter(|delivery| delivery.kind == EventKind::DataDeleted);
        assert_eq!(deleted.count(), 1);

        store.delete_session(session_id, &act("boss", 40)).await.unwrap();
        while store.delete_some(50).await.unwrap() {}
        assert_eq!(kinds(store, id).await, ["data.deleted"; 2], "nothing of the session is left");
    })
    .await;
}

#[tokio::test]
async fn a_disabled_endpoint_gets_nothing_and_the_others_get_one_event() {
    on_both(async |test| {
        let store = &test.store;
        let (bad, other) = (endpoint(store, &[]).await, endpoint(store, &[]).await);
        for is_new in [true, false] {
            let done = store.disable_endpoint(bad, EndpointStatus::Failing, 10).await.unwrap();
            assert_eq!(done, is_new);
        }
        assert_eq!(kinds(store, other).await, ["endpoint.disabled"]);
        assert_eq!(kinds(store, bad).await, [""; 0]);
        let stored = store.endpoint(bad).await.unwrap().unwrap().endpoint;
        assert_eq!(stored.status, EndpointStatus::Failing);
    })
    .await;
}

#[tokio::test]
async fn the_log_is_read_page_by_page_and_old_events_are_forgotten() {
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint(store, &[]).await;
        for n in 0..25 {
            // Several at the same time.
            store.enqueue_events(&[gap_event(n)], n / 5).await.unwrap();
        }
        let (mut seen, mut before) = (Vec::new(), None::<String>);
        loop {
            let page = store
                .deliveries_of_endpoint(id, &AppScope::All, before.as_deref(), 4)
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.event_id.clone());
            seen.extend(page.iter().map(|it| (it.created_at_ms, it.event_id.clone())));
        }
        assert_eq!(seen.len(), 25);
        assert!(seen.is_sorted_by(|newer, older| newer > older), "newest first, each once");
        assert_eq!(store.prune_events(&Cutoffs::all(2), 2).await.unwrap(), 10);
        assert_eq!(kinds(store, id).await.len(), 15);
        assert_eq!(store.count_waiting(id, 10).await.unwrap(), 10, "counted so far");
        assert!(store.delete_endpoint(id, &act("boss", 1)).await.unwrap());
        assert!(!store.delete_endpoint(id, &act("boss", 1)).await.unwrap());
        assert_eq!(kinds(store, id).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn waiting_events_are_not_deleted_with_delivered_ones() {
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint(store, &[]).await;
        store.enqueue_events(&[gap_event(1), gap_event(2)], 10).await.unwrap();
        let claimed = store.claim_deliveries(id, LEASE_MS, 1).await.unwrap();
        let (done, ok) = (DeliveryStatus::Delivered, Attempt::default());
        store.settle_delivery(&claimed[0], done, None, &ok).await.unwrap();
        assert_eq!(store.prune_events(&Cutoffs::all(20), 10).await.unwrap(), 1);
        let log = store.deliveries_of_endpoint(id, &AppScope::All, None, 9).await.unwrap();
        assert_eq!((log.len(), log[0].status), (1, DeliveryStatus::Waiting));
        assert_eq!(
            store.prune_events(&Cutoffs::all(20), 11).await.unwrap(),
            1,
            "not without limit"
        );
        assert_eq!(kinds(store, id).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn configured_endpoints_come_and_go_with_the_configuration() {
    on_both(async |test| {
        let store = &test.store;
        let own = endpoint(store, &[]).await;
        let (a, mut b) =
            (new(&[], EndpointSource::Configuration), new(&[], EndpointSource::Configuration));
        store.configure_endpoints(&[a.clone(), b.clone()], 10).await.unwrap();
        store.disable_endpoint(b.id, EndpointStatus::Gone, 15).await.unwrap();
        b.url = "https://example.org/".into();
        store.configure_endpoints(std::slice::from_ref(&b), 20).await.unwrap();
        let left = store.endpoints().await.unwrap();
        let ids: Vec<_> = left.iter().map(|stored| stored.endpoint.id).collect();
        assert_eq!(ids, [own, b.id]);
        let b = &left[1].endpoint;
        assert_eq!((&*b.url, b.status), ("https://example.org/", EndpointStatus::Enabled));
        assert_eq!((b.created_at_ms, b.updated_at_ms), (10, 20));
    })
    .await;
}

#[tokio::test]
async fn there_are_never_more_endpoints_than_allowed() {
    on_both(async |test| {
        let store = &test.store;
        let new = || new(&[], EndpointSource::Api);
        assert!(store.create_endpoint(&new(), 2, &act("boss", 1)).await.unwrap());
        assert!(store.create_endpoint(&new(), 2, &act("boss", 1)).await.unwrap());
        assert!(!store.create_endpoint(&new(), 2, &act("boss", 1)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_secret_rotated_meanwhile_is_not_rotated_again() {
    on_both(async |test| {
        let store = &test.store;
        let id = endpoint(store, &[]).await;
        let next = |text: &str| SealedSecrets {
            current: format!("v1.k.{text}"),
            previous: Some("v1.k.previous".into()),
        };
        assert!(
            store.rotate_secret(id, "v1.k.one", &next("two"), 99, &act("boss", 10)).await.unwrap()
        );
        assert!(
            !store
                .rotate_secret(id, "v1.k.one", &next("three"), 99, &act("boss", 10))
                .await
                .unwrap()
        );
        assert!(store.reseal_secrets(id, "v1.k.two", &next("resealed")).await.unwrap());
        let stored = store.endpoint(id).await.unwrap().unwrap();
        assert_eq!(stored.secrets, next("resealed"));
        assert_eq!(stored.endpoint.previous_until_ms, Some(99));
    })
    .await;
}
