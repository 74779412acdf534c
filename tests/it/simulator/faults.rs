//! Faults of Zoom's that hit a connected client.

use rtmsd::simulator::{ControlError, CutKind, LinkName, MeetingAction, Script, Settings};
use serde_json::json;

use super::kit::{Client, End, Scene, script_with, settings};

#[tokio::test]
async fn a_failover_drops_every_link_and_announces_the_stream_with_another_url() {
    let mut scene = Scene::open(settings()).await;
    let (mut signaling, urls) = scene.join().await;
    let (mut media, _) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    scene.simulator.perform(scene.meeting_id(), MeetingAction::FailOver).await.unwrap();
    assert_eq!(signaling.drain().await.1, End::Dropped);
    assert_eq!(media.drain().await.1, End::Dropped);
    let again = scene.endpoint.next("meeting.rtms_started").await.body;
    assert_eq!(again["payload"]["rtms_stream_id"], scene.started["rtms_stream_id"]);
    assert_ne!(again["payload"]["server_urls"], scene.started["server_urls"]);
    let mut stale = scene.dial_signaling().await;
    stale.send(&scene.handshake(1)).await;
    assert_eq!(stale.receive().await["status_code"], 2);
    let mut moved = Client::connect(again["payload"]["server_urls"].as_str().unwrap()).await;
    moved.send(&scene.handshake(1)).await;
    assert_eq!(moved.receive().await["status_code"], 0);
}

#[tokio::test]
async fn a_repeated_announcement_is_identical() {
    let mut scene = Scene::open(settings()).await;
    let repeat = |scene: &Scene| {
        let meeting_id = scene.meeting_id().to_owned();
        (meeting_id, MeetingAction::RepeatAnnouncement)
    };
    let (meeting_id, verb) = repeat(&scene);
    scene.simulator.perform(&meeting_id, verb.clone()).await.unwrap();
    let first = scene.endpoint.next("meeting.rtms_started").await;
    scene.simulator.perform(&meeting_id, verb).await.unwrap();
    let second = scene.endpoint.next("meeting.rtms_started").await;
    assert_eq!(first.raw, second.raw);
    assert_eq!(first.body["payload"], scene.started);
}

#[tokio::test]
async fn links_are_cut_without_and_with_a_close_frame() {
    let scene = Scene::open(settings()).await;
    let (mut signaling, urls) = scene.join().await;
    let (mut audio, _) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    let (mut chat, _) = scene.open_media(&urls, "chat", 16, json!(null)).await;
    let cut = async |link, how| {
        scene
            .simulator
            .perform(scene.meeting_id(), MeetingAction::Cut { link, how })
            .await
            .unwrap();
    };
    cut(LinkName::Audio, CutKind::Reset).await;
    assert_eq!(audio.drain().await.1, End::Dropped);
    assert_eq!(signaling.receive_type(8).await["reason"], 14);
    cut(LinkName::Chat, CutKind::Close).await;
    assert_eq!(chat.drain().await.1.close_code(), Some(1000));
    cut(LinkName::Signaling, CutKind::Drop).await;
    assert_eq!(signaling.drain().await.1, End::Dropped);
    let again = MeetingAction::Cut { link: LinkName::Signaling, how: CutKind::Drop };
    let nothing = scene.simulator.perform(scene.meeting_id(), again).await;
    assert_eq!(nothing, Err(ControlError::NoLink));
}

#[tokio::test]
async fn a_script_cuts_links() {
    let script = script_with(json!([
        {"at_ms": 800, "fault": {"kind": "cut", "link": "signaling"}}
    ]));
    let mut scene = Scene::open(Settings { script, ..settings() }).await;
    let (mut signaling, _) = scene.join().await;
    assert_eq!(signaling.drain().await.1, End::Dropped);
    scene.endpoint.next("meeting.rtms_interrupted").await;
}

#[tokio::test]
async fn a_stalled_audio_link_catches_up_without_loss() {
    let scene = Scene::open(Settings { script: Script::load(60), ..settings() }).await;
    let (mut signaling, urls) = scene.join().await;
    let (mut audio, _) = scene.open_media(&urls, "audio", 1, json!(null)).await;
    signaling.send(&scene.ready()).await;
    let mut last = audio.receive_type(14).await["content"]["timestamp"].as_i64().unwrap();
    let stall = MeetingAction::Stall { link: LinkName::Audio, for_ms: 300 };
    scene.simulator.perform(scene.meeting_id(), stall).await.unwrap();
    for _ in 0..40 {
        let now = audio.receive_type(14).await["content"]["timestamp"].as_i64().unwrap();
        assert_eq!(now - last, 20, "a stall loses no frame");
        last = now;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_audio_and_does_not_slow_others() {
    let timings = rtmsd::simulator::Timings { audio_backlog_ms: 2_000, ..Default::default() };
    let script = Script::load(600);
    let settings = Settings { script, timings, speed: 20.0, meetings: 2, ..settings() };
    let mut scene = Scene::open(settings).await;
    let (mut slow, urls) = scene.join().await;
    let params = json!({"audio": {"sample_rate": 3, "channel": 2}});
    let (_slow_audio, _) = scene.open_media(&urls, "audio", 1, params.clone()).await;
    slow.send(&scene.ready()).await;

    scene.started = scene.endpoint.next("meeting.rtms_started").await.body["payload"].clone();
    let (mut good, urls) = scene.join().await;
    let (mut audio, _) = scene.open_media(&urls, "audio", 1, params).await;
    good.send(&scene.ready()).await;
    let first = audio.receive_type(14).await["content"]["timestamp"].as_i64().unwrap();
    loop {
        let now = audio.receive_type(14).await["content"]["timestamp"].as_i64().unwrap();
        let report = scene.simulator.report();
        let dropped = |stream: usize| report.streams[stream].media["audio"].dropped;
        if report.streams[0].media.contains_key("audio") && dropped(0) > 0 {
            break;
        }
        assert!(now - first < 300_000, "nothing was dropped in five minutes");
    }
}

#[tokio::test]
async fn verbs_without_a_target_fail() {
    let scene = Scene::open(settings()).await;
    let simulator = &scene.simulator;
    assert_eq!(simulator.perform("1", MeetingAction::Pause).await, Err(ControlError::NoMeeting));
    let stop = MeetingAction::Stop { reason: 8 };
    assert_eq!(simulator.perform(scene.meeting_id(), stop.clone()).await, Ok(()));
    assert_eq!(simulator.perform(scene.meeting_id(), stop).await, Err(ControlError::NoStream));
    assert_eq!(simulator.report().streams[0].stop_reason, Some(8));
}
