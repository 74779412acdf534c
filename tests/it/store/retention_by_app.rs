//! Retention by app: what is deleted of one app, while the same of another stays.

use rtmsd::model::{
    AppName, AppScope, AuditRow, Cutoffs, EventKind, Outcome, OutgoingEvent, RecordingId,
    RecordingStatus, SpoolId, StopReason,
};
use rtmsd::store::{NewRecording, SessionPage, Store};
use serde_json::json;
use uuid::Uuid;

use super::entries::line;
use super::outgoing::endpoint;
use super::webhooks::*;
use crate::support::raw::Raw;
use crate::support::stores::{TestStore, on_both};

/// The app with a time limit of its own, the one that keeps everything, and one that is no longer configured.
const APPS: [&str; 3] = ["brief", "forever", "gone"];

fn name(text: &str) -> AppName {
    AppName::parse(text).unwrap()
}

/// Data of the app `brief` expires before 1001, that of `forever` never, and any other before 11.
fn cutoffs() -> Cutoffs {
    Cutoffs::new([(name("brief"), Some(1001)), (name("forever"), None)], Some(11))
}

/// A stream of each app, with an entry, that ended at this time.
async fn ended_streams(store: &Store, ended_at_ms: i64) {
    for app in APPS {
        let announced = started_in(&format!("m-{app}"), &format!("s-{app}"), 1, URL);
        record(store, signed_by(&name(app), announced)).await;
        let stream = read(store, &format!("s-{app}")).await;
        let entry = rtmsd::model::Entry {
            session_id: stream.session_id,
            stream_id: stream.stream_id.clone(),
            stream_ordinal: 1,
            seq: 1,
            at_ms: 5,
            body: line("a word"),
        };
        store.write_entries(&unclaimed(&[entry])).await.unwrap();
        let (outcome, reason) = (Outcome::Stopped, Some(StopReason(6)));
        let ended = store.finish_stream(&stream.stream_id, 0, 1, outcome, reason, ended_at_ms);
        ended.await.unwrap().expect("it was running");
    }
}

/// The apps with sessions, in order.
async fn apps_with_sessions(store: &Store) -> Vec<String> {
    let page = SessionPage { limit: 100, apps: AppScope::All, ..Default::default() };
    let sessions = store.sessions(&page).await.unwrap();
    let mut apps: Vec<_> = sessions.iter().map(|session| session.app.to_string()).collect();
    apps.sort();
    apps
}

async fn texts_of(test: &TestStore, sql: &str) -> Vec<String> {
    Raw::connect(&test.database).await.texts(sql).await
}

#[tokio::test]
async fn entries_and_sessions_expire_by_app() {
    on_both(async |test| {
        let store = &test.store;
        ended_streams(store, 1000).await;
        let spoken = "SELECT DISTINCT stream_id FROM entries WHERE personal = 1 ORDER BY stream_id";
        assert_eq!(store.expire_entries(&cutoffs(), 2000).await.unwrap(), 1);
        assert_eq!(texts_of(test, spoken).await, ["s-forever", "s-gone"]);
        assert_eq!(store.expire_entries(&cutoffs(), 2000).await.unwrap(), 0, "once");
        assert_eq!(store.expire_sessions(&cutoffs()).await.unwrap(), 1);
        assert_eq!(apps_with_sessions(store).await, ["forever", "gone"]);
        // What belongs to an app that is gone has the time of the others.
        let later = Cutoffs::new([(name("forever"), None)], Some(1001));
        assert_eq!(store.expire_entries(&later, 3000).await.unwrap(), 1);
        assert_eq!(store.expire_sessions(&later).await.unwrap(), 1);
        assert_eq!(apps_with_sessions(store).await, ["forever"]);
        let nothing = Cutoffs::new([], None);
        assert_eq!(store.expire_entries(&nothing, 3000).await.unwrap(), 0);
        assert_eq!(store.expire_sessions(&nothing).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_stream_behind_many_that_are_kept_expires() {
    on_both(async |test| {
        let store = &test.store;
        ended_streams(store, 1000).await;
        // More than one page, all older than the one that expires, and some that ended at the same time.
        let mut raw = Raw::connect(&test.database).await;
        raw.execute(
            "INSERT INTO streams (stream_id, session_id, ordinal, server_urls, event_ts_ms, generation,
                                  interrupts, status, outcome, tally, created_at_ms, ended_at_ms)
             WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 2400)
             SELECT 'kept-' || CAST(i AS TEXT),
                    (SELECT session_id FROM streams WHERE stream_id = 's-forever'), i, '', 1, 1, 0,
                    'ended', 'stopped', '{}', 1, 100 + i % 2
               FROM n",
        )
        .await;
        assert_eq!(store.expire_entries(&cutoffs(), 2000).await.unwrap(), 1);
        let emptied = "SELECT stream_id FROM streams WHERE emptied_at_ms IS NOT NULL";
        assert_eq!(texts_of(test, emptied).await, ["s-brief"]);
    })
    .await;
}

#[tokio::test]
async fn webhooks_and_events_expire_by_app() {
    on_both(async |test| {
        let store = &test.store;
        let crm = endpoint(store, &[]).await;
        for app in APPS {
            record(store, signed_by(&name(app), other(1000))).await;
            let event = OutgoingEvent {
                app: Some(name(app)),
                ..OutgoingEvent::new(EventKind::GapRecorded, app, 1000, json!({}))
            };
            store.enqueue_events(&[event], 1000).await.unwrap();
        }
        let of_none = OutgoingEvent {
            app: None,
            ..OutgoingEvent::new(EventKind::GapRecorded, "none", 1000, json!({}))
        };
        store.enqueue_events(&[of_none], 1000).await.unwrap();
        let mut raw = Raw::connect(&test.database).await;
        raw.execute("UPDATE outgoing_deliveries SET status = 'delivered'").await;
        assert_eq!(store.prune_deliveries(&cutoffs()).await.unwrap(), 1);
        let left = "SELECT app FROM deliveries ORDER BY app";
        assert_eq!(texts_of(test, left).await, ["forever", "gone"]);
        let events = "SELECT COALESCE(app, 'none') AS app FROM outgoing_events ORDER BY app";
        assert_eq!(store.prune_events(&cutoffs(), 0).await.unwrap(), 1);
        assert_eq!(texts_of(test, events).await, ["forever", "gone", "none"]);
        let others = Cutoffs::new([(name("forever"), None)], Some(1001));
        assert_eq!(store.prune_deliveries(&others).await.unwrap(), 1);
        assert_eq!(store.prune_events(&others, 0).await.unwrap(), 2);
        assert_eq!(texts_of(test, events).await, ["forever"]);
        let deliveries = store.deliveries_of_endpoint(crm, &AppScope::All, None, 9).await.unwrap();
        assert_eq!(deliveries.len(), 1, "with their deliveries");
    })
    .await;
}

#[tokio::test]
async fn audit_rows_expire_by_app() {
    on_both(async |test| {
        let store = &test.store;
        let mut raw = Raw::connect(&test.database).await;
        for app in ["'brief'", "'forever'", "'gone'", "NULL"] {
            raw.execute(format!(
                "INSERT INTO audit (id, at_ms, actor, action, subject, outcome, detail, app)
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
                 SELECT COALESCE({app}, 'none') || CAST(i AS TEXT), i, 'boss', 'test', 's', 'ok', '{{}}', {app} FROM n"
            ))
            .await;
        }
        assert_eq!(store.expire_audit(&cutoffs()).await.unwrap(), 600 + 2 * 10);
        let left = "SELECT COALESCE(app, 'none') || CAST(COUNT(*) AS TEXT) AS text FROM audit GROUP BY app
                     ORDER BY text";
        assert_eq!(texts_of(test, left).await, ["forever600", "gone590", "none590"]);
    })
    .await;
}

#[tokio::test]
async fn recordings_expire_by_app_also_after_their_session() {
    on_both(async |test| {
        let store = &test.store;
        ended_streams(store, 1000).await;
        for (n, app) in (1..).zip(APPS) {
            let stream = read(store, &format!("s-{app}")).await;
            let new = NewRecording {
                id: RecordingId(Uuid::from_u128(n)),
                session_id: stream.session_id,
                stream_id: &stream.stream_id,
                ordinal: 1,
                spool: SpoolId(Uuid::nil()),
                started_at_ms: 5,
            };
            let recording = store.begin_recording(&new).await.unwrap();
            assert_eq!(recording.app, name(app));
            assert!(store.finish_recording(&recording, &[], 900).await.unwrap());
            assert!(store.store_recording(&recording, &[], 1000).await.unwrap());
        }
        let act = AuditRow::new(1, "boss", "session.delete", "s");
        let of_brief = read(store, "s-brief").await.session_id;
        assert_eq!(store.expire_recordings(&cutoffs()).await.unwrap(), 1);
        store.delete_session(of_brief, &act).await.unwrap();
        while store.delete_some(2000).await.unwrap() {}
        let deleting = store.recording(RecordingId(Uuid::from_u128(1))).await.unwrap().unwrap();
        assert_eq!((deleting.status, deleting.app), (RecordingStatus::Deleting, name("brief")));
        let stored = "SELECT app FROM recordings WHERE status = 'stored' ORDER BY app";
        assert_eq!(texts_of(test, stored).await, ["forever", "gone"]);
    })
    .await;
}
