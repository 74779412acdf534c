//! Meetings with streams of two people's apps, with words in all of their stored data.

use rtmsd::model::{
    AppName, ChatMessage, Entry, EntryBody, MeetingChange, NewSession, OutgoingEvent, Participant,
    RecordedFile, RecordingId, RecordingStatus, SessionId, Speaker, SpoolId, StopReason,
    TranscriptLine, UserId,
};
use rtmsd::store::{
    Attempt, DeliveryStatus, IdempotencyKey, Kept, Location, NewRecording, SessionPage, Store,
};
use serde_json::json;
use uuid::Uuid;

use super::super::outgoing::endpoint;
use super::super::webhooks::*;
use crate::support::audit::act;
use crate::support::stores::TestStore;
use crate::support::words::{at_rest, in_tables};

/// Entries of each kind: enough for SQLite to move them between pages.
const LINES: u64 = 300;
pub(super) const HOST: &str = "host1";
/// In the metadata of the session, and in the stored idempotent answer.
pub(super) const CASE: &str = "case-4711";

/// An operator, and what is said in the operator's stream.
pub(super) struct Operator {
    pub user: &'static str,
    pub stream: &'static str,
    said: &'static str,
    written: &'static str,
    name: &'static str,
    /// An endpoint's answer to a webhook.
    echo: &'static str,
}

pub(super) const ANA: Operator = Operator {
    user: "u-ana",
    stream: "s1",
    said: "ana-spoke-aloud",
    written: "ana-typed-this",
    name: "Ana Ferreira",
    echo: "echo-of-ana",
};
pub(super) const BO: Operator = Operator {
    user: "u-bo",
    stream: "s2",
    said: "bo-spoke-aloud",
    written: "bo-typed-this",
    name: "Bo Lindqvist",
    echo: "echo-of-bo",
};

impl Operator {
    pub(super) fn words(&self) -> Vec<&'static str> {
        vec![self.said, self.written, self.name, self.echo]
    }
}

pub(super) async fn create(store: &Store) -> SessionId {
    let new = NewSession {
        app: AppName::default(),
        product: None,
        meeting_id: NUMBER.into(),
        participant_user_id: None,
        installation_id: None,
        metadata: json!({ "case": CASE }).as_object().cloned(),
        media: None,
    };
    let session = store.create_session(&new, &act("boss", 1)).await.unwrap().session.id;
    store.take_idempotency_key(&key(), "d", 1, 900).await.unwrap();
    store.keep_answer(&key(), &answer(), Some(session), 9_000).await.unwrap();
    session
}

pub(super) fn key() -> IdempotencyKey {
    let path = "/api/v1/sdk/sessions".to_owned();
    IdempotencyKey { token: "t".into(), path, key: "k".into() }
}

pub(super) fn answer() -> Kept {
    let body = json!({"data": {"session": {"metadata": {"case": CASE}}}}).to_string();
    Kept { status: 201, body }
}

/// A meeting that a program requested, streamed by Ana alone.
pub(super) async fn own_meeting(store: &Store) -> SessionId {
    meeting_of(store, &[&ANA]).await
}

/// The same, streamed by Ana and then by Bo.
pub(super) async fn shared_meeting(store: &Store) -> SessionId {
    meeting_of(store, &[&ANA, &BO]).await
}

async fn meeting_of(store: &Store, operators: &[&Operator]) -> SessionId {
    let session = create(store).await;
    endpoint(store, &[]).await;
    record(store, numbered_meeting_changed(10, MeetingChange::Started)).await;
    for (operator, at_ms) in operators.iter().zip((100..).step_by(100)) {
        record(store, started_by(operator.user, operator.stream, at_ms)).await;
        assert_eq!(read(store, operator.stream).await.session_id, session);
        live(store, operator.stream, at_ms + 1).await;
        fill(store, operator, at_ms + 2).await;
        end(store, operator.stream, rtmsd::model::Outcome::Stopped, Some(4), at_ms + 50).await;
    }
    session
}

async fn live(store: &Store, stream: &str, now_ms: i64) {
    let status = Some(rtmsd::model::StreamStatus::Live);
    let update = rtmsd::store::StreamUpdate { status, ..Default::default() };
    store.update_streams(&[(stream_id(stream), update)], now_ms).await.unwrap();
}

pub(super) async fn end(
    store: &Store,
    stream: &str,
    outcome: rtmsd::model::Outcome,
    reason: Option<i64>,
    now_ms: i64,
) {
    let ended = store
        .finish_stream(&stream_id(stream), 0, 1, outcome, reason.map(StopReason), now_ms)
        .await;
    ended.unwrap().expect("it ran");
}

/// Stores entries, a recording, outgoing webhooks with their answers, and a notice of Zoom.
pub(super) async fn fill(store: &Store, of: &Operator, now_ms: i64) {
    let stream = read(store, of.stream).await;
    let entries = entries(of, stream.session_id, stream.ordinal, now_ms);
    store.write_entries(&unclaimed(&entries)).await.unwrap();
    let event = |entry| OutgoingEvent::of_entry(entry, &stream.app);
    let events: Vec<_> = entries.iter().take(20).filter_map(event).collect();
    store.enqueue_events(&events, now_ms).await.unwrap();
    record_sound(store, of, &stream.stream_id, stream.session_id, now_ms).await;
    for endpoint in store.endpoints_with_due_deliveries().await.unwrap() {
        let due = store.claim_deliveries(endpoint, 10, 100).await.unwrap();
        // Half of them still wait.
        let own = due.iter().filter(|it| it.event.stream_id.as_ref() == Some(&stream.stream_id));
        for delivery in own.step_by(2) {
            let answer = Some(of.echo.to_owned());
            let attempt = Attempt { status: Some(200), error: None, answer };
            let (done, none) = (DeliveryStatus::Delivered, None);
            store.settle_delivery(delivery, done, none, &attempt).await.unwrap();
        }
    }
    let notice = rtmsd::model::Notice {
        operator_id: Some(of.user.into()),
        instance_id: Some("of another meeting".into()),
        ..Default::default()
    };
    record(store, notice_of(now_ms, notice)).await;
}

fn entries(of: &Operator, session_id: SessionId, ordinal: u32, at_ms: i64) -> Vec<Entry> {
    let user_id = UserId(7);
    let user_name = || Some(of.name.to_owned());
    let line = |n: u64| {
        EntryBody::Transcript(TranscriptLine {
            speaker: Speaker::participant(user_id, user_name()),
            text: format!("{} {n} {}", of.said, "x".repeat(n as usize)),
            start_ms: 1,
            end_ms: 2,
            language: None,
            attribute: None,
        })
    };
    let chat = |n: u64| {
        EntryBody::Chat(Box::new(ChatMessage {
            user_name: user_name(),
            text: format!("{} {n}", of.written),
            ..ChatMessage::default()
        }))
    };
    let joined = EntryBody::ParticipantJoined(Participant { user_id, user_name: user_name() });
    let said = (1..=LINES).flat_map(|n| [line(n), chat(n)]);
    let bodies = [joined].into_iter().chain(said).chain([EntryBody::Moved {}]);
    let entry = |(body, seq)| Entry {
        session_id,
        stream_id: stream_id(of.stream),
        stream_ordinal: ordinal,
        seq,
        at_ms,
        body,
    };
    bodies.zip(1..).map(entry).collect()
}

/// A recording that is uploaded. The names of its files contain words, and are deleted with the files.
async fn record_sound(
    store: &Store,
    of: &Operator,
    stream_id: &rtmsd::model::StreamId,
    session_id: SessionId,
    now_ms: i64,
) {
    let (id, spool) = (RecordingId(Uuid::now_v7()), SpoolId(Uuid::nil()));
    let new = NewRecording { id, session_id, stream_id, ordinal: 1, spool, started_at_ms: now_ms };
    let recording = store.begin_recording(&new).await.unwrap();
    let file = RecordedFile {
        name: "audio-7.wav".into(),
        api_name: "1-audio-7.wav".into(),
        path: "a/audio-7.wav".into(),
        medium: "audio".into(),
        speaker: Speaker::participant(UserId(7), Some(of.name.into())),
        content_type: "audio/wav".into(),
        bytes: 44,
        sha256: "ab".into(),
        first_ms: Some(1),
        last_ms: None,
    };
    let files = [file];
    assert!(store.finish_recording(&recording, &files, now_ms).await.unwrap());
    let from = store.recording(id).await.unwrap().unwrap();
    assert_eq!(from.status, RecordingStatus::Uploading);
    assert!(store.store_recording(&recording, &files, now_ms).await.unwrap());
}

pub(super) fn newest() -> SessionPage {
    SessionPage { limit: 1, ..SessionPage::default() }
}

/// Executes all deletions, and purges SQLite's log.
pub(super) async fn delete_all(store: &Store) {
    while store.delete_some(5_000).await.unwrap() {}
    assert!(store.purge().await.unwrap());
}

/// Checks that no words are left, and no name that need not be.
pub(super) async fn assert_nothing_of(test: &TestStore, operators: &[&Operator]) {
    assert_no_words_of(test, operators).await;
    for operator in operators {
        assert_eq!(named(&test.database, &[operator.user]).await, Vec::<String>::new());
    }
}

pub(super) async fn assert_no_words_of(test: &TestStore, operators: &[&Operator]) {
    assert!(test.store.purge().await.unwrap());
    for operator in operators {
        assert_eq!(at_rest(&test.database, &operator.words()).await, Vec::<String>::new());
        let (location, stream) = (&test.database, operator.stream);
        let events = in_tables(location, &[&format!("\"stream_id\":\"{stream}\"")]).await;
        let ready = events.iter().filter(|row| row.contains("recording.ready")).count();
        assert_eq!(ready, 0, "{events:#?}");
    }
}

pub(super) async fn assert_everything_of(test: &TestStore, operators: &[&Operator]) {
    for operator in operators {
        for word in operator.words().into_iter().chain([operator.user]) {
            assert_ne!(in_tables(&test.database, &[word]).await, Vec::<String>::new(), "{word}");
        }
        let lines = in_tables(&test.database, &[operator.said]).await.len();
        assert_eq!(lines as u64, LINES, "{}", operator.user);
    }
}

/// Rows that name somebody, except those that must: the audit trail, installations, and the events for consumers.
pub(super) async fn named(location: &Location, ids: &[&str]) -> Vec<String> {
    let mut rows = in_tables(location, ids).await;
    let has_to = |row: &String| {
        let (_, row) = row.split_once(" in ").expect("a word and a row");
        row.starts_with("audit:")
            || row.starts_with("installations:")
            || row.contains("data.deleted")
    };
    rows.retain(|row| !has_to(row));
    rows
}

pub(super) const OLD_ROWS: [&str; 7] = [
    "INSERT INTO sessions (id, product, id_key, instance_id, operator_id, status, created_at_ms, updated_at_ms)
     VALUES ('01932b5e-0000-7000-8000-000000000000', 'meeting', 'meeting_uuid', 'm', 'u-bo', 'stopped', 1, 1)",
    "INSERT INTO streams (stream_id, session_id, ordinal, server_urls, event_ts_ms, generation, interrupts, status,
                          tally, created_at_ms, ended_at_ms)
     VALUES ('s1', '01932b5e-0000-7000-8000-000000000000', 1, '', 1, 1, 0, 'ended', '{}', 1, 2),
            ('s2', '01932b5e-0000-7000-8000-000000000000', 2, '', 1, 1, 0, 'ended', '{}', 1, 2),
            ('s3', '01932b5e-0000-7000-8000-000000000000', 3, '', 1, 0, 0, 'ended', '{}', 1, 2)",
    r#"INSERT INTO deliveries (digest, event, event_ts_ms, received_at_ms, stream_id, effect, body)
       VALUES ('1', 'meeting.rtms_started', 1, 1, 's1', 'changed',
               '{"event":"meeting.rtms_started","payload":{"operator_id": "u-ana","rtms_stream_id":"s1"}}')"#,
    "INSERT INTO deliveries (digest, event, event_ts_ms, received_at_ms, stream_id, effect, body)
     VALUES ('2', 'meeting.rtms_started', 1, 1, 's2', 'changed', 'no JSON')",
    r#"INSERT INTO deliveries (digest, event, event_ts_ms, received_at_ms, effect, body)
       VALUES ('3', 'rtms.concurrency_limited', 1, 1, 'notice', '{"payload":{"operator_id":"u-ana"}}')"#,
    "INSERT INTO idempotency_keys (token, path, key, digest, status, body, expires_at_ms)
     VALUES ('t', '/api/v1/sdk/sessions/01932b5e-0000-7000-8000-000000000000/rtms/start', 'k', 'd', 202, '{}', 9)",
    r#"INSERT INTO idempotency_keys (token, path, key, digest, status, body, expires_at_ms)
       VALUES ('t', '/api/v1/sdk/sessions', 'k', 'd', 201,
               '{"data":{"session":{"id":"01932b5e-0000-7000-8000-000000000000"}}}', 9)"#,
];
