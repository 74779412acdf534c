//! Limits on wrong API tokens from one address.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use super::server::{READER, Server};
use crate::support::client::{Answer, head, read_answer};

const SESSIONS: &str = "/api/v1/sdk/sessions";
const BOSS: (&str, &str) = ("authorization", "Bearer boss-token-of-tests");
const ELSEWHERE: &str = "127.0.0.2:0";

async fn ask_from(server: &Server, address: &str, header: (&str, &str)) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address.parse::<SocketAddr>().unwrap()).unwrap();
    let mut socket = socket.connect(server.address).await.unwrap();
    socket.write_all(&head("GET", SESSIONS, &[header])).await.unwrap();
    read_answer(&mut socket).await
}

#[tokio::test]
async fn guesses_of_an_address_are_slowed_down_and_its_known_tokens_go_on() {
    let server = Server::start().await;
    assert_eq!(server.request("GET", SESSIONS, &[READER]).await.status, 200);
    let mut statuses = Vec::new();
    for guess in 0..40 {
        let guess = format!("Bearer wrong-token-number-{guess}");
        let answer = server.request("GET", SESSIONS, &[("authorization", &guess)]).await;
        if answer.status == 429 {
            assert_eq!(answer.code(), "too_many_failures");
            assert!(answer.header("retry-after").is_some_and(|wait| wait != "0"));
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..20], [401; 20]);
    // One every five seconds may pass.
    assert!(statuses[20..].iter().filter(|status| **status == 401).count() < 5, "{statuses:?}");
    assert_eq!(
        server.request("GET", SESSIONS, &[READER]).await.status,
        200,
        "it was used from here before"
    );
    let guessed = server.request("GET", SESSIONS, &[BOSS]).await;
    assert_eq!(
        (guessed.status, &*guessed.code()),
        (429, "too_many_failures"),
        "a valid token also counts as a guess"
    );
    assert_eq!(ask_from(&server, ELSEWHERE, BOSS).await.status, 200, "another address");
}

#[tokio::test]
async fn requests_without_a_token_do_not_count_as_guesses() {
    let server = Server::start().await;
    for _ in 0..40 {
        assert_eq!(server.request("GET", SESSIONS, &[]).await.status, 401);
    }
    assert_eq!(server.request("GET", SESSIONS, &[BOSS]).await.status, 200);
}
