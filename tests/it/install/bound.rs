//! API tokens bound to installations use and see only those.

use rtmsd::model::{Installation, InstallationStatus};
use serde_json::{Value, json};

use super::daemon::{API_TOKEN, Daemon};
use crate::support::client::{Answer, exchange, head};
use crate::support::zoom::{FakeZoom, Say};

const BOUND: &str = "bound-token-of-the-tests";
const INSTALLATIONS: &str = "/api/v1/zoom/installations";
const SESSIONS: &str = "/api/v1/sdk/sessions";

async fn ask(daemon: &Daemon, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (authorization, length) = (format!("Bearer {token}"), body.len().to_string());
    let headers = [("authorization", &*authorization), ("content-length", &*length)];
    exchange(daemon.address, &[&head(method, path, &headers), body.as_bytes()].concat()).await
}

async fn session(
    daemon: &Daemon,
    token: &str,
    number: u32,
    named: Option<&Installation>,
) -> String {
    let mut body = json!({"platform": "zoom", "meeting_id": number});
    if let Some(installation) = named {
        body["installation_id"] = json!(installation.id);
    }
    let answer = ask(daemon, token, "POST", SESSIONS, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["data"]["session"]["id"].as_str().unwrap().to_owned()
}

/// The token of the newest request to Zoom, from the audit trail.
async fn chosen(daemon: &Daemon) -> Value {
    let newest = daemon.audited("rtms.start").await.pop().unwrap();
    let detail: Value = serde_json::from_str(&newest.detail).unwrap();
    detail["chosen"]["installation_id"].clone()
}

#[tokio::test]
async fn a_bound_token_uses_and_sees_only_its_installations() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    let ana = daemon.install(&zoom).await;
    zoom.world().user_id = "userBo02".into();
    let bo = daemon.install(&zoom).await;
    let home = daemon.stop().await;
    let tokens = format!("tester:{API_TOKEN}:admin,bound:{BOUND}:admin#{}", ana.id);
    let daemon = Daemon::start_in(home.set("API_TOKENS", &tokens)).await;

    let listed = ask(&daemon, BOUND, "GET", INSTALLATIONS, &Value::Null).await.json();
    let ids: Vec<_> =
        listed["data"]["installations"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, [&json!(ana.id)]);
    let others = format!("{INSTALLATIONS}/{}", bo.id);
    for method in ["GET", "DELETE"] {
        let answer = ask(&daemon, BOUND, method, &others, &Value::Null).await;
        assert_eq!((answer.status, &*answer.code()), (404, "installation_not_found"), "{method}");
    }
    let still = daemon.installation(&json!(bo.id)).await;
    assert_ne!(still.status, InstallationStatus::Revoked);

    let named = json!({"platform": "zoom", "meeting_id": 1, "installation_id": bo.id});
    let refused = ask(&daemon, BOUND, "POST", SESSIONS, &named).await;
    assert_eq!((refused.status, &*refused.code()), (403, "installation_not_allowed"));
    // Nothing starts, so that each session can be started again.
    zoom.will_say(vec![Say::status(404); 3]);
    let own = session(&daemon, BOUND, 2, None).await;
    let start = format!("{SESSIONS}/{own}/rtms/start");
    let refused = ask(&daemon, BOUND, "POST", &start, &json!({ "installation_id": bo.id })).await;
    assert_eq!((refused.status, &*refused.code()), (403, "installation_not_allowed"));
    ask(&daemon, BOUND, "POST", &start, &Value::Null).await;
    assert_eq!(
        chosen(&daemon).await,
        json!(ana.id),
        "the only installation that the token may use"
    );
    // Another API token named another installation for the session; this one must not use it.
    let others = session(&daemon, API_TOKEN, 3, Some(&bo)).await;
    let start = format!("{SESSIONS}/{others}/rtms/start");
    ask(&daemon, BOUND, "POST", &start, &Value::Null).await;
    assert_eq!(chosen(&daemon).await, json!(ana.id));
    ask(&daemon, API_TOKEN, "POST", &start, &Value::Null).await;
    assert_eq!(chosen(&daemon).await, json!(bo.id), "an unbound token uses the named installation");
    daemon.stop().await;
}

#[tokio::test]
async fn a_bound_token_does_not_use_the_configured_token() {
    let zoom = FakeZoom::start().await;
    let stranger = "01932b5e-0000-7000-8000-000000000000";
    let tokens = format!("bound:{BOUND}:control#{stranger}");
    let settings = [("API_TOKENS", &*tokens), ("ZOOM_ACCESS_TOKEN", "configured-token")];
    let daemon = Daemon::start_with(&zoom, &settings).await;
    let id = session(&daemon, BOUND, 1, None).await;
    let start = format!("{SESSIONS}/{id}/rtms/start");
    let refused = ask(&daemon, BOUND, "POST", &start, &Value::Null).await;
    assert_eq!((refused.status, &*refused.code()), (403, "installation_not_allowed"));
    daemon.stop().await;
}
