//! The life of a stream: states, keep-alives, reconnect windows, reconnecting and every way to end.

use std::time::Duration;

use rtmsd::simulator::{CutKind, LinkName, MeetingAction, Settings, Timings, start};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::kit::{Client, End, Scene, fast, settings};

/// Keep-alives every 100 ms and reconnect windows of 600 and 650 ms.
fn hurried() -> Settings {
    Settings { timings: fast(), ..settings() }
}

/// Reconnect windows of 200 ms, but keep-alives as slow as Zoom's, so that only the windows end a stream.
fn short_windows() -> Settings {
    let windows = Timings { signaling_window_ms: 200, media_window_ms: 200, ..Timings::default() };
    Settings { timings: windows, ..settings() }
}

async fn live(scene: &Scene) -> (Client, Client) {
    let (mut signaling, urls) = scene.join().await;
    let (media, _) = scene.open_media(&urls, "all", 32, json!(null)).await;
    signaling.send(&scene.ready()).await;
    signaling.receive_type(8).await;
    (signaling, media)
}

async fn stop_reason(scene: &mut Scene) -> Value {
    scene.endpoint.next("meeting.rtms_stopped").await.body["payload"]["stop_reason"].clone()
}

/// Turns the automatic answers off and returns the next keep-alive request.
async fn keep_alive(client: &mut Client) -> Value {
    client.stop_answering();
    client.receive_type(12).await
}

#[tokio::test]
async fn keep_alives_on_both_sockets_have_the_fields_that_zooms_client_needs() {
    let scene = Scene::open(hurried()).await;
    let (mut signaling, mut media) = live(&scene).await;
    for socket in [&mut signaling, &mut media] {
        let request = keep_alive(socket).await;
        assert!(request["timestamp"].is_i64());
        assert!(i32::try_from(request["sequence"].as_i64().unwrap()).unwrap() > 0);
    }
}

#[tokio::test]
async fn a_keep_alive_answer_needs_no_sequence() {
    let scene = Scene::open(hurried()).await;
    let (mut signaling, urls) = scene.join().await;
    signaling.stop_answering();
    for _ in 0..6 {
        let request = signaling.receive_type(12).await;
        signaling.send(&json!({"msg_type": 13, "timestamp": request["timestamp"]})).await;
    }
    drop(urls);
    let report = scene.simulator.report();
    assert!(report.streams[0].keep_alives.answered >= 5 && report.is_clean());
}

#[tokio::test]
async fn a_keep_alive_answered_with_another_timestamp_is_a_breach() {
    let scene = Scene::open(hurried()).await;
    let (mut signaling, _) = scene.join().await;
    keep_alive(&mut signaling).await;
    signaling.send(&json!({"msg_type": 13, "timestamp": 1})).await;
    signaling.receive_type(12).await;
    let report = scene.simulator.shutdown().await;
    assert!(report.streams[0].breaches[0].contains("another timestamp"));
    assert!(!report.is_clean());
}

#[tokio::test]
async fn three_missed_keep_alives_interrupt_signaling_and_end_the_stream() {
    let mut scene = Scene::open(hurried()).await;
    let (mut signaling, _media) = live(&scene).await;
    signaling.stop_answering();
    let (messages, end) = signaling.drain().await;
    assert_eq!(end, End::Dropped, "no Close frame: Zoom's client would not reconnect after one");
    assert_eq!(messages.iter().filter(|message| message["msg_type"] == 12).count(), 3);
    scene.endpoint.next("meeting.rtms_interrupted").await;
    assert_eq!(stop_reason(&mut scene).await, 24);
}

#[tokio::test]
async fn three_missed_keep_alives_on_media_are_reported_on_signaling_and_end_the_stream() {
    let mut scene = Scene::open(hurried()).await;
    let (mut signaling, mut media) = live(&scene).await;
    media.stop_answering();
    let reported = tokio::spawn(async move {
        signaling.receive_event(7).await;
        let state = signaling.receive_type(8).await;
        (state["state"].clone(), state["reason"].clone(), signaling.drain().await)
    });
    let (_, end) = media.drain().await;
    assert_eq!(end, End::Dropped);
    let (state, reason, (messages, end)) = reported.await.unwrap();
    assert_eq!((state, reason), (json!(2), json!(14)));
    assert_eq!(messages.last().unwrap()["state"], 4);
    assert_eq!(end.close_code(), Some(1000));
    assert_eq!(stop_reason(&mut scene).await, 24);
}

#[tokio::test]
async fn a_stream_that_no_client_joins_ends_after_its_window() {
    let mut scene = Scene::open(short_windows()).await;
    assert_eq!(stop_reason(&mut scene).await, 11);
    let mut late = scene.dial_signaling().await;
    late.send(&scene.handshake(1)).await;
    assert_eq!(late.receive().await["status_code"], 2);
}

#[tokio::test]
async fn dropped_signaling_that_is_not_back_in_time_ends_the_stream() {
    let mut scene = Scene::open(short_windows()).await;
    let (signaling, _media) = live(&scene).await;
    drop(signaling);
    scene.endpoint.next("meeting.rtms_interrupted").await;
    assert_eq!(stop_reason(&mut scene).await, 15);
}

#[tokio::test]
async fn a_dropped_media_socket_that_is_not_back_in_time_ends_the_stream() {
    let mut scene = Scene::open(short_windows()).await;
    let (mut signaling, media) = live(&scene).await;
    drop(media);
    signaling.receive_event(7).await;
    let state = signaling.receive_type(8).await;
    assert_eq!((&state["state"], &state["reason"]), (&json!(2), &json!(16)));
    assert_eq!(stop_reason(&mut scene).await, 16);
}

#[tokio::test]
async fn signaling_that_comes_back_without_media_ends_the_stream() {
    let mut scene = Scene::open(short_windows()).await;
    let (signaling, _media) = live(&scene).await;
    drop(signaling);
    scene.endpoint.next("meeting.rtms_interrupted").await;
    let _signaling = scene.join().await;
    assert_eq!(stop_reason(&mut scene).await, 19);
}

#[tokio::test]
async fn a_reconnect_is_accepted_at_once_and_keeps_its_subscriptions() {
    let scene = Scene::open(Settings {
        script: super::kit::script_with(json!([{"at_ms": 1500, "leave": "bo"}])),
        ..settings()
    })
    .await;
    let mut scene = scene;
    let (mut signaling, media) = live(&scene).await;
    let leaves = json!({"msg_type": 5, "events": [{"event_type": 4, "subscribe": true}]});
    signaling.send(&leaves).await;
    let state = json!({"msg_type": 19, "rtms_stream_id": scene.started["rtms_stream_id"]});
    signaling.send(&state).await;
    assert_eq!(signaling.receive_type(20).await["state"], 1);
    drop((signaling, media));
    scene.endpoint.next("meeting.rtms_interrupted").await;
    let (mut signaling, _media) = live(&scene).await;
    let event = signaling.receive_event(4).await;
    assert_eq!(event["participants"], json!([{"user_id": 16779264}]));
    assert!(scene.simulator.shutdown().await.is_clean());
}

#[tokio::test]
async fn a_client_that_drops_everything_and_redials_at_once_is_not_refused() {
    let scene = Scene::open(settings()).await;
    for _ in 0..20 {
        let (signaling, media) = live(&scene).await;
        drop((signaling, media));
    }
    assert!(scene.simulator.shutdown().await.is_clean());
}

#[tokio::test]
async fn a_server_that_has_not_noticed_the_drop_refuses_with_8() {
    let timings = Timings { dead_link_ms: 300, ..Timings::default() };
    let mut scene = Scene::open(Settings { timings, ..settings() }).await;
    let (signaling, _) = scene.join().await;
    drop(signaling);
    scene.endpoint.next("meeting.rtms_interrupted").await;
    let mut early = scene.dial_signaling().await;
    early.send(&scene.handshake(1)).await;
    assert_eq!(early.receive().await["status_code"], 8);
    tokio::time::sleep(Duration::from_millis(310)).await;
    scene.join().await;
}

#[tokio::test]
async fn a_lost_media_socket_reconnects_alone() {
    let scene = Scene::open(settings()).await;
    let (mut signaling, urls) = scene.join().await;
    let (audio, _) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    let (_transcript, _) = scene.open_media(&urls, "transcript", 8, json!(null)).await;
    signaling.send(&scene.ready()).await;
    assert_eq!(signaling.receive_type(8).await["state"], 1);
    drop(audio);
    assert_eq!(signaling.receive_type(8).await["state"], 2);
    let (mut audio, answer) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    assert_eq!(answer["status_code"], 0);
    signaling.send(&scene.ready()).await;
    assert_eq!(signaling.receive_type(8).await["state"], 1);
    audio.receive_type(14).await;
}

#[tokio::test]
async fn a_close_request_is_answered_and_ends_the_stream_in_order() {
    let mut scene = Scene::open(settings()).await;
    let (mut signaling, mut media) = live(&scene).await;
    let leaves = json!({"msg_type": 5, "events": [{"event_type": 4, "subscribe": true}]});
    signaling.send(&leaves).await;
    let stream = scene.started["rtms_stream_id"].clone();
    signaling.send(&json!({"msg_type": 21, "rtms_stream_id": stream})).await;
    let (messages, end) = signaling.drain().await;
    let kinds: Vec<_> = messages.iter().map(|m| m["msg_type"].as_u64().unwrap()).collect();
    assert_eq!(kinds, [22, 8, 6, 9, 8], "{messages:?}");
    assert_eq!(messages[0]["status_code"], 0);
    assert_eq!(messages[0]["rtms_stream_id"], stream);
    assert_eq!(messages[1]["state"], 3);
    assert_eq!(messages[2]["event"]["participants"].as_array().unwrap().len(), 2);
    assert_eq!((&messages[3]["state"], &messages[3]["stop_reason"]), (&json!(5), &json!(20)));
    assert_eq!((&messages[4]["state"], &messages[4]["reason"]), (&json!(4), &json!(20)));
    assert_eq!(end.close_code(), Some(1000));
    assert_eq!(media.drain().await.1.close_code(), Some(1000));
    assert_eq!(stop_reason(&mut scene).await, 20);
}

#[tokio::test]
async fn a_normal_close_of_signaling_ends_the_stream() {
    let mut scene = Scene::open(settings()).await;
    let (signaling, _media) = live(&scene).await;
    signaling.close().await;
    assert_eq!(stop_reason(&mut scene).await, 20);
    assert!(!scene.endpoint.rest().contains(&"meeting.rtms_interrupted".to_owned()));
}

#[tokio::test]
async fn a_normal_close_after_a_broken_media_socket_only_interrupts() {
    let mut scene = Scene::open(settings()).await;
    let (signaling, mut media) = live(&scene).await;
    let cut = MeetingAction::Cut { link: LinkName::Media, how: CutKind::Reset };
    scene.simulator.perform(scene.meeting_id(), cut).await.unwrap();
    media.drain().await;
    signaling.close().await;
    scene.endpoint.next("meeting.rtms_interrupted").await;
    live(&scene).await;
}

#[tokio::test]
async fn a_client_that_closes_media_and_then_signaling_ends_the_stream() {
    let mut scene = Scene::open(settings()).await;
    let (mut signaling, media) = live(&scene).await;
    media.close().await;
    signaling.receive_event(7).await;
    signaling.close().await;
    assert_eq!(stop_reason(&mut scene).await, 20);
}

#[tokio::test]
async fn session_states_are_answered_and_unknown_sessions_refused() {
    let scene = Scene::open(settings()).await;
    let (mut signaling, urls) = scene.join().await;
    let (_media, _) = scene.open_media(&urls, "all", 32, json!(null)).await;
    signaling.send(&scene.ready()).await;
    let session = signaling.receive_type(9).await["rtms_session_id"].clone();
    signaling.send(&json!({"msg_type": 10, "rtms_session_id": session})).await;
    let answer = signaling.receive_type(11).await;
    assert_eq!((&answer["state"], &answer["rtms_session_id"]), (&json!(2), &session));
    signaling.send(&json!({"msg_type": 10, "rtms_session_id": "x"})).await;
    assert_eq!(signaling.receive_type(11).await["status_code"], 40);
}

#[tokio::test]
async fn a_pause_stops_media_and_not_keep_alives() {
    let script = rtmsd::simulator::Script::load(60);
    let scene = Scene::open(Settings { script, ..hurried() }).await;
    let (mut signaling, mut media) = live(&scene).await;
    media.receive_type(14).await;
    scene.simulator.perform(scene.meeting_id(), MeetingAction::Pause).await.unwrap();
    assert_eq!(signaling.receive_type(9).await["state"], 3);
    assert_eq!(signaling.receive_type(8).await["state"], 5);
    scene.simulator.perform(scene.meeting_id(), MeetingAction::Resume).await.unwrap();
    assert_eq!(signaling.receive_type(9).await["state"], 4);
    assert_eq!(signaling.receive_type(8).await["state"], 6);
    media.receive_type(14).await;
    scene.simulator.perform(scene.meeting_id(), MeetingAction::Pause).await.unwrap();
    signaling.receive_type(8).await;
    media.stop_answering();
    // First what was queued before the pause, then only keep-alives.
    media.receive_type(12).await;
    assert_eq!(media.receive().await["msg_type"], 12);
}

#[tokio::test]
async fn messages_in_the_wrong_place_are_breaches() {
    let scene = Scene::open(settings()).await;
    let (mut signaling, urls) = scene.join().await;
    signaling.send(&scene.ready()).await;
    signaling.send(&json!({"msg_type": 14})).await;
    signaling.send(&json!({"msg_type": 18, "event_type": [8, 9]})).await;
    signaling.send(&json!({"msg_type": 5})).await;
    signaling.send(&json!({})).await;
    let (mut media, _) = scene.open_media(&urls, "all", 32, json!(null)).await;
    media.send(&scene.ready()).await;
    signaling.send(&scene.handshake(1)).await;
    assert_eq!(signaling.receive_type(2).await["status_code"], 8);
    let report = scene.simulator.shutdown().await;
    let breaches = report.streams[0].breaches.join("\n");
    for expected in [
        "message 7 before a media handshake",
        "message 14 on the signaling socket",
        "message 18 on the signaling socket",
        "a subscription without a list",
        "not a JSON object with a msg_type",
        "a second handshake on one socket",
    ] {
        assert!(breaches.contains(expected), "{expected} is not in\n{breaches}");
    }
}

#[tokio::test]
async fn a_script_without_an_end_starts_again() {
    let mut script = super::kit::script();
    let say = json!({"who": "ana", "text": "Again.", "duration_ms": 100});
    script["timeline"].as_array_mut().unwrap().push(json!({"at_ms": 200, "say": say}));
    script.as_object_mut().unwrap().remove("end");
    let script = rtmsd::simulator::Script::parse(&script.to_string()).unwrap();
    let scene = Scene::open(Settings { script, speed: 10.0, ..settings() }).await;
    let (_signaling, mut media) = live(&scene).await;
    let first = media.receive_type(17).await["content"]["start_time"].as_i64().unwrap();
    let second = media.receive_type(17).await["content"]["start_time"].as_i64().unwrap();
    assert_eq!(second - first, 1300, "300 ms up to the last cue, and a pause of one second");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_ids_and_more_meetings_can_be_announced() {
    let scene = Scene::open(settings()).await;
    let mut other = Scene::open(settings()).await;
    for id in ["meeting_uuid", "rtms_stream_id", "meeting_id"] {
        assert_eq!(scene.started[id], other.started[id]);
    }
    let meeting_id = other.simulator.announce().unwrap();
    let started = other.endpoint.next("meeting.rtms_started").await.body["payload"].clone();
    assert_eq!(started["meeting_id"], *meeting_id);
    assert_eq!(other.simulator.live_meetings().len(), 2);
}

#[tokio::test]
async fn the_end_of_the_script_ends_stream_and_meeting() {
    let mut script = super::kit::script();
    script["end"] = json!({"at_ms": 3000, "stop_reason": 1});
    let script = rtmsd::simulator::Script::parse(&script.to_string()).unwrap();
    let mut scene = Scene::open(Settings { script, speed: 10.0, ..settings() }).await;
    assert_eq!(stop_reason(&mut scene).await, 1);
    let ended = scene.endpoint.next("meeting.ended").await.body;
    assert_eq!(ended["payload"]["object"]["uuid"], scene.started["meeting_uuid"]);
    scene.simulator.finished().await;
    assert!(scene.simulator.live_meetings().is_empty());
}

#[tokio::test]
async fn sockets_are_closed_with_the_code_of_the_settings() {
    let scene = Scene::open(Settings { close_code: 4000, ..settings() }).await;
    let (mut signaling, mut media) = live(&scene).await;
    scene.simulator.perform(scene.meeting_id(), MeetingAction::End).await.unwrap();
    assert_eq!(signaling.drain().await.1.close_code(), Some(4000));
    assert_eq!(media.drain().await.1.close_code(), Some(4000));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let of_the_protocol = Settings { close_code: 1006, ..settings() };
    assert!(start(of_the_protocol, listener).await.is_err());
}
