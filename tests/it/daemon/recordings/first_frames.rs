//! The first frames of a stream may come in one segment with the answer to the handshake.

use std::time::Duration;

use rtmsd::clock::now_ms;
use serde_json::{Value, json};

use super::super::peer::{Peer, PeerSocket};
use super::kit::*;
use crate::support::kit::{Home, Log, TestDaemon, send_webhook, started, stopped};

const FRAMES: i64 = 5;

/// A frame of 20 ms of L16 at 16 kHz that is not silent.
fn frame(at_ms: i64) -> Value {
    let data = "AQID".repeat(640 / 3) + "AQ==";
    json!({ "msg_type": 14, "content":
        { "user_id": 7, "user_name": "Ana", "timestamp": at_ms, "data": data } })
}

/// Joins a stream of which the first frames follow the handshake's answer at once.
async fn join(daemon: &TestDaemon) -> (Log, [PeerSocket; 2]) {
    let (mut signaling, mut media) = (Peer::listen().await, Peer::listen().await);
    assert_eq!(send_webhook(daemon.address, &started("first", &signaling.url())).await, 200);
    let log = Log::follow(daemon.api(), "first").await;
    let mut first = signaling.accept().await;
    first.welcome(&media.url()).await;
    let mut second = media.accept().await;
    assert_eq!(second.hear().await["msg_type"], 3);
    let begins_ms = now_ms();
    let mut messages = vec![json!({ "msg_type": 4, "status_code": 0, "media_params": {} })];
    messages.extend((0..FRAMES).map(|number| frame(begins_ms + number * FRAME_MS as i64)));
    second.say_together(&messages).await;
    (log, [first, second])
}

#[tokio::test]
async fn frames_that_come_with_the_handshakes_answer_are_recorded() {
    let home = recording_of(Home::sqlite(), "audio");
    let mut home = home.set("MEDIA_SOCKET_CONNECTION_MODE", "unified");
    // The test's peer sends no keep-alives.
    home.timings.silence = Duration::from_secs(60);
    let daemon = TestDaemon::start(&home).await;
    let (log, _sockets) = join(&daemon).await;
    log.entries("link_up", 2).await;
    assert_eq!(send_webhook(daemon.address, &stopped("first", 6)).await, 200);
    let page = log.over().await;
    let recorded = recorded(daemon.api(), log.session_id(), "stored").await;
    let files = recorded.checked().await;
    assert_eq!(sounding_frames(&files["1-audio-7.wav"]) as i64, FRAMES, "{:#?}", page.outline());
}
