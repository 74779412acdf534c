//! An app that signs webhooks with its own valid secret attacks another: every event, with every id of the other.

use rtmsd::model::{Action, AppName, AppScope, MeetingChange, Outcome};
use rtmsd::store::{Begin, Recorded, Store};
use rtmsd::zoom::event::{self, Event};
use serde_json::{Value, json};

use super::installations::install_of;
use super::outgoing::{endpoint_of, kinds};
use super::webhooks::*;
use crate::control::store::meeting as numbered;
use crate::support::audit::act;
use crate::support::raw::Raw;
use crate::support::stores::on_both;

/// The number of a meeting that a program asked for and that has no stream yet.
const ASKED_NUMBER: &str = "98765432109";
/// When the attack begins; the attacked app's data is older.
const NOW_MS: i64 = 1_000;

/// A live stream, an ended one, a user, and a start by number that waits for its webhook.
async fn fill(store: &Store) {
    install_of(store, &AppName::default(), "u1", 1).await;
    record(store, started_by("u1", "ended", 1)).await;
    record(store, started_by("u1", "live", 2)).await;
    record(store, numbered_meeting_changed(2, MeetingChange::Started)).await;
    store.finish_stream(&stream_id("ended"), 0, 1, Outcome::Gone, None, 3).await.unwrap().unwrap();
    request_start(store, ASKED_NUMBER).await;
}

/// A program requests a start by the meeting's number, and Zoom has not answered yet.
pub(crate) async fn request_start(store: &Store, number: &str) {
    let asked = store.create_session(&numbered(number), &act("boss", 4)).await.unwrap();
    let begin = Begin {
        session_id: asked.session.id,
        action: Action::Start,
        asked_by: "api:boss",
        now_ms: 4,
        until_ms: 1_000_000,
        media: None,
        may_drop_plans: true,
        act: &act("boss", 4),
    };
    store.begin_action(&begin, |_| Ok::<_, ()>(())).await.unwrap().unwrap().unwrap();
}

/// The payloads of every event that names a stream, a conversation, a number or a user of the other app.
fn payloads(stream: &str, number: &str) -> Vec<(String, Value)> {
    let products = [
        ("meeting.", "meeting_uuid"),
        ("webinar.", "webinar_uuid"),
        ("session.", "session_id"),
        ("contact_center.voice_", "engagement_id"),
        ("phone.", "call_id"),
        ("phone.call_", "call_id"),
    ];
    let mut all = Vec::new();
    for (prefix, key) in products {
        for reason in [6, 8] {
            let ids = json!({
                key: "m", "rtms_stream_id": stream, "server_urls": OTHER_URL, "account_id": "acc1",
                "operator_id": "u1", "meeting_id": number, "stop_reason": reason,
            });
            for change in ["rtms_started", "rtms_stopped", "rtms_interrupted"] {
                all.push((format!("{prefix}{change}"), ids.clone()));
                all.push((format!("{prefix}{change}"), json!({ "object": ids })));
            }
        }
    }
    for event in ["meeting.started", "meeting.ended", "webinar.started", "webinar.ended"] {
        let object = json!({"uuid": "m", "id": number, "host_id": "host1"});
        all.push((event.into(), json!({"account_id": "acc1", "object": object})));
    }
    for event in ["rtms.concurrency_limited", "rtms.concurrency_near_limit", "rtms.start_failed"] {
        let ids = json!({"meeting_uuid": "m", "rtms_stream_id": stream, "meeting_id": number});
        all.push((event.into(), json!({"operator_id": "u1", "id_field": ids.clone()})));
        all.push((event.into(), ids));
    }
    all.push(("app_deauthorized".into(), json!({"user_id": "u1", "account_id": "acc1"})));
    all.push(("endpoint.url_validation".into(), json!({"plainToken": "abc"})));
    all.push(("meeting.participant_joined".into(), json!({"object": {"uuid": "m", "id": number}})));
    all
}

/// Sends every event once for each pair of ids, signed by `app`.
async fn attack(store: &Store, app: &AppName) -> Vec<Recorded> {
    let (mut answers, mut at_ms) = (Vec::new(), NOW_MS);
    for stream in ["live", "ended"] {
        for number in [NUMBER, ASKED_NUMBER] {
            for (event, payload) in payloads(stream, number) {
                at_ms += 1;
                let body = json!({"event": event, "event_ts": at_ms, "payload": payload});
                let parsed = event::parse(body.to_string().as_bytes(), app, at_ms).unwrap();
                let Event::Delivery(delivery) = parsed else { continue };
                answers.push(record(store, *delivery).await);
            }
        }
    }
    answers
}

#[tokio::test]
async fn no_webhook_of_one_app_changes_a_row_of_another() {
    on_both(async |test| {
        let (store, acme) = (&test.store, AppName::parse("acme").unwrap());
        let own = endpoint_of(store, AppScope::Only([AppName::default()].into())).await;
        fill(store).await;
        let (before, emitted) =
            (Raw::connect(&test.database).await.dump().await, kinds(store, own).await);
        let answers = attack(store, &acme).await;
        while store.delete_some(100_000).await.unwrap() {}
        let after = Raw::connect(&test.database).await.dump().await;
        let lost: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
        assert_eq!(lost, Vec::<&String>::new(), "changed or deleted");
        for answer in answers {
            assert!(
                !matches!(answer, Recorded::Changed { .. } | Recorded::AlreadyEnded),
                "{answer:?}"
            );
        }
        // What is new is the attacker's own.
        let new = after.iter().filter(|row| !before.contains(row));
        for row in new.filter(|row| !row.starts_with("_sqlx")) {
            assert!(row.contains("acme"), "{row}");
        }
        assert_eq!(kinds(store, own).await, emitted);
        // The attacked app goes on as if nothing had been.
        assert_eq!(record(store, interrupted("live", NOW_MS)).await, changed("live"));
        assert_eq!(record(store, stopped("live", NOW_MS + 1, Some(6))).await, changed("live"));
    })
    .await;
}

#[tokio::test]
async fn the_bytes_of_a_webhook_may_be_sent_by_another_app_first() {
    on_both(async |test| {
        let (store, acme) = (&test.store, AppName::parse("acme").unwrap());
        announce(store, "live").await;
        let stop = stopped("live", 2, Some(6));
        assert_eq!(record(store, signed_by(&acme, stop.clone())).await, Recorded::NoChange);
        assert_eq!(record(store, stop).await, changed("live"), "no repeat of the other app's");
    })
    .await;
}
