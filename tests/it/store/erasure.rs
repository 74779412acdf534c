//! The data that a deletion removes, and that nothing of it is left in any table or file.

mod between;
mod kit;

use rtmsd::model::{
    Cutoffs, Delivery, EventKind, MeetingChange, Notice, Outcome, OutgoingEvent, Product,
    SessionId, StopReason, WebhookEffect,
};
use rtmsd::store::{Location, SessionDeletion, Store, Taken};
use serde_json::{Value, json};

use super::installations::{by, install};
use super::outgoing::{self, endpoint};
use super::webhooks::*;
use crate::support::audit::{act, trail};
use crate::support::raw::Raw;
use crate::support::stores::{TestStore, at_schema, on_both};
use crate::support::words::{at_rest, in_files, in_tables};
use kit::*;

#[tokio::test]
async fn of_two_operators_in_one_meeting_each_has_the_own_streams_deleted() {
    on_both(async |test| {
        let store = &test.store;
        let session = shared_meeting(store).await;
        record(store, deauthorized_by(ANA.user, 500)).await;
        delete_all(store).await;
        assert_nothing_of(test, &[&ANA]).await;
        assert_everything_of(test, &[&BO]).await;
        assert_session_is_known(test).await;
        let left = store.session(session).await.unwrap().unwrap();
        assert_eq!(left.operator_id.as_deref(), Some(BO.user));
        assert_eq!(last_deletion(store).await, json!(["ok", 1]));
        record(store, deauthorized_by(BO.user, 600)).await;
        delete_all(store).await;
        assert_nothing_of(test, &[&ANA, &BO]).await;
        assert_session_names_nobody(test, session).await;
    })
    .await;
}

#[tokio::test]
async fn the_newest_operators_deletion_leaves_what_was_there_before() {
    on_both(async |test| {
        let store = &test.store;
        let session = shared_meeting(store).await;
        record(store, deauthorized_by(BO.user, 500)).await;
        delete_all(store).await;
        assert_nothing_of(test, &[&BO]).await;
        assert_everything_of(test, &[&ANA]).await;
        assert_session_is_known(test).await;
        let left = store.session(session).await.unwrap().unwrap();
        assert_eq!(left.operator_id.as_deref(), Some(ANA.user));
    })
    .await;
}

#[tokio::test]
async fn a_running_stream_of_another_operator_continues() {
    on_both(async |test| {
        let store = &test.store;
        record(store, started_by(ANA.user, ANA.stream, 1)).await;
        record(store, started_by(BO.user, BO.stream, 2)).await;
        record(store, deauthorized_by(ANA.user, 500)).await;
        let (ana, bo) = (read(store, ANA.stream).await, read(store, BO.stream).await);
        assert_eq!((ana.stop_reason, ana.stop_seen_at_ms), (Some(StopReason(8)), Some(500)));
        assert_eq!((bo.stop_reason, bo.stop_seen_at_ms), (None, None));
    })
    .await;
}

#[tokio::test]
async fn after_a_removal_of_the_app_no_word_is_at_rest() {
    on_both(async |test| {
        let session = stored_meeting(test).await;
        record(&test.store, deauthorized_by(ANA.user, 500)).await;
        assert_all_gone(test, session).await;
    })
    .await;
}

#[tokio::test]
async fn after_an_installation_was_deleted_with_its_data_no_word_is_at_rest() {
    on_both(async |test| {
        let (store, session) = (&test.store, stored_meeting(test).await);
        let id = install(store, ANA.user, 1).await;
        assert!(store.revoke_installation(id, true, &by("boss", id)).await.unwrap());
        assert_all_gone(test, session).await;
    })
    .await;
}

/// The daemon that is asked has a clock that is behind the clock of the one that stored the data.
#[tokio::test]
async fn a_clock_that_is_behind_spares_no_word_of_a_user() {
    on_both(async |test| {
        let session = stored_meeting(test).await;
        record(&test.store, deauthorized_by(ANA.user, -30_000)).await;
        assert_all_gone(test, session).await;
        assert_eq!(last_deletion(&test.store).await, json!(["ok", 1]));
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_behind_spares_no_word_of_a_session() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        let asked = store.delete_session(session, &act("boss", -30_000)).await.unwrap();
        assert_eq!(asked, SessionDeletion::Asked);
        delete_all(store).await;
        assert!(store.session(session).await.unwrap().is_none());
        assert_no_words_of(test, &[&ANA]).await;
        assert_eq!(kit::named(&test.database, &[HOST]).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_removal_that_stops_a_stream_has_found_something() {
    on_both(async |test| {
        let store = &test.store;
        record(store, started_by(ANA.user, ANA.stream, 1)).await;
        record(store, deauthorized_by(ANA.user, 500)).await;
        let newest = &trail(store, 1).await[0];
        assert_eq!((&*newest.action, &*newest.outcome), ("installation.deauthorized", "ok"));
    })
    .await;
}

#[tokio::test]
async fn after_a_revocation_no_word_is_at_rest() {
    on_both(async |test| {
        let (store, session) = (&test.store, stored_meeting(test).await);
        record(store, stopped(ANA.stream, 500, Some(8))).await;
        assert_all_gone(test, session).await;
    })
    .await;
}

#[tokio::test]
async fn after_a_session_was_deleted_no_word_is_at_rest_whatever_zoom_says_later() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        let asked = store.delete_session(session, &act("boss", 500)).await.unwrap();
        assert_eq!(asked, SessionDeletion::Asked);
        delete_all(store).await;
        assert!(store.session(session).await.unwrap().is_none());
        assert_no_words_of(test, &[&ANA]).await;
        record(store, stopped(ANA.stream, 600, Some(6))).await;
        record(store, interrupted(ANA.stream, 610)).await;
        record(store, numbered_meeting_changed(620, MeetingChange::Ended)).await;
        record(store, numbered_meeting_changed(621, MeetingChange::Ended)).await;
        assert_no_words_of(test, &[&ANA]).await;
        let back = store.sessions(&newest()).await.unwrap().remove(0);
        assert_eq!((back.host_id, back.operator_id, back.account_id), (None, None, None));
        assert_eq!(kit::named(&test.database, &[HOST]).await, Vec::<String>::new());
        assert_eq!(at_rest(&test.database, &[CASE]).await, Vec::<String>::new());
    })
    .await;
}

/// Late webhooks about a stream and a meeting of a deleted user.
#[tokio::test]
async fn late_webhooks_about_a_deleted_user_are_not_stored() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        record(store, deauthorized_by(ANA.user, 500)).await;
        delete_all(store).await;
        record(store, numbered_meeting_changed(600, MeetingChange::Ended)).await;
        record(store, stopped(ANA.stream, 610, Some(6))).await;
        record(store, notice_by(ANA.user, Some(ANA.stream), 620)).await;
        // The key of another app signed these.
        record(store, of_video_sdk(started_by(ANA.user, ANA.stream, 630))).await;
        record(store, of_video_sdk(stopped(ANA.stream, 640, Some(6)))).await;
        assert_nothing_of(test, &[&ANA]).await;
        assert_session_names_nobody(test, session).await;
        let late = "SELECT COUNT(*) FROM deliveries WHERE received_at_ms >= 600 AND body <> ''";
        assert_eq!(Raw::connect(&test.database).await.count(late).await, 0);
        // The user returns, in the same meeting.
        record(store, started_by(ANA.user, "s9", 700)).await;
        record(store, numbered_meeting_changed(710, MeetingChange::Ended)).await;
        let back = store.session(session).await.unwrap().unwrap();
        assert_eq!(back.operator_id.as_deref(), Some(ANA.user));
        assert_eq!(back.host_id.as_deref(), Some(HOST));
    })
    .await;
}

#[tokio::test]
async fn a_session_that_names_a_user_and_has_no_stream_is_forgotten_with_the_user() {
    on_both(async |test| {
        let store = &test.store;
        let session = create(store).await;
        record(store, numbered_meeting_changed(10, MeetingChange::Started)).await;
        let notice = notice_by(HOST, None, 20);
        record(store, notice).await;
        record(store, deauthorized_by(HOST, 500)).await;
        delete_all(store).await;
        assert_session_names_nobody(test, session).await;
        assert_eq!(last_deletion(store).await, json!(["ok", 0]));
    })
    .await;
}

#[tokio::test]
async fn a_deletion_that_finds_nothing_says_so() {
    on_both(async |test| {
        let (store, _) = (&test.store, own_meeting(&test.store).await);
        record(store, deauthorized_by("nobody", 500)).await;
        delete_all(store).await;
        assert_eq!(last_deletion(store).await, json!(["nothing found", 0]));
        let trail = trail(store, 2).await;
        assert_eq!(trail[1].action, "installation.deauthorized");
        assert_eq!(trail[1].outcome, "nothing found");
        assert_everything_of(test, &[&ANA]).await;
    })
    .await;
}

#[tokio::test]
async fn a_deleted_answer_is_neither_repeated_nor_its_request_executed_again() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        let take = async || store.take_idempotency_key(&key(), "d", 400, 900).await.unwrap();
        assert!(matches!(take().await, Taken::Answered(_)));
        store.delete_session(session, &act("boss", 500)).await.unwrap();
        delete_all(store).await;
        assert_eq!(take().await, Taken::Deleted);
        // An answer that is stored after its session was deleted.
        let late = rtmsd::store::IdempotencyKey { key: "late".into(), ..key() };
        store.take_idempotency_key(&late, "d", 510, 900).await.unwrap();
        store.keep_answer(&late, &answer(), Some(session), 9_000).await.unwrap();
        let again = store.take_idempotency_key(&late, "d", 520, 900).await.unwrap();
        assert_eq!(again, Taken::Deleted);
        assert_no_words_of(test, &[&ANA]).await;
    })
    .await;
}

#[tokio::test]
async fn events_of_a_newer_stream_survive_its_sessions_deletion() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        let crm = endpoint(store, &[]).await;
        store.delete_session(session, &act("boss", 500)).await.unwrap();
        record(store, started_by(BO.user, BO.stream, 600)).await;
        fill(store, &BO, 610).await;
        end(store, BO.stream, Outcome::Stopped, None, 620).await;
        delete_all(store).await;
        assert_no_words_of(test, &[&ANA]).await;
        assert_everything_of(test, &[&BO]).await;
        let emitted = outgoing::kinds(store, crm).await;
        assert!(emitted.contains(&"stream.ended"), "{emitted:?}");
    })
    .await;
}

#[tokio::test]
async fn what_expires_and_what_a_user_takes_back_leaves_sqlites_log_too() {
    let test = TestStore::sqlite().await;
    let store = &test.store;
    let Location::Sqlite(path) = &test.database else { panic!("it is SQLite") };
    let folder = path.parent().unwrap();
    endpoint(store, &[]).await;
    record(store, notice_by("the-operator", None, 10)).await;
    let data = json!({ "text": "the-event" });
    let event = OutgoingEvent::new(EventKind::GapRecorded, "s", 10, data);
    store.enqueue_events(&[event], 10).await.unwrap();
    let (ana, bo) = (install(store, "ana", 10).await, install(store, "bo", 10).await);
    let [anas_token, bos_token] = [ana, bo].map(|id| format!("v1.old.{id}"));
    // Without it, the first purge of a process hides what the later ones leave.
    assert!(store.purge().await.unwrap());
    for word in ["the-operator", "the-event", &anas_token, &bos_token] {
        assert_ne!(in_files(folder, &[word]), [""; 0], "otherwise this proves nothing");
    }
    let assert_gone = async |word: &str| {
        assert!(store.purge().await.unwrap());
        assert_eq!(in_files(folder, &[word]), [""; 0]);
    };
    assert_eq!(store.prune_deliveries(&Cutoffs::all(100)).await.unwrap(), 1);
    assert_gone("the-operator").await;
    assert_eq!(store.prune_events(&Cutoffs::all(100), 100).await.unwrap(), 1);
    assert_gone("the-event").await;
    assert!(store.revoke_installation(ana, false, &by("boss", ana)).await.unwrap());
    assert_gone(&anas_token).await;
    let mut removal = deauthorized_by("bo", 500);
    if let WebhookEffect::Deauthorized(gone) = &mut removal.announcement {
        gone.may_keep_data = true;
    }
    record(store, removal).await;
    assert_gone(&bos_token).await;
}

/// A program that reads the file keeps the old pages in the log.
#[tokio::test]
async fn words_leave_sqlites_log_as_soon_as_no_reader_holds_them() {
    let test = TestStore::sqlite().await;
    let Location::Sqlite(path) = &test.database else { panic!("it is SQLite") };
    let folder = path.parent().unwrap();
    own_meeting(&test.store).await;
    let mut reader = Raw::connect(&test.database).await;
    reader.execute("BEGIN").await;
    reader.count("SELECT COUNT(*) FROM entries").await;
    record(&test.store, deauthorized_by(ANA.user, 500)).await;
    while test.store.delete_some(510).await.unwrap() {}
    let begun = std::time::Instant::now();
    assert!(!test.store.purge().await.unwrap(), "the reader blocks it");
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "it does not wait long");
    assert_ne!(
        in_files(folder, &ANA.words()),
        Vec::<String>::new(),
        "otherwise this proves nothing"
    );
    reader.execute("ROLLBACK").await;
    assert!(test.store.purge().await.unwrap());
    assert_eq!(in_files(folder, &ANA.words()), Vec::<String>::new());
    assert_eq!(std::fs::metadata(folder.join("rtmsd.db-wal")).unwrap().len(), 0);
}

#[tokio::test]
async fn streams_from_before_have_the_operator_that_their_webhook_named() {
    let folder = tempfile::tempdir().unwrap();
    for location in at_schema(15, folder.path()).await {
        let mut raw = Raw::connect(&location).await;
        for statement in kit::OLD_ROWS {
            raw.execute(statement).await;
        }
        let store = Store::open(&location).await.unwrap();
        let mut owners = Vec::new();
        for stream in ["s1", "s2", "s3"] {
            let row = raw.dump().await.into_iter();
            let own = row.filter(|row| row.starts_with("streams:") && row.contains(stream));
            owners.push(own.map(|row| (row.contains(ANA.user), row.contains(BO.user))).next_back());
        }
        // The first by its webhook, the second by its session; a stop without a start has none.
        assert_eq!(owners, [Some((true, false)), Some((false, true)), Some((false, false))]);
        let about = "SELECT COUNT(*) FROM idempotency_keys WHERE session_id = '01932b5e-0000-7000-8000-000000000000'";
        assert_eq!(raw.count(about).await, 2);
        let named = "SELECT COUNT(*) FROM deliveries WHERE operator_id = 'u-ana'";
        assert_eq!(raw.count(named).await, 1);
        store.close().await;
    }
}

/// A meeting of Ana with data of every kind.
async fn stored_meeting(test: &TestStore) -> SessionId {
    let session = own_meeting(&test.store).await;
    assert_everything_of(test, &[&ANA]).await;
    assert_session_is_known(test).await;
    session
}

/// Checks the rows that the deletion of Ana's only meeting leaves.
async fn assert_all_gone(test: &TestStore, session: SessionId) {
    delete_all(&test.store).await;
    assert_no_words_of(test, &[&ANA]).await;
    assert_session_names_nobody(test, session).await;
}

async fn assert_session_is_known(test: &TestStore) {
    for word in [CASE, HOST] {
        assert_ne!(in_tables(&test.database, &[word]).await, Vec::<String>::new(), "{word}");
    }
}

/// Checks that metadata and host are gone, and that the remaining row is marked.
async fn assert_session_names_nobody(test: &TestStore, session: SessionId) {
    let session = test.store.session(session).await.unwrap().expect("its counts stay");
    assert_eq!((session.metadata, session.host_id), (None, None));
    assert!(test.store.purge().await.unwrap());
    assert_eq!(at_rest(&test.database, &[CASE]).await, Vec::<String>::new());
    assert_eq!(kit::named(&test.database, &[HOST]).await, Vec::<String>::new());
}

async fn last_deletion(store: &Store) -> Value {
    let newest = &trail(store, 1).await[0];
    assert_eq!(newest.action, "data.deleted");
    let detail: Value = serde_json::from_str(&newest.detail).unwrap();
    json!([newest.outcome, detail["streams"]])
}

/// A refused start, as Zoom reports it.
fn notice_by(operator: &str, stream: Option<&str>, event_ts_ms: i64) -> Delivery {
    let notice = Notice {
        stream_id: stream.map(stream_id),
        operator_id: Some(operator.into()),
        ..Notice::default()
    };
    notice_of(event_ts_ms, notice)
}

/// The same webhook, signed with the key of the Video SDK's app.
fn of_video_sdk(mut delivery: Delivery) -> Delivery {
    let instance = match &mut delivery.announcement {
        WebhookEffect::Started(started) => &mut started.instance,
        WebhookEffect::Stopped(stopped) => &mut stopped.instance,
        other => panic!("{other:?} is about no stream"),
    };
    instance.product = Product::VideoSdk;
    delivery
}
