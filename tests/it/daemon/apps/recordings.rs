//! Recordings of two apps: each goes to its own place, and stays within reach there.

use std::path::Path;
use std::time::Duration;

use rtmsd::simulator::{MeetingAction, Settings};
use serde_json::{Value, json};

use super::super::recordings::kit::{Recorded, files_below, folder, recorded, recording_of};
use super::{acme, acme_at_zoom, of_app};
use crate::support::kit::{
    API_TOKEN, Home, TestDaemon, Zoom, chatter, endless, eventually, script, zoom,
};
use crate::support::s3::S3;

/// The app `acme`, which records its audio to this place.
fn acme_to(url: &str, store: Value) -> Value {
    let mut app = acme();
    app["media_types"] = json!(["audio"]);
    app["recordings_url"] = json!(url);
    app["recordings_layout"] = json!("{app}/{session}/{ordinal}");
    if !store.is_null() {
        app["recordings_store"] = store;
    }
    app
}

fn home(acme: &Value) -> Home {
    recording_of(Home::sqlite(), "audio")
        .set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"))
        .set("ZOOM_APPS", &json!([acme]).to_string())
}

async fn both(home: &Home, settings: Settings) -> (TestDaemon, Zoom) {
    let settings = Settings { more_apps: vec![acme_at_zoom()], ..settings };
    let (daemon, zoom) = (TestDaemon::start(home).await, Zoom::open(settings).await);
    zoom.post.deliver_to(daemon.address);
    (daemon, zoom)
}

fn short() -> Settings {
    zoom(script(chatter(4, 500), 2_500))
}

async fn stored(daemon: &TestDaemon, app: &str) -> Recorded {
    let id = of_app(daemon, app, 1).await.remove(0);
    recorded(daemon.api(), &id, "stored").await
}

async fn delete_session(daemon: &TestDaemon, recorded: &Recorded) {
    let path = format!("/api/v1/sdk/sessions/{}", recorded.session_id);
    assert_eq!(daemon.api().delete(&path).await.status, 202);
}

fn is_empty(folder: &Path) -> bool {
    files_below(folder).is_empty()
}

#[tokio::test]
async fn two_apps_record_to_a_folder_and_to_an_object_store_with_credentials_of_its_own() {
    let s3 = S3::open().await;
    let home = home(&acme_to("s3://bucket/of-acme", s3.variables()));
    let (daemon, zoom) = both(&home, short()).await;
    let (own, acmes) = (stored(&daemon, "default").await, stored(&daemon, "acme").await);
    own.checked().await;
    let files = acmes.checked().await;
    let path = acmes.path("1-audio-mix.wav");
    let part = acmes.api.ask("GET", &path, &[("range", "bytes=4-7")]).await.unwrap();
    assert_eq!(part.body, &files["1-audio-mix.wav"][4..8]);
    let prefix = format!("of-acme/acme/{}/1/", acmes.session_id);
    let keys = s3.keys();
    assert_eq!(keys.len(), files.len(), "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with(&prefix)), "{keys:?}");
    assert!(files_below(&folder(&home)).iter().all(|path| {
        let path = path.to_string_lossy();
        path.contains(&own.session_id) && !path.contains(&acmes.session_id)
    }));
    // After a restart, each is found, and removed, where it is.
    daemon.stop().await;
    let daemon = TestDaemon::start(&home).await;
    assert_eq!(stored(&daemon, "acme").await.checked().await, files);
    let shown = daemon.api().get("/api/v1/apps/acme").await.unwrap();
    let app = &shown.json()["data"]["app"];
    assert_eq!(app["recordings_url"], "s3://bucket/of-acme");
    assert!(!shown.text().contains("acme-key-id") && !shown.text().contains("acme-secret-key"));
    delete_session(&daemon, &acmes).await;
    eventually("acme's files are gone", async || s3.keys().is_empty().then_some(())).await;
    assert!(!is_empty(&folder(&home)), "those of the other app stay");
    delete_session(&daemon, &own).await;
    eventually("all files are gone", async || is_empty(&folder(&home)).then_some(())).await;
    assert_eq!(s3.strangers(), [""; 0]);
    zoom.close_clean().await;
}

#[tokio::test]
async fn an_app_whose_place_does_not_answer_holds_up_no_other_and_is_stored_after_a_restart() {
    /// More than finish, or upload, at once.
    const MEETINGS: usize = 6;
    let s3 = S3::open().await;
    s3.be_silent(true);
    let home = home(&acme_to("s3://bucket/of-acme", s3.variables()));
    let settings = Settings { meetings: MEETINGS as u32, app: acme_at_zoom(), ..short() };
    let daemon = TestDaemon::start(&home).await;
    let of_acme = Zoom::open(settings).await;
    of_acme.post.deliver_to(daemon.address);
    let ids = of_app(&daemon, "acme", MEETINGS).await;
    for id in &ids {
        daemon.api().reaches(id, "ended").await;
    }
    // Until all of them wait for the place.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let of_default = Zoom::open(Settings { seed: 4_711, ..short() }).await;
    of_default.post.deliver_to(daemon.address);
    stored(&daemon, "default").await.checked().await;
    let path = format!("/api/v1/sdk/sessions/{}/recordings", ids[0]);
    let waiting = daemon.api().get(&path).await.unwrap().json();
    assert_ne!(waiting["data"]["recordings"][0]["status"], "stored");
    daemon.kill().await;
    s3.be_silent(false);
    let daemon = TestDaemon::start(&home).await;
    for id in &ids {
        recorded(daemon.api(), id, "stored").await.checked().await;
    }
    assert!(s3.keys().iter().all(|key| key.starts_with("of-acme/acme/")));
    drop((of_acme, of_default));
}

#[tokio::test]
async fn a_place_that_an_app_gets_over_the_api_counts_for_what_ends_from_then_on() {
    let home = recording_of(Home::sqlite(), "audio")
        .set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"));
    let (first, second) = (home.folder().join("first"), home.folder().join("second"));
    let daemon = TestDaemon::start(&home).await;
    let api = daemon.api();
    let added = api.post("/api/v1/apps", &acme_to(first.to_str().unwrap(), Value::Null)).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let of_acme = Zoom::open(Settings { app: acme_at_zoom(), ..zoom(endless(100)) }).await;
    of_acme.post.deliver_to(daemon.address);
    let id = of_app(&daemon, "acme", 1).await.remove(0);
    daemon.api().reaches(&id, "live").await;
    recorded(api, &id, "recording").await;
    of_acme.perform(MeetingAction::Stop { reason: 6 }).await;
    let old = recorded(api, &id, "stored").await;
    let files = old.checked().await;
    assert_eq!(files_below(&first).len(), files.len());
    let change = |to: &Path| api.patch("/api/v1/apps/acme", json!({"recordings_url": to}));
    assert_eq!(change(&second).await.status, 200);
    let answer = api.get(&old.path("1-manifest.json")).await.unwrap();
    assert_eq!((answer.status, &*answer.code()), (409, "recording_in_other_target"));
    assert_eq!(change(&first).await.status, 200);
    assert_eq!(old.checked().await, files);
    // Without a place of its own, its recordings go where those of the daemon go.
    let null = api.patch("/api/v1/apps/acme", json!({"recordings_url": null}));
    assert_eq!(null.await.status, 200);
    let answer = api.get(&old.path("1-manifest.json")).await.unwrap();
    assert_eq!((answer.status, &*answer.code()), (409, "recording_in_other_target"));
    assert!(is_empty(&second) && is_empty(&folder(&home)));
}
