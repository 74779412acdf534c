//! The audit trail: every action has its row, even if its client hangs up, and a flood of refusals writes few rows.

use std::time::Duration;

use rtmsd::store::Audited;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::server::{READER, Server, Wiring};
use crate::support::audit;
use crate::support::client::{TIMEOUT, exchange, head};
use crate::support::stores::TestStore;
use crate::support::words;

const BOSS: (&str, &str) = ("authorization", "Bearer boss-token-of-tests");
const SESSIONS: &str = "/api/v1/sdk/sessions";
const ENDPOINTS: &str = "/api/v1/webhooks/endpoints";

async fn trail(server: &Server) -> Vec<Audited> {
    audit::trail(&server.state.store, 10_000).await
}

fn count(trail: &[Audited], action: &str, outcome: &str) -> usize {
    trail.iter().filter(|row| row.action == action && row.outcome == outcome).count()
}

/// Waits for requests of clients that have hung up.
async fn settled(server: &Server) {
    server.state.requests.close();
    timeout(TIMEOUT, server.state.requests.wait()).await.expect("they end");
    server.state.requests.reopen();
}

/// Sends a whole request and hangs up after a while, without reading.
async fn hang_up(server: &Server, method: &str, path: &str, body: &str, after: Duration) {
    let length = body.len().to_string();
    let request = head(method, path, &[BOSS, ("content-length", &length)]);
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(&[&request, body.as_bytes()].concat()).await.unwrap();
    tokio::time::sleep(after).await;
}

#[tokio::test]
async fn every_act_has_its_row_although_its_client_hangs_up() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for index in 0..17_u32 {
        let body = json!({"url": format!("https://example.com/{index}")}).to_string();
        let made = server.post_to(ENDPOINTS, body.as_bytes(), &[BOSS]).await.json();
        ids.push(made["data"]["endpoint"]["id"].as_str().unwrap().to_owned());
    }
    for (index, id) in ids.iter().enumerate() {
        let after = Duration::from_micros(150 * index as u64);
        let path = format!("{ENDPOINTS}/{id}");
        hang_up(&server, "PATCH", &path, r#"{"description": "attacked"}"#, after).await;
        hang_up(&server, "DELETE", &path, "", after).await;
        let session = format!(r#"{{"platform": "zoom", "meeting_id": {}}}"#, 1000 + index);
        hang_up(&server, "POST", SESSIONS, &session, after).await;
        let endpoint = format!(r#"{{"url": "https://example.com/new-{index}"}}"#);
        hang_up(&server, "POST", ENDPOINTS, &endpoint, after).await;
    }
    settled(&server).await;
    let (trail, store) = (trail(&server).await, &server.state.store);
    let endpoints = store.endpoints().await.unwrap();
    let left = endpoints.iter().filter(|it| ids.contains(&it.endpoint.id.to_string())).count();
    assert_eq!(count(&trail, "webhook_endpoint.delete", "ok"), ids.len() - left);
    let made = endpoints.len() - left;
    assert_eq!(count(&trail, "webhook_endpoint.create", "ok"), ids.len() + made);
    let page = rtmsd::store::SessionPage { limit: 200, ..Default::default() };
    let sessions = store.sessions(&page).await.unwrap().len();
    assert_eq!(count(&trail, "session.create", "ok"), sessions);
    assert!(made > 0 && sessions > 0 && left < ids.len(), "some reached the daemon");
}

#[tokio::test]
async fn an_action_that_the_store_rejects_has_no_row() {
    let server = Server::start().await;
    let stranger = "01932b5e-0000-7000-8000-000000000000";
    let path = format!("{ENDPOINTS}/{stranger}");
    assert_eq!(server.request("DELETE", &path, &[BOSS]).await.status, 404);
    let trail = trail(&server).await;
    let brief: Vec<_> = trail.iter().map(|row| (&*row.action, &*row.outcome)).collect();
    assert_eq!(brief, [("webhook_endpoint.delete", "endpoint_not_found")]);
    assert_eq!(trail[0].subject, stranger);
}

#[tokio::test]
async fn what_is_refused_before_a_handler_has_a_row_with_its_address() {
    let server = Server::wired(Wiring { requests_per_s: 3, ..Wiring::default() }).await;
    let wrong = ("authorization", "Bearer wrong-token-of-tests");
    assert_eq!(server.request("GET", SESSIONS, &[]).await.status, 401);
    assert_eq!(server.post_to(SESSIONS, b"{}", &[READER]).await.status, 403);
    assert_eq!(server.post_to(ENDPOINTS, b"{", &[BOSS]).await.status, 400);
    let long = vec![b' '; 20_000];
    assert_eq!(server.post_to(ENDPOINTS, &long, &[BOSS]).await.status, 413);
    assert_eq!(server.post(b"{}", &[]).await.status, 401);
    while server.request("GET", SESSIONS, &[READER]).await.status != 429 {}
    assert_eq!(server.request("DELETE", &format!("{SESSIONS}/x"), &[wrong]).await.status, 401);
    let trail = trail(&server).await;
    let mut brief: Vec<_> =
        trail.iter().map(|row| (&*row.actor, &*row.action, &*row.subject, &*row.outcome)).collect();
    brief.reverse();
    let expected = [
        ("anonymous", "api.refused", "GET /api/v1/sdk/sessions", "unauthenticated"),
        ("reader", "api.refused", "POST /api/v1/sdk/sessions", "forbidden"),
        ("boss", "webhook_endpoint.create", "", "malformed"),
        ("boss", "api.refused", "POST /api/v1/webhooks/endpoints", "too_large"),
        ("anonymous", "api.refused", "POST /webhook", "signature_invalid"),
        ("reader", "api.refused", "GET /api/v1/sdk/sessions", "too_many_requests"),
    ];
    assert_eq!(brief, expected);
    assert!(trail.iter().all(|row| row.address.as_deref() == Some("127.0.0.1")));
    server.state.refusals.flush(&server.state.store, 99).await.unwrap();
    let newest = audit::trail(&server.state.store, 1).await.remove(0);
    assert_eq!((&*newest.outcome, newest.at_ms), ("unauthenticated", 99));
    assert_eq!(serde_json::from_str::<Value>(&newest.detail).unwrap()["repeated"], 1);
}

#[tokio::test]
async fn counts_that_cannot_be_written_are_written_later() {
    let server = Server::start().await;
    let refused = async || assert_eq!(server.request("GET", SESSIONS, &[]).await.status, 401);
    let refusals = &server.state.refusals;
    for _ in 0..3 {
        refused().await;
    }
    let closed = TestStore::sqlite().await.store;
    closed.close().await;
    assert!(refusals.flush(&closed, 98).await.is_err());
    refused().await;
    refusals.flush(&server.state.store, 99).await.unwrap();
    let newest = trail(&server).await.remove(0);
    assert_eq!(newest.at_ms, 99);
    assert_eq!(serde_json::from_str::<Value>(&newest.detail).unwrap()["repeated"], 3);
    refusals.flush(&server.state.store, 100).await.unwrap();
    assert_eq!(trail(&server).await[0].at_ms, 99, "each is counted once");
}

#[tokio::test]
async fn a_flood_of_refusals_costs_two_rows_a_minute() {
    let server = Server::start().await;
    for _ in 0..500 {
        assert_eq!(server.request("GET", SESSIONS, &[]).await.status, 401);
    }
    server.state.refusals.flush(&server.state.store, 99).await.unwrap();
    let trail = trail(&server).await;
    assert_eq!(trail.len(), 2);
    assert_eq!(serde_json::from_str::<Value>(&trail[0].detail).unwrap()["repeated"], 499);
}

#[tokio::test]
async fn an_admin_token_reads_the_trail_page_by_page_with_addresses() {
    let server = Server::start().await;
    for number in 1..=3 {
        let body = json!({"platform": "zoom", "meeting_id": number}).to_string();
        assert_eq!(server.post_to(SESSIONS, body.as_bytes(), &[BOSS]).await.status, 201);
    }
    let refused = server.request("GET", "/api/v1/audit", &[READER]).await;
    assert_eq!((refused.status, &*refused.code()), (403, "forbidden"));
    let ask = async |query: &str| {
        let answer = server.request("GET", &format!("/api/v1/audit{query}"), &[BOSS]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"].take()
    };
    let page = ask("?limit=2&action=session.create").await;
    let rows = page["audit"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["actor"], &rows[0]["address"]), (&json!("boss"), &json!("127.0.0.1")));
    let next = page["next"].as_str().unwrap();
    let rest = ask(&format!("?limit=2&action=session.create&before={next}")).await;
    assert_eq!((rest["audit"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    assert_eq!(ask("?actor=reader").await["audit"][0]["outcome"], "forbidden");
    assert_eq!(ask("?actor=nobody").await["audit"], json!([]));
    let answer = server.request("GET", "/api/v1/audit?before=x", &[BOSS]).await;
    assert_eq!((answer.status, &*answer.code()), (422, "invalid_value"));
}

/// Every operation of the document that takes a token and may have a body.
async fn operations(server: &Server) -> Vec<(String, String)> {
    let session = server.start_stream("m1==", "s1").await.session_id.to_string();
    let document = server.request("GET", "/openapi.json", &[]).await.json();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            if ["post", "patch"].contains(&&**method) {
                let path = path.replace("{id}", &session);
                let path = path.replace("{delivery}", "evt_1").replace("{app}", "video");
                found.push((method.to_uppercase(), path));
            }
        }
    }
    assert!(found.len() > 12, "{found:?}");
    found
}

#[tokio::test]
async fn a_body_that_comes_slowly_is_a_408_wherever_one_is_taken() {
    let timeouts = Duration::from_millis(200);
    let server = Server::start_with(Default::default(), timeouts).await;
    for (method, path) in operations(&server).await {
        let mut request = head(&method, &path, &[BOSS, ("content-length", "100")]);
        request.push(b'{');
        let answer = exchange(server.address, &request).await;
        assert_eq!((answer.status, &*answer.code()), (408, "body_timeout"), "{method} {path}");
    }
}

#[tokio::test]
async fn every_post_with_a_token_supports_an_idempotency_key() {
    let server = Server::start().await;
    let key = ("idempotency-key", "the-key");
    for (method, path) in operations(&server).await {
        if method != "POST" || path.starts_with("/webhook") {
            continue;
        }
        let first = server.post_to(&path, b"{}", &[BOSS, key]).await;
        let again = server.post_to(&path, b"{}", &[BOSS, key]).await;
        let replayed = again.header("idempotency-replayed").is_some();
        assert!(replayed || first.json()["error"]["retryable"] == true, "{path}: {}", first.text());
        let other = server.post_to(&path, b"{\"a\": 1}", &[BOSS, key]).await;
        assert!(!replayed || other.code() == "idempotency_key_reused", "{path}: {}", other.text());
    }
}

#[tokio::test]
async fn an_answer_with_a_secret_is_repeated_and_stored_only_sealed() {
    let server = Server::start().await;
    let key = ("idempotency-key", "the-key");
    let body = br#"{"url": "https://example.com/"}"#;
    let made = server.post_to(ENDPOINTS, body, &[BOSS, key]).await;
    let again = server.post_to(ENDPOINTS, body, &[BOSS, key]).await;
    assert_eq!((made.status, made.json()), (201, again.json()));
    let id = made.json()["data"]["endpoint"]["id"].as_str().unwrap().to_owned();
    let rotate = format!("{ENDPOINTS}/{id}/rotate-secret");
    let rotated = server.post_to(&rotate, b"", &[BOSS, key]).await;
    assert_eq!(server.post_to(&rotate, b"", &[BOSS, key]).await.json(), rotated.json());
    let stream = server.start_stream("m1==", "s1").await;
    let path = format!("{SESSIONS}/{}/events", stream.session_id);
    let body = json!({ "path": path }).to_string();
    let tickets = "/api/v1/tickets";
    let ticket = server.post_to(tickets, body.as_bytes(), &[READER, key]).await;
    assert_eq!(ticket.status, 201);
    let again = server.post_to(tickets, body.as_bytes(), &[READER, key]).await;
    assert_eq!(ticket.json(), again.json());
    let secrets = [&made.json(), &rotated.json()].map(|it| it["data"]["secret"].clone());
    let mut secrets: Vec<String> = secrets.map(|it| it.as_str().unwrap().to_owned()).into();
    secrets.push(ticket.json()["data"]["ticket"].as_str().unwrap().to_owned());
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    assert_eq!(words::in_files(server.folder.path(), &secrets), [""; 0]);
    // The stored answer about a session is deleted with it.
    server.end_stream("m1==", &stream).await;
    let session = format!("{SESSIONS}/{}", stream.session_id);
    assert_eq!(server.request("DELETE", &session, &[BOSS]).await.status, 202);
    while server.state.store.delete_some(0).await.unwrap() {}
    let gone = server.post_to(tickets, body.as_bytes(), &[READER, key]).await;
    assert_eq!((gone.status, &*gone.code()), (410, "idempotency_answer_deleted"));
    // A sealed answer is deleted with the key that sealed it.
    let forgotten = server.state.store.forget_answers_sealed_otherwise("v1.other.").await.unwrap();
    assert_eq!(forgotten, 2);
    assert_eq!(server.post_to(&rotate, b"", &[BOSS, key]).await.status, 410);
}

#[tokio::test]
async fn the_trail_is_filtered_by_session_outcome_app_and_time() {
    let server = Server::start().await;
    let make = async |meeting: u64| {
        let body = json!({"platform": "zoom", "meeting_id": meeting}).to_string();
        let made = server.post_to(SESSIONS, body.as_bytes(), &[BOSS]).await.json();
        made["data"]["session"]["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (make(1001).await, make(1002).await);
    let found = async |query: &str| {
        let path = format!("/api/v1/audit?{query}");
        let rows = server.request("GET", &path, &[BOSS]).await.json();
        let rows =
            rows["data"]["audit"].as_array().unwrap_or_else(|| panic!("{query}: {rows}")).clone();
        rows.iter().map(|row| row["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, [second.clone(), first.clone()]);
    assert_eq!(found(&format!("session={first}")).await, [first.as_str()]);
    assert_eq!(found(&format!("session={}", second.to_uppercase())).await, [second.as_str()]);
    assert_eq!(found(&format!("subject={second}&action=session.create")).await, [second.as_str()]);
    assert_eq!(found("outcome=ok&app=default").await.len(), 2);
    assert_eq!(found("outcome=refused").await, [""; 0]);
    assert_eq!(found("app=acme").await, [""; 0]);
    let at_ms = audit::trail(&server.state.store, 1).await[0].at_ms;
    assert_eq!(found(&format!("from={at_ms}")).await.first(), Some(&second));
    assert_eq!(found(&format!("to={}", at_ms + 1)).await.len(), 2);
    assert_eq!(found(&format!("from={}", at_ms + 1)).await, [""; 0]);
    assert_eq!(found("to=2000-01-01T00:00:00Z").await, [""; 0]);
    assert_eq!(found("from=2000-01-01T00:00:00%2B01:00").await.len(), 2);
    assert_eq!(found("to=&session=").await.len(), 2, "an empty one is none");
    for (query, field) in [("from=yesterday", "from"), ("session=x", "session")] {
        let refused = server.request("GET", &format!("/api/v1/audit?{query}"), &[BOSS]).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(refused.text().contains(field), "{}", refused.text());
    }
}
