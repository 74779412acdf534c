//! Individual video: from the API to the frames of the chosen camera.

use rtmsd::simulator::{MeetingAction, Settings};
use serde_json::{Value, json};

use crate::support::kit::{Home, Scene, endless, eventually, script, zoom};

const BO: u64 = 16_779_264;

fn watching(select: &str) -> Home {
    Home::sqlite().set("MEDIA_TYPES", "video").set("VIDEO_SELECT", select)
}

/// Ana and Bo turn their cameras on once the daemon has joined: Zoom does not report what happened before.
fn cameras() -> Settings {
    let timeline = ["ana", "bo"].map(|who| json!({"at_ms": 2_500, "video_on": who}));
    zoom(script(timeline.to_vec(), 3_600_000))
}

async fn choose(scene: &Scene, user_id: &Value) -> u16 {
    let path = format!("/api/v1/sdk/sessions/{}/video/subscribe", scene.log.session_id());
    scene.daemon.api().post(&path, &json!({ "user_id": user_id })).await.status
}

async fn frames_grow(scene: &Scene) {
    let before = scene.zoom.medium("video").frames;
    eventually("video comes", async || {
        (scene.zoom.medium("video").frames > before + 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_chosen_camera_comes_and_comes_again_after_a_failover() {
    let scene = Scene::open(watching("individual"), cameras()).await;
    scene.live().await;
    scene.log.entries("video_on", 2).await;
    assert_eq!(scene.zoom.medium("video").frames, 0);
    assert_eq!(choose(&scene, &json!(BO)).await, 202);
    let page = scene.log.entries("video_subscription", 1).await;
    let answer = &page.of("video_subscription")[0];
    assert_eq!((&answer["user_id"], &answer["is_subscribed"]), (&json!(BO), &json!(true)));
    assert_eq!(answer["user_name"], "Bo");
    frames_grow(&scene).await;
    scene.zoom.perform(MeetingAction::FailOver).await;
    scene.log.entries("video_subscription", 2).await;
    frames_grow(&scene).await;
    assert_eq!(choose(&scene, &json!("Bo")).await, 422);
    let path = format!("/api/v1/sdk/sessions/{}/video/subscribe", scene.log.session_id());
    let unknown = scene.daemon.api().post(&path, &json!({ "user_id": BO, "stream": 1 })).await;
    assert_eq!((unknown.status, &*unknown.code()), (422, "unknown_field"));
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn cameras_that_are_on_have_their_turns() {
    let home = watching("round_robin").set("VIDEO_DWELL_SECONDS", "1");
    let scene = Scene::open(home, cameras()).await;
    let page = scene.log.entries("video_subscription", 3).await;
    let names: Vec<_> =
        page.of("video_subscription").iter().map(|answer| answer["user_name"].clone()).collect();
    assert_eq!(names[..3], ["Ana Silva", "Bo", "Ana Silva"]);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_camera_cannot_be_chosen_where_zoom_chooses() {
    let home = Home::sqlite().set("MEDIA_TYPES", "video");
    let scene = Scene::open(home, zoom(endless(1_000))).await;
    assert_eq!(choose(&scene, &json!(BO)).await, 409);
    scene.zoom.close_clean().await;
}
