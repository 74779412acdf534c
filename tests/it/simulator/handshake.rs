//! Both handshakes: what is accepted, and with which status the rest is refused.

use rtmsd::model::Medium;
use rtmsd::simulator::{Duplicates, Settings, Simulator};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::kit::{Client, Endpoint, Scene, handshake as sign, script_of, settings, simulate};

/// Sends `message` as the first on a signaling socket and returns the status of the refusal.
async fn first_on_signaling(scene: &Scene, message: &Value) -> i64 {
    let client = scene.dial_signaling().await;
    refusal_of(client, message, 2).await
}

async fn refusal_of(mut client: Client, message: &Value, answer_type: u64) -> i64 {
    client.send(message).await;
    let answer = client.receive().await;
    assert_eq!(answer["msg_type"], answer_type);
    assert!(!answer["reason"].as_str().unwrap().is_empty());
    let (more, end) = client.drain().await;
    assert_eq!((more.len(), end.close_code()), (0, Some(1000)));
    answer["status_code"].as_i64().unwrap()
}

#[tokio::test]
async fn a_good_signaling_handshake_gets_a_url_for_every_medium() {
    let scene = Scene::open(settings()).await;
    let (_client, answer) = scene.join().await;
    let urls = answer["media_server"]["server_urls"].as_object().unwrap();
    for key in ["audio", "video", "deskshare", "transcript", "chat", "all"] {
        assert!(urls[key].as_str().unwrap().starts_with("ws://127.0.0.1:"), "{key}");
    }
    assert_eq!(urls.len(), 6);
    assert_eq!(answer["reason"], "");
}

#[tokio::test]
async fn the_first_packet_event_needs_no_subscription() {
    let scene = Scene::open(settings()).await;
    let (mut client, _) = scene.join().await;
    let event = client.receive_event(1).await;
    assert!(event["timestamp"].is_i64());
}

#[tokio::test]
async fn signaling_is_refused_by_cause() {
    let scene = Scene::open(settings()).await;
    let good = scene.handshake(1);
    let changed = |name: &str, value: Value| {
        let mut message = good.clone();
        message[name] = value;
        message
    };
    assert_eq!(first_on_signaling(&scene, &changed("msg_type", json!(3))).await, 1);
    assert_eq!(first_on_signaling(&scene, &changed("rtms_stream_id", json!("X"))).await, 2);
    assert_eq!(first_on_signaling(&scene, &changed("meeting_uuid", json!("X"))).await, 2);
    assert_eq!(first_on_signaling(&scene, &changed("signature", json!("0".repeat(64)))).await, 3);
    assert_eq!(first_on_signaling(&scene, &changed("signature", json!(null))).await, 4);
    assert_eq!(first_on_signaling(&scene, &json!("text")).await, 4);
    let _alive = scene.join().await;
    assert_eq!(first_on_signaling(&scene, &good).await, 8);
    let report = scene.simulator.shutdown().await;
    assert_eq!(report.streams[0].refusals, [(2, 1), (3, 1), (8, 1)].into());
    assert_eq!(report.strays.refusals, [(1, 1), (2, 1), (4, 2)].into());
    assert!(!report.is_clean());
}

#[tokio::test]
async fn binary_and_fragmented_frames_and_pretty_printed_json_are_accepted() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let scene = Scene::open(settings()).await;
    let text = serde_json::to_string_pretty(&scene.handshake(1)).unwrap();
    let mut client = scene.dial_signaling().await;
    let (start, rest) = text.as_bytes().split_at(40);
    let first = Frame::message(start.to_vec(), OpCode::Data(Data::Binary), false);
    let last = Frame::message(rest.to_vec(), OpCode::Data(Data::Continue), true);
    client.send_raw(Message::Frame(first)).await;
    client.send_raw(Message::Ping(vec![1].into())).await;
    client.send_raw(Message::Frame(last)).await;
    assert_eq!(client.receive().await["status_code"], 0);
    let state = json!({"msg_type": 19, "rtms_stream_id": scene.started["rtms_stream_id"]});
    client.send_raw(Message::binary(serde_json::to_vec_pretty(&state).unwrap())).await;
    assert_eq!(client.receive_type(20).await["state"], 0);
    assert!(scene.simulator.shutdown().await.is_clean());
}

#[tokio::test]
async fn a_newer_connection_kicks_the_older_one_out_if_configured() {
    let scene = Scene::open(Settings { duplicates: Duplicates::Kick, ..settings() }).await;
    let (mut older, answer) = scene.join().await;
    let (mut old_media, _) = scene.open_media(&answer, "audio", 1, json!(null)).await;
    let (_newer, answer) = scene.join().await;
    older.drain().await;
    old_media.drain().await;
    let (_media, answer) = scene.open_media(&answer, "audio", 1, json!(null)).await;
    assert_eq!(answer["status_code"], 0);
}

#[tokio::test]
async fn the_media_answer_is_complete() {
    let scene = Scene::open(settings()).await;
    let (_signaling, urls) = scene.join().await;
    let asked = json!({"audio": {"content_type": 2, "codec": 4, "sample_rate": 3, "channel": 2,
                                 "data_opt": 2, "send_rate": 20}});
    let (_audio, answer) = scene.open_media(&urls, "audio", 1, asked.clone()).await;
    assert_eq!(answer["status_code"], 0);
    assert_eq!(answer["payload_encrypted"], false);
    assert_eq!(answer["media_params"], asked);
    let (_share, answer) = scene.open_media(&urls, "deskshare", 4, json!(null)).await;
    assert_eq!(
        answer["media_params"],
        json!({"deskshare": {"content_type": 3, "codec": 5, "resolution": 3, "fps": 1}})
    );
    let (_transcript, answer) = scene.open_media(&urls, "transcript", 8, json!(null)).await;
    assert_eq!(answer["status_code"], 0);
    let (_chat, answer) = scene.open_media(&urls, "chat", 16, json!({})).await;
    assert_eq!(answer["media_params"], json!({"chat": {"content_type": 5}}));
    assert!(scene.simulator.shutdown().await.is_clean());
}

#[tokio::test]
async fn a_socket_for_all_media_excludes_every_other() {
    let scene = Scene::open(settings()).await;
    let (_signaling, urls) = scene.join().await;
    let (_all, answer) = scene.open_media(&urls, "all", 32, json!(null)).await;
    assert_eq!(answer["media_params"].as_object().unwrap().len(), 5);
    let (_, answer) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    assert_eq!(answer["status_code"], 15);
    let (_, answer) = scene.open_media(&urls, "all", 32, json!(null)).await;
    assert_eq!(answer["status_code"], 16);
}

#[tokio::test]
async fn a_medium_has_one_socket_and_excludes_a_later_socket_for_all() {
    let scene = Scene::open(settings()).await;
    let (_signaling, urls) = scene.join().await;
    let (_audio, _) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    let (_, answer) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    assert_eq!(answer["status_code"], 16);
    let (_, answer) = scene.open_media(&urls, "all", 32, json!(null)).await;
    assert_eq!(answer["status_code"], 16);
    let (_transcript, answer) = scene.open_media(&urls, "transcript", 8, json!(null)).await;
    assert_eq!(answer["status_code"], 0);
}

#[tokio::test]
async fn media_is_refused_by_cause() {
    let scopes = vec![Medium::Audio, Medium::Transcript];
    let scene = Scene::open(Settings { scopes, offer_all: true, ..settings() }).await;
    let (_signaling, urls) = scene.join().await;
    assert_eq!(urls["media_server"]["server_urls"].as_object().unwrap().len(), 3);
    let asked = |codec: i64| json!({"audio": {"codec": codec}});
    for (key, media_type, params, status) in [
        ("all", 9, json!(null), 14),
        ("audio", 8, json!(null), 14),
        ("all", 2, json!(null), 10),
        ("all", 4, json!(null), 11),
        ("all", 16, json!(null), 13),
        ("audio", 1, json!("x"), 17),
        ("audio", 1, asked(9), 22),
        ("audio", 1, asked(4), 20),
        ("transcript", 8, json!({"transcript": {"src_language": 99}}), 43),
    ] {
        let (_, answer) = scene.open_media(&urls, key, media_type, params).await;
        assert_eq!(answer["status_code"], status, "{key} {media_type}");
    }
    let mut forged = scene.handshake(3);
    forged["media_type"] = 1.into();
    forged["signature"] = "x".into();
    let client = scene.connect(super::kit::media_url(&urls, "audio")).await;
    assert_eq!(refusal_of(client, &forged, 4).await, 3);
}

#[tokio::test]
async fn media_before_signaling_is_refused_and_a_breach() {
    let scene = Scene::open(settings()).await;
    let url = scene.simulator.signaling_url().replace("signaling/1", "media/audio");
    let mut handshake = scene.handshake(3);
    handshake["media_type"] = 1.into();
    assert_eq!(refusal_of(scene.connect(&url).await, &handshake, 4).await, 2);
    let report = scene.simulator.shutdown().await;
    assert!(report.streams[0].breaches[0].contains("before the signaling handshake"));
}

/// A simulated conversation of this product, and the endpoint of its webhooks.
async fn play(product: &str) -> (Simulator, Endpoint) {
    let endpoint = Endpoint::good().await;
    let settings = Settings { script: script_of(product), ..settings() };
    (simulate(settings, &endpoint).await, endpoint)
}

/// A signaling socket after this message 1, and the answer.
async fn join(started: &Value, message: &Value) -> (Client, Value) {
    let mut client = Client::connect(started["server_urls"].as_str().unwrap()).await;
    client.send(message).await;
    let answer = client.receive().await;
    (client, answer)
}

#[tokio::test]
async fn every_product_is_announced_with_its_key_and_joined_with_it_or_with_meeting_uuid() {
    for (product, event, key) in [
        ("webinar", "webinar.rtms_started", "webinar_uuid"),
        ("session", "session.rtms_started", "session_id"),
        ("contact_center", "contact_center.voice_rtms_started", "engagement_id"),
    ] {
        let (simulator, mut endpoint) = play(product).await;
        let started = endpoint.next(event).await.body["payload"].clone();
        let (client, answer) = join(&started, &sign(&started, key, 1)).await;
        assert_eq!(answer["status_code"], 0);
        drop(client);
        endpoint.next(&event.replace("started", "interrupted")).await;
        let mut handshake = sign(&started, key, 1);
        let id = handshake.as_object_mut().unwrap().remove(key).unwrap();
        handshake["meeting_uuid"] = id;
        let (_client, answer) = join(&started, &handshake).await;
        assert_eq!(answer["status_code"], 0, "{product}");
        assert!(simulator.shutdown().await.is_clean());
    }
}

#[tokio::test]
async fn sessions_and_engagements_have_audio_and_a_transcript_only() {
    for (product, event, key) in [
        ("session", "session.rtms_started", "session_id"),
        ("contact_center", "contact_center.voice_rtms_started", "engagement_id"),
    ] {
        let (simulator, mut endpoint) = play(product).await;
        let started = endpoint.next(event).await.body["payload"].clone();
        let (_client, mut answer) = join(&started, &sign(&started, key, 1)).await;
        let urls = answer["media_server"]["server_urls"].take();
        let names: Vec<&String> = urls.as_object().unwrap().keys().collect();
        assert_eq!(names, ["all", "audio", "transcript"], "{product}");
        let mut media = sign(&started, key, 3);
        media["media_type"] = 2.into();
        let url = urls["audio"].as_str().unwrap().replace("audio", "video");
        let mut video = Client::connect(&url).await;
        video.send(&media).await;
        assert_eq!(video.receive().await["status_code"], 10, "{product}");
        let reason = if product == "session" { 6 } else { 21 };
        assert_eq!(simulator.shutdown().await.streams[0].stop_reason, Some(reason), "{product}");
    }
}
