//! Individual video: what several programs choose is one choice for Zoom.

use rtmsd::simulator::{MeetingAction, Settings};
use serde_json::{Value, json};

use super::kit::{Joined, Program, home, open_media, ready, scene_with, signal};
use crate::simulator::kit::Client;
use crate::support::kit::{Home, Scene, eventually, script, zoom};

const ANA: u64 = 16_778_240;
const BO: u64 = 16_779_264;

fn watching(select: &str) -> Home {
    home().set("MEDIA_TYPES", "video").set("VIDEO_SELECT", select)
}

fn cameras() -> Settings {
    let timeline = ["ana", "bo"].map(|who| json!({"at_ms": 1_500, "video_on": who}));
    zoom(script(timeline.to_vec(), 3_600_000))
}

/// Joins with the parameters of individual video.
async fn join(program: &mut Program) -> Joined {
    let started = program.started().await;
    let (mut signaling, answer) = signal(program.name, &started).await;
    let url = answer["media_server"]["server_urls"]["video"].as_str().unwrap();
    let params = json!({"video": {"codec": 7, "fps": 25, "resolution": 2, "data_opt": 4}});
    let (media, granted) = open_media(program.name, &started, url, (2, params)).await;
    assert_eq!(granted["status_code"], 0, "{granted}");
    signaling.send(&ready(&started)).await;
    Joined { signaling, media, granted, started }
}

async fn choose(joined: &mut Joined, user_id: u64, subscribe: bool) -> i64 {
    let message =
        json!({"msg_type": 28, "user_id": user_id, "subscribe": subscribe, "timestamp": 1});
    joined.signaling.send(&message).await;
    joined.signaling.receive_type(29).await["status_code"].as_i64().unwrap()
}

/// Reads frames, all of this participant.
async fn frames_of(media: &mut Client, user_id: u64) {
    for _ in 0..3 {
        let frame: Value = media.receive_type(15).await;
        assert_eq!(frame["content"]["user_id"], user_id);
    }
}

/// Whom Zoom was last asked for.
async fn asked_for(scene: &Scene, user_id: u64) {
    eventually("Zoom is asked for the camera", async || {
        let page = scene.log.page();
        let last = page.of("video_subscription").last().map(|entry| entry["user_id"].clone());
        (last == Some(json!(user_id))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_newest_choice_counts_and_the_one_before_comes_back() {
    let programs = [("one", json!({})), ("two", json!({}))];
    let (scene, mut programs) = scene_with(watching("individual"), cameras(), &programs).await;
    let mut one = join(&mut programs[0]).await;
    let mut two = join(&mut programs[1]).await;
    assert_eq!(one.granted["media_params"]["video"]["data_opt"], 4);
    scene.log.entries("video_on", 2).await;
    assert_eq!(choose(&mut one, ANA, true).await, 0);
    asked_for(&scene, ANA).await;
    frames_of(&mut one.media, ANA).await;
    assert_eq!(choose(&mut one, ANA, true).await, 44);
    // The same for another program needs nothing of Zoom.
    assert_eq!(choose(&mut two, ANA, true).await, 0);
    frames_of(&mut two.media, ANA).await;
    assert_eq!(choose(&mut two, BO, true).await, 0);
    asked_for(&scene, BO).await;
    frames_of(&mut two.media, BO).await;
    assert_eq!(choose(&mut two, BO, false).await, 0);
    asked_for(&scene, ANA).await;
    frames_of(&mut one.media, ANA).await;
    let camera = MeetingAction::Camera { user_id: ANA as u32, on: false };
    scene.zoom.perform(camera).await;
    scene.log.entries("video_off", 1).await;
    // Its video has ended, so that it may be chosen again (section 6.19).
    eventually("the choice has ended", async || {
        (choose(&mut one, ANA, true).await == 0).then_some(())
    })
    .await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_program_that_is_gone_leaves_the_video_to_the_others() {
    let programs = [("one", json!({})), ("two", json!({}))];
    let (scene, mut programs) = scene_with(watching("individual"), cameras(), &programs).await;
    let mut one = join(&mut programs[0]).await;
    let mut two = join(&mut programs[1]).await;
    scene.log.entries("video_on", 2).await;
    assert_eq!(choose(&mut one, ANA, true).await, 0);
    frames_of(&mut one.media, ANA).await;
    assert_eq!(choose(&mut two, BO, true).await, 0);
    asked_for(&scene, BO).await;
    frames_of(&mut two.media, BO).await;
    let started = two.drop_both();
    asked_for(&scene, ANA).await;
    frames_of(&mut one.media, ANA).await;
    drop(started);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn without_individual_video_the_choice_is_refused_and_the_truth_is_granted() {
    let (scene, mut programs) =
        scene_with(watching("active"), cameras(), &[("one", json!({}))]).await;
    let mut one = join(&mut programs[0]).await;
    assert_eq!(one.granted["media_params"]["video"]["data_opt"], 3);
    assert_eq!(choose(&mut one, ANA, true).await, 29);
    scene.zoom.close_clean().await;
}
