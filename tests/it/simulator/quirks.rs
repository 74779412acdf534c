//! Deviating messages and failing handshakes, which every client must tolerate (section 18).

use std::time::Duration;

use rtmsd::simulator::{
    HandshakeFault, LinkName, MeetingAction, Quirk, Script, Settings, Start, Timings, Validation,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::kit::{Endpoint, Scene, fast, script, script_with, settings, simulate};

async fn open_with(quirks: &[Quirk]) -> Scene {
    let script = Script::load(60);
    Scene::open(Settings { quirks: quirks.to_vec(), script, ..settings() }).await
}

/// Signaling and an audio socket after the ready ack, and the audio socket's message 4.
async fn listen(scene: &Scene) -> (super::kit::Client, super::kit::Client, Value) {
    let (mut signaling, urls) = scene.join().await;
    let (audio, answer) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    signaling.send(&scene.ready()).await;
    (signaling, audio, answer)
}

async fn plan(scene: &Scene, link: LinkName, count: u32, how: HandshakeFault) {
    let verb = MeetingAction::FailHandshakes { link, count, how };
    scene.simulator.perform(scene.meeting_id(), verb).await.unwrap();
}

#[tokio::test]
async fn messages_are_altered_and_a_wrong_echo_is_still_a_breach() {
    let scene = open_with(&[
        Quirk::NoProtocolVersion,
        Quirk::UnknownFields,
        Quirk::TextTimestamps,
        Quirk::TextUserIds,
        Quirk::PayloadEncryption,
    ])
    .await;
    let (mut signaling, mut audio, answer) = listen(&scene).await;
    assert!(answer.get("protocol_version").is_none());
    assert_eq!(answer["payload_encryption"], false);
    assert!(answer["not_yet_known"].is_object());
    let frame = audio.receive_type(14).await["content"].take();
    assert!(frame["timestamp"].is_string() && frame["user_id"].is_string());
    signaling.stop_answering();
    let beat = json!({"msg_type": 13, "timestamp": "1"});
    signaling.send(&beat).await;
    while scene.simulator.report().breaches == 0 {
        audio.receive_type(14).await;
    }
}

#[tokio::test]
async fn a_keep_alive_with_a_string_timestamp_is_echoed_as_one() {
    let timings = Timings { keep_alive_ms: 50, ..Timings::default() };
    let quirks = vec![Quirk::TextTimestamps];
    let scene = Scene::open(Settings { quirks, timings, ..settings() }).await;
    let (mut signaling, _) = scene.join().await;
    while scene.simulator.report().streams[0].keep_alives.answered < 3 {
        assert!(signaling.is_silent_or_answers().await);
    }
    assert!(scene.simulator.report().is_clean());
}

#[tokio::test]
async fn content_may_be_the_base64_string_itself() {
    let scene = open_with(&[Quirk::PlainContent]).await;
    let (_signaling, mut audio, _) = listen(&scene).await;
    assert_eq!(audio.receive_type(14).await["content"].as_str().unwrap().len(), 856);
}

#[tokio::test]
async fn frames_are_binary_or_fragmented_and_a_script_turns_that_off() {
    let script = script_with(json!([
        {"at_ms": 500, "fault": {"kind": "quirk", "name": "binary_frames", "on": false}}
    ]));
    let quirks = vec![Quirk::BinaryFrames];
    let timings = Timings { keep_alive_ms: 300, ..Timings::default() };
    let scene = Scene::open(Settings { quirks, script, timings, ..settings() }).await;
    let mut client = scene.dial_signaling().await;
    client.send(&scene.handshake(1)).await;
    assert!(matches!(client.receive_raw().await, Message::Binary(_)));
    while !matches!(client.receive_raw().await, Message::Text(_)) {}
    let scene = open_with(&[Quirk::FragmentedFrames]).await;
    let (_signaling, mut audio, _) = listen(&scene).await;
    assert_eq!(audio.receive_type(14).await["content"]["length"], 640);
}

#[tokio::test]
async fn a_media_handshake_may_be_refused_in_a_message_2_and_the_socket_left_open() {
    let scene = open_with(&[Quirk::MediaErrorsIn2, Quirk::OpenAfterError]).await;
    let (_signaling, urls) = scene.join().await;
    let mut media = scene.connect(super::kit::media_url(&urls, "audio")).await;
    let mut handshake = scene.handshake(3);
    handshake["media_type"] = 1.into();
    handshake["signature"] = "0".into();
    media.send(&handshake).await;
    let answer = media.receive().await;
    assert_eq!((&answer["msg_type"], &answer["status_code"]), (&json!(2), &json!(3)));
    assert!(media.is_silent_for(Duration::from_millis(300)).await);
}

#[tokio::test]
async fn webhooks_may_be_nested_duplicated_and_renamed() {
    let mut endpoint = Endpoint::good().await;
    let quirks = vec![Quirk::NestedWebhooks, Quirk::DuplicateWebhooks, Quirk::RenamedReasons];
    let simulator = simulate(Settings { quirks, ..settings() }, &endpoint).await;
    let first = endpoint.next("meeting.rtms_started").await;
    let second = endpoint.next("meeting.rtms_started").await;
    assert_eq!(first.raw, second.raw);
    assert_eq!(first.body["payload"]["object"]["meeting_id"], "91234567890");
    simulator.perform("91234567890", MeetingAction::Stop { reason: 8 }).await.unwrap();
    let stopped = endpoint.next("meeting.rtms_stopped").await.body;
    assert_eq!(stopped["payload"]["object"]["reason"], 8);
}

#[tokio::test]
async fn a_stop_may_come_before_its_start() {
    let mut endpoint = Endpoint::good().await;
    let quirks = vec![Quirk::StopBeforeStart];
    let simulator = simulate(Settings { quirks, ..settings() }, &endpoint).await;
    endpoint.next("meeting.started").await;
    simulator.perform("91234567890", MeetingAction::Stop { reason: 6 }).await.unwrap();
    let stopped = endpoint.next("meeting.rtms_stopped").await.body["payload"].take();
    let started = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    assert_eq!(started["rtms_stream_id"], stopped["rtms_stream_id"]);
}

#[tokio::test]
async fn a_failover_replaces_a_dead_url() {
    let mut text = script();
    text["quirks"] = json!(["dead_url"]);
    let script = Script::parse(&text.to_string()).unwrap();
    let mut scene = Scene::open(Settings { script, ..settings() }).await;
    let url = scene.started["server_urls"].as_str().unwrap();
    let host = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
    assert!(tokio::net::TcpStream::connect(host).await.is_err());
    let heal = MeetingAction::Quirk { name: Quirk::DeadUrl, on: false };
    scene.simulator.perform(scene.meeting_id(), heal).await.unwrap();
    scene.simulator.perform(scene.meeting_id(), MeetingAction::FailOver).await.unwrap();
    scene.started = scene.endpoint.next("meeting.rtms_started").await.body["payload"].take();
    scene.join().await;
}

#[tokio::test]
async fn a_stream_may_end_without_state_4() {
    let scene = open_with(&[Quirk::NoTerminatedState]).await;
    let (mut signaling, _) = scene.join().await;
    let stop = MeetingAction::Stop { reason: 6 };
    scene.simulator.perform(scene.meeting_id(), stop).await.unwrap();
    let (messages, _) = signaling.drain().await;
    let states: Vec<_> =
        messages.iter().filter(|m| m["msg_type"] == 8).map(|m| m["state"].clone()).collect();
    assert_eq!(states, [3]);
}

#[tokio::test]
async fn a_handshake_is_refused_three_times_and_then_accepted() {
    let scene = open_with(&[]).await;
    plan(&scene, LinkName::Signaling, 3, HandshakeFault::Refuse { status: 8 }).await;
    for _ in 0..3 {
        let mut client = scene.dial_signaling().await;
        client.send(&scene.handshake(1)).await;
        let answer = client.receive().await;
        assert_eq!(answer["status_code"], 8);
        assert!(answer["reason"].as_str().unwrap().contains("duplicate signal request"));
        assert_eq!(client.drain().await.1.close_code(), Some(1000));
    }
    scene.join().await;
    let report = scene.simulator.report();
    assert_eq!(report.streams[0].refusals[&8], 3);
    assert!(report.is_clean());
}

#[tokio::test]
async fn handshakes_of_one_link_are_slow_silent_or_dropped() {
    let scene = open_with(&[]).await;
    plan(&scene, LinkName::Signaling, 1, HandshakeFault::Silent).await;
    plan(&scene, LinkName::Signaling, 1, HandshakeFault::Drop).await;
    plan(&scene, LinkName::Audio, 1, HandshakeFault::Slow { for_ms: 300 }).await;
    let mut silent = scene.dial_signaling().await;
    silent.send(&scene.handshake(1)).await;
    assert!(silent.is_silent_for(Duration::from_millis(300)).await);
    let mut dropped = scene.dial_signaling().await;
    dropped.send(&scene.handshake(1)).await;
    assert_eq!(dropped.drain().await, (vec![], super::kit::End::Dropped));
    let (_signaling, urls) = scene.join().await;
    let (_chat, answer) = scene.open_media(&urls, "chat", 16, json!(null)).await;
    assert_eq!(answer["status_code"], 0, "another medium is not slow");
    let mut audio = scene.connect(super::kit::media_url(&urls, "audio")).await;
    let mut handshake = scene.handshake(3);
    handshake["media_type"] = 1.into();
    audio.send(&handshake).await;
    assert!(audio.is_silent_for(Duration::from_millis(100)).await);
    assert_eq!(audio.receive().await["msg_type"], 4);
}

#[tokio::test]
async fn a_pause_may_last_longer_than_every_window() {
    let scene = Scene::open(Settings { timings: fast(), ..settings() }).await;
    let (mut signaling, urls) = scene.join().await;
    let (mut audio, _) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    signaling.send(&scene.ready()).await;
    scene.simulator.perform(scene.meeting_id(), MeetingAction::Pause).await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_millis(1_500);
    while tokio::time::Instant::now() < until {
        assert!(signaling.is_silent_or_answers().await);
        assert!(audio.is_silent_or_answers().await);
    }
    scene.simulator.perform(scene.meeting_id(), MeetingAction::Resume).await.unwrap();
    audio.receive_type(14).await;
    assert_eq!(scene.simulator.report().streams[0].stop_reason, None);
}

#[tokio::test]
async fn switching_a_camera_off_ends_its_subscription() {
    let script = script_with(json!([{"at_ms": 0, "video_on": "ana"}]));
    let scene = Scene::open(Settings { script, ..settings() }).await;
    let (mut signaling, urls) = scene.join().await;
    let params = json!({"video": {"codec": 5, "data_opt": 4, "fps": 5}});
    let (mut video, _) = scene.open_media(&urls, "video", 2, params).await;
    signaling.send(&scene.ready()).await;
    let subscribe = json!({"msg_type": 28, "user_id": 16778240, "subscribe": true});
    signaling.send(&subscribe).await;
    video.receive_type(15).await;
    let camera = async |on| {
        let verb = MeetingAction::Camera { user_id: 16_778_240, on };
        scene.simulator.perform(scene.meeting_id(), verb).await.unwrap();
    };
    camera(false).await;
    camera(true).await;
    while !video.is_silent_for(Duration::from_millis(600)).await {}
    signaling.send(&subscribe).await;
    assert_eq!(signaling.receive_type(29).await["status_code"], 0);
    assert_eq!(signaling.receive_type(29).await["status_code"], 0, "not refused as a duplicate");
    video.receive_type(15).await;
}

#[tokio::test]
async fn handshake_faults_can_be_planned_before_the_stream_starts() {
    let script = script_with(json!([
        {"at_ms": 0, "fault": {"kind": "fail_handshakes", "link": "signaling",
                               "how": {"refuse": {"status": 2}}}}
    ]));
    let mut endpoint = Endpoint::good().await;
    let settings = Settings { script, start: Start::Rest, ..settings() };
    let simulator = simulate(settings, &endpoint).await;
    assert_eq!(simulator.validated().await, Validation::Passed);
    endpoint.next("meeting.started").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    simulator.perform("91234567890", MeetingAction::Start).await.unwrap();
    let started = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    let mut client = super::kit::Client::connect(started["server_urls"].as_str().unwrap()).await;
    client.send(&super::kit::handshake(&started, "meeting_uuid", 1)).await;
    assert_eq!(client.receive().await["status_code"], 2);
}
