//! The limits of connections: headers, bodies, silence, slots and the shutdown.

use std::time::Duration;

use futures_util::future::join_all;
use rtmsd::http::server::Limits;
use rtmsd::model::EntryBody;
use rtmsd::zoom::app::Quotas;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::server::{READER, Server, Wiring};
use super::tickets::{record, session_path};
use crate::support::client::{Answer, SseClient, TIMEOUT, exchange, head, read_answer};
use crate::support::wait::eventually;

const BOSS: (&str, &str) = ("authorization", "Bearer boss-token-of-tests");

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

fn limits(header_timeout: Duration) -> Limits {
    Limits { header_timeout, ..Limits::default() }
}

/// Reads until the server ends the connection in any way.
async fn closed(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(TIMEOUT, socket.read_to_end(&mut bytes)).await;
    let _ = read.expect("the server closes");
    bytes
}

#[tokio::test]
async fn a_slow_header_is_cut_off_even_if_bytes_keep_arriving() {
    let server = Server::start_with(limits(SHORT), LONG).await;
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (mut reading, mut writing) = socket.into_split();
    let trickle = tokio::spawn(async move {
        writing.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    });
    let mut answer = Vec::new();
    let _ = timeout(TIMEOUT, reading.read_to_end(&mut answer)).await.expect("it is cut off");
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    drop(reading);
    timeout(TIMEOUT, trickle).await.expect("writes fail").unwrap();
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let server = Server::start_with(limits(SHORT), LONG).await;
    let mut fresh = TcpStream::connect(server.address).await.unwrap();
    closed(&mut fresh).await;
    let mut kept_alive = TcpStream::connect(server.address).await.unwrap();
    kept_alive.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(closed(&mut kept_alive).await.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_missing_body_is_a_408() {
    let server = Server::start_with(limits(LONG), SHORT).await;
    let mut request = head("POST", "/webhook", &[("content-length", "100")]);
    request.push(b'{');
    let answer = exchange(server.address, &request).await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "body_timeout"));
}

#[tokio::test]
async fn too_many_headers_or_too_long_ones_are_refused() {
    let server = Server::start().await;
    let many = vec![("x-one", "1"); 200];
    let long = "x".repeat(100_000);
    for request in [head("GET", "/health/live", &many), head("GET", "/", &[("x-long", &long)])] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let _ = socket.write_all(&request).await;
        let bytes = closed(&mut socket).await;
        // Unread parts of a request may reset the connection before the answer is read.
        assert!(Answer::parse(&bytes).is_none_or(|answer| answer.status == 431));
    }
    assert_eq!(server.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn a_connection_without_a_first_byte_is_closed_early() {
    let limits = Limits { first_byte_timeout: SHORT, ..limits(LONG) };
    let server = Server::start_with(limits, LONG).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(closed(&mut silent).await, b"");
    let mut begun = TcpStream::connect(server.address).await.unwrap();
    begun.write_all(b"GET /health").await.unwrap();
    assert!(timeout(2 * SHORT, begun.read(&mut [0])).await.is_err(), "it has sent its first byte");
}

/// A server with patient timeouts and few slots.
async fn crowded() -> Server {
    let limits = Limits { connections: 4, first_byte_timeout: LONG, ..limits(LONG) };
    Server::start_with(limits, LONG).await
}

/// Many more connections than a crowded server has slots.
const CROWD: usize = 100;

async fn crowd(server: &Server, says: &[u8]) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        // An early one may have lost its slot already.
        let _ = socket.write_all(says).await;
        crowd.push(socket);
    }
    crowd
}

#[tokio::test]
async fn silent_connections_keep_no_webhook_out() {
    let server = crowded().await;
    let _silent = crowd(&server, b"").await;
    assert_eq!(server.webhook(b"{\"event\":\"x\"}").await.status, 200);
    assert_eq!(server.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn a_burst_of_more_webhooks_than_slots_is_answered_whole() {
    let server = crowded().await;
    let posts = (0..5 * CROWD).map(|number| {
        let server = &server;
        async move {
            let body = format!("{{\"event\":\"x\",\"number\":{number}}}");
            server.webhook(body.as_bytes()).await.status
        }
    });
    let statuses = join_all(posts).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test]
async fn half_requests_keep_no_webhook_out() {
    let server = crowded().await;
    let half_head = b"POST /webhook HTTP/1.1\r\nhost: x\r\n";
    let _slow = crowd(&server, half_head).await;
    assert_eq!(server.webhook(b"{\"event\":\"x\"}").await.status, 200);
    let half_body = [head("POST", "/webhook", &[("content-length", "9")]), b"{".to_vec()].concat();
    let _slow = crowd(&server, &half_body).await;
    assert_eq!(server.webhook(b"{\"event\":\"y\"}").await.status, 200);
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_and_webhooks_and_health_still_answered() {
    let server = crowded().await;
    let stream = server.start_stream("m1==", "s1").await;
    let path = format!("/api/v1/sdk/sessions/{}/events", stream.session_id);
    let mut answered = Vec::new();
    for _ in 0..4 {
        let (status, events) = SseClient::open(server.address, &path, &[READER]).await;
        assert_eq!(status, 200);
        answered.push(events);
    }
    let _silent = crowd(&server, b"").await;
    assert_eq!(server.webhook(b"{\"event\":\"x\"}").await.status, 200);
    let refused = server.get("/api/v1/sdk/sessions").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), Some("2"));
    assert_eq!(server.get("/health/live").await.status, 200);
    let mut feed = server.feed(&stream);
    feed.note(None, EntryBody::Moved {});
    for events in &mut answered {
        assert_eq!(events.next().await.unwrap().event, "moved", "a running answer continues");
    }
}

#[tokio::test]
async fn a_stop_lets_a_running_request_finish_and_accepts_no_others() {
    let server = Server::start().await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let mut running = TcpStream::connect(server.address).await.unwrap();
    let mut request = head("POST", "/webhook", &[("content-length", "2")]);
    request.push(b'{');
    running.write_all(&request).await.unwrap();
    // If a later connection is served, the one before it was accepted.
    assert_eq!(server.get("/health/live").await.status, 200);
    let address = server.address;
    let stopping = tokio::spawn(server.stopped());
    eventually("it stops listening", async || TcpStream::connect(address).await.err()).await;
    running.write_all(b"}").await.unwrap();
    let answer = timeout(TIMEOUT, read_answer(&mut running)).await.expect("an answer");
    assert_eq!(answer.status, 401);
    stopping.await.unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_request_that_outlasts_the_grace_is_cut() {
    let server = Server::start_with(Limits { grace: SHORT, ..limits(LONG) }, LONG).await;
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    let request = head("POST", "/webhook", &[("content-length", "2")]);
    stuck.write_all(&request).await.unwrap();
    assert_eq!(server.get("/health/live").await.status, 200);
    server.stopped().await;
    assert!(closed(&mut stuck).await.is_empty());
}

/// A connection that has asked for a file and reads no more than the head of the answer.
async fn stalled(server: &Server, path: &str, header: (&str, &str)) -> (u16, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(server.address).await.unwrap();
    socket.write_all(&head("GET", path, &[header])).await.unwrap();
    let mut start = [0; 12];
    timeout(TIMEOUT, socket.read_exact(&mut start)).await.unwrap().unwrap();
    (std::str::from_utf8(&start[9..]).unwrap().parse().unwrap(), socket)
}

#[tokio::test]
async fn downloads_are_bounded_for_each_token_and_keep_no_webhook_out() {
    let limits = Limits { connections: 8, ..limits(LONG) };
    let server = Server::start_with(limits, LONG).await;
    let stream = server.start_stream("m1==", "s1").await;
    let path = record(&server, &stream, &vec![7; 20_000_000], 1000).await;
    let mut reading = Vec::new();
    for _ in 0..3 {
        let (status, socket) = stalled(&server, &path, READER).await;
        assert_eq!(status, 200);
        reading.push(socket);
    }
    let refused = server.get(&path).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "too_many_downloads"));
    let transcript = server.get(&session_path(&stream, "transcript")).await;
    assert_eq!(transcript.code(), "too_many_downloads");
    let (status, other) = stalled(&server, &path, BOSS).await;
    assert_eq!(status, 200, "another token has a share of its own");
    assert_eq!(server.webhook(b"{\"event\":\"x\"}").await.status, 200);
    drop((reading, other));
    let is_free = async {
        while server.get(&session_path(&stream, "transcript")).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, is_free).await.expect("a client that is gone returns its permit");
}

#[tokio::test]
async fn a_stalled_download_is_closed_for_another_request_when_places_run_short() {
    let limits = Limits { connections: 2, ..limits(LONG) };
    let server = Server::start_with(limits, LONG).await;
    let stream = server.start_stream("m1==", "s1").await;
    let path = record(&server, &stream, &vec![7; 20_000_000], 1000).await;
    let (status, mut download) = stalled(&server, &path, READER).await;
    assert_eq!(status, 200);
    let events = session_path(&stream, "events");
    let (status, _events) = SseClient::open(server.address, &events, &[READER]).await;
    assert_eq!(status, 200);
    eventually("the stalled download makes room", async || {
        (server.get("/api/v1/sdk/sessions").await.status == 200).then_some(())
    })
    .await;
    assert!(closed(&mut download).await.len() < 20_000_000, "it is cut");
}

#[tokio::test]
async fn an_app_over_its_quota_of_requests_gets_429_and_another_does_not() {
    let quotas = Quotas { api_rate_per_s: Some(2), ..Quotas::default() };
    let server = Server::wired(Wiring { quotas, ..Wiring::default() }).await;
    let get = async |token: &str| {
        let token = format!("Bearer {token}");
        server.request("GET", "/api/v1/sdk/sessions", &[("authorization", &token)]).await
    };
    let mut answers = Vec::new();
    for _ in 0..30 {
        answers.push(get("acme-token-of-tests").await);
        assert_eq!(get("default-token-of-tests").await.status, 200);
    }
    let refused = answers.iter().find(|answer| answer.status == 429).expect("a refusal");
    assert_eq!(answers[0].status, 200);
    assert_eq!(refused.header("retry-after"), Some("1"));
}
