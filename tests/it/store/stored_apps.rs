//! Apps that were added over the API, on both databases.

use rtmsd::model::{AppName, AuditRow, Outcome, StopReason, StreamId};
use rtmsd::store::Store;

use super::webhooks::{URL, record, signed_by, started};
use crate::support::audit::trail;
use crate::support::stores::on_both;

fn name(text: &str) -> AppName {
    AppName::parse(text).unwrap()
}

fn act(at_ms: i64) -> AuditRow {
    AuditRow::new(at_ms, "boss", "app.test", "acme")
}

async fn add(store: &Store, app: &str, settings: &str, max: u32) -> bool {
    store.add_app(&name(app), settings, max, &act(10)).await.unwrap()
}

#[tokio::test]
async fn an_app_is_added_once_and_changed_over_the_settings_that_were_read() {
    on_both(async |test| {
        let store = &test.store;
        assert!(add(store, "acme", "one", 2).await);
        assert!(!add(store, "acme", "two", 2).await, "the name is taken");
        assert!(add(store, "zebra", "z", 2).await);
        assert!(!add(store, "more", "m", 2).await, "there are as many as allowed");
        let change = async |old: &str, new: &str| {
            store.change_app(&name("acme"), old, new, &act(20)).await.unwrap()
        };
        assert!(change("one", "three").await);
        assert!(!change("one", "four").await, "another change came first");
        assert!(store.reseal_app(&name("acme"), "three", "resealed").await.unwrap());
        assert!(!store.reseal_app(&name("acme"), "three", "again").await.unwrap());
        let apps = store.apps().await.unwrap();
        let names: Vec<_> = apps.iter().map(|app| (app.name.as_str(), &*app.settings)).collect();
        assert_eq!(names, [("acme", "resealed"), ("zebra", "z")]);
        assert_eq!((apps[0].created_at_ms, apps[0].updated_at_ms), (10, 20));
        // A refused call writes no row of the audit trail.
        assert_eq!(trail(store, 100).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn the_version_of_the_apps_changes_with_every_change_whatever_the_clock_says() {
    on_both(async |test| {
        let (store, mut seen) = (&test.store, Vec::new());
        seen.push(store.apps_version().await.unwrap());
        assert!(add(store, "acme", "one", 9).await);
        seen.push(store.apps_version().await.unwrap());
        // In the same millisecond, and by a daemon with a slower clock.
        for (old, new, at_ms) in [("one", "two", 10), ("two", "three", 10), ("three", "four", 3)] {
            assert!(store.change_app(&name("acme"), old, new, &act(at_ms)).await.unwrap());
            seen.push(store.apps_version().await.unwrap());
        }
        assert!(store.delete_app(&name("acme"), false, &act(30)).await.unwrap());
        assert!(add(store, "other", "one", 9).await);
        seen.push(store.apps_version().await.unwrap());
        let mut each = seen.clone();
        each.dedup();
        assert_eq!(each, seen);
        assert_eq!(
            store.apps_version().await.unwrap(),
            *seen.last().unwrap(),
            "and without one stays"
        );
    })
    .await;
}

#[tokio::test]
async fn an_app_is_deleted_when_none_of_its_own_streams_runs_or_by_force() {
    on_both(async |test| {
        let store = &test.store;
        let delete = async |force| store.delete_app(&name("acme"), force, &act(30)).await.unwrap();
        assert!(!delete(false).await, "there is none");
        assert!(add(store, "acme", "one", 9).await);
        // A stream of another app does not keep it.
        record(store, signed_by(&name("other"), started("s-other", 1, URL))).await;
        assert!(delete(false).await);
        assert!(add(store, "acme", "one", 9).await);
        record(store, signed_by(&name("acme"), started("s1", 2, URL))).await;
        assert!(!delete(false).await, "its stream runs");
        assert!(delete(true).await);
        let stream = |id: &str| StreamId::parse(id).unwrap();
        let stop_of =
            async |id: &str| store.stream(&stream(id)).await.unwrap().unwrap().stop_seen_at_ms;
        assert_eq!((stop_of("s1").await, stop_of("s-other").await), (Some(30), None));
        assert!(add(store, "acme", "one", 9).await);
        let stream = stream("s1");
        let reason = Some(StopReason(6));
        store.finish_stream(&stream, 0, 1, Outcome::Stopped, reason, 40).await.unwrap().unwrap();
        assert!(delete(false).await);
        assert!(store.stream(&stream).await.unwrap().is_some(), "its data stays");
    })
    .await;
}
