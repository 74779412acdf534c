use std::time::Duration;

use rtmsd::http::server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{Answer, PATIENCE, exchange, head, read_answer};
use super::server::Server;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

fn limits(header_timeout: Duration) -> Limits {
    Limits { header_timeout, ..Limits::default() }
}

/// Reads until the server ends the connection, however it does.
async fn closed(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut bytes)).await;
    let _ = read.expect("the server closes");
    bytes
}

#[tokio::test]
async fn a_header_that_comes_slowly_is_cut_off_although_bytes_keep_coming() {
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
    let _ = timeout(PATIENCE, reading.read_to_end(&mut answer)).await.expect("it is cut off");
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    drop(reading);
    timeout(PATIENCE, trickle).await.expect("writes fail").unwrap();
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
async fn a_body_that_does_not_come_is_a_408() {
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
        // The rest of an unread request may reset the connection before the answer is read.
        assert!(Answer::parse(&bytes).is_none_or(|answer| answer.status == 431));
    }
    assert_eq!(server.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn a_connection_over_the_cap_waits_until_another_ends() {
    let capped = Limits { connections: 2, ..limits(LONG) };
    let server = Server::start_with(capped, LONG).await;
    let first = TcpStream::connect(server.address).await.unwrap();
    let _second = TcpStream::connect(server.address).await.unwrap();
    let mut third = TcpStream::connect(server.address).await.unwrap();
    third.write_all(&head("GET", "/health/live", &[])).await.unwrap();
    assert!(timeout(SHORT, third.readable()).await.is_err(), "the third was served");
    drop(first);
    let answer = timeout(PATIENCE, read_answer(&mut third)).await.expect("the third is served");
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_stop_lets_a_running_request_finish_and_takes_no_more() {
    let server = Server::start().await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let mut running = TcpStream::connect(server.address).await.unwrap();
    let mut request = head("POST", "/webhook", &[("content-length", "2")]);
    request.push(b'{');
    running.write_all(&request).await.unwrap();
    // A later connection that is served shows that the one before it was accepted.
    assert_eq!(server.get("/health/live").await.status, 200);
    let address = server.address;
    let stopping = tokio::spawn(server.stopped());
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, refused).await.expect("it does not listen any more");
    running.write_all(b"}").await.unwrap();
    let answer = timeout(PATIENCE, read_answer(&mut running)).await.expect("an answer");
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
