//! The log of Zoom's webhooks over HTTP, processing refused ones again, and the state of each app's URL.

use rtmsd::model::AppName;
use rtmsd::secret::Secret;
use rtmsd::store::{GrantedTo, SealedTokens};
use rtmsd::zoom::signature::WebhookKey;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::server::{NOW_S, READER, Server, key, signed_at};
use crate::support::audit;
use crate::support::client::Answer;

const BOSS: (&str, &str) = ("authorization", "Bearer boss-token-of-tests");
const CONTROLLER: (&str, &str) = ("authorization", "Bearer control-token-of-tests");
const LOG: &str = "/api/v1/zoom/webhooks";
/// Longer than the tolerance.
const LATE_S: i64 = 400;

fn start(stream: &str) -> Vec<u8> {
    let payload = json!({"meeting_uuid": "m1==", "meeting_id": "91234567890", "operator_id": "u1",
                         "rtms_stream_id": stream, "server_urls": "wss://a.zoom.us"});
    json!({"event": "meeting.rtms_started", "event_ts": NOW_S * 1000, "payload": payload})
        .to_string()
        .into_bytes()
}

async fn send_at(server: &Server, body: &[u8], at_s: i64) -> Answer {
    let signature = key().sign(at_s, body);
    server.post(body, &[signed_at(&at_s.to_string()), ("x-zm-signature", &signature)]).await
}

async fn log(server: &Server, query: &str) -> Vec<Value> {
    let page = server.get(&format!("{LOG}?{query}")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    page.json()["data"]["webhooks"].as_array().unwrap().clone()
}

async fn newest(server: &Server) -> Value {
    log(server, "limit=1").await.remove(0)
}

fn path_of(webhook: &Value) -> String {
    format!("{LOG}/{}", webhook["id"].as_str().unwrap())
}

async fn process(server: &Server, webhook: &Value) -> Answer {
    server.post_to(&format!("{}/process", path_of(webhook)), b"", &[CONTROLLER]).await
}

async fn endpoint(server: &Server, app: &str) -> Value {
    let all = server.get("/api/v1/zoom/webhook-endpoints").await.json();
    let all = all["data"]["endpoints"].as_array().unwrap().clone();
    all.into_iter().find(|endpoint| endpoint["app"] == app).expect("an endpoint")
}

#[tokio::test]
async fn the_log_has_what_each_webhook_changed_and_its_body_for_administrators() {
    let server = Server::start().await;
    assert_eq!(server.webhook(&start("s1")).await.status, 200);
    let webhook = newest(&server).await;
    let session = server.stream("s1").await.session_id.to_string();
    assert_eq!(webhook["session_id"], session.as_str());
    let part = |name: &str| webhook[name].clone();
    assert_eq!([part("outcome"), part("reason")], ["changed", "stream_started"]);
    assert_eq!(part("method"), "webhook");
    assert_eq!([part("meeting_id"), part("stream_id")], ["91234567890", "s1"]);
    assert_eq!([part("ordinal"), part("has_body")], [json!(1), json!(true)]);
    let show = async |token| server.request("GET", &path_of(&webhook), &[token]).await.json();
    assert_eq!(show(READER).await["data"]["webhook"]["body"], Value::Null);
    let body: Value = serde_json::from_slice(&start("s1")).unwrap();
    assert_eq!(show(BOSS).await["data"]["webhook"]["body"], body);
}

#[tokio::test]
async fn the_log_is_searched_and_paged() {
    let server = Server::start().await;
    for n in 0..5 {
        assert_eq!(server.webhook(&start(&format!("s{n}"))).await.status, 200);
    }
    let first = server.get(&format!("{LOG}?limit=3")).await.json()["data"].clone();
    let next = first["next"].as_str().expect("a next page");
    let second = server.get(&format!("{LOG}?limit=3&before={next}")).await.json()["data"].clone();
    assert_eq!(second["next"], Value::Null);
    let pages = [&first, &second].map(|page| page["webhooks"].as_array().unwrap().clone());
    assert_eq!(pages.concat(), log(&server, "").await);
    // A form sends its empty fields.
    let all = "q=&event=&outcome=&app=&session=&from=&until=&reason=&before=";
    assert_eq!(log(&server, all).await.len(), 5);
    assert_eq!(log(&server, "q=S3").await.len(), 1);
    assert_eq!(log(&server, "q=91234567890&outcome=changed&app=default").await.len(), 5);
    assert_eq!(log(&server, "from=2030-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(log(&server, "app=acme").await.len(), 0);
    assert_eq!(log(&server, "method=webhook").await.len(), 5);
    assert_eq!(log(&server, "method=websocket").await.len(), 0);
    for (query, status) in [
        ("outcome=good", 422),
        ("reason=good", 422),
        ("method=post", 422),
        ("from=yesterday", 422),
        ("session=x", 422),
        ("before=1-x", 422),
        ("limit=0", 422),
        ("app=nobody!", 404),
    ] {
        assert_eq!(server.get(&format!("{LOG}?{query}")).await.status, status, "{query}");
    }
    let long = "x".repeat(201);
    assert_eq!(server.get(&format!("{LOG}?q={long}")).await.status, 422);
    assert_eq!(server.get(&format!("{LOG}/x")).await.code(), "webhook_not_found");
}

#[tokio::test]
async fn a_webhook_refused_for_its_time_is_processed_when_somebody_asks() {
    let mut server = Server::start().await;
    assert_eq!(send_at(&server, &start("s1"), NOW_S - LATE_S).await.status, 401);
    let webhook = newest(&server).await;
    assert_eq!(webhook["outcome"], "refused");
    assert_eq!(webhook["reason"], "timestamp_out_of_window");
    assert_eq!(webhook["session_id"], Value::Null);
    assert!(server.changes.try_recv().is_err());
    // Only with the scope control.
    let path = format!("{}/process", path_of(&webhook));
    assert_eq!(server.post_to(&path, b"", &[READER]).await.status, 403);
    let done = process(&server, &webhook).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let done = done.json()["data"]["webhook"].clone();
    assert_eq!([&done["outcome"], &done["reason"]], ["changed", "stream_started"]);
    assert_eq!(done["processed_at_ms"], NOW_S * 1000);
    assert_eq!(server.changes.recv().await.unwrap().as_str(), "s1");
    // Once.
    let again = process(&server, &webhook).await.json();
    assert_eq!(again["message"], "the webhook was processed before");
    assert!(server.changes.try_recv().is_err());
    let acts = audit::trail(&server.state.store, 100).await;
    let acts: Vec<_> = acts.iter().filter(|row| row.action == "webhook.process").collect();
    let outcomes: Vec<_> = acts.iter().map(|row| (&*row.actor, &*row.outcome)).collect();
    assert_eq!(outcomes, [("controller", "ok")]);
    assert_eq!(acts[0].subject, webhook["id"].as_str().unwrap());
}

#[tokio::test]
async fn a_webhook_of_a_product_that_its_app_lacks_waits_for_the_product() {
    let server = Server::start().await;
    let fields = json!({"name": "late", "client_id": "c", "client_secret": "s", "secret_tokens": ["late-token-1"],
                        "products": ["webinar"]});
    let made = server.send("POST", "/api/v1/apps", fields.to_string().as_bytes(), &[BOSS]).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let key = WebhookKey::new(&Secret::new("late-token-1".into()));
    let body = start("s1");
    let signature = key.sign(NOW_S, &body);
    let now = NOW_S.to_string();
    let headers = [signed_at(&now), ("x-zm-signature", &signature)];
    assert_eq!(server.post_to("/webhook/late", &body, &headers).await.code(), "other_app");
    let webhook = newest(&server).await;
    assert_eq!([&webhook["app"], &webhook["reason"]], ["late", "other_app"]);
    let refused = process(&server, &webhook).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "still_refused"));
    let body = json!({"products": ["webinar", "meeting"]}).to_string();
    let changed = server.send("PATCH", "/api/v1/apps/late", body.as_bytes(), &[BOSS]).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(process(&server, &webhook).await.status, 200);
    assert_eq!(server.stream("s1").await.app, AppName::parse("late").unwrap());
}

#[tokio::test]
async fn a_webhook_that_cannot_be_read_is_in_the_log_without_its_body() {
    let server = Server::start().await;
    for (body, event) in [
        (&b"not json"[..], "unreadable"),
        (br#"{"event": "meeting.rtms_started", "payload": {}}"#, "meeting.rtms_started"),
    ] {
        assert_eq!(server.webhook(body).await.status, 400);
        let webhook = newest(&server).await;
        // Both arrived at the same time of the tests' clock.
        let webhook = match webhook["event"] == event {
            true => webhook,
            false => log(&server, &format!("event={event}")).await.remove(0),
        };
        assert_eq!([&webhook["outcome"], &webhook["reason"]], ["refused", "malformed"]);
        assert_eq!(webhook["has_body"], false);
        let refused = process(&server, &webhook).await;
        assert_eq!((refused.status, refused.code().as_str()), (409, "body_not_kept"));
    }
}

/// A statement on the store's file, beside the server.
async fn execute(server: &Server, sql: &'static str) {
    let file = server.folder.path().join("rtmsd.sqlite");
    let mut raw: SqliteConnection =
        SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::query(sql).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
}

#[tokio::test]
async fn a_webhook_that_the_store_rejects_can_be_processed_when_the_store_is_mended() {
    let server = Server::start().await;
    execute(
        &server,
        "CREATE TRIGGER broken BEFORE INSERT ON streams BEGIN SELECT RAISE(ABORT, 'broken'); END",
    )
    .await;
    assert_eq!(server.webhook(&start("s1")).await.status, 503);
    let webhook = newest(&server).await;
    assert_eq!([&webhook["outcome"], &webhook["reason"]], ["failed", "store_error"]);
    assert_eq!(process(&server, &webhook).await.status, 503);
    assert_eq!(newest(&server).await["outcome"], "failed");
    execute(&server, "DROP TRIGGER broken").await;
    assert_eq!(process(&server, &webhook).await.status, 200);
    assert_eq!(server.stream("s1").await.stream_id.as_str(), "s1");
    // Zoom's own retry finds it done.
    assert_eq!(server.webhook(&start("s1")).await.status, 200);
    assert_eq!(log(&server, "").await.len(), 1);
}

#[tokio::test]
async fn what_strangers_send_is_counted_and_not_in_the_log() {
    let server = Server::start().await;
    for _ in 0..3 {
        assert_eq!(server.post(&start("s1"), &[]).await.status, 401);
    }
    assert_eq!(log(&server, "").await, [] as [Value; 0]);
    let refused = endpoint(&server, "default").await["refused"].clone();
    assert_eq!(refused[0]["code"], "signature_invalid");
    assert_eq!(refused[0]["count"], 3);
    assert_eq!(endpoint(&server, "acme").await["refused"], json!([]));
}

#[tokio::test]
async fn the_state_of_an_apps_url_has_its_validation_its_last_webhook_and_the_clock() {
    let server = Server::start().await;
    let before = endpoint(&server, "default").await;
    assert_eq!(before["path"], "/webhook");
    for name in ["validated_at", "validated_with", "last_received_at", "clock_difference_seconds"] {
        assert_eq!(before[name], Value::Null, "{name}");
    }
    let body =
        br#"{"payload":{"plainToken":"plain"},"event_ts":1,"event":"endpoint.url_validation"}"#;
    assert_eq!(send_at(&server, body, NOW_S - 90).await.status, 200);
    assert_eq!(send_at(&server, &start("s1"), NOW_S - 70).await.status, 200);
    let after = endpoint(&server, "default").await;
    assert_eq!(after["validated_at_ms"], NOW_S * 1000);
    assert_eq!([&after["validated_with"], &after["secret_tokens"]], [&json!(1), &json!(1)]);
    assert_eq!(after["last_received_at_ms"], NOW_S * 1000);
    assert_eq!(after["clock_difference_seconds"], 70);
    // The log has webhooks, and a validation is none.
    assert_eq!(log(&server, "").await.len(), 1);
}

#[tokio::test]
async fn the_installation_that_a_webhook_revoked_is_shown_to_tokens_that_may_see_it() {
    let server = Server::start().await;
    let granted = GrantedTo {
        app: AppName::default(),
        account_id: "acc1".into(),
        user_id: "u1".into(),
        display_name: None,
        email: None,
        scope: String::new(),
        api_base_url: None,
        address: None,
    };
    let seal = |_| SealedTokens { access: "v1.k.a".into(), refresh: None, expires_at_ms: None };
    let installed = server.state.store.save_installation(&granted, seal, 5).await.unwrap();
    let gone = json!({"event": "app_deauthorized", "event_ts": NOW_S * 1000,
                      "payload": {"user_id": "u1", "account_id": "acc1"}});
    assert_eq!(server.webhook(gone.to_string().as_bytes()).await.status, 200);
    assert_eq!(newest(&server).await["installation_id"], installed.id.to_string());
    let token = "bound:bound-token-of-tests:admin#01932b5e-7a10-7000-8000-000000000009";
    let bound = server.beside(token).await;
    let headers = [("authorization", "Bearer bound-token-of-tests")];
    let webhook = bound.request("GET", LOG, &headers).await.json()["data"]["webhooks"][0].clone();
    assert_eq!(
        [&webhook["reason"], &webhook["installation_id"]],
        [&json!("app_removed"), &Value::Null]
    );
    let page = bound
        .request(
            "GET",
            &format!("/dashboard/webhooks/{}", webhook["id"].as_str().unwrap()),
            &headers,
        )
        .await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains(&installed.id.to_string()));
}
