//! API tokens that are made, listed and revoked over the API.

use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Server, Wiring};
use crate::support::client::Answer;
use crate::support::wait::eventually;

const BOSS: &str = "Bearer boss-token-of-tests";
const ACME: &str = "Bearer acme-token-of-tests";
const TOKENS: &str = "/api/v1/tokens";
const SESSIONS: &str = "/api/v1/sdk/sessions";

async fn call(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.send(method, path, body.as_bytes(), &[("authorization", token)]).await
}

/// Makes a token. Returns its id and the header for it.
async fn make(server: &Server, by: &str, body: Value) -> (String, String) {
    let made = call(server, by, "POST", TOKENS, &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json()["data"].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["token"]["id"]), format!("Bearer {}", text(&made["secret"])))
}

async fn status(server: &Server, token: &str, method: &str, path: &str) -> u16 {
    call(server, token, method, path, &Value::Null).await.status
}

async fn listed(server: &Server, by: &str) -> Vec<Value> {
    let list = call(server, by, "GET", TOKENS, &Value::Null).await.json();
    list["data"]["tokens"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_made_token_does_what_its_scopes_allow_until_it_is_revoked() {
    let server = Server::start().await;
    let (id, reader) = make(&server, BOSS, json!({ "name": "crm", "scopes": ["read"] })).await;
    assert_eq!(status(&server, &reader, "GET", SESSIONS).await, 200);
    assert_eq!(status(&server, &reader, "POST", SESSIONS).await, 403);
    assert_eq!(status(&server, &reader, "GET", TOKENS).await, 403);
    let path = format!("{TOKENS}/{id}");
    assert_eq!(status(&server, &reader, "DELETE", &path).await, 403);
    assert_eq!(status(&server, BOSS, "DELETE", &path).await, 200);
    assert_eq!(status(&server, &reader, "GET", SESSIONS).await, 401);
    let again = call(&server, BOSS, "DELETE", &path, &Value::Null).await;
    assert_eq!((again.status, again.code().as_str()), (404, "token_not_found"));
    // One of API_TOKENS has no id here.
    assert_eq!(status(&server, BOSS, "DELETE", &format!("{TOKENS}/boss")).await, 404);
}

#[tokio::test]
async fn a_token_is_shown_once_and_stored_as_a_hash() {
    let server = Server::start().await;
    let (id, bearer) = make(&server, BOSS, json!({ "name": "crm" })).await;
    let secret = bearer.strip_prefix("Bearer ").unwrap();
    let list = listed(&server, BOSS).await;
    assert_eq!((&list[0]["id"], &list[0]["scopes"]), (&json!(id), &json!(["read", "control"])));
    assert!(!json!(list).to_string().contains(secret));
    for file in std::fs::read_dir(server.folder.path()).unwrap() {
        let path = file.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!is_there, "{}", path.display());
    }
    // Its acts have a name that is no other token's.
    let (_, twin) = make(&server, BOSS, json!({ "name": "crm" })).await;
    let body = json!({ "platform": "zoom", "meeting_id": 5 });
    assert_eq!(call(&server, &twin, "POST", SESSIONS, &body).await.status, 201);
    let rows = call(&server, BOSS, "GET", "/api/v1/audit?action=session.create", &Value::Null);
    let actor = rows.await.json()["data"]["audit"][0]["actor"].as_str().unwrap().to_owned();
    assert!(actor.starts_with("crm.") && !actor.contains(&id), "{actor}");
}

#[tokio::test]
async fn a_token_expires_and_its_last_use_is_noted() {
    use std::sync::atomic::{AtomicI64, Ordering};
    static NOW_MS: AtomicI64 = AtomicI64::new(1_000_000);
    let now_ms = || NOW_MS.load(Ordering::Relaxed);
    let server = Server::wired(Wiring { now_ms, ..Wiring::default() }).await;
    let body = json!({ "name": "short", "expires_in_seconds": 100 });
    let (_, short) = make(&server, BOSS, body).await;
    assert_eq!(listed(&server, BOSS).await[0]["last_used_at_ms"], Value::Null);
    NOW_MS.fetch_add(99_999, Ordering::Relaxed);
    assert_eq!(status(&server, &short, "GET", SESSIONS).await, 200);
    eventually("the use is noted", async || {
        (listed(&server, BOSS).await[0]["last_used_at_ms"] == 1_099_999).then_some(())
    })
    .await;
    NOW_MS.fetch_add(1, Ordering::Relaxed);
    assert_eq!(status(&server, &short, "GET", SESSIONS).await, 401);
    assert_eq!(listed(&server, BOSS).await[0]["expires_at_ms"], 1_100_000);
}

#[tokio::test]
async fn another_daemon_takes_a_made_token_and_refuses_it_soon_after_its_revocation() {
    let server = Server::start().await;
    let other = server.beside("boss:boss-token-of-tests:admin").await;
    // The other one has read the tokens before.
    assert_eq!(status(&other, BOSS, "GET", SESSIONS).await, 200);
    let (id, token) = make(&server, BOSS, json!({ "name": "crm" })).await;
    let soon = async |expected: u16| {
        eventually("the other daemon knows", async || {
            tokio::time::sleep(Duration::from_millis(50)).await;
            (status(&other, &token, "GET", SESSIONS).await == expected).then_some(())
        })
        .await;
    };
    soon(200).await;
    assert_eq!(status(&server, BOSS, "DELETE", &format!("{TOKENS}/{id}")).await, 200);
    soon(401).await;
}

#[tokio::test]
async fn a_token_of_one_app_makes_and_sees_tokens_of_that_app_only() {
    let server = Server::start().await;
    let (wide, _) = make(&server, BOSS, json!({ "name": "wide" })).await;
    let (_, own) = make(&server, ACME, json!({ "name": "own", "scopes": ["admin"] })).await;
    for apps in [json!(["default"]), json!(["acme", "default"]), json!(["nobody"])] {
        let body = json!({ "name": "x", "apps": apps });
        let refused = call(&server, &own, "POST", TOKENS, &body).await;
        assert_eq!((refused.status, refused.code().as_str()), (404, "unknown_app"), "{apps}");
    }
    let list = listed(&server, &own).await;
    assert_eq!(list.len(), 1);
    assert_eq!((&list[0]["name"], &list[0]["apps"]), (&json!("own"), &json!(["acme"])));
    assert_eq!(status(&server, &own, "DELETE", &format!("{TOKENS}/{wide}")).await, 404);
    assert_eq!(listed(&server, BOSS).await.len(), 2);
    // What such a token makes is limited like itself, however often.
    let (_, second) = make(&server, &own, json!({ "name": "second", "scopes": ["admin"] })).await;
    assert_eq!(listed(&server, &second).await.len(), 2);
    let body = json!({ "platform": "zoom", "meeting_id": 5, "app": "default" });
    assert_eq!(call(&server, &second, "POST", SESSIONS, &body).await.status, 404);
}

#[tokio::test]
async fn the_answer_of_a_repeated_request_has_the_same_token() {
    let server = Server::start().await;
    let ask = async || {
        let headers = [("authorization", BOSS), ("idempotency-key", "k")];
        let body = json!({ "name": "crm" }).to_string();
        server.send("POST", TOKENS, body.as_bytes(), &headers).await.json()
    };
    assert_eq!(ask().await, ask().await);
    assert_eq!(listed(&server, BOSS).await.len(), 1);
}
