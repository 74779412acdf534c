//! What comes between the request for a deletion and its execution.

use rtmsd::model::{
    Action, ActionStatus, Answer, AppName, MeetingChange, NewSession, NodeId, Outcome, Planned,
    SessionId,
};
use rtmsd::store::{Begin, Begun, SessionDeletion, Store};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::webhooks::*;
use super::kit::*;
use super::last_deletion;
use crate::support::audit::{act, trail};
use crate::support::raw::Raw;
use crate::support::stores::{TestStore, on_both};
use crate::support::words::in_tables;

async fn ask(store: &Store, session: SessionId, now_ms: i64) {
    let asked = store.delete_session(session, &act("boss", now_ms)).await.unwrap();
    assert_eq!(asked, SessionDeletion::Asked);
}

async fn begin(store: &Store, session_id: SessionId, now_ms: i64) -> Begun {
    let begin = Begin {
        session_id,
        action: Action::Start,
        asked_by: "api:t",
        now_ms,
        until_ms: now_ms + 1000,
        media: None,
        may_drop_plans: true,
        act: &act("t", now_ms),
    };
    store.begin_action(&begin, |_| Ok::<_, ()>(())).await.unwrap().unwrap().unwrap()
}

async fn plan(store: &Store, session: SessionId, cause: &str, due_at_ms: i64) {
    let plan =
        Planned { action: Action::Start, asked_by: "auto_start", cause: cause.into(), due_at_ms };
    store.plan(session, &[plan], due_at_ms).await.unwrap();
}

fn described(metadata: &str) -> NewSession {
    NewSession {
        app: AppName::default(),
        product: None,
        meeting_id: NUMBER.into(),
        participant_user_id: None,
        installation_id: None,
        metadata: json!({ "case": metadata }).as_object().cloned(),
        media: None,
    }
}

/// Checks that the deletion is over and that what the session knew of people is gone, and that the session is there.
async fn assert_stays_without_names(test: &TestStore, session: SessionId) {
    let mut raw = Raw::connect(&test.database).await;
    assert_eq!(raw.count("SELECT COUNT(*) FROM deletions").await, 0);
    assert_no_words_of(test, &[&ANA]).await;
    for word in [CASE, HOST] {
        assert_eq!(named(&test.database, &[word]).await, Vec::<String>::new());
    }
    let left = test.store.session(session).await.unwrap().expect("it has been used since");
    assert_eq!((left.host_id, left.operator_id), (None, None));
    assert_eq!((left.participant_user_id, left.installation_id), (None, None));
}

#[tokio::test]
async fn a_start_that_is_asked_for_after_the_request_keeps_the_row_and_the_deletion_ends() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        plan(store, session, "before", 450).await;
        ask(store, session, 500).await;
        let known = store.session(session).await.unwrap().unwrap();
        assert_eq!((known.metadata, known.host_id), (None, None), "erased with the request");
        begin(store, session, 510).await;
        plan(store, session, "since", 600).await;
        delete_all(store).await;
        assert_stays_without_names(test, session).await;
        assert_eq!(last_deletion(store).await, json!(["ok", 1]));
        let snapshot = store.snapshot(session).await.unwrap().unwrap();
        assert_eq!(snapshot.streams, []);
        let left = snapshot.actions.iter();
        let left: Vec<_> = left.map(|it| (it.cause.as_deref(), it.status.as_str())).collect();
        let expected = [(Some("before"), "skipped"), (Some("since"), "due"), (None, "running")];
        assert_eq!(left.len(), expected.len(), "{left:?}");
        assert!(expected.iter().all(|it| left.contains(it)), "{left:?}");
        // A second request is about everything.
        ask(store, session, 700).await;
        delete_all(store).await;
        assert!(store.session(session).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn the_answer_to_an_action_whose_session_was_deleted_is_recorded_in_the_audit_trail() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        let begun = begin(store, session, 490).await;
        ask(store, session, 500).await;
        delete_all(store).await;
        assert!(store.session(session).await.unwrap().is_none());
        let (status, answer) = (ActionStatus::Accepted, Answer::default());
        store.answer_action(begun.id, status, None, &answer, 600).await.unwrap();
        let asked = in_tables(&test.database, &[&begun.id.0.to_string()]).await;
        assert!(asked.iter().all(|row| row.contains(" in audit:")), "{asked:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_announced_after_the_request_keeps_a_row_without_names() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        ask(store, session, 500).await;
        record(store, started_by(BO.user, BO.stream, 510)).await;
        fill(store, &BO, 520).await;
        end(store, BO.stream, Outcome::Stopped, None, 530).await;
        record(store, numbered_meeting_changed(540, MeetingChange::Started)).await;
        delete_all(store).await;
        assert_everything_of(test, &[&BO]).await;
        assert_no_words_of(test, &[&ANA]).await;
        assert_eq!(named(&test.database, &[CASE]).await, Vec::<String>::new());
        let left = store.session(session).await.unwrap().unwrap();
        assert_eq!((left.metadata, left.operator_id.as_deref()), (None, Some(BO.user)));
        assert_eq!(left.host_id.as_deref(), Some(HOST), "the meeting was announced since");
        assert_eq!(last_deletion(store).await, json!(["ok", 1]));
        let detail: Value = serde_json::from_str(&trail(store, 1).await[0].detail).unwrap();
        assert_eq!(detail["sessions"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_described_again_after_the_request_keeps_the_new_description() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        ask(store, session, 500).await;
        let again = store.create_session(&described("new"), &act("boss", 510)).await.unwrap();
        assert_eq!(again.session.id, session);
        delete_all(store).await;
        assert_stays_without_names(test, session).await;
        let left = store.session(session).await.unwrap().unwrap();
        assert_eq!(left.metadata, described("new").metadata);
    })
    .await;
}

/// The stream had been given up here, and Zoom goes on with it.
#[tokio::test]
async fn a_stream_that_is_continued_after_the_request_loses_what_was_said_before() {
    on_both(async |test| {
        let store = &test.store;
        let session = create(store).await;
        record(store, started_by(ANA.user, ANA.stream, 100)).await;
        fill(store, &ANA, 110).await;
        end(store, ANA.stream, Outcome::WindowExpired, None, 120).await;
        ask(store, session, 500).await;
        record(store, started_by(BO.user, ANA.stream, 510)).await;
        assert_eq!(read(store, ANA.stream).await.ended_at_ms, None, "it runs again");
        delete_all(store).await;
        assert_stays_without_names(test, session).await;
        let (node, stream) = (NodeId(Uuid::nil()), stream_id(ANA.stream));
        let claim = claim_stream(store, node, &stream, 1000).await.unwrap().unwrap();
        assert!(claim.last_seq > 0, "its numbers go on");
    })
    .await;
}

#[tokio::test]
async fn a_second_request_before_the_execution_is_about_what_came_since_the_first() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        ask(store, session, 500).await;
        store.create_session(&described("new"), &act("boss", 510)).await.unwrap();
        record(store, started_by(BO.user, BO.stream, 520)).await;
        fill(store, &BO, 530).await;
        end(store, BO.stream, Outcome::Stopped, None, 540).await;
        begin(store, session, 550).await;
        ask(store, session, 600).await;
        delete_all(store).await;
        assert_no_words_of(test, &[&ANA, &BO]).await;
        assert!(store.session(session).await.unwrap().is_none());
        let trail = trail(store, 20).await;
        assert_eq!(trail.iter().filter(|row| row.action == "data.deleted").count(), 1);
    })
    .await;
}

/// Requested from a version that erased the session at the end.
#[tokio::test]
async fn a_deletion_of_an_older_version_erases_the_session_first() {
    on_both(async |test| {
        let (store, session) = (&test.store, own_meeting(&test.store).await);
        ask(store, session, 500).await;
        store.create_session(&described(CASE), &act("boss", 510)).await.unwrap();
        let mut raw = Raw::connect(&test.database).await;
        raw.execute("UPDATE deletions SET is_collected = 1, sessions = 0").await;
        delete_all(store).await;
        assert_no_words_of(test, &[&ANA]).await;
        assert!(store.session(session).await.unwrap().is_none());
    })
    .await;
}
