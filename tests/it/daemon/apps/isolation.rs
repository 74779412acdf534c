//! Two apps in one daemon and the same meetings: what happens to one does not happen to the other.

use rtmsd::secret::Secret;
use rtmsd::simulator::{Settings, Start};
use serde_json::{Value, json};

use super::{ACME, acme, acme_at_zoom};
use crate::support::client::{exchange, head};
use crate::support::kit::{
    Api, Home, Log, TestDaemon, Zoom, endless, eventually, send_webhook_to, zoom,
};

const DEFAULT: (&str, &str) = ("/webhook", "demoSecretToken01");
const ACMES: (&str, &str) = ("/webhook/acme", ACME[2]);

fn home(acme: &Value) -> Home {
    Home::sqlite().set("MEDIA_TYPES", "transcript").set("ZOOM_APPS", &json!([acme]).to_string())
}

async fn both(home: &Home, settings: Settings) -> (TestDaemon, Zoom) {
    let settings = Settings { more_apps: vec![acme_at_zoom()], ..settings };
    let (daemon, zoom) = (TestDaemon::start(home).await, Zoom::open(settings).await);
    zoom.post.deliver_to(daemon.address);
    (daemon, zoom)
}

/// The sessions of an app with this status.
async fn of(api: Api, app: &str, status: &str) -> Vec<Value> {
    let sessions = api.sessions().await;
    let own = |it: &Value| it["app"] == app && it["status"] == status;
    sessions.into_iter().filter(own).collect()
}

async fn reach(api: Api, app: &str, status: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} sessions of {app} are {status}"), async || {
        Some(of(api, app, status).await).filter(|sessions| sessions.len() == count)
    })
    .await
}

/// Ends the stream of an app in a meeting, and only this one.
async fn stop(zoom: &Zoom, meeting: &str, client_id: &str) {
    let path = format!("/simulator/meetings/{meeting}/stop?client_id={client_id}");
    let body = br#"{"reason": 7}"#;
    let head = head("POST", &path, &[("content-length", &body.len().to_string())]);
    let answer = exchange(zoom.simulator.addr(), &[&head[..], body].concat()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_stop_an_end_and_a_deauthorization_of_one_app_leave_the_others_stream_running() {
    let home = home(&acme());
    let (daemon, zoom) = both(&home, zoom(endless(100))).await;
    let api = daemon.api();
    let own = reach(api, "default", "live", 1).await.remove(0);
    let other = reach(api, "acme", "live", 1).await.remove(0);
    assert_eq!(own["instance_id"], other["instance_id"]);
    let id = own["id"].as_str().unwrap();
    let (log, before) = (Log::of_session(api, id.into()), api.stream(id).await.unwrap());

    // A body that one app signed is refused at the path of the other, and has no effect.
    let meeting = json!({"uuid": own["instance_id"], "id": own["meeting_id"]});
    let ended = json!({"event": "meeting.ended", "event_ts": 1, "payload": {"object": meeting}});
    let send = async |path: &str, secret_token: &str, body: &Value| {
        send_webhook_to(daemon.address, path, secret_token, body).await
    };
    assert_eq!(send(DEFAULT.0, ACMES.1, &ended).await, 401);
    assert_eq!(send(ACMES.0, DEFAULT.1, &ended).await, 401);
    assert!(api.session(other["id"].as_str().unwrap()).await["meeting_ended_at"].is_null());

    // With its own secret, `acme` names the other app's stream, and then ends everything that is its own.
    let stream = json!({"rtms_stream_id": before.stream_id, "meeting_uuid": own["instance_id"],
                        "stop_reason": 8});
    let foreign = json!({"event": "meeting.rtms_stopped", "event_ts": 1, "payload": stream});
    assert_eq!(send(ACMES.0, ACMES.1, &foreign).await, 200);
    stop(&zoom, own["meeting_id"].as_str().unwrap(), ACME[0]).await;
    reach(api, "acme", "stopped", 1).await;
    assert_eq!(send(ACMES.0, ACMES.1, &ended).await, 200);
    reach(api, "acme", "ended", 1).await;
    let user = json!({"user_id": own["operator_id"], "account_id": own["account_id"]});
    let gone = json!({"event": "app_deauthorized", "event_ts": 1, "payload": user});
    assert_eq!(send(ACMES.0, ACMES.1, &gone).await, 200);
    eventually("the data of the other app is deleted", async || {
        let session = api.session(other["id"].as_str().unwrap()).await;
        session["operator_id"].is_null().then_some(())
    })
    .await;

    let lines = log.page().texts().len();
    log.lines(lines + 5).await.assert_numbered();
    assert_eq!(api.session(id).await, own);
    let now = api.stream(id).await.unwrap();
    assert_eq!((now.status.as_str(), now.generation), ("live", before.generation));
    // Breaches would be handshakes with the pair of the other app.
    zoom.close_clean().await;
}

#[tokio::test]
async fn an_app_at_its_quota_does_not_keep_another_from_starting_its_streams() {
    let mut limited = acme();
    limited["max_streams_per_app"] = 1.into();
    let home = home(&limited);
    let (daemon, zoom) = both(&home, Settings { meetings: 3, ..zoom(endless(100)) }).await;
    let api = daemon.api();
    reach(api, "default", "live", 3).await;
    let running = reach(api, "acme", "live", 1).await.remove(0);
    assert_eq!(of(api, "acme", "connecting").await.len(), 2);
    stop(&zoom, running["meeting_id"].as_str().unwrap(), ACME[0]).await;
    reach(api, "acme", "connecting", 1).await;
    reach(api, "acme", "live", 1).await;
    assert_eq!(of(api, "default", "live").await.len(), 3);
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_request_to_zoom_names_the_client_id_of_the_sessions_app() {
    let token = "access-token-of-the-simulator";
    let mut described = acme();
    described["access_token"] = token.into();
    let settings = Settings {
        start: Start::Rest,
        access_token: Some(Secret::new(token.into())),
        more_apps: vec![acme_at_zoom()],
        ..zoom(endless(100))
    };
    let zoom = Zoom::open(settings).await;
    let base_url = zoom.simulator.base_url();
    let home = home(&described).set("ZOOM_ACCESS_TOKEN", token).set("ZOOM_API_BASE_URL", &base_url);
    let daemon = TestDaemon::start(&home).await;
    zoom.post.deliver_to(daemon.address);
    let api = daemon.api();
    let mut client_ids = Vec::new();
    for app in ["acme", "default"] {
        let session = reach(api, app, "created", 1).await.remove(0);
        let path = format!("/api/v1/sdk/sessions/{}/rtms/start", session["id"].as_str().unwrap());
        let answer = api.post(&path, &json!({})).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        reach(api, app, "live", 1).await;
        client_ids.push(zoom.stream().client_id);
    }
    assert_eq!(client_ids, [ACME[0], "demoClientId01"]);
    zoom.close_clean().await;
}
