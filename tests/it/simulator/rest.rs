//! The REST API: starting and stopping streams, and every refusal.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use rtmsd::secret::Secret;
use rtmsd::simulator::{ApiFault, Call, Script, Settings, Simulator, Start};
use serde_json::{Value, json};

use super::kit::{Endpoint, hmac_hex, http, script_of, script_with, settings, simulate};
use crate::support::wait::eventually;

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
async fn rest_refuses_with_zooms_codes() {
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

/// A simulator with one meeting, which waits for a REST call.
async fn waiting(script: Script) -> (Simulator, Endpoint) {
    let endpoint = Endpoint::good().await;
    let access_token = Some(Secret::new(TOKEN.to_owned()));
    let settings = Settings { start: Start::Rest, access_token, script, ..settings() };
    (simulate(settings, &endpoint).await, endpoint)
}

async fn call(zoom: &Simulator) -> reqwest::Result<reqwest::Response> {
    let url = format!("{}/v2/live_meetings/91234567890/rtms_app/status", zoom.base_url());
    let request = http().patch(url).bearer_auth(TOKEN).json(&json!({"action": "start"}));
    request.send().await
}

#[tokio::test]
async fn every_error_of_the_table_can_be_planned() {
    let (zoom, mut endpoint) = waiting(settings().script).await;
    endpoint.next("meeting.started").await;
    let table = [
        (ApiFault::InvalidToken, 401, 124),
        (ApiFault::MissingScope, 400, 4711),
        (ApiFault::NotAuthorized, 403, 13262),
        (ApiFault::NotHost, 403, 2308),
        (ApiFault::NotEligible, 403, 2310),
        (ApiFault::NotStarted, 400, 3000),
        (ApiFault::NoMeeting, 404, 3001),
        (ApiFault::RateLimit, 429, 429),
        (ApiFault::DailyLimit, 429, 429),
        (ApiFault::ServerError, 500, 500),
    ];
    for (trouble, ..) in table {
        zoom.fail_calls(Call::Status, 1, trouble);
    }
    for (trouble, status, code) in table {
        let response = call(&zoom).await.unwrap();
        assert_eq!(response.status(), status, "{trouble:?}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["code"], code, "{trouble:?}");
    }
    assert!(endpoint.rest().is_empty(), "a failed call started nothing");
    assert_eq!(call(&zoom).await.unwrap().status(), 204);
    endpoint.next("meeting.rtms_started").await;
    assert_eq!(zoom.report().calls.answers["status"][&403], 3);
}

#[tokio::test]
async fn rate_limits_name_their_reset_in_either_style() {
    let (zoom, mut endpoint) = waiting(settings().script).await;
    endpoint.next("meeting.started").await;
    zoom.fail_calls(Call::Status, 1, ApiFault::RateLimit);
    zoom.fail_calls(Call::Status, 1, ApiFault::DailyLimit);
    let header = |response: &reqwest::Response, name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let second = call(&zoom).await.unwrap();
    assert_eq!(header(&second, "x-ratelimit-type").as_deref(), Some("QPS"));
    assert!(header(&second, "x-ratelimit-reset").unwrap().parse::<u64>().unwrap() > 1_700_000_000);
    assert_eq!(header(&second, "retry-after"), None);
    let day = call(&zoom).await.unwrap();
    assert_eq!(header(&day, "x-ratelimit-type").as_deref(), Some("Daily-limit"));
    assert!(header(&day, "retry-after").unwrap().ends_with("T00:00:00Z"));
    assert_eq!(header(&day, "x-ratelimit-reset"), None);
}

#[tokio::test]
async fn calls_are_dropped_before_or_after_they_take_effect() {
    let (zoom, mut endpoint) = waiting(settings().script).await;
    endpoint.next("meeting.started").await;
    zoom.fail_calls(Call::Status, 1, ApiFault::Drop);
    zoom.fail_calls(Call::Status, 1, ApiFault::LoseAnswer);
    assert!(call(&zoom).await.is_err());
    assert!(endpoint.rest().is_empty());
    assert!(call(&zoom).await.is_err());
    endpoint.next("meeting.rtms_started").await;
    assert_eq!(zoom.report().calls.unanswered["status"], 2);
}

#[tokio::test]
async fn a_script_makes_calls_fail() {
    let script = script_with(json!([
        {"at_ms": 0, "fault": {"kind": "fail_calls", "call": "status", "how": "unavailable"}}
    ]));
    let (zoom, mut endpoint) = waiting(script).await;
    endpoint.next("meeting.started").await;
    eventually("a call fails as the script says", async || {
        (call(&zoom).await.unwrap().status() == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn removing_the_app_sends_app_deauthorized() {
    let (zoom, mut endpoint) = waiting(settings().script).await;
    endpoint.next("meeting.started").await;
    zoom.deauthorize("u-ana");
    let payload = endpoint.next("app_deauthorized").await.body["payload"].take();
    assert_eq!((&payload["user_id"], &payload["account_id"]), (&json!("u-ana"), &json!("acc-1")));
    assert_eq!(payload["client_id"], "demoClientId01");
    assert!(payload["deauthorization_time"].as_str().unwrap().ends_with('Z'));
}

/// The text, percent-encoded so many times.
fn encoded(text: &str, times: u32) -> String {
    (0..times).fold(text.to_owned(), |text, _| {
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
    })
}

#[tokio::test]
async fn a_video_session_needs_an_id_that_is_encoded_twice_and_a_jwt() {
    let mut endpoint = Endpoint::good().await;
    let settings = Settings { script: script_of("session"), meetings: 2, ..settings() };
    let zoom = simulate(settings, &endpoint).await;
    let mut slashed = String::new();
    while !slashed.starts_with('/') {
        let started = endpoint.next("session.rtms_started").await.body;
        started["payload"]["session_id"].as_str().unwrap().clone_into(&mut slashed);
    }
    let jwt = |secret: &str| {
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"iss": "demoApiKey01", "iat": 1, "exp": 4_000_000_000_u64});
        let signed = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT"})), part(claims));
        let signature = hex::decode(hmac_hex(secret, &signed)).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    };
    let stop = async |times: u32, token: &str| {
        let id = encoded(&slashed, times);
        let url = format!("{}/v2/videosdk/sessions/{id}/rtms_app/status", zoom.base_url());
        let request = http().patch(url).bearer_auth(token).json(&json!({"action": "stop"}));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(stop(2, &jwt("wrong")).await, 401);
    assert_eq!(stop(1, &jwt("demoApiSecret01")).await, 404);
    assert_eq!(stop(2, &jwt("demoApiSecret01")).await, 204);
    let stopped = endpoint.next("session.rtms_stopped").await.body;
    assert_eq!(stopped["payload"]["session_id"], *slashed);
}

#[tokio::test]
async fn an_engagement_is_controlled_with_put() {
    let endpoint = Endpoint::good().await;
    let access_token = Some(Secret::new(TOKEN.to_owned()));
    let script = script_of("contact_center");
    let zoom = simulate(Settings { script, access_token, ..settings() }, &endpoint).await;
    let mut endpoint = endpoint;
    let started = endpoint.next("contact_center.voice_rtms_started").await.body;
    let id = encoded(started["payload"]["engagement_id"].as_str().unwrap(), 2);
    let url = format!("{}/v2/contact_center/{id}/rtms_app/status", zoom.base_url());
    let body = json!({"action": "stop"});
    let put = http().put(&url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
    assert_eq!(put.status(), 204);
    let stopped = endpoint.next("contact_center.voice_rtms_stopped").await.body;
    assert_eq!(stopped["payload"]["stop_reason"], 25);
    let patch = http().patch(&url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
    assert_eq!(patch.status(), 405);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let (zoom, _endpoint) = waiting(settings().script).await;
    let url = format!("{}/v2/live_meetings/1/rtms_app/status", zoom.base_url());
    let request = http().patch(url).bearer_auth(TOKEN).body("x".repeat(100_000));
    assert_eq!(request.send().await.unwrap().status(), 413);
}

#[tokio::test]
async fn success_may_be_202_and_its_body_is_empty() {
    let mut endpoint = Endpoint::good().await;
    let access_token = Some(Secret::new(TOKEN.to_owned()));
    let zoom = simulate(
        Settings { start: Start::Rest, access_token, rest_success: 202, ..settings() },
        &endpoint,
    )
    .await;
    endpoint.next("meeting.started").await;
    let response = call(&zoom).await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(response.text().await.unwrap(), "");
}
