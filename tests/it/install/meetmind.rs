//! The MeetMind API against the simulated Zoom: one grant, a session by meeting number, a start.

use reqwest::header::LOCATION;
use rtmsd::simulator::{self, Consent, OAuthSettings, Settings, Start};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::daemon::{API_TOKEN, Daemon};
use crate::simulator::kit::{http, settings};

const SESSIONS: &str = "/api/v1/sdk/sessions";

async fn api(daemon: &Daemon, path: &str, body: Value) -> (u16, Value) {
    let url = format!("http://{}{path}", daemon.address);
    let request = http().post(url).bearer_auth(API_TOKEN).json(&body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Installs like a browser that follows redirects, with a consent page that approves automatically.
async fn install(daemon: &Daemon) -> Value {
    let url = daemon.api("GET", "/api/v1/zoom/oauth/authorize-url").await.json();
    let url = url["data"]["authorization_url"].as_str().unwrap().to_owned();
    let back = http().get(url).send().await.unwrap().headers()[LOCATION].clone();
    let request = http().get(back.to_str().unwrap()).header("accept", "application/json");
    let installed: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(installed["status"], true, "{installed}");
    installed["data"]["installation"]["id"].clone()
}

#[tokio::test]
async fn one_grant_and_a_meeting_number_are_enough_for_a_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let oauth = OAuthSettings { consent: Consent::Allow, ..OAuthSettings::default() };
    let settings = Settings { oauth, start: Start::Rest, ..settings() };
    let zoom = simulator::start(settings, listener).await.unwrap();
    let daemon = Daemon::start_at(&zoom.base_url(), &[]).await;
    let number = zoom.live_meetings()[0].clone();
    let new = json!({"platform": "zoom", "meeting_id": number});
    let (status, made) = api(&daemon, SESSIONS, new).await;
    assert_eq!(status, 201, "{made}");
    let start =
        format!("{SESSIONS}/{}/rtms/start", made["data"]["session"]["id"].as_str().unwrap());
    let (status, refused) = api(&daemon, &start, json!({})).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("token_missing")));
    let installation = install(&daemon).await;
    let (status, started) = api(&daemon, &start, json!({})).await;
    assert_eq!(status, 202, "{started}");
    assert_eq!(started["data"]["session"]["status"], "rtms_start_requested");
    let chosen = json!({"installation_id": installation, "reason": "only_installation"});
    assert_eq!(started["data"]["chosen"], chosen);
}
