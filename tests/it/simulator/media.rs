//! Media sockets: what is sent on them, and when.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rtmsd::model::Medium;
use rtmsd::simulator::{Script, Settings};
use serde_json::{Value, json};

use super::kit::{Client, Scene, script_with, settings};

fn talk() -> Script {
    script_with(json!([
        {"at_ms": 0, "say": {"who": "ana", "text": "Good morning.", "duration_ms": 400}},
        {"at_ms": 400, "say": {"who": "bo", "text": "Morning, Ana.", "duration_ms": 400}},
        {"at_ms": 900, "chat": {"who": "bo", "text": "The agenda"}},
        {"at_ms": 1000, "share_start": "ana"},
        {"at_ms": 1000, "video_on": "bo"}
    ]))
}

fn bytes(content: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(content["data"].as_str().unwrap()).unwrap()
}

async fn open_all(scene: &Scene, params: Value) -> (Client, Client) {
    let (mut signaling, urls) = scene.join().await;
    let (media, answer) = scene.open_media(&urls, "all", 32, params).await;
    assert_eq!(answer["status_code"], 0);
    signaling.send(&scene.ready()).await;
    (signaling, media)
}

#[tokio::test]
async fn no_media_is_sent_before_the_ready_ack_and_states_follow_it() {
    let scene = Scene::open(Settings { script: Script::load(60), ..settings() }).await;
    let (mut signaling, urls) = scene.join().await;
    let (mut media, _) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    let silence = std::time::Duration::from_millis(200);
    assert!(tokio::time::timeout(silence, media.try_receive()).await.is_err());
    signaling.send(&scene.ready()).await;
    let session = signaling.receive_type(9).await;
    assert_eq!(session["state"], 2);
    assert!(session["rtms_session_id"].is_string() && session["timestamp"].is_i64());
    let state = signaling.receive_type(8).await;
    assert_eq!(state["state"], 1);
    assert!(state["timestamp"].is_i64());
    assert_eq!(media.receive().await["msg_type"], 14);
}

#[tokio::test]
async fn a_ready_ack_applies_only_to_earlier_media_handshakes() {
    let scene = Scene::open(Settings { script: Script::load(60), ..settings() }).await;
    let (mut signaling, urls) = scene.join().await;
    let (mut audio, _) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    signaling.send(&scene.ready()).await;
    audio.receive_type(14).await;
    let (mut transcript, _) = scene.open_media(&urls, "transcript", 8, json!(null)).await;
    let longer_than_a_line = std::time::Duration::from_millis(1300);
    assert!(tokio::time::timeout(longer_than_a_line, transcript.try_receive()).await.is_err());
    signaling.send(&scene.ready()).await;
    transcript.receive_type(17).await;
}

#[tokio::test]
async fn mixed_audio_has_no_name_and_a_frame_for_every_send_rate_step() {
    let scene = Scene::open(Settings { script: talk(), ..settings() }).await;
    let params = json!({"audio": {"data_opt": 1, "send_rate": 100}});
    let (_signaling, mut media) = open_all(&scene, params).await;
    let first = media.receive_type(14).await["content"].take();
    assert_eq!(first["user_id"], 0);
    assert!(first.get("user_name").is_none());
    assert_eq!((first["length"].as_u64(), bytes(&first).len()), (Some(3200), 3200));
    let mut last = first["timestamp"].as_i64().unwrap();
    let mut loud = 0;
    for _ in 0..12 {
        let frame = media.receive_type(14).await["content"].take();
        let timestamp = frame["timestamp"].as_i64().unwrap();
        assert_eq!(timestamp - last, 100);
        last = timestamp;
        loud += i32::from(bytes(&frame).iter().any(|byte| *byte != 0));
    }
    assert!((1..12).contains(&loud), "{loud} frames of 12 were not silent");
}

#[tokio::test]
async fn separate_audio_names_the_speaker_and_omits_silent_participants() {
    let scene = Scene::open(Settings { script: talk(), ..settings() }).await;
    let (_signaling, mut media) = open_all(&scene, json!({"audio": {"data_opt": 2}})).await;
    let mut frames = Vec::new();
    loop {
        let message = media.receive().await;
        match message["msg_type"].as_u64() {
            Some(14) => frames.push(message["content"].clone()),
            Some(16) => break,
            _ => {}
        }
    }
    let of = |id: u64| frames.iter().filter(|frame| frame["user_id"] == id).count();
    assert!((20..=21).contains(&of(16778240)), "{} frames of Ana", of(16778240));
    assert!((20..=21).contains(&of(16779264)), "{} frames of Bo", of(16779264));
    let names: BTreeSet<_> = frames.iter().map(|frame| frame["user_name"].as_str()).collect();
    assert_eq!(names, [Some("Ana Silva"), Some("Bo")].into());
}

#[tokio::test]
async fn a_late_client_gets_the_audio_since_the_start_unless_buffer_data_is_false() {
    for (buffer_data, at_least) in [(true, true), (false, false)] {
        let scene = Scene::open(Settings { script: Script::load(60), ..settings() }).await;
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        let mut signaling = scene.dial_signaling().await;
        let mut handshake = scene.handshake(1);
        handshake["buffer_data"] = buffer_data.into();
        signaling.send(&handshake).await;
        let urls = signaling.receive().await;
        let (mut media, _) = scene.open_media(&urls, "audio", 1, json!(null)).await;
        signaling.send(&scene.ready()).await;
        let first = media.receive_type(14).await["content"]["timestamp"].as_i64().unwrap();
        let start = signaling.receive_event(1).await["timestamp"].as_i64().unwrap();
        assert_eq!(first - start < 500, at_least, "{}", first - start);
    }
}

#[tokio::test]
async fn the_audio_backlog_is_bounded() {
    let timings = rtmsd::simulator::Timings { audio_backlog_ms: 200, ..Default::default() };
    let script = Script::load(60);
    let scene = Scene::open(Settings { script, timings, ..settings() }).await;
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    let (_signaling, mut media) = open_all(&scene, json!(null)).await;
    media.receive_type(14).await;
    let report = scene.simulator.shutdown().await;
    assert!(report.streams[0].media["audio"].dropped >= 20);
}

#[tokio::test]
async fn text_and_pictures_have_the_fields_that_zooms_client_needs() {
    let scene = Scene::open(Settings { script: talk(), ..settings() }).await;
    let (mut signaling, mut media) = open_all(&scene, json!(null)).await;
    let events: Vec<_> =
        (2..10).map(|event| json!({"event_type": event, "subscribe": true})).collect();
    signaling.send(&json!({"msg_type": 5, "events": events})).await;

    let line = media.receive_type(17).await["content"].take();
    assert_eq!(line["data"], "Good morning.");
    assert_eq!((&line["user_id"], &line["user_name"]), (&json!(16778240), &json!("Ana Silva")));
    let time = |name: &str| line[name].as_i64().unwrap();
    assert_eq!(time("end_time") - time("start_time"), 400);
    assert!(time("timestamp") >= time("end_time"));
    assert_eq!(line["language"], 9);

    let chat = media.receive_type(18).await["content"].take();
    assert_eq!(chat["data"], "The agenda");
    assert_eq!(chat["sender"], json!({"user_id": 16779264, "user_name": "Bo"}));
    assert_eq!((&chat["operation_type"], &chat["chat_session"]["type"]), (&json!(1), &json!(1)));

    let share = media.receive_type(16).await["content"].take();
    assert_eq!((&share["user_id"], &share["user_name"]), (&json!(16778240), &json!("Ana Silva")));
    assert!(bytes(&share).starts_with(&[0xff, 0xd8]) && bytes(&share).ends_with(&[0xff, 0xd9]));
    let video = media.receive_type(15).await["content"].take();
    assert_eq!(video["user_id"], 16779264);
    assert!(video["timestamp"].is_i64());

    let roster = signaling.receive_event(3).await;
    assert_eq!(roster["participants"][0], json!({"user_id": 16778240, "user_name": "Ana Silva"}));
    assert_eq!(roster["participants"].as_array().unwrap().len(), 2);
    let sharing = signaling.receive_event(5).await;
    assert_eq!(
        (&sharing["user_id"], &sharing["user_name"]),
        (&json!(16778240), &json!("Ana Silva"))
    );
    let camera = signaling.receive_event(8).await;
    assert_eq!(camera["participants"], json!([{"user_id": 16779264}]));
}

#[tokio::test]
async fn a_change_of_the_active_speaker_is_reported() {
    let script = script_with(json!([
        {"at_ms": 500, "say": {"who": "ana", "text": "a", "duration_ms": 100}},
        {"at_ms": 700, "say": {"who": "ana", "text": "b", "duration_ms": 100}},
        {"at_ms": 900, "say": {"who": "bo", "text": "c", "duration_ms": 100}}
    ]));
    let scene = Scene::open(Settings { script, ..settings() }).await;
    let (mut signaling, _) = scene.join().await;
    let subscription = json!({"msg_type": 5, "events": [{"event_type": 2, "subscribe": true}]});
    signaling.send(&subscription).await;
    let first = signaling.receive_event(2).await;
    assert_eq!((&first["user_id"], &first["user_name"]), (&json!(16778240), &json!("Ana Silva")));
    assert_eq!(signaling.receive_event(2).await["user_id"], 16779264);
}

/// A meeting in which Bo's camera is on.
async fn bos_camera() -> Scene {
    let script = script_with(json!([{"at_ms": 0, "video_on": "bo"}]));
    Scene::open(Settings { script, ..settings() }).await
}

/// A socket for individual video on which media may flow.
async fn open_individual(scene: &Scene, urls: &Value, signaling: &mut Client) -> Client {
    let params = json!({"video": {"codec": 7, "fps": 25, "data_opt": 4}});
    let (video, _) = scene.open_media(urls, "video", 2, params).await;
    signaling.send(&scene.ready()).await;
    video
}

fn subscribe_to_bo() -> Value {
    json!({"msg_type": 28, "user_id": 16779264, "subscribe": true, "timestamp": 1})
}

#[tokio::test]
async fn individual_video_is_subscribed_to_and_a_repetition_is_refused() {
    let scene = bos_camera().await;
    let (mut signaling, urls) = scene.join().await;
    let ask = subscribe_to_bo();
    signaling.send(&ask).await;
    assert_eq!(signaling.receive_type(29).await["status_code"], 29);
    let mut video = open_individual(&scene, &urls, &mut signaling).await;
    signaling.send(&ask).await;
    let answer = signaling.receive_type(29).await;
    assert_eq!((&answer["status_code"], &answer["user_id"]), (&json!(0), &json!(16779264)));
    let frame = video.receive_type(15).await["content"].take();
    assert!(bytes(&frame).starts_with(&[0, 0, 0, 1, 0x67]));
    signaling.send(&ask).await;
    assert_eq!(signaling.receive_type(29).await["status_code"], 44);
}

#[tokio::test]
async fn individual_video_is_subscribed_to_again_after_a_reconnect() {
    let scene = bos_camera().await;
    let (mut signaling, urls) = scene.join().await;
    let mut video = open_individual(&scene, &urls, &mut signaling).await;
    let ask = subscribe_to_bo();
    signaling.send(&ask).await;
    assert_eq!(signaling.receive_type(29).await["status_code"], 0);
    video.receive_type(15).await;
    drop(video);
    assert_eq!(signaling.receive_type(8).await["state"], 2);
    let mut video = open_individual(&scene, &urls, &mut signaling).await;
    assert_eq!(signaling.receive_type(8).await["state"], 1);
    // Not a repetition: the new socket has no subscription.
    signaling.send(&ask).await;
    assert_eq!(signaling.receive_type(29).await["status_code"], 0);
    video.receive_type(15).await;
}

#[tokio::test]
async fn sharing_events_need_the_scope_for_the_share() {
    let script = script_with(json!([
        {"at_ms": 2_000, "share_start": "ana"}, {"at_ms": 2_100, "video_on": "bo"}
    ]));
    let scopes = vec![Medium::Audio, Medium::Video];
    let scene = Scene::open(Settings { script, scopes, ..settings() }).await;
    let (mut signaling, urls) = scene.join().await;
    let (_audio, _) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    signaling.send(&scene.ready()).await;
    let events = [5, 8].map(|number| json!({"event_type": number, "subscribe": true}));
    signaling.send(&json!({"msg_type": 5, "events": events})).await;
    // The later event comes first.
    loop {
        let event = signaling.receive_type(6).await["event"].take();
        assert_ne!(event["event_type"], 5);
        if event["event_type"] == 8 {
            break;
        }
    }
}

/// The payload bytes of a media frame.
fn data(frame: &Value) -> Vec<u8> {
    let data = frame["content"]["data"].as_str().unwrap();
    let bytes = BASE64_STANDARD.decode(data).unwrap();
    assert_eq!(frame["content"]["length"], bytes.len());
    bytes
}

#[tokio::test]
async fn h264_starts_with_a_key_frame_for_each_person() {
    let say = |who: &str| json!({"who": who, "text": "x", "duration_ms": 500});
    let script = script_with(json!([
        {"at_ms": 0, "video_on": "ana"}, {"at_ms": 0, "video_on": "bo"},
        {"at_ms": 1, "say": say("ana")}, {"at_ms": 900, "say": say("bo")}
    ]));
    let scene = Scene::open(Settings { script, ..settings() }).await;
    let (mut signaling, urls) = scene.join().await;
    let params = json!({"video": {"codec": 7, "fps": 25}});
    let (mut video, answer) = scene.open_media(&urls, "video", 2, params).await;
    assert_eq!(answer["status_code"], 0);
    signaling.send(&scene.ready()).await;
    let sps = [0, 0, 0, 1, 0x67];
    let mut of_ana = Vec::new();
    loop {
        let frame = video.receive_type(15).await;
        if frame["content"]["user_name"] == "Bo" {
            assert!(data(&frame).starts_with(&sps), "Bo's first frame is a key frame");
            break;
        }
        of_ana.push(data(&frame));
    }
    assert!(of_ana[0].starts_with(&sps));
    // Ana is shown for 900 ms, fewer than the 25 pictures after which the key frame repeats.
    assert!(of_ana.len() > 10);
    assert!(!of_ana[1..].iter().any(|frame| frame.starts_with(&sps)));
}

#[tokio::test]
async fn large_frames_are_half_a_megabyte() {
    let script = script_with(json!([{"at_ms": 0, "share_start": "ana"}]));
    let quirks = vec![rtmsd::simulator::Quirk::LargeFrames];
    let scene = Scene::open(Settings { script, quirks, ..settings() }).await;
    let (mut signaling, urls) = scene.join().await;
    let (mut share, _) = scene.open_media(&urls, "deskshare", 4, json!(null)).await;
    signaling.send(&scene.ready()).await;
    assert!(data(&share.receive_type(16).await).len() > 512 << 10);
}

#[tokio::test]
async fn opus_contains_a_voice_while_a_person_speaks() {
    let scene = Scene::open(Settings { script: Script::load(60), ..settings() }).await;
    let (mut signaling, urls) = scene.join().await;
    let params = json!({"audio": {"codec": 4, "sample_rate": 3, "channel": 2, "data_opt": 2}});
    let (mut audio, answer) = scene.open_media(&urls, "audio", 1, params).await;
    assert_eq!(answer["status_code"], 0, "{answer}");
    signaling.send(&scene.ready()).await;
    let packets = [audio.receive_type(14).await, audio.receive_type(14).await].map(|f| data(&f));
    assert!(packets.iter().all(|packet| packet.len() > 3) && packets[0] != packets[1]);
}
