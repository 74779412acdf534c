//! Media parameters of a session's own, from the API to Zoom's answer.

use serde_json::{Value, json};

use crate::support::kit::{Home, Scene, chatter, script, zoom};

#[tokio::test]
async fn a_sessions_own_media_are_asked_for_instead_of_the_configured_ones() {
    let home = Home::sqlite().set("MEDIA_TYPES", "transcript,chat");
    let settings = zoom(script(chatter(3, 1_000), 5_000));
    let scene = Scene::prepared(home, settings, async |api| {
        let media = json!({"types": ["audio", "transcript"], "audio": {"codec": "opus",
            "sample_rate": 48_000, "send_rate_ms": 20}});
        let new = json!({"platform": "zoom", "meeting_id": "91234567890", "media": media});
        let made = api.post("/api/v1/sdk/sessions", &new).await;
        assert_eq!(made.status, 201, "{}", made.text());
    })
    .await;
    let page = scene.log.over().await;
    assert!(!page.texts().is_empty());
    let stream = scene.stream().await;
    assert!(stream.tally.audio.frames > 0);
    assert_eq!(stream.media.unwrap()["types"], json!(["audio", "transcript"]));
    let effective = stream.effective.unwrap();
    assert_eq!(effective["audio"]["codec"], "opus");
    assert_eq!(effective["transcript"]["identify_language"], true);
    assert_eq!(effective["video"], Value::Null);
    let path = format!("/api/v1/sdk/sessions/{}/ledger", scene.log.session_id());
    let ledger = scene.daemon.api().get(&path).await.unwrap().json();
    let media = ledger["data"]["streams"][0]["media"].as_array().unwrap().clone();
    let names: Vec<&Value> = media.iter().map(|medium| &medium["medium"]).collect();
    assert_eq!(names, ["audio", "transcript"], "the ledger is of what was asked for");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_session_without_media_of_its_own_shows_what_zoom_gives() {
    let home = Home::sqlite().set("MEDIA_TYPES", "audio");
    let scene = Scene::open(home, zoom(script(chatter(3, 1_000), 5_000))).await;
    scene.log.over().await;
    let stream = scene.stream().await;
    assert_eq!(stream.media, None);
    assert_eq!(stream.effective.unwrap()["audio"]["codec"], "l16");
    scene.zoom.close_clean().await;
}
