//! `/api/v1/apps`: apps that are added, changed and deleted while the server runs.

use rtmsd::seal::KeyRing;
use rtmsd::secret::Secret;
use rtmsd::zoom::app::rotate_keys;
use rtmsd::zoom::signature::WebhookKey;
use serde_json::{Value, json};

use super::server::{NOW_S, READER, Server, signed_at};
use crate::support::audit::trail;
use crate::support::client::Answer;

const APPS: &str = "/api/v1/apps";
const BOSS: (&str, &str) = ("authorization", "Bearer boss-token-of-tests");

/// A customer's app. Its secrets begin alike.
fn customer() -> Value {
    json!({
        "name": "customer", "client_id": "cid", "client_secret": "s3cret-client",
        "secret_tokens": ["s3cret-token"], "products": ["meeting"], "access_token": "s3cret-access",
        "media_types": ["audio"], "rtms_restart_attempts": 2,
    })
}

async fn call(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = server.send(method, path, body.as_bytes(), &[BOSS]).await;
    assert!(!answer.text().contains("s3cret"), "{}", answer.text());
    answer
}

async fn add(server: &Server, app: &Value) -> Answer {
    call(server, "POST", APPS, app).await
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

/// A webhook to the app's path, signed with this secret token.
async fn webhook(server: &Server, app: &str, secret_token: &str, body: &Value) -> u16 {
    let (body, time) = (body.to_string(), NOW_S.to_string());
    let key = WebhookKey::new(&Secret::new(secret_token.into()));
    let signature = key.sign(NOW_S, body.as_bytes());
    let headers = [signed_at(&time), ("x-zm-signature", &*signature)];
    server.post_to(&format!("/webhook/{app}"), body.as_bytes(), &headers).await.status
}

fn event(number: u32) -> Value {
    json!({"event": "meeting.anything", "event_ts": NOW_S * 1000, "payload": {"number": number}})
}

fn started(stream: &str) -> Value {
    json!({"event": "meeting.rtms_started", "event_ts": NOW_S * 1000, "payload": {
        "meeting_uuid": "m1==", "meeting_id": "91234567890", "rtms_stream_id": stream, "server_urls": "wss://a.zoom.us"}})
}

#[tokio::test]
async fn an_app_is_added_shown_changed_and_deleted_and_its_secrets_never_appear() {
    let server = Server::start().await;
    assert_eq!(webhook(&server, "customer", "s3cret-token", &event(1)).await, 404);
    let added = add(&server, &customer()).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let app = added.json()["data"]["app"].take();
    assert_eq!((&app["name"], &app["source"]), (&json!("customer"), &json!("api")));
    assert_eq!((&app["client_id"], &app["secret_tokens"]), (&json!("cid"), &json!(1)));
    assert_eq!(app["webhook_path"], "/webhook/customer");
    assert_eq!(app["install_path"], "/api/v1/zoom/oauth/install?app=customer");
    assert_eq!(
        (&app["media"]["types"], &app["has_access_token"]),
        (&json!(["audio"]), &json!(true))
    );
    // Its webhooks are taken at once, with its own secret token only.
    assert_eq!(webhook(&server, "customer", "s3cret-token", &event(1)).await, 200);
    assert_eq!(webhook(&server, "customer", "demoSecretToken01", &event(2)).await, 401);
    let path = format!("{APPS}/customer");
    let both = json!({"secret_tokens": ["s3cret-new", "s3cret-token"], "access_token": null});
    let changed = call(&server, "PATCH", &path, &both).await.json();
    let changed = &changed["data"]["app"];
    assert_eq!(
        (&changed["secret_tokens"], &changed["has_access_token"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(
        (&changed["client_id"], &changed["rtms_restart_attempts"]),
        (&json!("cid"), &json!(2))
    );
    for secret_token in ["s3cret-new", "s3cret-token"] {
        assert_eq!(webhook(&server, "customer", secret_token, &event(3)).await, 200);
    }
    let shown = call(&server, "GET", &path, &Value::Null).await.json();
    assert_eq!(&shown["data"]["app"], changed);
    let listed = call(&server, "GET", APPS, &Value::Null).await.json();
    let names: Vec<_> =
        listed["data"]["apps"].as_array().unwrap().iter().map(|app| &app["name"]).collect();
    assert_eq!(names, ["acme", "customer", "default", "video"]);
    assert_eq!(call(&server, "DELETE", &path, &Value::Null).await.status, 200);
    assert_eq!(
        refused(&call(&server, "GET", &path, &Value::Null).await),
        (404, "unknown_app".into())
    );
    assert_eq!(webhook(&server, "customer", "s3cret-new", &event(4)).await, 404);
    let mut trail = trail(&server.state.store, 100).await;
    trail.retain(|row| row.subject == "customer");
    let actions: Vec<_> = trail.iter().rev().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["app.create", "app.change", "app.delete"]);
    assert!(trail.iter().all(|row| !row.detail.contains("s3cret")), "{trail:?}");
}

#[tokio::test]
async fn the_settings_of_an_app_are_sealed_at_rest_to_its_own_row() {
    let server = Server::start().await;
    add(&server, &customer()).await;
    let store = &server.state.store;
    let rows = store.apps().await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].settings.contains("cid") && rows[0].settings.starts_with("v1."));
    // The same text under another name does not open: there is no such app.
    let other = rtmsd::model::AppName::parse("other").unwrap();
    let act = rtmsd::model::AuditRow::new(1, "test", "app.create", "other");
    assert!(store.add_app(&other, &rows[0].settings, 10, &act).await.unwrap());
    let managed = &server.state.managed_apps;
    managed.refresh().await.unwrap();
    let names: Vec<_> = managed.list().await.iter().map(|it| it.app.name.to_string()).collect();
    assert_eq!(names, ["acme", "customer", "default", "video"]);
}

#[tokio::test]
async fn an_app_of_the_settings_is_shown_and_cannot_be_changed() {
    let server = Server::start().await;
    let path = format!("{APPS}/default");
    let shown = call(&server, "GET", &path, &Value::Null).await.json();
    assert_eq!(shown["data"]["app"]["source"], "configuration");
    let configured = (409, "app_configured".to_owned());
    let change = json!({"client_id": "other"});
    assert_eq!(refused(&call(&server, "PATCH", &path, &change).await), configured);
    assert_eq!(refused(&call(&server, "DELETE", &path, &Value::Null).await), configured);
    let mut same = customer();
    same["name"] = "default".into();
    assert_eq!(refused(&add(&server, &same).await), (409, "app_exists".into()));
    assert_eq!(add(&server, &customer()).await.status, 201);
    assert_eq!(refused(&add(&server, &customer()).await), (409, "app_exists".into()));
}

#[tokio::test]
async fn every_mistake_is_reported_at_once_by_field_and_without_a_value() {
    let server = Server::start().await;
    let wrong = json!({"name": "customer", "client_id": "cid", "secret_tokens": [],
        "media_types": "s3cret", "clint_secret": "s3cret"});
    let answer = add(&server, &wrong).await;
    assert_eq!(refused(&answer), (422, "invalid_value".into()));
    let detail = answer.json()["error"]["detail"].as_str().unwrap().to_owned();
    for part in [
        "client_secret is missing",
        "secret_tokens is missing",
        "media_types must be",
        "clint_secret is not a field of an app",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    add(&server, &customer()).await;
    let change = json!({"client_secret": null, "audio_codec": "s3cret"});
    let answer = call(&server, "PATCH", &format!("{APPS}/customer"), &change).await;
    assert_eq!(refused(&answer), (422, "invalid_value".into()));
    for name in ["Bad", "", "a/b"] {
        let mut named = customer();
        named["name"] = name.into();
        assert_eq!(refused(&add(&server, &named).await), (422, "invalid_value".into()), "{name}");
    }
    assert_eq!(webhook(&server, "customer", "s3cret-token", &event(1)).await, 200, "unchanged");
}

#[tokio::test]
async fn an_app_with_streams_is_deleted_only_by_force_and_its_session_stays_readable() {
    let server = Server::start().await;
    add(&server, &customer()).await;
    assert_eq!(webhook(&server, "customer", "s3cret-token", &started("s1")).await, 200);
    let path = format!("{APPS}/customer");
    let in_use = call(&server, "DELETE", &path, &Value::Null).await;
    assert_eq!(refused(&in_use), (409, "app_in_use".into()));
    let session = server.stream("s1").await.session_id;
    let forced = call(&server, "DELETE", &format!("{path}?force=true"), &Value::Null).await;
    assert_eq!(forced.status, 200);
    let session = format!("/api/v1/sdk/sessions/{session}");
    let shown = call(&server, "GET", &session, &Value::Null).await;
    assert_eq!((shown.status, &shown.json()["data"]["session"]["app"]), (200, &json!("customer")));
    let timeline = call(&server, "GET", &format!("{session}/timeline"), &Value::Null).await;
    assert_eq!(timeline.status, 200);
    // What needs the app's credentials says that they are gone.
    let start = call(&server, "POST", &format!("{session}/rtms/start"), &Value::Null).await;
    assert_eq!(refused(&start), (409, "app_not_configured".into()));
    assert!(server.stream("s1").await.stop_seen_at_ms.is_some(), "its runner ends it");
}

#[tokio::test]
async fn an_app_that_another_daemon_added_is_there_after_the_next_look_at_the_store() {
    let server = Server::start().await;
    let other = server.beside("boss:boss-token-of-tests:admin").await;
    add(&server, &customer()).await;
    assert_eq!(webhook(&other, "customer", "s3cret-token", &event(1)).await, 404);
    other.state.managed_apps.refresh().await.unwrap();
    assert_eq!(webhook(&other, "customer", "s3cret-token", &event(2)).await, 200);
    call(&server, "DELETE", &format!("{APPS}/customer"), &Value::Null).await;
    other.state.managed_apps.refresh().await.unwrap();
    assert_eq!(webhook(&other, "customer", "s3cret-token", &event(3)).await, 404);
}

#[tokio::test]
async fn only_an_administrator_of_the_app_adds_it() {
    let server = Server::start().await;
    assert_eq!(server.request("GET", APPS, &[READER]).await.status, 403);
    let limited = server.beside("boss:boss-token-of-tests:admin@customer").await;
    let mut other = customer();
    other["name"] = "other".into();
    assert_eq!(refused(&add(&limited, &other).await), (404, "unknown_app".into()));
    assert_eq!(add(&limited, &customer()).await.status, 201);
    let listed = call(&limited, "GET", APPS, &Value::Null).await.json();
    assert_eq!(listed["data"]["apps"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_rotation_of_the_keys_reseals_the_apps() {
    let server = Server::start().await;
    add(&server, &customer()).await;
    let (old, new) = ("07".repeat(32), "08".repeat(32));
    let both = KeyRing::parse(&format!("{new},{old}")).unwrap();
    let store = &server.state.store;
    assert_eq!(rotate_keys(store, &both).await.unwrap().resealed, 1);
    let alone = KeyRing::parse(&new).unwrap();
    assert!(store.apps().await.unwrap()[0].settings.starts_with(&alone.prefix()));
    let done = rotate_keys(store, &alone).await.unwrap();
    assert_eq!((done.resealed, done.unreadable), (0, 0));
    assert_eq!(rotate_keys(store, &KeyRing::parse(&old).unwrap()).await.unwrap().unreadable, 1);
}

#[tokio::test]
async fn the_place_and_the_retention_of_an_app_are_shown_without_its_credentials() {
    let server = Server::start().await;
    let mut app = customer();
    app["recordings_url"] = json!("s3://user:s3cret-url@bucket/of-customer");
    app["recordings_store"] = json!({"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "s3cret-id",
        "AWS_SECRET_ACCESS_KEY": "s3cret-key"});
    app["retention_entries"] = json!("zero");
    app["retention_media"] = json!("36h");
    let added = add(&server, &app).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let shown = added.json()["data"]["app"].take();
    assert_eq!(shown["recordings_url"], "s3://bucket/of-customer");
    assert_eq!(
        (&shown["retention_entries"], &shown["retention_media"]),
        (&json!("zero"), &json!("36h"))
    );
    assert_eq!(shown["recordings_layout"], Value::Null);
    // Its store is not used for another place.
    let path = format!("{APPS}/customer");
    let without = call(&server, "PATCH", &path, &json!({"recordings_url": null})).await;
    assert_eq!(without.status, 422);
    assert!(without.text().contains("recordings_store must be set with recordings_url"));
    let gone = json!({"recordings_url": null, "recordings_store": null, "retention_entries": null});
    let gone = call(&server, "PATCH", &path, &gone).await.json();
    let shown = &gone["data"]["app"];
    assert_eq!(
        (&shown["recordings_url"], &shown["retention_entries"]),
        (&Value::Null, &json!("forever"))
    );
}

#[tokio::test]
async fn an_administrator_of_one_app_cannot_set_what_reaches_beyond_it() {
    let server = Server::start().await;
    let limited = server.beside("boss:boss-token-of-tests:admin@customer").await;
    let reserved = [
        ("recordings_url", json!("/tmp/of-another")),
        ("recordings_layout", json!("{stream}")),
        ("recordings_store", json!({"AWS_REGION": "x"})),
        ("rtms_allowed_hosts", json!("127.0.0.1")),
        ("rtms_allow_ws", json!(true)),
        ("api_base_url", json!("http://127.0.0.1:9")),
        ("oauth_base_url", json!("http://127.0.0.1:9")),
        ("max_streams_per_app", json!(1_000)),
        ("api_rate_limit_per_second_per_app", Value::Null),
    ];
    assert_eq!(add(&limited, &customer()).await.status, 201);
    let path = format!("{APPS}/customer");
    for (field, value) in reserved {
        let answer = call(&limited, "PATCH", &path, &json!({field: value})).await;
        assert_eq!(refused(&answer), (403, "operator_only".into()), "{field}");
        assert!(answer.text().contains(field), "{}", answer.text());
        let mut app = customer();
        app["name"] = json!("customer");
        app[field] = value;
        assert_eq!(refused(&add(&limited, &app).await), (403, "operator_only".into()), "{field}");
    }
    let own = call(&limited, "PATCH", &path, &json!({"retention_entries": "30d"})).await;
    assert_eq!(own.status, 200, "{}", own.text());
    assert_eq!(call(&server, "PATCH", &path, &json!({"max_streams_per_app": 3})).await.status, 200);
}
