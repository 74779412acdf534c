//! Starts and webhooks when this daemon, or every daemon, has no room for a further stream.

use rtmsd::model::{Action, ActionRecord, ActionStatus, NodeId, Planned};
use rtmsd::store::Heartbeat;
use rtmsd::zoom::app::{AutoStart, Occupancy};
use serde_json::json;
use uuid::Uuid;

use super::kit::{BOSS, Kit, session_id};
use crate::http::server::Wiring;
use crate::support::wait::eventually;

const LONG: i64 = 60_000;

async fn another_daemon(kit: &Kit, max_streams: usize) {
    let node = NodeId(Uuid::from_u128(7));
    let heartbeat = Heartbeat { node, version: "0.1.0", max_streams, busy_permille: 0 };
    kit.server.state.store.report_daemon(heartbeat, LONG).await.unwrap();
}

async fn is_refused_until_another_daemon_has_room(occupancy: Occupancy) {
    let kit = Kit::wired(|wiring| wiring.occupancy = occupancy).await;
    let id = kit.create().await;
    for _ in 0..2 {
        let answer = kit.act(&id, "start").await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "no_capacity"));
        assert!(answer.header("retry-after").is_some());
        assert_eq!(answer.json()["error"]["retryable"], true);
        assert_eq!(kit.zoom.asked().len(), 0, "Zoom is not asked for a stream that nobody takes");
        // One that is full, too, makes no difference.
        another_daemon(&kit, 0).await;
    }
    another_daemon(&kit, 1).await;
    assert_eq!(kit.act(&id, "start").await.status, 202);
}

#[tokio::test]
async fn a_start_is_refused_with_retry_after_only_if_no_daemon_has_room() {
    is_refused_until_another_daemon_has_room(Occupancy::new(0)).await;
}

#[tokio::test]
async fn a_start_is_refused_if_every_daemon_is_overloaded() {
    let occupancy = Occupancy::new(100).overloaded_from(Some(90));
    occupancy.set_busy(950);
    is_refused_until_another_daemon_has_room(occupancy).await;
}

#[tokio::test]
async fn webhooks_are_recorded_and_streams_stopped_whatever_the_load() {
    let kit = Kit::wired(|wiring| wiring.occupancy = Occupancy::new(0)).await;
    let id = kit.create().await;
    // `announce` asserts that it is answered 200.
    kit.announce("m==", "s1").await;
    assert_eq!(kit.status(&id).await, "connecting");
    let again = kit.act(&id, "start").await;
    assert_eq!(again.status, 200, "a start of a live session is no new stream: {}", again.text());
    assert_eq!(kit.act(&id, "stop").await.status, 202);
    assert_eq!(kit.zoom.asked()[0].body["action"], json!("stop"));
}

/// Meetings are started by policy, and this daemon has no room.
fn full(wiring: &mut Wiring) {
    wiring.policies.auto_start = AutoStart::All;
    wiring.occupancy = Occupancy::new(0);
}

/// The starts that are planned or sent, of every session.
async fn starts(kit: &Kit) -> Vec<ActionRecord> {
    let mut starts = Vec::new();
    for session in kit.get("").await["sessions"].as_array().unwrap() {
        let id = session_id(session["id"].as_str().unwrap());
        starts.extend(kit.server.state.store.snapshot(id).await.unwrap().unwrap().actions);
    }
    starts
}

fn waits(start: &ActionRecord) -> bool {
    let code = start.answer.as_ref().and_then(|answer| answer.code.as_deref());
    start.status == ActionStatus::Due && code == Some("no_capacity")
}

/// Waits until so many starts wait for room and have been considered again.
async fn wait(kit: &Kit, count: usize) {
    let since_ms = rtmsd::clock::now_ms();
    eventually("the starts wait for room", async || {
        let starts = starts(kit).await;
        let waiting: Vec<_> = starts.iter().filter(|start| waits(start)).collect();
        let is_new = |start: &&ActionRecord| start.answered_at_ms > Some(since_ms);
        (waiting.len() == count && waiting.iter().all(is_new)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_automatic_start_waits_until_a_daemon_has_room() {
    let kit = Kit::working(full).await;
    kit.meeting("meeting.started", "m==").await;
    wait(&kit, 1).await;
    wait(&kit, 1).await;
    let id = kit.only_session().await;
    assert_eq!(kit.zoom.asked().len(), 0, "Zoom is not asked for a stream that nobody takes");
    assert_ne!(kit.status(&id).await, "rtms_start_requested");
    // One while the start is being considered.
    eventually("to wait is no failed attempt", async || {
        (starts(&kit).await[0].attempts == 0).then_some(())
    })
    .await;

    let timeline = kit.get(&format!("/{id}/timeline")).await.to_string();
    assert!(timeline.contains("start refused: no_capacity"), "{timeline}");
    assert!(timeline.contains("it will be tried again"), "{timeline}");
    let health = kit.server.request("GET", "/api/v1/health", &[BOSS]).await.json();
    assert_eq!(health["data"]["streams"]["waiting_starts"], 1, "{health}");
    assert!(health["data"]["findings"].to_string().contains("starts_wait"), "{health}");

    another_daemon(&kit, 1).await;
    kit.zoom.asked_times(1).await;
    kit.becomes(&id, "rtms_start_requested").await;
}

#[tokio::test]
async fn of_the_starts_that_wait_as_many_are_sent_as_find_room_the_oldest_first() {
    let kit = Kit::working(full).await;
    for (n, uuid) in ["a==", "b==", "c=="].into_iter().enumerate() {
        let object = json!({"id": 91_234_567_890_u64 + n as u64, "uuid": uuid, "host_id": "host1"});
        kit.webhook("meeting.started", json!({"account_id": "acc1", "object": object})).await;
        wait(&kit, n + 1).await;
    }
    another_daemon(&kit, 2).await;
    kit.zoom.asked_times(2).await;
    wait(&kit, 1).await;
    wait(&kit, 1).await;
    assert_eq!(kit.zoom.asked().len(), 2, "there is room for two");
    let mut starts = starts(&kit).await;
    starts.sort_by_key(|start| start.id.0);
    assert!(waits(&starts[2]), "{starts:?}");
    another_daemon(&kit, 3).await;
    kit.zoom.asked_times(3).await;
}

#[tokio::test]
async fn a_start_that_waits_is_dropped_with_its_meeting() {
    let kit = Kit::working(full).await;
    kit.meeting("meeting.started", "m==").await;
    wait(&kit, 1).await;
    kit.meeting("meeting.ended", "m==").await;
    assert_eq!(kit.settled("auto_start").await, ActionStatus::Skipped);
    assert_eq!(kit.zoom.asked().len(), 0);
}

#[tokio::test]
async fn a_start_that_has_waited_for_more_than_an_hour_is_refused() {
    let mut kit = Kit::wired(full).await;
    kit.meeting("meeting.started", "m==").await;
    let id = session_id(&kit.only_session().await);
    let (asked_at_ms, cause) = (rtmsd::clock::now_ms() - 61 * 60 * 1000, "auto_start".to_owned());
    let due_at_ms = asked_at_ms;
    let plan = Planned { action: Action::Start, asked_by: "auto_start", cause, due_at_ms };
    kit.server.state.store.plan(id, &[plan], asked_at_ms).await.unwrap();
    kit.work();
    assert_eq!(kit.settled("auto_start").await, ActionStatus::Refused);
    assert_eq!(kit.zoom.asked().len(), 0);
}
