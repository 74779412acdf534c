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
        for (status, expected) in [
            (SessionStatus::Connecting, vec!["m3", "m1"]),
            (SessionStatus::Ended, vec!["m2"]),
            (SessionStatus::Live, vec![]),
        ] {
            let page = SessionPage { limit: 10, status: Some(status), ..SessionPage::default() };
            assert_eq!(instances(&store.sessions(&page).await.unwrap()), expected, "{status:?}");
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
