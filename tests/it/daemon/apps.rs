//! Several Zoom apps in one daemon: each with its own credentials, webhooks and streams.

mod changes;
mod isolation;
mod recordings;
mod retention;

use rtmsd::secret::Secret;
use rtmsd::simulator::{Settings, ZoomApp};
use serde_json::{Value, json};

use super::recordings::kit::{folder, recorded, recording_of};
use crate::support::kit::{Home, Log, TestDaemon, Zoom, chatter, eventually, script, zoom};

const ACME: [&str; 3] = ["acmeClientId01", "acmeClientSecret01", "acmeSecretToken01"];

/// The app `acme` as Zoom has it.
fn acme_at_zoom() -> ZoomApp {
    let [client_id, client_secret, secret_token] = ACME.map(str::to_owned);
    ZoomApp {
        client_id,
        client_secret: Secret::new(client_secret),
        secret_token: Secret::new(secret_token),
        webhook_url: Some("/webhook/acme".into()),
        is_server_to_server: false,
    }
}

/// The app `acme` as a daemon describes it.
fn acme() -> Value {
    let [client_id, client_secret, secret_token] = ACME;
    json!({
        "name": "acme", "client_id": client_id, "client_secret": client_secret,
        "secret_tokens": [secret_token], "media_types": ["transcript"],
    })
}

/// A Zoom that has both apps in the same meeting.
fn both_apps() -> Settings {
    Settings { more_apps: vec![acme_at_zoom()], ..zoom(script(chatter(3, 500), 4_000)) }
}

/// The ids of the sessions of a meeting, as soon as there are `count`.
async fn sessions(daemon: &TestDaemon, count: usize) -> Vec<String> {
    eventually("the sessions are known", async || {
        let sessions = daemon.api().sessions().await;
        let ids = sessions.iter().filter_map(|session| session["id"].as_str().map(str::to_owned));
        let ids: Vec<_> = ids.collect();
        (ids.len() == count).then_some(ids)
    })
    .await
}

/// The ids of the sessions of an app, as soon as there are `count`.
async fn of_app(daemon: &TestDaemon, app: &str, count: usize) -> Vec<String> {
    eventually(&format!("{count} sessions of {app}"), async || {
        let sessions = daemon.api().sessions().await;
        let own = sessions.iter().filter(|session| session["app"] == app);
        let ids: Vec<_> =
            own.filter_map(|session| session["id"].as_str().map(str::to_owned)).collect();
        (ids.len() == count).then_some(ids)
    })
    .await
}

#[tokio::test]
async fn two_apps_in_one_meeting_have_a_session_and_a_stream_each() {
    let home = Home::sqlite().set("ZOOM_APPS", &json!([acme()]).to_string());
    let (daemon, zoom) = (TestDaemon::start(&home).await, Zoom::open(both_apps()).await);
    zoom.post.deliver_to(daemon.address);
    let mut lines = Vec::new();
    for id in sessions(&daemon, 2).await {
        let log = Log::of_session(daemon.api(), id);
        let page = log.over().await;
        page.assert_numbered();
        lines.push(page.texts().len());
    }
    assert!(lines[0] > 0 && lines[0] == lines[1], "{lines:?}");
    let statuses: Vec<u16> = zoom.post.letters().iter().map(|letter| letter.status).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    zoom.close_clean().await;
}

#[tokio::test]
async fn an_app_that_the_daemon_does_not_have_gets_no_stream_and_disturbs_no_other() {
    let home = Home::sqlite();
    let (daemon, zoom) = (TestDaemon::start(&home).await, Zoom::open(both_apps()).await);
    zoom.post.deliver_to(daemon.address);
    let ids = sessions(&daemon, 1).await;
    let page = Log::of_session(daemon.api(), ids[0].clone()).over().await;
    assert!(!page.texts().is_empty());
    let letters = zoom.post.letters();
    assert!(letters.iter().any(|letter| letter.status == 404));
    assert_eq!(daemon.api().sessions().await.len(), 1);
}

#[tokio::test]
async fn each_app_has_a_folder_of_recordings_if_the_layout_says_so() {
    let home = recording_of(Home::sqlite(), "transcript")
        .set("ZOOM_APPS", &json!([acme()]).to_string())
        .set("RECORDINGS_LAYOUT", "{app}/{session}/{ordinal}");
    let (daemon, zoom) = (TestDaemon::start(&home).await, Zoom::open(both_apps()).await);
    zoom.post.deliver_to(daemon.address);
    let mut apps = Vec::new();
    for id in sessions(&daemon, 2).await {
        let manifest = recorded(daemon.api(), &id, "stored").await.manifest().await;
        let app = manifest["app"].as_str().unwrap().to_owned();
        assert!(folder(&home).join(&app).join(&id).join("1/manifest.json").is_file(), "{app}");
        apps.push(app);
    }
    apps.sort();
    assert_eq!(apps, ["acme", "default"]);
}
