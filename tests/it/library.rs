//! The library for other programs: the example drives a stream of the simulator with its own sockets.

use rtmsd::simulator::{Settings, ZoomApp, start};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::kit::TIMEOUT;

#[path = "../../examples/own_sockets.rs"]
#[expect(dead_code, reason = "its main is the example's")]
mod own_sockets;

#[tokio::test]
async fn the_example_receives_a_transcript_with_its_own_sockets() {
    let webhooks = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", webhooks.local_addr().unwrap());
    let app = ZoomApp { webhook_url: Some(url), ..ZoomApp::default() };
    let settings = Settings { app, speed: 20.0, ..Settings::default() };
    let simulator = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let simulator = start(settings, simulator).await.unwrap();
    let mut printed = Vec::new();
    timeout(TIMEOUT, own_sockets::run(webhooks, |line| printed.push(line))).await.unwrap();
    let report = simulator.shutdown().await;
    let sent = report.streams[0].media["transcript"].frames;
    assert!(sent > 5, "{report:?}");
    let lines = printed.iter().filter(|line| !line.starts_with('(')).count() as u64;
    assert_eq!(lines, sent, "{printed:?}");
    assert_eq!(printed.last().map(String::as_str), Some("(the stream has ended: stopped)"));
    assert!(report.is_clean(), "{report:?}");
}
