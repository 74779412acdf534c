//! Tickets: for one resource, once, with the permissions of their token.

use std::sync::atomic::{AtomicI64, Ordering};

use rtmsd::model::{RecordedFile, RecordingId, Speaker, SpoolId, StreamRecord};
use rtmsd::store::NewRecording;
use serde_json::{Value, json};
use uuid::Uuid;

use super::server::{NOW_S, READER, Server, Wiring};
use crate::install::daemon::Daemon;
use crate::simulator::kit::http;
use crate::support::client::{Answer, SseClient};
use crate::support::postgres;
use crate::support::websocket::WebSocket;
use crate::support::zoom::FakeZoom;

pub(super) const TICKETS: &str = "/api/v1/tickets";
const MINUTE_MS: i64 = 60_000;

pub(super) fn session_path(stream: &StreamRecord, rest: &str) -> String {
    format!("/api/v1/sdk/sessions/{}/{rest}", stream.session_id)
}

/// Stores a finished recording with one file, as the end of a stream leaves it. Returns the file's path in the API.
pub(super) async fn record(
    server: &Server,
    stream: &StreamRecord,
    content: &[u8],
    playing_ms: i64,
) -> String {
    let (id, spool) = (RecordingId(Uuid::now_v7()), SpoolId(Uuid::from_u128(1)));
    let (session_id, stream_id) = (stream.session_id, &stream.stream_id);
    let new = NewRecording { id, session_id, stream_id, ordinal: 1, spool, started_at_ms: 5 };
    let file = RecordedFile {
        name: "ana.wav".into(),
        api_name: "1-ana.wav".into(),
        path: "a/ana.wav".into(),
        medium: "audio".into(),
        speaker: Speaker::default(),
        content_type: "audio/wav".into(),
        bytes: content.len() as u64,
        sha256: "ab".into(),
        first_ms: Some(1000),
        last_ms: Some(1000 + playing_ms),
    };
    let folder = server.folder.path().join("recordings/a");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ana.wav"), content).unwrap();
    let (store, files) = (&server.state.store, [file]);
    let recording = store.begin_recording(&new).await.unwrap();
    store.write_recorded_files(&recording, &files).await.unwrap();
    assert!(store.finish_recording(&recording, &files, 9).await.unwrap());
    assert!(store.store_recording(&recording, &files, 9).await.unwrap());
    session_path(stream, "recordings/1-ana.wav")
}

async fn ask(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.post_to(TICKETS, json!({ "path": path }).to_string().as_bytes(), headers).await
}

/// The path with a new ticket.
async fn with_ticket(server: &Server, path: &str) -> String {
    let answer = ask(server, path, &[READER]).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["data"]["url"].as_str().unwrap().to_owned()
}

#[track_caller]
fn check_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (401, "ticket_refused"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

async fn get(server: &Server, path: &str) -> Answer {
    server.request("GET", path, &[]).await
}

#[tokio::test]
async fn a_ticket_opens_a_sessions_events_once() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let path = session_path(&stream, "events");
    let answer = ask(&server, &path, &[READER]).await.json();
    let data = &answer["data"];
    assert_eq!(data["expires_at_ms"], NOW_S * 1000 + MINUTE_MS);
    assert_eq!(data["window_ms"], 0);
    assert_eq!(data["url"], format!("{path}?ticket={}", data["ticket"].as_str().unwrap()));
    let url = format!("{}&kinds=transcript", data["url"].as_str().unwrap());
    let (status, _events) = SseClient::open(server.address, &url, &[]).await;
    assert_eq!(status, 200);
    check_refused(&get(&server, &url).await);
}

#[tokio::test]
async fn a_ticket_opens_a_live_socket_once() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    for path in [session_path(&stream, "live"), "/api/v1/live".to_owned()] {
        let url = format!("{}&media=audio", with_ticket(&server, &path).await);
        let Ok(mut socket) = WebSocket::open(server.address, &url, &[]).await else { panic!() };
        assert_eq!(socket.text().await["type"], "hello");
        let Err(again) = WebSocket::open(server.address, &url, &[]).await else { panic!() };
        check_refused(&again);
    }
}

#[tokio::test]
async fn one_of_many_concurrent_uses_of_a_ticket_is_admitted() {
    let server = Server::start().await;
    let url = with_ticket(&server, "/api/v1/live").await;
    let all = futures_util::future::join_all((0..20).map(|_| get(&server, &url))).await;
    // Admitted, and then refused because this is a WebSocket.
    assert_eq!(all.iter().filter(|answer| answer.status == 426).count(), 1);
    assert_eq!(all.iter().filter(|answer| answer.status == 401).count(), 19);
}

#[tokio::test]
async fn a_ticket_opens_nothing_but_its_path_and_is_not_used_up_elsewhere() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let other = server.start_stream("m2==", "s2").await;
    let path = session_path(&stream, "events");
    let url = with_ticket(&server, &path).await;
    let (_, ticket) = url.split_once('?').unwrap();
    for elsewhere in [
        session_path(&other, "events"),
        session_path(&stream, "live"),
        session_path(&stream, "transcript"),
        session_path(&stream, "recordings"),
        "/api/v1/live".to_owned(),
        "/api/v1/sdk/sessions".to_owned(),
        "/api/v1/zoom/installations".to_owned(),
    ] {
        let answer = get(&server, &format!("{elsewhere}?{ticket}")).await;
        assert_eq!(answer.status, 401, "{elsewhere}");
    }
    let answer = server.send("POST", &url, b"", &[]).await;
    assert_eq!(answer.status, 405, "a method that the path does not have");
    let url = with_ticket(&server, &path).await;
    assert_eq!(SseClient::open(server.address, &url, &[]).await.0, 200);
}

#[tokio::test]
async fn a_ticket_lasts_a_minute() {
    static CLOCK_MS: AtomicI64 = AtomicI64::new(NOW_S * 1000);
    let now_ms = || CLOCK_MS.load(Ordering::Relaxed);
    let server = Server::wired(Wiring { now_ms, ..Wiring::default() }).await;
    let [early, late] =
        [with_ticket(&server, "/api/v1/live").await, with_ticket(&server, "/api/v1/live").await];
    CLOCK_MS.fetch_add(MINUTE_MS, Ordering::Relaxed);
    assert_eq!(get(&server, &early).await.status, 426);
    CLOCK_MS.fetch_add(1, Ordering::Relaxed);
    check_refused(&get(&server, &late).await);
    check_refused(&get(&server, &early).await);
}

#[tokio::test]
async fn a_recordings_ticket_is_valid_for_its_playing_time_and_ten_minutes() {
    static CLOCK_MS: AtomicI64 = AtomicI64::new(NOW_S * 1000);
    let now_ms = || CLOCK_MS.load(Ordering::Relaxed);
    let server = Server::wired(Wiring { now_ms, ..Wiring::default() }).await;
    let stream = server.start_stream("m1==", "s1").await;
    let path = record(&server, &stream, b"0123456789", 30 * MINUTE_MS).await;
    let (used, unused) = (with_ticket(&server, &path).await, with_ticket(&server, &path).await);
    for (range, part) in [("bytes=0-", "0123456789"), ("bytes=7-", "789"), ("bytes=2-3", "23")] {
        let answer = server.request("GET", &used, &[("range", range)]).await;
        assert_eq!((answer.status, answer.text()), (206, part));
        CLOCK_MS.fetch_add(13 * MINUTE_MS, Ordering::Relaxed);
    }
    check_refused(&get(&server, &unused).await);
    CLOCK_MS.fetch_add(MINUTE_MS - 1, Ordering::Relaxed);
    assert_eq!(get(&server, &used).await.status, 200);
    CLOCK_MS.fetch_add(1, Ordering::Relaxed);
    check_refused(&get(&server, &used).await);
    let pruned = server.state.store.prune_tickets(now_ms() + 5 * MINUTE_MS).await.unwrap();
    assert_eq!(pruned, 1, "only used tickets are remembered");
}

#[tokio::test]
async fn a_ticket_needs_an_existing_resource_and_a_token_that_may_read_it() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let unknown = "/api/v1/sdk/sessions/01932b5e-0000-7000-8000-000000000000/live";
    for (path, status, code) in [
        (unknown, 404, "session_not_found"),
        (&*session_path(&stream, "recordings/x.wav"), 404, "recording_not_found"),
        (&session_path(&stream, "transcript"), 422, "invalid_value"),
        (&session_path(&stream, "events?after=1:1"), 422, "invalid_value"),
        ("/api/v1/zoom/installations", 422, "invalid_value"),
    ] {
        let answer = ask(&server, path, &[READER]).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    let live = "/api/v1/live";
    assert_eq!(ask(&server, live, &[]).await.status, 401);
    let control_only = [("authorization", "Bearer control-token-of-tests")];
    assert_eq!(ask(&server, live, &control_only).await.code(), "forbidden");
    for body in ["", "{}", r#"{"path":7}"#, r#"{"path":"/api/v1/live","scope":"admin"}"#] {
        let answer = server.post_to(TICKETS, body.as_bytes(), &[READER]).await;
        assert!([400, 422].contains(&answer.status), "{body}");
    }
    let url = with_ticket(&server, live).await;
    let ticket = url.split_once('?').unwrap().1;
    let answer = server.post_to(&format!("{TICKETS}?{ticket}"), b"{}", &[]).await;
    assert_eq!(answer.status, 401, "a ticket cannot create a ticket");
}

#[tokio::test]
async fn a_token_takes_precedence_and_an_invalid_ticket_is_refused() {
    let server = Server::start().await;
    let url = with_ticket(&server, "/api/v1/live").await;
    assert_eq!(server.request("GET", &url, &[READER]).await.status, 426);
    let wrong = [("authorization", "Bearer wrong")];
    assert_eq!(server.request("GET", &url, &wrong).await.code(), "unauthenticated");
    assert_eq!(get(&server, &url).await.status, 426, "it was not used");
    let long = "A".repeat(3000);
    for text in ["", "x", "%00", "read-token-of-tests", &long] {
        check_refused(&get(&server, &format!("/api/v1/live?ticket={text}")).await);
    }
}

#[tokio::test]
async fn a_ticket_counts_toward_its_tokens_rate() {
    let server = Server::wired(Wiring { requests_per_s: 2, ..Wiring::default() }).await;
    let url = with_ticket(&server, "/api/v1/live").await;
    assert_eq!(get(&server, &url).await.status, 426);
    assert_eq!(get(&server, &url).await.status, 429);
}

/// A daemon on this Postgres, with these API tokens.
async fn daemon(zoom: &FakeZoom, database: &str, tokens: &str) -> Daemon {
    Daemon::start_with(zoom, &[("DATABASE_URL", database), ("API_TOKENS", tokens)]).await
}

#[tokio::test]
async fn a_ticket_works_once_on_all_daemons_together_and_ends_with_its_token() {
    let zoom = FakeZoom::start().await;
    let database = postgres::fresh_database().await;
    let tokens = "reader:read-token-of-tests:read";
    let one = daemon(&zoom, &database, tokens).await;
    let other = daemon(&zoom, &database, tokens).await;
    let url = async || {
        let body = json!({"path": "/api/v1/live"});
        let request = http().post(format!("http://{}{TICKETS}", one.address)).json(&body);
        let answer = request.bearer_auth("read-token-of-tests").send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["data"]["url"].as_str().unwrap().to_owned()
    };
    let first = url().await;
    let all = (0..10).flat_map(|_| [&one, &other]).map(|daemon| daemon.request("GET", &first, &[]));
    let all = futures_util::future::join_all(all).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 426).count(), 1);
    assert_eq!(all.iter().filter(|answer| answer.status == 401).count(), 19);
    let second = url().await;
    for (tokens, status) in [
        ("reader:another-token-of-tests:read", 401),
        ("somebody:read-token-of-tests:read", 401),
        ("reader:read-token-of-tests:control", 403),
        (tokens, 426),
    ] {
        let changed = daemon(&zoom, &database, tokens).await;
        assert_eq!(changed.request("GET", &second, &[]).await.status, status, "{tokens}");
    }
}

/// Tickets can be created for exactly the paths that accept them, and the document lists them.
#[tokio::test]
async fn the_document_names_the_paths_that_take_a_ticket() {
    let server = Server::start().await;
    let document: Value = get(&server, "/openapi.json").await.json();
    let takes = |operation: &Value| {
        operation["security"]
            .as_array()
            .is_some_and(|all| all.iter().any(|it| !it["ticket"].is_null()))
    };
    let paths = document["paths"].as_object().unwrap();
    let with_ticket: Vec<_> = paths
        .iter()
        .filter(|(_, operations)| takes(&operations["get"]))
        .map(|(path, _)| path)
        .collect();
    let session = "/api/v1/sdk/sessions/{id}";
    let expected = [
        "/api/v1/live".to_owned(),
        format!("{session}/events"),
        format!("{session}/live"),
        format!("{session}/recordings/{{file}}"),
    ];
    assert_eq!(with_ticket, expected.iter().collect::<Vec<_>>());
}
