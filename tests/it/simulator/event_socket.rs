//! The simulator's event socket (rtms-protocol.md section 23.1), with a raw WebSocket client.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rtmsd::simulator::{EventSocketFault, Events, Settings, Simulator, Timings, start};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::kit::{CLIENT_ID, CLIENT_SECRET, Client, fast, http, settings};
use crate::support::wait::eventually;

async fn zoom() -> Simulator {
    // Longer than any test: these clients send a heartbeat only where it matters.
    zoom_with(Timings { event_heartbeat_ms: 6_000_000, ..fast() }).await
}

async fn zoom_with(timings: Timings) -> Simulator {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings { events: Events::WebSocket, timings, ..settings() };
    start(settings, listener).await.unwrap()
}

async fn token(zoom: &Simulator) -> String {
    let basic = BASE64_STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    let answer = http()
        .post(zoom.token_url())
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials")
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// The URL with a token that Zoom has just issued.
async fn url(zoom: &Simulator) -> String {
    format!("{}&access_token={}", zoom.events_url().unwrap(), token(zoom).await)
}

async fn refused(url: &str) -> u16 {
    use tokio_tungstenite::tungstenite::Error;
    let (address, _) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    match tokio_tungstenite::client_async(url, tcp).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{:?}", other.map(drop)),
    }
}

async fn accepted(zoom: &Simulator) -> Client {
    let mut client = Client::connect(&url(zoom).await).await;
    let first = client.receive().await;
    assert_eq!(first, json!({"module": "build_connection", "success": true}));
    client
}

/// The name of the event in a message, and the message's body.
fn event(message: &Value) -> (String, Value) {
    assert_eq!(message["module"], "message");
    let body: Value = serde_json::from_str(message["content"].as_str().unwrap()).unwrap();
    (body["event"].as_str().unwrap().to_owned(), body)
}

#[tokio::test]
async fn meetings_begin_with_the_first_connection_whose_events_are_webhook_bodies() {
    let zoom = zoom().await;
    assert!(zoom.report().streams.is_empty(), "nobody could hear of a stream");
    let mut client = accepted(&zoom).await;
    assert_eq!(event(&client.receive().await).0, "meeting.started");
    let (name, body) = event(&client.receive().await);
    assert_eq!(name, "meeting.rtms_started");
    let stream = &zoom.report().streams[0];
    assert_eq!(body["payload"]["rtms_stream_id"], stream.stream_id.as_str());
    client.send(&json!({"module": "heartbeat"})).await;
    assert_eq!(client.receive().await, json!({"module": "heartbeat"}));
    let report = zoom.report().event_socket;
    assert_eq!((report.heartbeats, report.delivered.len(), report.missed.len()), (1, 2, 0));
}

#[tokio::test]
async fn only_a_token_of_the_app_opens_its_subscription() {
    let zoom = zoom().await;
    let plain = zoom.events_url().unwrap();
    assert_eq!(refused(&plain).await, 401);
    assert_eq!(refused(&format!("{plain}&access_token=eyJ.eyJ.x")).await, 401);
    let other = url(&zoom).await.replace("subscriptionId=", "subscriptionId=x");
    assert_eq!(refused(&other).await, 404);
    zoom.fail_event_socket(EventSocketFault::Refuse, 1);
    assert_eq!(refused(&url(&zoom).await).await, 401);
    zoom.fail_event_socket(EventSocketFault::Reject, 1);
    let mut client = Client::connect(&url(&zoom).await).await;
    assert_eq!(client.receive().await["success"], false);
    client.drain().await;
    drop(accepted(&zoom).await);
    assert_eq!(zoom.report().event_socket.refused, 4);
}

#[tokio::test]
async fn a_newer_connection_ends_the_older_and_what_nobody_hears_is_lost() {
    let zoom = zoom().await;
    let mut older = accepted(&zoom).await;
    let mut newer = accepted(&zoom).await;
    let (_, end) = older.drain().await;
    assert_eq!(end.close_code(), Some(1000));
    zoom.fail_event_socket(EventSocketFault::Close, 1);
    newer.drain().await;
    let meeting = zoom.live_meetings().remove(0);
    zoom.perform(&meeting, rtmsd::simulator::MeetingAction::End).await.unwrap();
    eventually("the event is lost", async || {
        zoom.report().event_socket.missed.contains_key("meeting.ended").then_some(())
    })
    .await;
    let mut late = accepted(&zoom).await;
    assert!(late.is_silent_for(std::time::Duration::from_millis(100)).await);
    let report = zoom.report().event_socket;
    assert_eq!((report.connections, report.replaced), (3, 1));
}

#[tokio::test]
async fn a_client_without_heartbeats_or_with_other_messages_breaks_the_protocol() {
    let zoom = zoom_with(Timings { event_heartbeat_ms: 2_000, ..fast() }).await;
    let mut client = accepted(&zoom).await;
    client.send(&json!({"module": "hello"})).await;
    client.drain().await;
    let report = zoom.shutdown().await;
    assert_eq!(
        report.event_socket.breaches,
        ["a message that is no heartbeat", "no heartbeat came in time"]
    );
    assert!(!report.is_clean());
}
