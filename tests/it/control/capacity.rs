//! Starts and webhooks when this daemon, or every daemon, has no room for a further stream.

use rtmsd::model::NodeId;
use rtmsd::store::Heartbeat;
use rtmsd::zoom::app::Occupancy;
use serde_json::json;
use uuid::Uuid;

use super::kit::Kit;

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
