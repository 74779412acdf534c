//! REST: starting and stopping streams, and every refusal.

use rtmsd::secret::Secret;
use rtmsd::simulator::{Settings, Start};
use serde_json::{Value, json};

use super::kit::{Endpoint, http, settings, simulate};

const TOKEN: &str = "test-token";

async fn patch(base: &str, meeting_id: &str, token: &str, body: Value) -> (u16, Value) {
    let url = format!("{base}/v2/live_meetings/{meeting_id}/rtms_app/status");
    let response = http().patch(url).bearer_auth(token).json(&body).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn rest_starts_pauses_and_stops_streams_of_a_live_meeting() {
    let mut endpoint = Endpoint::good().await;
    let access_token = Some(Secret::new(TOKEN.to_owned()));
    let settings = Settings { start: Start::Rest, access_token, ..settings() };
    let simulator = simulate(settings, &endpoint).await;
    let started = endpoint.next("meeting.started").await.body["payload"]["object"].take();
    let meeting_id = started["id"].as_str().unwrap();
    assert!(endpoint.rest().is_empty());
    let base = simulator.base_url();
    let call = async |action: &str| {
        let body = json!({"action": action, "settings": {"client_id": "demoClientId01"}});
        patch(&base, meeting_id, TOKEN, body).await
    };
    assert_eq!(call("start").await, (204, json!(null)));
    let one = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    assert_eq!(one["meeting_uuid"], started["uuid"]);
    assert_eq!(call("start").await.0, 204);
    assert_eq!(call("pause").await.0, 204);
    assert_eq!(call("stop").await.0, 204);
    let stopped = endpoint.next("meeting.rtms_stopped").await.body["payload"].take();
    assert_eq!(stopped["stop_reason"], 2);
    assert_eq!(call("start").await.0, 204);
    let other = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    assert_ne!(one["rtms_stream_id"], other["rtms_stream_id"]);
    assert_eq!(simulator.report().streams.len(), 2);
}

#[tokio::test]
async fn rest_refuses_in_zooms_words() {
    let endpoint = Endpoint::good().await;
    let access_token = Some(Secret::new(TOKEN.to_owned()));
    let simulator = simulate(Settings { access_token, ..settings() }, &endpoint).await;
    let base = simulator.base_url();
    let start = json!({"action": "start"});
    let code = async |meeting_id: &str, token: &str, body: &Value| {
        let (status, body) = patch(&base, meeting_id, token, body.clone()).await;
        assert!(body["message"].is_string());
        (status, body["code"].as_i64().unwrap())
    };
    assert_eq!(code("91234567890", "wrong", &start).await, (401, 124));
    assert_eq!(code("5", TOKEN, &start).await, (404, 3001));
    assert_eq!(code("91234567890", TOKEN, &json!({"action": "jump"})).await, (400, 300));
    assert_eq!(code("91234567890", TOKEN, &json!([])).await, (400, 300));
    let foreign = json!({"action": "start", "settings": {"client_id": "other"}});
    assert_eq!(code("91234567890", TOKEN, &foreign).await, (403, 13262));
}
