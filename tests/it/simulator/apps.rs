//! Several apps in one simulation: each has its own credentials, endpoint, grants and streams of the same meetings.

use std::sync::Arc;

use axum::response::IntoResponse;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rtmsd::secret::Secret;
use rtmsd::simulator::{
    Consent, MeetingAction, OAuthSettings, Settings, Simulator, SimulatorError, Start, User,
    ZoomApp, start,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use super::kit::{
    CLIENT_ID, CLIENT_SECRET, Client, Endpoint, Hook, handshake, hmac_hex, http, settings, simulate,
};

const ACME: [&str; 3] = ["acmeClientId01", "acmeClientSecret01", "acmeSecretToken01"];
const CALLBACK: &str = "http://127.0.0.1:9/callback";

fn acme(endpoint: Option<&Endpoint>) -> ZoomApp {
    let [client_id, client_secret, secret_token] = ACME.map(str::to_owned);
    ZoomApp {
        client_id,
        client_secret: Secret::new(client_secret),
        secret_token: Secret::new(secret_token),
        webhook_url: endpoint.map(|endpoint| endpoint.url.clone()),
        is_server_to_server: false,
    }
}

/// An endpoint that answers the URL validation with ACME's secret token.
async fn acme_endpoint() -> Endpoint {
    Endpoint::answering(Arc::new(|hook: &Hook| {
        let plain = hook.body["payload"]["plainToken"].as_str().unwrap_or_default();
        let encrypted = hmac_hex(ACME[2], plain);
        axum::Json(json!({"plainToken": plain, "encryptedToken": encrypted})).into_response()
    }))
    .await
}

fn is_signed_with(hook: &Hook, token: &str) -> bool {
    let timestamp = hook.headers["x-zm-request-timestamp"].to_str().unwrap();
    let signature = hmac_hex(token, &format!("v0:{timestamp}:{}", hook.raw));
    hook.headers["x-zm-signature"] == format!("v0={signature}")
}

/// Sends message 1 of a stream, signed by an app, and returns the status code of the answer.
async fn status_of_handshake(started: &Value, [id, secret, _]: [&str; 3]) -> Value {
    let mut client = Client::connect(started["server_urls"].as_str().unwrap()).await;
    let mut message = handshake(started, "meeting_uuid", 1);
    let text = |key: &str| started[key].as_str().unwrap().to_owned();
    let signed = format!("{id},{},{}", text("meeting_uuid"), text("rtms_stream_id"));
    message["signature"] = hmac_hex(secret, &signed).into();
    client.send(&message).await;
    client.receive().await["status_code"].take()
}

#[tokio::test]
async fn each_app_gets_its_own_stream_of_the_same_meeting() {
    let (mut first, mut second) = (Endpoint::good().await, acme_endpoint().await);
    let settings = Settings { more_apps: vec![acme(Some(&second))], ..settings() };
    let _simulator = simulate(settings, &first).await;
    let own = first.next("meeting.rtms_started").await;
    let other = second.next("meeting.rtms_started").await;
    assert!(is_signed_with(&own, super::kit::SECRET_TOKEN) && is_signed_with(&other, ACME[2]));
    assert_eq!(other.headers["clientid"], ACME[0]);
    let (own, other) = (&own.body["payload"], &other.body["payload"]);
    assert_eq!(own["meeting_uuid"], other["meeting_uuid"]);
    assert_ne!(own["rtms_stream_id"], other["rtms_stream_id"]);
    // Only the app that a stream belongs to can join it.
    assert_eq!(status_of_handshake(other, ACME).await, 0);
    assert_eq!(status_of_handshake(own, ACME).await, 3);
    assert_eq!(status_of_handshake(own, [CLIENT_ID, super::kit::CLIENT_SECRET, ""]).await, 0);
}

#[tokio::test]
async fn each_operator_gets_a_stream_of_their_own_and_the_app_one_notice_of_the_meeting() {
    let mut endpoint = Endpoint::good().await;
    let operators = ["u-ana", "u-bo"].map(str::to_owned);
    let user = |id: &String| User { id: id.clone(), name: id.clone(), email: String::new() };
    let users = operators.iter().map(user).collect();
    let oauth = OAuthSettings { users, ..OAuthSettings::default() };
    let settings = Settings { operators: operators.to_vec(), oauth, ..settings() };
    let simulator = simulate(settings, &endpoint).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let payload = endpoint.next("meeting.rtms_started").await.body["payload"].take();
        seen.push(payload["operator_id"].as_str().unwrap().to_owned());
    }
    seen.sort();
    assert_eq!(seen, operators);
    let meeting = simulator.live_meetings().pop().unwrap();
    simulator.perform(&meeting, MeetingAction::End).await.unwrap();
    simulator.finished().await;
    let delivered = simulator.shutdown().await.webhooks.delivered;
    let count = |event: &str| delivered.get(event).copied().unwrap_or_default();
    assert_eq!((count("meeting.started"), count("meeting.ended")), (1, 1));
    assert_eq!(count("meeting.rtms_stopped"), 2);
}

/// Installs an app as the host and returns the access token.
async fn installed(simulator: &Simulator, [id, secret]: [&str; 2]) -> String {
    let query = [("response_type", "code"), ("client_id", id), ("redirect_uri", CALLBACK)];
    let url = Url::parse_with_params(&simulator.authorize_url(), query).unwrap();
    let answer = http().get(url).send().await.unwrap();
    let back = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    let code = back.query_pairs().find(|(key, _)| key == "code").unwrap().1.into_owned();
    let form = [("grant_type", "authorization_code"), ("code", &*code), ("redirect_uri", CALLBACK)];
    let basic = BASE64_STANDARD.encode(format!("{id}:{secret}"));
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let answer = http()
        .post(simulator.token_url())
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let tokens: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    tokens["access_token"].as_str().unwrap().to_owned()
}

/// A meeting that waits for the REST call, and a page on which the host allows every app.
fn started_over_rest() -> Settings {
    let oauth = OAuthSettings { consent: Consent::Allow, ..OAuthSettings::default() };
    Settings { start: Start::Rest, oauth, ..settings() }
}

/// The URL of the REST call for the meeting that has just begun.
async fn status_url(simulator: &Simulator, endpoint: &mut Endpoint) -> String {
    let meeting = endpoint.next("meeting.started").await.body["payload"]["object"]["id"].take();
    let meeting = meeting.as_str().unwrap();
    format!("{}/v2/live_meetings/{meeting}/rtms_app/status", simulator.base_url())
}

#[tokio::test]
async fn a_token_of_one_app_starts_only_that_apps_stream() {
    let (mut first, mut second) = (Endpoint::good().await, acme_endpoint().await);
    let settings = Settings { more_apps: vec![acme(Some(&second))], ..started_over_rest() };
    let simulator = simulate(settings, &first).await;
    let url = status_url(&simulator, &mut first).await;
    second.next("meeting.started").await;
    let token = installed(&simulator, [ACME[0], ACME[1]]).await;
    let start = async |client_id: &str| {
        let body = json!({"action": "start", "settings": {"client_id": client_id}});
        http().patch(&url).bearer_auth(&token).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(start(CLIENT_ID).await, 403, "the token is another app's");
    assert_eq!(start("unknown").await, 403);
    assert_eq!(start(ACME[0]).await, 204);
    second.next("meeting.rtms_started").await;
    assert!(!first.rest().contains(&"meeting.rtms_started".to_owned()));
    let report = simulator.report();
    assert_eq!(report.streams.len(), 1);
    assert_eq!(report.streams[0].client_id, ACME[0]);
    assert_eq!((report.oauth.exchanges, report.further_apps[0].oauth.exchanges), (0, 1));
}

#[tokio::test]
async fn with_hosts_only_a_user_starts_no_stream_for_another_participant() {
    let mut endpoint = Endpoint::good().await;
    let settings = Settings { hosts_only: true, ..started_over_rest() };
    let simulator = simulate(settings, &endpoint).await;
    let url = status_url(&simulator, &mut endpoint).await;
    let token = installed(&simulator, [CLIENT_ID, CLIENT_SECRET]).await;
    let start = async |settings: Value| {
        let body = json!({"action": "start", "settings": settings});
        let answer = http().patch(&url).bearer_auth(&token).json(&body).send().await.unwrap();
        answer.text().await.unwrap()
    };
    let refused: Value =
        serde_json::from_str(&start(json!({"participant_user_id": "u-bo"})).await).unwrap();
    assert_eq!(refused["code"], 2308);
    assert_eq!(start(json!({"participant_user_id": "u-ana"})).await, "");
    endpoint.next("meeting.rtms_started").await;
}

/// The access token of the account for a Server-to-Server app, or the error of the token endpoint.
async fn account_token(simulator: &Simulator, grant: &str) -> Result<String, String> {
    let basic = BASE64_STANDARD.encode(format!("{}:{}", ACME[0], ACME[1]));
    let answer = http()
        .post(simulator.token_url())
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("grant_type={grant}&account_id=acc-1&code=c&redirect_uri={CALLBACK}"));
    let answer = answer.send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let text = |key: &str| answer[key].as_str().map(str::to_owned);
    text("access_token").ok_or_else(|| text("error").unwrap())
}

#[tokio::test]
async fn a_server_to_server_app_starts_the_stream_of_another_app_and_has_none() {
    let mut endpoint = Endpoint::good().await;
    let more_apps = vec![ZoomApp { is_server_to_server: true, ..acme(None) }];
    let simulator = simulate(Settings { more_apps, ..started_over_rest() }, &endpoint).await;
    let url = status_url(&simulator, &mut endpoint).await;
    assert_eq!(
        account_token(&simulator, "authorization_code").await,
        Err("unsupported_grant_type".to_owned())
    );
    let token = account_token(&simulator, "account_credentials").await.unwrap();
    let start = async |client_id: &str| {
        let settings = json!({"client_id": client_id, "participant_user_id": "u-ana"});
        let body = json!({"action": "start", "settings": settings});
        http().patch(&url).bearer_auth(&token).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(start(CLIENT_ID).await, 403, "the participant has not installed that app");
    installed(&simulator, [CLIENT_ID, CLIENT_SECRET]).await;
    assert_eq!(start(ACME[0]).await, 403, "it has no streams of meetings");
    assert_eq!(start(CLIENT_ID).await, 204);
    endpoint.next("meeting.rtms_started").await;
    let report = simulator.report();
    assert_eq!(report.streams.len(), 1);
    assert_eq!(report.streams[0].client_id, CLIENT_ID);
}

#[tokio::test]
async fn apps_with_one_client_id_and_unknown_operators_are_mistakes() {
    let attempt = async |settings: Settings| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        start(settings, listener).await.map(drop)
    };
    let twin = Settings { more_apps: vec![ZoomApp::default()], ..settings() };
    let stranger = Settings { operators: vec!["nobody".to_owned()], ..settings() };
    for settings in [twin, stranger] {
        assert!(matches!(attempt(settings).await, Err(SimulatorError::Setting(_))));
    }
}
