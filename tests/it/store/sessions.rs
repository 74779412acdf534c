//! Sessions: pages, filters, and facts that arrive later.

use rtmsd::model::{Cursor, Outcome, Product, Session, SessionId, SessionStatus, StopReason};
use rtmsd::store::SessionPage;
use uuid::Uuid;

use super::entries::{line, log};
use super::webhooks::*;
use crate::support::stores::on_both;

fn instances(sessions: &[Session]) -> Vec<&str> {
    sessions.iter().map(|session| session.instance.id()).collect()
}

#[tokio::test]
async fn sessions_come_in_pages_newest_first() {
    on_both(async |test| {
        for n in 1..=5 {
            record(&test.store, started_in(&format!("m{n}"), &format!("s{n}"), n, URL)).await;
        }
        let mut page = SessionPage { limit: 2, ..SessionPage::default() };
        let mut seen = Vec::new();
        loop {
            let sessions = test.store.sessions(&page).await.unwrap();
            let Some(last) = sessions.last() else { break };
            page.before = Some(last.id);
            seen.push(instances(&sessions).join(" "));
        }
        assert_eq!(seen, ["m5 m4", "m3 m2", "m1"]);
    })
    .await;
}

#[tokio::test]
async fn sessions_are_filtered_by_status() {
    on_both(async |test| {
        let store = &test.store;
        for n in 1..=3 {
            record(store, started_in(&format!("m{n}"), &format!("s{n}"), n, URL)).await;
        }
        store
            .finish_stream(&stream_id("s2"), 0, 1, Outcome::Stopped, Some(StopReason(6)), 9)
            .await
            .unwrap();
        let (connecting, live, ended) =
            (SessionStatus::Connecting, SessionStatus::Live, SessionStatus::Ended);
        for (statuses, expected) in [
            (vec![connecting], vec!["m3", "m1"]),
            (vec![ended], vec!["m2"]),
            (vec![live], vec![]),
            (vec![SessionStatus::RtmsStartRequested, live], vec![]),
            (vec![live, connecting, live], vec!["m3", "m1"]),
            (vec![ended, connecting], vec!["m3", "m2", "m1"]),
        ] {
            let text = format!("{statuses:?}");
            let page = SessionPage { limit: 10, statuses, ..SessionPage::default() };
            assert_eq!(instances(&store.sessions(&page).await.unwrap()), expected, "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_session_is_none_and_has_no_streams() {
    on_both(async |test| {
        let id = SessionId(Uuid::now_v7());
        assert_eq!(test.store.session(id).await.unwrap(), None);
        assert_eq!(test.store.streams_of(id).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_later_start_fills_in_missing_facts_and_keeps_existing_ones() {
    on_both(async |test| {
        let store = &test.store;
        record(store, stopped("early", 1, None)).await;
        let id = read(store, "early").await.session_id;
        assert_eq!(store.session(id).await.unwrap().unwrap().account_id, None);
        announce(store, "s").await;
        let session = store.session(id).await.unwrap().unwrap();
        assert_eq!(session.account_id.as_deref(), Some("acc1"));
        assert_eq!(store.streams_of(id).await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn existing_sessions_are_found_among_many_ids_with_product_end_and_newest_entries() {
    on_both(async |test| {
        let store = &test.store;
        for n in 1..=2 {
            record(store, started_in(&format!("m{n}"), &format!("s{n}"), n, URL)).await;
        }
        store
            .finish_stream(&stream_id("s2"), 0, 1, Outcome::Stopped, Some(StopReason(6)), 9)
            .await
            .unwrap();
        let page = SessionPage { limit: 2, ..SessionPage::default() };
        let sessions: Vec<SessionId> =
            store.sessions(&page).await.unwrap().iter().map(|session| session.id).collect();
        let unknown = (0..200).map(|number| SessionId(Uuid::from_u128(number)));
        let ids: Vec<SessionId> =
            [sessions[0]].into_iter().chain(unknown).chain([sessions[1]]).collect();
        let entries = log(store, "s1", &[line("one"), line("two")]).await;
        store.write_entries(&unclaimed(&entries)).await.unwrap();
        let known = store.known_sessions(&ids).await.unwrap();
        assert_eq!(known.len(), 2);
        for (id, is_ended, newest) in [(sessions[0], true, "1:1"), (sessions[1], false, "1:2")] {
            let known = &known[&id];
            assert_eq!((known.product, known.is_ended), (Product::Meeting, is_ended));
            let newest: Cursor = newest.parse().unwrap();
            assert!(known.newest.has_reached(&newest) && newest.has_reached(&known.newest));
        }
        assert!(store.known_sessions(&[]).await.unwrap().is_empty());
    })
    .await;
}

/// A session that a program made, with a number and metadata.
async fn make(store: &rtmsd::store::Store, number: &str, metadata: serde_json::Value) -> SessionId {
    let new = rtmsd::model::NewSession {
        app: rtmsd::model::AppName::default(),
        product: None,
        meeting_id: number.into(),
        participant_user_id: None,
        installation_id: None,
        metadata: metadata.as_object().cloned(),
        media: None,
    };
    let act = crate::support::audit::act("tests", 1);
    store.create_session(&new, &act).await.unwrap().session.id
}

#[tokio::test]
async fn sessions_are_found_by_id_number_host_and_metadata() {
    on_both(async |test| {
        let store = &test.store;
        let json = serde_json::json!({"CRM_id": "50%_off!", "owner": "Zoë Ärger"});
        let first = make(store, "91234567890", json).await;
        make(store, "81111111111", serde_json::json!({"CRM_id": "other"})).await;
        record(store, started_in("uuid-3==", "s3", 3, URL)).await;
        let found = async |text: &str| {
            let search = Some(text.to_owned());
            let page = SessionPage { limit: 10, search, ..SessionPage::default() };
            let sessions = store.sessions(&page).await.unwrap();
            sessions.iter().map(|session| session.instance.id().to_owned()).collect::<Vec<_>>()
        };
        let (one, both) = (vec!["91234567890"], vec!["81111111111", "91234567890"]);
        for text in ["1234567890", "50%_OFF!", "crm_ID\":\"50", "Zoë", "zoë", "Ärger"] {
            assert_eq!(found(text).await, one, "{text}");
        }
        assert_eq!(found("crm_id").await, both);
        assert_eq!(found(&first.to_string().to_uppercase()).await, one);
        assert_eq!(found("UUID-3").await, vec!["uuid-3=="]);
        // `%` and `_` are no wildcards, and nothing matches from one column into the next.
        for text in ["50%off", "9_2", "90912", "nothing"] {
            assert_eq!(found(text).await, Vec::<String>::new(), "{text}");
        }
        let page = |product| SessionPage { limit: 10, product, ..SessionPage::default() };
        let products = [Some(Product::Meeting), Some(Product::VideoSdk), None];
        let mut counts = Vec::new();
        for product in products {
            counts.push(store.sessions(&page(product)).await.unwrap().len());
        }
        assert_eq!(counts, [3, 0, 3]);
    })
    .await;
}

#[tokio::test]
async fn the_streams_of_many_sessions_are_read_at_once() {
    on_both(async |test| {
        let store = &test.store;
        for n in 1..=70 {
            record(store, started_in(&format!("m{n}"), &format!("s{n}"), n, URL)).await;
        }
        record(store, started_in("m1", "s1-second", 100, URL)).await;
        let page = SessionPage { limit: 200, ..SessionPage::default() };
        let sessions = store.sessions(&page).await.unwrap();
        let ids: Vec<SessionId> = sessions.iter().map(|session| session.id).collect();
        let streams = store.streams_of_all(&ids).await.unwrap();
        assert_eq!(streams.len(), 70);
        for session in &sessions {
            assert_eq!(streams[&session.id], store.streams_of(session.id).await.unwrap());
        }
        assert!(store.streams_of_all(&[]).await.unwrap().is_empty());
    })
    .await;
}
