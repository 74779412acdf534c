//! Relays, how far their programs are, and the webhooks to them.

use rtmsd::model::{
    EndpointSource, MediaSet, Medium, Outcome, Product, RelayFilter, RelayGap, RelayGapCause,
    RelayId, SessionId, StopReason,
};
use rtmsd::store::{NewRelay, NewRelayEvent, RelayAttempt, RelaySecrets, RelayStream, Store};
use serde_json::json;
use uuid::Uuid;

use super::webhooks::*;
use crate::support::audit::act;
use crate::support::stores::on_both;

fn relay(name: &str) -> NewRelay {
    NewRelay {
        id: RelayId(Uuid::now_v7()),
        source: EndpointSource::Api,
        name: name.into(),
        webhook_url: "https://notes.example/zoom".into(),
        client_id: "c".into(),
        secrets: RelaySecrets { client_secret: "v1.k.a".into(), secret_token: "v1.k.b".into() },
        filter: RelayFilter {
            media: MediaSet::from_iter([Medium::Audio, Medium::Transcript]),
            product: Some(Product::Meeting),
            host_ids: vec!["u1".into()],
            metadata: json!({"team": "sales"}).as_object().unwrap().clone(),
            ..RelayFilter::default()
        },
        catch_up: true,
    }
}

fn stream_of(relay: &NewRelay, stream: &str, session_id: SessionId) -> RelayStream {
    RelayStream {
        relay_id: relay.id,
        stream_id: stream_id(stream),
        session_id,
        server_url: "wss://rtmsd.example/relay/1/signaling".into(),
        announcements: 1,
        acknowledged: 7,
        gaps: vec![RelayGap {
            medium: Medium::Audio,
            start_ms: 1,
            end_ms: 2,
            frames: Some(3),
            cause: RelayGapCause::Slow,
        }],
        subscriptions: vec![2, 3],
        has_left: true,
        updated_at_ms: 5,
    }
}

fn event_of(relay: &NewRelay, id: &str, stream: &str, session_id: SessionId) -> NewRelayEvent {
    NewRelayEvent {
        id: id.into(),
        relay_id: relay.id,
        stream_id: stream_id(stream),
        session_id,
        name: format!("meeting.rtms_{id}"),
        body: "{}".into(),
        created_at_ms: 10,
    }
}

async fn end(store: &Store, stream: &str) {
    let (id, reason) = (stream_id(stream), Some(StopReason(6)));
    store.finish_stream(&id, 0, 1, Outcome::Stopped, reason, 20).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_relay_is_read_back_as_it_was_written_and_changed_only_as_it_was_read() {
    on_both(async |test| {
        let store = &test.store;
        let new = relay("notes");
        assert!(store.create_relay(&new, 1, &act("boss", 1)).await.unwrap());
        assert!(
            !store.create_relay(&relay("more"), 1, &act("boss", 1)).await.unwrap(),
            "one is the most"
        );
        let stored = store.relay(new.id).await.unwrap().unwrap();
        assert_eq!((&stored.relay.filter, &stored.secrets), (&new.filter, &new.secrets));
        assert_eq!((stored.relay.catch_up, &*stored.relay.name), (true, "notes"));
        let changed = NewRelay { name: "other".into(), ..new.clone() };
        let read_at_ms = stored.relay.updated_at_ms;
        assert!(store.change_relay(&changed, read_at_ms, &act("boss", 2)).await.unwrap());
        assert!(!store.change_relay(&new, read_at_ms, &act("boss", 2)).await.unwrap());
        assert_eq!(store.relay(new.id).await.unwrap().unwrap().relay.name, "other");
        store.note_relay_validation(new.id, 9, Some("no answer")).await.unwrap();
        let validation = store.relay(new.id).await.unwrap().unwrap().relay.validation;
        assert_eq!(validation, Some((9, Some("no answer".into()))));
        assert!(store.delete_relay(new.id, &act("boss", 3)).await.unwrap());
        assert_eq!(store.relays().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn configured_relays_follow_the_configuration_and_leave_the_others() {
    on_both(async |test| {
        let store = &test.store;
        let own = relay("own");
        assert!(store.create_relay(&own, 9, &act("boss", 1)).await.unwrap());
        let one = NewRelay { source: EndpointSource::Configuration, ..relay("one") };
        let two = NewRelay { source: EndpointSource::Configuration, ..relay("two") };
        store.configure_relays(&[one.clone(), two], 2).await.unwrap();
        let changed = NewRelay { catch_up: false, ..one.clone() };
        store.configure_relays(&[changed], 3).await.unwrap();
        let left: Vec<_> = store.relays().await.unwrap().into_iter().map(|it| it.relay).collect();
        let outline: Vec<_> = left.iter().map(|it| (it.id, it.catch_up)).collect();
        assert_eq!(outline, [(own.id, true), (one.id, false)]);
    })
    .await;
}

#[tokio::test]
async fn an_event_is_claimed_by_one_and_settled_by_its_last_attempt() {
    on_both(async |test| {
        let store = &test.store;
        let session_id = announce(store, "s1").await;
        let new = relay("notes");
        assert!(store.create_relay(&new, 9, &act("boss", 1)).await.unwrap());
        let event = event_of(&new, "started", "s1", session_id);
        store.add_relay_event(&event).await.unwrap();
        store.add_relay_event(&event).await.unwrap();
        let claimed = store.claim_relay_events(10, 100, 9).await.unwrap();
        assert_eq!(claimed.len(), 1, "it exists once");
        assert_eq!(store.claim_relay_events(99, 200, 9).await.unwrap(), [], "it is claimed");
        let again = store.claim_relay_events(100, 200, 9).await.unwrap();
        assert_eq!(again[0].attempts, 2, "the claim has expired");
        let failed = RelayAttempt {
            due_at_ms: Some(300),
            at_ms: 110,
            status: Some(500),
            ..Default::default()
        };
        store.settle_relay_event(&claimed[0], &failed).await.unwrap();
        assert_eq!(store.relay_events(new.id, 9).await.unwrap()[0].last_status, None, "late");
        store.settle_relay_event(&again[0], &failed).await.unwrap();
        assert_eq!(store.claim_relay_events(299, 400, 9).await.unwrap(), []);
        let third = store.claim_relay_events(300, 400, 9).await.unwrap();
        assert!(!store.is_relay_event_delivered("started").await.unwrap());
        let done = RelayAttempt {
            is_delivered: true,
            at_ms: 310,
            status: Some(200),
            ..Default::default()
        };
        store.settle_relay_event(&third[0], &done).await.unwrap();
        assert!(store.is_relay_event_delivered("started").await.unwrap());
        let logged = store.relay_events(new.id, 9).await.unwrap();
        assert_eq!((logged[0].attempts, logged[0].due_at_ms), (3, None));
        assert_eq!(store.claim_relay_events(i64::MAX, i64::MAX, 9).await.unwrap(), []);
        assert_eq!(store.prune_relay_events(11).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_ended_stream_is_found_until_its_program_is_notified() {
    on_both(async |test| {
        let store = &test.store;
        let session_id = announce(store, "s1").await;
        let new = relay("notes");
        assert!(store.create_relay(&new, 9, &act("boss", 1)).await.unwrap());
        let stream = stream_of(&new, "s1", session_id);
        store.put_relay_stream(&stream).await.unwrap();
        let more = RelayStream { acknowledged: 9, ..stream.clone() };
        store.put_relay_stream(&more).await.unwrap();
        let read = store.relay_stream(new.id, &stream.stream_id).await.unwrap();
        assert_eq!(read, Some(more.clone()));
        assert_eq!(store.relay_streams_to_end(0, 9).await.unwrap(), [], "it runs");
        end(store, "s1").await;
        assert_eq!(store.relay_streams_to_end(20, 9).await.unwrap(), [more]);
        assert_eq!(store.relay_streams_to_end(21, 9).await.unwrap(), [], "long ago");
        let event = event_of(&new, "stopped", "s1", session_id);
        store.add_relay_event(&event).await.unwrap();
        assert_eq!(store.relay_streams_to_end(0, 9).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn with_a_relay_goes_what_is_stored_for_its_program() {
    on_both(async |test| {
        let store = &test.store;
        let session_id = announce(store, "s1").await;
        let new = relay("notes");
        assert!(store.create_relay(&new, 9, &act("boss", 1)).await.unwrap());
        let stream = stream_of(&new, "s1", session_id);
        store.put_relay_stream(&stream).await.unwrap();
        store.add_relay_event(&event_of(&new, "started", "s1", session_id)).await.unwrap();
        assert!(store.delete_relay(new.id, &act("boss", 2)).await.unwrap());
        assert_eq!(store.relay_streams(new.id, 9).await.unwrap(), []);
        assert_eq!(store.relay_events(new.id, 9).await.unwrap(), []);
        // A program's task that has not noticed yet stores nothing.
        store.put_relay_stream(&stream).await.unwrap();
        store.add_relay_event(&event_of(&new, "stopped", "s1", session_id)).await.unwrap();
        assert_eq!(store.relay_streams(new.id, 9).await.unwrap(), []);
        assert_eq!(store.relay_events(new.id, 9).await.unwrap(), []);
    })
    .await;
}
