//! Streams that cannot be joined end, with the outcome that says why.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::peer::Peer;
use crate::support::kit::{
    Api, Home, Scene, StreamView, TIMEOUT, TestDaemon, Zoom, endless, send_webhook, started, zoom,
};

/// Announces a stream at this URL and waits for its end.
async fn end_of(daemon: &TestDaemon, url: &str) -> StreamView {
    assert_eq!(send_webhook(daemon.address, &started("lost", url)).await, 200);
    let session = daemon.api().session_of("lost").await;
    daemon.api().reaches(&session, "ended").await
}

fn impatient() -> Home {
    let mut home = Home::sqlite();
    home.timings.signaling_window = Duration::from_millis(1_500);
    home.timings.media_window = Duration::from_millis(1_500);
    home.timings.stable = Duration::from_millis(500);
    home
}

#[tokio::test]
async fn a_wrong_client_secret_is_refused_once() {
    let home = Home::sqlite().set("ZOOM_CLIENT_SECRET", "not-the-secret-of-this-app");
    let scene = Scene::open(home, zoom(endless(200))).await;
    assert_eq!(scene.ended().await.end(), ("refused", None));
    let (ended, causes) = why(scene.daemon.api(), scene.log.session_id()).await;
    assert!(ended.contains("status 3"), "{ended}");
    assert!(ended.contains("check ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET"), "{ended}");
    assert!(ended.ends_with(causes[0].as_str().unwrap()), "{ended} {causes:?}");
    let stream = scene.zoom.stream();
    assert_eq!(stream.refusals.into_iter().collect::<Vec<_>>(), [(3, 1)]);
    assert_eq!(stream.signaling_handshakes, 0);
}

#[tokio::test]
async fn a_stream_that_zoom_does_not_know_is_gone() {
    let home = Home::sqlite();
    let daemon = TestDaemon::start(&home).await;
    let zoom = Zoom::open(zoom(endless(200))).await;
    let end = end_of(&daemon, &zoom.simulator.signaling_url()).await;
    assert_eq!(end.end(), ("gone", None));
    let strays = zoom.simulator.report().strays.refusals;
    assert_eq!(strays.into_iter().collect::<Vec<_>>(), [(2, 1)]);
}

#[tokio::test]
async fn a_url_that_is_not_allowed_is_not_dialled() {
    let home = Home::sqlite();
    let daemon = TestDaemon::start(&home).await;
    let end = end_of(&daemon, "wss://rtms.example.org/").await;
    assert_eq!(end.end(), ("url_refused", None));
    let session = daemon.api().session_of("lost").await;
    let (ended, causes) = why(daemon.api(), &session).await;
    assert!(ended.contains("RTMS_ALLOWED_HOSTS"), "{ended}");
    assert!(!ended.contains("rtms.example.org"), "{ended}");
    assert_eq!(causes.len(), 1, "{causes:?}");
}

#[tokio::test]
async fn a_plain_url_without_rtms_allow_ws_is_named_as_the_cause() {
    let home = Home::sqlite().set("RTMS_ALLOW_WS", "false");
    let daemon = TestDaemon::start(&home).await;
    let end = end_of(&daemon, "ws://127.0.0.1:1/").await;
    assert_eq!(end.end(), ("url_refused", None));
    let session = daemon.api().session_of("lost").await;
    let (ended, causes) = why(daemon.api(), &session).await;
    assert!(ended.contains("RTMS_ALLOW_WS") && !ended.contains("RTMS_ALLOWED_HOSTS"), "{ended}");
    assert!(causes[0].as_str().unwrap().contains("RTMS_ALLOW_WS"), "{causes:?}");
}

/// What a session's timeline says of its stream's end, and the causes that it gives.
async fn why(api: Api, session: &str) -> (String, Vec<Value>) {
    let timeline = api.get(&format!("/api/v1/sdk/sessions/{session}/timeline")).await.unwrap();
    let timeline = timeline.json()["data"].clone();
    let moments = timeline["moments"].as_array().unwrap();
    let ended = moments.iter().find(|moment| moment["what"] == "ended").unwrap();
    let causes = timeline["missing"][0]["likely_causes"].as_array().unwrap().clone();
    (ended["detail"].as_str().unwrap().to_owned(), causes)
}

#[tokio::test]
async fn a_dead_url_is_tried_until_the_window_ends() {
    let home = impatient();
    let daemon = TestDaemon::start(&home).await;
    let dead: SocketAddr = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let end = end_of(&daemon, &format!("ws://{dead}/")).await;
    assert_eq!(end.end(), ("window_expired", None));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_tried_until_the_window_ends() {
    let mut home = impatient();
    home.timings.handshake = Duration::from_millis(200);
    let daemon = TestDaemon::start(&home).await;
    let mut peer = Peer::listen().await;
    let url = peer.url();
    let silent = tokio::spawn(async move {
        let mut sockets = Vec::new();
        loop {
            sockets.push(peer.accept().await);
        }
    });
    assert_eq!(end_of(&daemon, &url).await.end(), ("window_expired", None));
    silent.abort();
}

#[tokio::test]
async fn a_server_that_always_accepts_and_drops_is_dialled_with_backoff_and_given_up() {
    let home = impatient();
    let daemon = TestDaemon::start(&home).await;
    let mut peer = Peer::listen().await;
    let url = peer.url();
    let (count, counted) = tokio::sync::watch::channel(0);
    let dropping = tokio::spawn(async move {
        loop {
            peer.accept().await.welcome("ws://127.0.0.1:1/").await;
            count.send_modify(|count| *count += 1);
        }
    });
    assert_eq!(end_of(&daemon, &url).await.end(), ("window_expired", None));
    // At once, and then with waits of up to 0.5, 1, 2 s.
    let dials = *counted.borrow();
    assert!((2..=12).contains(&dials), "{dials} dials");
    dropping.abort();
}

/// What may listen where Zoom should.
#[derive(Debug, Clone, Copy)]
enum Ill {
    HttpRefusal,
    NoHttp,
    Fin,
    Reset,
}

impl Ill {
    async fn treat(self, mut tcp: TcpStream) {
        let answer: &[u8] = match self {
            Self::HttpRefusal => b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            Self::NoHttp => b"220 mail.example.com ESMTP\r\n",
            Self::Fin => b"",
            Self::Reset => return tcp.set_zero_linger().unwrap(),
        };
        let mut head = [0; 1024];
        let _ = tcp.read(&mut head).await;
        let _ = tcp.write_all(answer).await;
    }
}

#[tokio::test]
async fn a_server_that_fails_for_a_while_is_joined_when_it_recovers() {
    let home = Home::sqlite();
    let daemon = TestDaemon::start(&home).await;
    for ill in [Ill::HttpRefusal, Ill::NoHttp, Ill::Fin, Ill::Reset] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let event = started(&format!("{ill:?}"), &url);
        assert_eq!(send_webhook(daemon.address, &event).await, 200);
        for _ in 0..2 {
            let (tcp, _) = timeout(TIMEOUT, listener.accept()).await.expect("a dial").unwrap();
            ill.treat(tcp).await;
        }
        let mut peer = Peer::on(listener);
        assert_eq!(peer.accept().await.hear().await["msg_type"], 1, "{ill:?}");
    }
}

#[tokio::test]
async fn a_server_with_failing_tls_is_tried_again() {
    let home = Home::sqlite();
    let daemon = TestDaemon::start(&home).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    assert_eq!(send_webhook(daemon.address, &started("tls", &url)).await, 200);
    for _ in 0..3 {
        let (mut tcp, _) = timeout(TIMEOUT, listener.accept()).await.expect("a dial").unwrap();
        // An alert instead of a ServerHello: handshake_failure.
        tcp.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.unwrap();
    }
}
