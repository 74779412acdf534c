//! Users who remove the app in Zoom.

use rtmsd::model::{
    EntryBody, EntryKind, Installation, InstallationStatus, Participant, StopReason, StreamId,
    StreamRecord, UserId,
};
use rtmsd::zoom::token::Wanted;
use serde_json::{Value, json};

use super::daemon::Daemon;
use crate::store::webhooks::under;
use crate::support::kit::eventually;
use crate::support::zoom::FakeZoom;

/// Two users have installed, and each had a meeting in which something was said.
async fn with_meetings() -> (FakeZoom, Daemon, Installation, Installation) {
    let zoom = FakeZoom::start().await;
    // Nobody listens there: the streams are dialled for a minute.
    let daemon = Daemon::start_with(&zoom, &[("RTMS_ALLOWED_HOSTS", "127.0.0.1")]).await;
    let ana = daemon.install(&zoom).await;
    zoom.world().user_id = "userBo02".into();
    let bo = daemon.install(&zoom).await;
    for (n, user) in ["userAna01", "userBo02"].into_iter().enumerate() {
        let body = json!({"event": "meeting.rtms_started", "event_ts": 1_732_313_171_881_i64,
            "payload": {"meeting_uuid": format!("m{n}=="), "rtms_stream_id": format!("s{n}"),
                "operator_id": user, "server_urls": "wss://127.0.0.1:1"}});
        assert_eq!(daemon.webhook(&body).await, 200);
        store_two_entries(&daemon, &format!("s{n}")).await;
    }
    (zoom, daemon, ana, bo)
}

/// One entry that is personal and one that is not, past everything else in this log.
async fn store_two_entries(daemon: &Daemon, stream: &str) {
    // The runner's claims and releases may change the stream meanwhile.
    eventually("it is stored", async || {
        let record = daemon.store.stream(&StreamId::parse(stream).unwrap()).await.unwrap().unwrap();
        say(daemon, &record, record.epoch).await.then_some(())
    })
    .await;
}

/// Writes an entry as the runner of this epoch. Returns false when the store refuses it.
async fn say(daemon: &Daemon, stream: &StreamRecord, epoch: i64) -> bool {
    let person = Participant { user_id: UserId(7), user_name: Some("Ana".into()) };
    let bodies = [EntryBody::ParticipantJoined(person), EntryBody::FirstPacket {}];
    let entries = bodies.into_iter().zip(1000..).map(|(body, seq)| rtmsd::model::Entry {
        session_id: stream.session_id,
        stream_id: stream.stream_id.clone(),
        stream_ordinal: stream.ordinal,
        seq,
        at_ms: 1,
        body,
    });
    let appends = under(epoch, &entries.collect::<Vec<_>>());
    daemon.store.write_entries(&appends).await.unwrap().is_empty()
}

async fn personal_entries(daemon: &Daemon, stream: &str) -> usize {
    let id = StreamId::parse(stream).unwrap();
    let session_id = daemon.store.stream(&id).await.unwrap().unwrap().session_id;
    let entries = daemon.store.entries_after(session_id, &Default::default(), &[], 100).await;
    let is_personal = |kind: EntryKind| kind.is_personal();
    entries.unwrap().iter().filter(|entry| is_personal(entry.body.kind())).count()
}

/// The details of the completed deletions of a user or a stream; waits for the first.
async fn deletions(daemon: &Daemon, subject: &str) -> Vec<Value> {
    eventually("a deletion is complete", async || {
        let mut rows = daemon.audited("data.deleted").await;
        rows.retain(|row| row.subject == subject);
        let details = rows.iter().map(|row| serde_json::from_str(&row.detail).unwrap());
        let details: Vec<Value> = details.collect();
        (!details.is_empty()).then_some(details)
    })
    .await
}

fn deauthorized(extra: &Value) -> Value {
    let mut body = json!({"event": "app_deauthorized", "event_ts": rtmsd::clock::now_ms(),
        "payload": {"account_id": "acc1", "user_id": "userAna01", "signature": "x",
            "deauthorization_time": "2026-06-17T13:52:28.632Z", "client_id": "demoClientId01"}});
    if let Value::Object(extra) = extra {
        body["payload"].as_object_mut().unwrap().extend(extra.clone());
    }
    body
}

#[tokio::test]
async fn a_user_who_removes_the_app_is_forgotten_and_nobody_else() {
    let (_zoom, daemon, ana, bo) = with_meetings().await;
    let gone = deauthorized(&json!({}));
    for _ in 0..2 {
        assert_eq!(daemon.webhook(&gone).await, 200);
    }
    let grant = daemon.store.grant(ana.id).await.unwrap().unwrap();
    assert_eq!(grant.installation.status, InstallationStatus::Revoked);
    assert_eq!((grant.tokens, grant.installation.display_name), (None, None));
    // What was deleted is noted once, in numbers.
    let (user, stream) = (deletions(&daemon, "userAna01").await, deletions(&daemon, "s0").await);
    assert_eq!((user.len(), stream.len()), (1, 1));
    assert_eq!(user[0]["streams"], 1);
    // The deletion of the revoked stream, at its end, may be the first.
    let deliveries = [&user, &stream].map(|rows| rows[0]["deliveries"].as_i64().unwrap());
    assert_eq!(deliveries.iter().sum::<i64>(), 1);
    assert_eq!(personal_entries(&daemon, "s0").await, 0);
    assert_eq!(personal_entries(&daemon, "s1").await, 1);
    let other = daemon.store.grant(bo.id).await.unwrap().unwrap();
    assert_eq!(other.installation.status, InstallationStatus::Connected);
    let audited = daemon.audited("installation.deauthorized").await;
    assert_eq!((audited.len(), &*audited[0].actor), (1, "zoom"));
    assert_eq!(audited[0].subject, "userAna01");
    let detail: Value = serde_json::from_str(&audited[0].detail).unwrap();
    assert_eq!((&detail["installations"], &detail["streams_stopped"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_removal_that_is_told_late_leaves_what_the_user_installed_since() {
    let (zoom, daemon, ana, _bo) = with_meetings().await;
    let gone = deauthorized(&json!({}));
    // Longer than a millisecond: the clock tells them apart.
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    zoom.world().user_id = "userAna01".into();
    daemon.install(&zoom).await;
    assert_eq!(daemon.webhook(&gone).await, 200);
    let grant = daemon.store.grant(ana.id).await.unwrap().unwrap();
    assert_eq!(grant.installation.status, InstallationStatus::Connected);
    assert!(grant.tokens.is_some());
    assert_eq!(daemon.audited("installation.deauthorized").await.len(), 1);
    assert!(!daemon.store.delete_some(0).await.unwrap(), "nothing is to be deleted");
    assert_eq!(personal_entries(&daemon, "s0").await, 1);
}

#[tokio::test]
async fn a_refresh_just_before_the_removal_was_told_does_not_save_the_grant() {
    let (_zoom, daemon, ana, _bo) = with_meetings().await;
    let gone = deauthorized(&json!({}));
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let granted = daemon.tokens.token(&Wanted::Installation(ana.id)).await.unwrap();
    daemon.tokens.replace(&granted).await.unwrap();
    assert_eq!(daemon.webhook(&gone).await, 200);
    assert_eq!(daemon.store.grant(ana.id).await.unwrap().unwrap().tokens, None);
}

#[tokio::test]
async fn what_may_be_kept_is_kept_and_the_tokens_are_not() {
    let (_zoom, daemon, ana, _bo) = with_meetings().await;
    let keep = deauthorized(&json!({"user_data_retention": "true"}));
    assert_eq!(daemon.webhook(&keep).await, 200);
    assert_eq!(daemon.store.grant(ana.id).await.unwrap().unwrap().tokens, None);
    assert!(!daemon.store.delete_some(0).await.unwrap(), "nothing is to be deleted");
    assert_eq!(personal_entries(&daemon, "s0").await, 1);
}

#[tokio::test]
async fn a_running_stream_of_the_user_ends_and_what_it_says_late_is_not_stored() {
    let (_zoom, daemon, _ana, _bo) = with_meetings().await;
    assert_eq!(daemon.webhook(&deauthorized(&json!({}))).await, 200);
    let id = StreamId::parse("s0").unwrap();
    let stream = eventually("the stream ends", async || {
        let stream = daemon.store.stream(&id).await.unwrap().unwrap();
        stream.ended_at_ms.is_some().then_some(stream)
    })
    .await;
    assert_eq!(stream.stop_reason, Some(StopReason(8)));
    assert!(!say(&daemon, &stream, stream.epoch - 1).await, "the epoch of its runner has passed");
    assert_eq!(personal_entries(&daemon, "s0").await, 0);
}

#[tokio::test]
async fn deleting_an_installation_deletes_what_was_said_only_when_asked() {
    let (_zoom, daemon, ana, bo) = with_meetings().await;
    let path = |id| format!("/api/v1/zoom/installations/{id}");
    let with_data = |id| format!("{}?delete_data=true", path(id));
    assert_eq!(daemon.api("DELETE", &path(ana.id)).await.status, 200);
    assert_eq!(daemon.api("DELETE", &with_data(bo.id)).await.status, 200);
    assert_eq!(deletions(&daemon, "userBo02").await.len(), 1);
    assert_eq!(personal_entries(&daemon, "s0").await, 1);
    assert_eq!(personal_entries(&daemon, "s1").await, 0);
    // Also when the tokens are gone already.
    assert_eq!(daemon.api("DELETE", &with_data(ana.id)).await.status, 200);
    assert_eq!(daemon.audited("installation.delete").await.len(), 3);
    eventually("the personal entries are deleted", async || {
        (personal_entries(&daemon, "s0").await == 0).then_some(())
    })
    .await;
}
