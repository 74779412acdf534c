//! What is kept of two apps in one daemon: each has its own retention.

use rtmsd::simulator::Settings;
use rtmsd::store::Location;
use serde_json::{Value, json};

use super::super::recordings::kit::{recorded, recording_of};
use super::{acme, acme_at_zoom, of_app};
use crate::support::kit::{
    API_TOKEN, Home, Log, TestDaemon, Zoom, chatter, endless, eventually, script, zoom,
};
use crate::support::raw::Raw;

fn acme_with(fields: Value) -> Value {
    let mut app = acme();
    for (name, value) in fields.as_object().unwrap() {
        app[name] = value.clone();
    }
    app
}

fn home() -> Home {
    let home = recording_of(Home::sqlite(), "audio,transcript");
    home.set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"))
}

async fn database(home: &Home) -> Raw {
    Raw::connect(&Location::Sqlite(home.data().join("rtmsd.db"))).await
}

#[tokio::test]
async fn one_app_keeps_nothing_while_another_in_the_same_meeting_keeps_everything() {
    let acme = acme_with(json!({
        "media_types": ["audio", "transcript"],
        "retention_entries": "zero", "retention_media": "zero", "retention_deliveries": "zero",
    }));
    let home = home().set("ZOOM_APPS", &json!([acme]).to_string());
    let settings = zoom(script(chatter(5, 600), 4_000));
    let settings = Settings { more_apps: vec![acme_at_zoom()], ..settings };
    let (daemon, zoom) = (TestDaemon::start(&home).await, Zoom::open(settings).await);
    zoom.post.deliver_to(daemon.address);
    let (own, acmes) =
        (of_app(&daemon, "default", 1).await.remove(0), of_app(&daemon, "acme", 1).await.remove(0));
    let live =
        [Log::of_session(daemon.api(), own.clone()), Log::of_session(daemon.api(), acmes.clone())];
    let (heard, live_only) = (live[0].over().await, live[1].over().await);
    assert!(heard.texts().len() > 2);
    assert_eq!(heard.texts(), live_only.texts(), "both are live");
    recorded(daemon.api(), &own, "stored").await.checked().await;
    // Read again from the store.
    let kept = Log::of_session(daemon.api(), own.clone()).over().await;
    assert_eq!(kept.texts(), heard.texts());
    let late = Log::of_session(daemon.api(), acmes.clone()).over().await;
    late.assert_numbered();
    assert!(late.of("transcript").is_empty() && !late.of("not_kept").is_empty());
    let path = format!("/api/v1/sdk/sessions/{acmes}/recordings");
    let recordings = daemon.api().get(&path).await.unwrap().json();
    assert_eq!(recordings["data"]["recordings"], json!([]));
    let record = json!({"media": {"record": ["audio"]}});
    let started =
        daemon.api().post(&format!("/api/v1/sdk/sessions/{acmes}/rtms/start"), &record).await;
    assert_eq!(started.status, 422, "{}", started.text());
    assert!(started.text().contains("retention_media"), "{}", started.text());
    let mut raw = database(&home).await;
    let mut bodies = async |app: &str| {
        raw.count(format!("SELECT COUNT(*) FROM deliveries WHERE app = '{app}' AND body <> ''"))
            .await
    };
    assert_eq!(bodies("acme").await, 0);
    assert!(bodies("default").await > 0);
    zoom.close_clean().await;
}

#[tokio::test]
async fn an_app_that_is_set_to_zero_over_the_api_stores_nothing_more_of_a_running_stream() {
    let home = home();
    let daemon = TestDaemon::start(&home).await;
    let api = daemon.api();
    assert_eq!(api.post("/api/v1/apps", &acme()).await.status, 201);
    let of_acme = Zoom::open(Settings { app: acme_at_zoom(), ..zoom(endless(100)) }).await;
    of_acme.post.deliver_to(daemon.address);
    let id = of_app(&daemon, "acme", 1).await.remove(0);
    let log = Log::of_session(api, id.clone());
    log.lines(3).await;
    let zero = api.patch("/api/v1/apps/acme", json!({"retention_entries": "zero"})).await;
    assert_eq!(zero.json()["data"]["app"]["retention_entries"], "zero");
    let said = log.page().texts().len();
    log.lines(said + 5).await;
    let read = Log::of_session(api, id);
    let page =
        read.until("lines that were not stored", |page| !page.of("not_kept").is_empty()).await;
    assert!(!page.of("transcript").is_empty(), "those from before stay");
}

#[tokio::test]
async fn what_expires_goes_by_app() {
    let acme = acme_with(json!({
        "retention_entries": "3h", "retention_sessions": "3h", "retention_audit": "3h",
        "retention_deliveries": "3h",
    }));
    let home = Home::sqlite()
        .set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"))
        .set("ZOOM_APPS", &json!([acme]).to_string());
    let settings = zoom(script(chatter(4, 200), 1_500));
    let settings = Settings { more_apps: vec![acme_at_zoom()], ..settings };
    let (daemon, zoom) = (TestDaemon::start(&home).await, Zoom::open(settings).await);
    zoom.post.deliver_to(daemon.address);
    for app in ["default", "acme"] {
        let id = of_app(&daemon, app, 1).await.remove(0);
        Log::of_session(daemon.api(), id).over().await;
    }
    zoom.close_clean().await;
    daemon.stop().await;
    const FOUR_HOURS_MS: i64 = 4 * 60 * 60 * 1000;
    let (mut raw, old_ms) = (database(&home).await, rtmsd::clock::now_ms() - FOUR_HOURS_MS);
    for app in ["'acme'", "'default'", "NULL"] {
        raw.execute(format!(
            "INSERT INTO audit (id, at_ms, actor, action, subject, outcome, detail, app)
             VALUES ('old-' || COALESCE({app}, 'none'), {old_ms}, 'boss', 'test', 's', 'ok', '{{}}', {app})"
        ))
        .await;
    }
    for (table, column) in [
        ("sessions", "created_at_ms"),
        ("sessions", "updated_at_ms"),
        ("streams", "created_at_ms"),
        ("streams", "ended_at_ms"),
        ("deliveries", "received_at_ms"),
        ("outgoing_events", "created_at_ms"),
    ] {
        raw.execute(format!("UPDATE {table} SET {column} = {column} - {FOUR_HOURS_MS}")).await;
    }
    let daemon = TestDaemon::start(&home).await;
    eventually("acme's session is gone", async || {
        let sessions = daemon.api().sessions().await;
        let apps: Vec<_> = sessions.iter().filter_map(|session| session["app"].as_str()).collect();
        (apps == ["default"]).then_some(())
    })
    .await;
    eventually("acme's old audit row is gone", async || {
        (raw.count("SELECT COUNT(*) FROM audit WHERE id = 'old-acme'").await == 0).then_some(())
    })
    .await;
    let count = "SELECT COUNT(*) FROM deliveries WHERE app = ";
    assert_eq!(raw.count(format!("{count}'acme'")).await, 0);
    assert!(raw.count(format!("{count}'default'")).await > 0);
    let others = "SELECT COUNT(*) FROM audit WHERE id IN ('old-default', 'old-none')";
    assert_eq!(raw.count(others).await, 2);
}
