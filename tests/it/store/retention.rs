//! Deletion and retention: what is deleted, when, and what stays.

use rtmsd::model::{
    Cursor, Cutoffs, Entry, EntryBody, MeetingChange, NodeId, Outcome, Participant, RecordingId,
    SessionId, SpoolId, StopReason, StreamId, StreamStatus, UserId,
};
use rtmsd::store::{NewRecording, SessionDeletion, Store, StreamUpdate};
use uuid::Uuid;

use super::outgoing::{self, endpoint};
use super::webhooks::*;
use crate::support::audit::{act, trail};
use crate::support::raw::Raw;
use crate::support::stores::on_both;

/// An entry about a person, and one about no one.
async fn say(store: &Store, session_id: SessionId, stream: &str) {
    let person = Participant { user_id: UserId(7), user_name: Some("Ana".into()) };
    let bodies = [EntryBody::ParticipantJoined(person), EntryBody::Moved {}];
    let entry = |(body, seq)| Entry {
        session_id,
        stream_id: stream_id(stream),
        stream_ordinal: 1,
        seq,
        at_ms: 5,
        body,
    };
    let entries: Vec<Entry> = bodies.into_iter().zip(1..).map(entry).collect();
    store.write_entries(&unclaimed(&entries)).await.unwrap();
}

async fn end(store: &Store, stream: &StreamId, reason: i64, now_ms: i64) {
    let ended =
        store.finish_stream(stream, 0, 1, Outcome::Stopped, Some(StopReason(reason)), now_ms).await;
    ended.unwrap().expect("it was running");
}

async fn kinds(store: &Store, session_id: SessionId) -> Vec<&'static str> {
    let entries = store.entries_after(session_id, &Cursor::default(), &[], 100).await.unwrap();
    entries.iter().map(|entry| entry.body.kind().as_str()).collect()
}

#[tokio::test]
async fn a_live_session_is_not_deleted_and_an_ended_one_leaves_nothing() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        say(store, id, "s1").await;
        let other = record(store, started_in("other", "s2", 1, "wss://x.zoom.us")).await;
        assert_eq!(other, changed("s2"));
        assert_eq!(
            store.delete_session(id, &act("boss", 10)).await.unwrap(),
            SessionDeletion::Live
        );
        end(store, &stream_id("s1"), 6, 20).await;
        for _ in 0..2 {
            let asked = store.delete_session(id, &act("boss", 30)).await.unwrap();
            assert_eq!(asked, SessionDeletion::Asked);
        }
        while store.delete_some(40).await.unwrap() {}
        assert!(store.session(id).await.unwrap().is_none());
        assert!(store.stream(&stream_id("s1")).await.unwrap().is_none());
        assert!(store.stream(&stream_id("s2")).await.unwrap().is_some(), "another session's");
        assert_eq!(
            store.delete_session(id, &act("boss", 50)).await.unwrap(),
            SessionDeletion::Unknown
        );
        let trail = trail(store, 10).await;
        let deleted: Vec<_> = trail.iter().filter(|row| row.action == "data.deleted").collect();
        assert_eq!(deleted.len(), 1, "requested twice, done once");
        assert_eq!((&*deleted[0].actor, &deleted[0].subject), ("boss", &id.to_string()));
        let deletions = store.deletions_after(0, "", 10).await.unwrap();
        let deletions: Vec<_> =
            deletions.iter().map(|it| (&*it.scope, &it.subject, it.at_ms)).collect();
        assert_eq!(deletions, [("session", &id.to_string(), 40)]);
        assert!(store.deletions_after(40, "~", 10).await.unwrap().is_empty());
        // A copy of an answered webhook is still recognized as a copy.
        assert_eq!(record(store, started("s1", 1, URL)).await, rtmsd::store::Recorded::Repeat);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_begins_while_its_session_is_deleted_stays() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        end(store, &stream_id("s1"), 6, 20).await;
        store.delete_session(id, &act("boss", 30)).await.unwrap();
        record(store, started("s9", 5000, URL)).await;
        while store.delete_some(40).await.unwrap() {}
        let late = store.stream(&stream_id("s9")).await.unwrap().expect("it is running");
        assert_eq!((late.session_id, late.ended_at_ms), (id, None));
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_begins_after_the_request_stays_although_a_clock_has_stepped_back() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        end(store, &stream_id("s1"), 6, 20).await;
        store.delete_session(id, &act("boss", 30_000)).await.unwrap();
        record(store, started("s9", 100, URL)).await;
        end(store, &stream_id("s9"), 6, 110).await;
        while store.delete_some(200).await.unwrap() {}
        let late = store.stream(&stream_id("s9")).await.unwrap().expect("it is kept");
        assert_eq!(late.session_id, id);
        assert!(store.stream(&stream_id("s1")).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_deletion_that_an_older_version_was_asked_for_goes_on() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        end(store, &stream_id("s1"), 6, 20).await;
        let mut raw = Raw::connect(&test.database).await;
        let asked = format!(
            "INSERT INTO deletions (id, scope, subject, actor, asked_at_ms, after_stream, streams,
                                    entries, deliveries)
             VALUES ('0', 'session', '{id}', 'boss', 30, '', 0, 0, 0)"
        );
        raw.execute(&asked).await;
        while store.delete_some(40).await.unwrap() {}
        assert!(store.session(id).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn old_logs_are_forgotten_and_young_ones_are_not() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        say(store, id, "s1").await;
        end(store, &stream_id("s1"), 6, 1000).await;
        assert_eq!(
            store.expire_entries(&Cutoffs::all(1000), 2000).await.unwrap(),
            0,
            "not older than that"
        );
        assert_eq!(kinds(store, id).await, ["participant_joined", "moved", "ended"]);
        store.expire_entries(&Cutoffs::all(1001), 2000).await.unwrap();
        assert_eq!(kinds(store, id).await, ["ended"], "its number is not assigned again");
        let stream = store.stream(&stream_id("s1")).await.unwrap().expect("its counts stay");
        assert_eq!(stream.outcome, Some(Outcome::Stopped));
    })
    .await;
}

#[tokio::test]
async fn a_running_stream_is_kept_however_old_it_is() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        say(store, id, "s1").await;
        claim_stream(store, NodeId(uuid::Uuid::nil()), &stream_id("s1"), 1000).await.unwrap();
        assert_eq!(store.expire_entries(&Cutoffs::all(i64::MAX), 2000).await.unwrap(), 0);
        assert_eq!(kinds(store, id).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn the_webhooks_of_a_revoked_stream_are_deleted_too_and_that_is_recorded() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        say(store, id, "s1").await;
        end(store, &stream_id("s1"), 8, 1000).await;
        assert_eq!(kinds(store, id).await, ["moved", "ended"]);
        while store.delete_some(2000).await.unwrap() {}
        let newest = &trail(store, 1).await[0];
        assert_eq!((&*newest.action, &*newest.subject), ("data.deleted", "s1"));
        let detail: serde_json::Value = serde_json::from_str(&newest.detail).unwrap();
        assert_eq!((&detail["scope"], &detail["deliveries"]), (&"stream".into(), &1.into()));
    })
    .await;
}

#[tokio::test]
async fn a_revocation_reported_by_signaling_and_a_webhook_is_one_deletion() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        say(store, id, "s1").await;
        end(store, &stream_id("s1"), 8, 1000).await;
        while store.delete_some(2000).await.unwrap() {}
        record(store, stopped("s1", 3000, Some(8))).await;
        let again = store
            .finish_stream(&stream_id("s1"), 0, 1, Outcome::Stopped, Some(StopReason(8)), 3500)
            .await;
        assert_eq!(again.unwrap(), None);
        assert!(!store.delete_some(4000).await.unwrap(), "nothing is left to do");
        for action in ["data.deleted", "stream.revoke"] {
            let trail = trail(store, 10).await;
            assert_eq!(trail.iter().filter(|row| row.action == action).count(), 1, "{action}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_revocation_reported_after_another_end_is_executed_once() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        say(store, id, "s1").await;
        end(store, &stream_id("s1"), 6, 1000).await;
        let s1 = stream_id("s1");
        for _ in 0..2 {
            let end = store.finish_stream(&s1, 0, 1, Outcome::Stopped, Some(StopReason(8)), 1500);
            assert_eq!(end.await.unwrap(), None);
        }
        record(store, stopped("s1", 2000, Some(8))).await;
        assert_eq!(kinds(store, id).await, ["moved", "ended"]);
        while store.delete_some(3000).await.unwrap() {}
        let deletions = store.deletions_after(0, "", 10).await.unwrap();
        assert_eq!(deletions.len(), 1, "{deletions:?}");
    })
    .await;
}

#[tokio::test]
async fn a_revived_stream_continues_the_numbers_of_its_old_log_and_expires_again() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        say(store, id, "s1").await;
        let s1 = stream_id("s1");
        store.finish_stream(&s1, 0, 1, Outcome::WindowExpired, None, 1000).await.unwrap();
        store.expire_entries(&Cutoffs::all(1001), 2000).await.unwrap();
        assert_eq!(record(store, started("s1", 3000, URL)).await, changed("s1"));
        let node = NodeId(uuid::Uuid::nil());
        let claim = claim_stream(store, node, &s1, 1000).await.unwrap().expect("it is running");
        assert_eq!(claim.last_seq, 3);
        store.finish_stream(&s1, 0, 2, Outcome::Stopped, Some(StopReason(6)), 4000).await.unwrap();
        store.expire_entries(&Cutoffs::all(4001), 5000).await.unwrap();
        assert_eq!(kinds(store, id).await, ["ended"]);
    })
    .await;
}

/// The audit detail of the last completed deletion.
async fn last_detail(store: &Store) -> serde_json::Value {
    let newest = &trail(store, 1).await[0];
    assert_eq!(newest.action, "data.deleted");
    serde_json::from_str(&newest.detail).unwrap()
}

#[tokio::test]
async fn the_webhooks_about_a_deleted_sessions_meeting_are_deleted_too() {
    on_both(async |test| {
        let store = &test.store;
        record(store, meeting_changed(1, MeetingChange::Started)).await;
        let id = announce(store, "s1").await;
        end(store, &stream_id("s1"), 6, 20).await;
        record(store, meeting_changed(30, MeetingChange::Ended)).await;
        store.delete_session(id, &act("boss", 40)).await.unwrap();
        while store.delete_some(50).await.unwrap() {}
        let mut raw = Raw::connect(&test.database).await;
        assert_eq!(raw.count("SELECT COUNT(*) FROM deliveries WHERE body <> ''").await, 0);
        assert_eq!(raw.count("SELECT COUNT(*) FROM deliveries").await, 3, "a copy is a copy");
        assert_eq!(raw.count("SELECT COUNT(*) FROM entries").await, 0);
        let detail = last_detail(store).await;
        assert_eq!((&detail["deliveries"], &detail["entries"]), (&3.into(), &1.into()));
    })
    .await;
}

#[tokio::test]
async fn the_events_about_a_deleted_users_sessions_are_deleted_too() {
    on_both(async |test| {
        let store = &test.store;
        let crm = endpoint(store, &[]).await;
        record(store, meeting_changed(1, MeetingChange::Started)).await;
        announce(store, "s1").await;
        let live = StreamUpdate { status: Some(StreamStatus::Live), ..Default::default() };
        store.update_streams(&[(stream_id("s1"), live)], 10).await.unwrap();
        end(store, &stream_id("s1"), 6, 20).await;
        let emitted = outgoing::kinds(store, crm).await;
        assert!(
            emitted.contains(&"session.started") && emitted.contains(&"session.ended"),
            "{emitted:?}"
        );
        record(store, deauthorized(30)).await;
        while store.delete_some(40).await.unwrap() {}
        let mut emitted = outgoing::kinds(store, crm).await;
        emitted.sort_unstable();
        assert_eq!(emitted, ["data.deleted", "stream.ended", "stream.started"]);
        assert_eq!(last_detail(store).await["deliveries"], 2);
        let mut raw = Raw::connect(&test.database).await;
        let orphans = "SELECT COUNT(*) FROM outgoing_deliveries
                        WHERE event_id NOT IN (SELECT id FROM outgoing_events)";
        assert_eq!(raw.count(orphans).await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_body_of_an_irrelevant_event_is_not_stored() {
    on_both(async |test| {
        record(&test.store, other(1)).await;
        let mut raw = Raw::connect(&test.database).await;
        assert_eq!(raw.count("SELECT COUNT(*) FROM deliveries WHERE body <> ''").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_session_that_zoom_still_reports_emits_no_event() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        end(store, &stream_id("s1"), 6, 20).await;
        store.delete_session(id, &act("boss", 30)).await.unwrap();
        while store.delete_some(40).await.unwrap() {}
        let crm = endpoint(store, &[]).await;
        record(store, stopped("s1", 50, Some(6))).await;
        record(store, meeting_changed(60, MeetingChange::Ended)).await;
        assert!(outgoing::kinds(store, crm).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_blocked_deletion_blocks_no_other() {
    on_both(async |test| {
        let store = &test.store;
        let mut raw = Raw::connect(&test.database).await;
        raw.execute(
            "INSERT INTO deletions (id, scope, subject, actor, asked_at_ms, after_stream, streams,
                                    entries, deliveries)
             VALUES ('0', 'galaxy', 's', 'boss', 1, '', 0, 0, 0)",
        )
        .await;
        let id = announce(store, "s1").await;
        end(store, &stream_id("s1"), 6, 20).await;
        store.delete_session(id, &act("boss", 30)).await.unwrap();
        while store.session(id).await.unwrap().is_some() {
            assert!(store.delete_some(40).await.unwrap());
        }
        store.delete_some(50).await.expect_err("a blocked deletion is reported");
    })
    .await;
}

#[tokio::test]
async fn a_deletion_says_how_many_recordings_are_still_to_be_removed() {
    on_both(async |test| {
        let store = &test.store;
        let session_id = announce(store, "s1").await;
        let stream_id = &stream_id("s1");
        for n in 1..=2 {
            let (id, spool) = (RecordingId(Uuid::from_u128(n)), SpoolId(Uuid::nil()));
            let new =
                NewRecording { id, session_id, stream_id, ordinal: 1, spool, started_at_ms: 5 };
            store.begin_recording(&new).await.unwrap();
        }
        end(store, stream_id, 8, 20).await;
        store.forget_recording(RecordingId(Uuid::from_u128(1))).await.unwrap();
        while store.delete_some(30).await.unwrap() {}
        assert_eq!(last_detail(store).await["recordings_to_remove"], 1);
    })
    .await;
}

/// A session of a meeting with this name, with a stream of the same name.
async fn session(store: &Store, name: &str) -> SessionId {
    assert_eq!(record(store, started_in(name, name, 1, URL)).await, changed(name));
    read(store, name).await.session_id
}

/// Writes entries about no one: more than one step deletes.
async fn move_often(store: &Store, session_id: SessionId, stream: &str) {
    let entry = |seq| Entry {
        session_id,
        stream_id: stream_id(stream),
        stream_ordinal: 1,
        seq,
        at_ms: 5,
        body: EntryBody::Moved {},
    };
    let entries: Vec<Entry> = (1..=1200).map(entry).collect();
    store.write_entries(&unclaimed(&entries)).await.unwrap();
}

/// The remaining meetings.
async fn left(store: &Store) -> Vec<String> {
    let page = rtmsd::store::SessionPage { limit: 100, ..Default::default() };
    let sessions = store.sessions(&page).await.unwrap();
    let mut left: Vec<_> = sessions.iter().map(|it| it.instance.id().to_owned()).collect();
    left.sort();
    left
}

#[tokio::test]
async fn old_empty_sessions_expire_and_live_or_non_empty_ones_stay() {
    on_both(async |test| {
        let store = &test.store;
        let mut raw = Raw::connect(&test.database).await;
        for name in ["asked", "bare", "live", "recorded", "spoken", "waiting", "young"] {
            let id = session(store, name).await;
            let stream = stream_id(name);
            match name {
                "bare" => move_often(store, id, name).await,
                "spoken" => say(store, id, name).await,
                "recorded" => {
                    let new = NewRecording {
                        id: RecordingId(Uuid::from_u128(1)),
                        session_id: id,
                        stream_id: &stream,
                        ordinal: 1,
                        spool: SpoolId(Uuid::nil()),
                        started_at_ms: 5,
                    };
                    store.begin_recording(&new).await.unwrap();
                }
                "asked" => {
                    raw.execute(
                        "INSERT INTO actions (id, session_id, action, asked_by, status, asked_at_ms, attempts)
                         SELECT 'a', session_id, 'start', 'boss', 'accepted', 5, 1 FROM streams
                          WHERE stream_id = 'asked'",
                    )
                    .await;
                }
                _ => {}
            }
        }
        // A session that never had a stream.
        record(store, meeting_changed(1, MeetingChange::Started)).await;
        for name in ["asked", "bare", "recorded", "spoken"] {
            end(store, &stream_id(name), 6, 1000).await;
        }
        end(store, &stream_id("young"), 6, 5000).await;
        let crm = endpoint(store, &[]).await;
        end(store, &stream_id("waiting"), 6, 1000).await;

        assert_eq!(store.expire_sessions(&Cutoffs::all(1000)).await.unwrap(), 1, "only the one without a stream");
        assert_eq!(store.expire_sessions(&Cutoffs::all(1001)).await.unwrap(), 1);
        let kept = ["asked", "live", "recorded", "spoken", "waiting", "young"];
        assert_eq!(left(store).await, kept);
        let gone = "SELECT COUNT(*) FROM entries WHERE stream_id = 'bare'";
        assert_eq!(raw.count(gone).await, 0);

        // The entries that held them are deleted step by step.
        store.expire_entries(&Cutoffs::all(1001), 6000).await.unwrap();
        let recorded = read(store, "recorded").await.session_id;
        store.delete_session(recorded, &act("boss", 6000)).await.unwrap();
        assert_eq!(store.expire_sessions(&Cutoffs::all(1001)).await.unwrap(), 1, "its entries are gone");
        assert_eq!(left(store).await, ["asked", "live", "recorded", "waiting", "young"]);
        raw.execute("UPDATE actions SET status = 'refused'").await;
        assert!(store.delete_endpoint(crm, &act("boss", 1)).await.unwrap());
        assert_eq!(store.expire_sessions(&Cutoffs::all(1001)).await.unwrap(), 2);
        assert_eq!(store.expire_sessions(&Cutoffs::all(i64::MAX)).await.unwrap(), 1);
        assert_eq!(left(store).await, ["live", "recorded"], "a deletion is not overtaken");
    })
    .await;
}

#[tokio::test]
async fn old_audit_rows_expire_except_deletions_that_a_sink_lacks() {
    on_both(async |test| {
        let store = &test.store;
        let mut raw = Raw::connect(&test.database).await;
        raw.execute(
            "INSERT INTO audit (id, at_ms, actor, action, subject, outcome, detail)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1300)
             SELECT 'a' || CAST(i AS TEXT), i, 'boss', 'test', 's', 'ok', '{}' FROM n",
        )
        .await;
        raw.execute("UPDATE audit SET action = 'data.deleted' WHERE at_ms IN (10, 20)").await;
        raw.execute(
            "INSERT INTO sinks (name, through_ms, held_at_ms)
             VALUES ('broker', 15, 2000), ('other', 99, 2000), ('gone', 5, 1200)",
        )
        .await;
        let rows = "SELECT COUNT(*) FROM audit";
        assert_eq!(store.expire_audit(&Cutoffs::all(1)).await.unwrap(), 0);
        assert_eq!(
            store.expire_audit(&Cutoffs::all(1201)).await.unwrap(),
            1199,
            "all but the one that was not published"
        );
        assert_eq!(raw.count(rows).await, 101);
        raw.execute("UPDATE sinks SET through_ms = 21 WHERE name = 'broker'").await;
        assert_eq!(store.expire_audit(&Cutoffs::all(1201)).await.unwrap(), 1);
        assert_eq!(raw.count(rows).await, 100);
    })
    .await;
}
