//! Relays over the API and in the configuration.

use serde_json::{Value, json};

use super::kit::{Joined, Program, description, home, scene_with, try_signal};
use crate::simulator::kit::{End, Endpoint};
use crate::support::kit::{API_TOKEN, Scene, TestDaemon, endless, eventually, zoom};

#[tokio::test]
async fn a_relay_is_managed_over_the_api_and_its_secrets_are_never_shown() {
    let home = home();
    let daemon = TestDaemon::start(&home).await;
    let api = daemon.api();
    let mut asked = description("one", "http://127.0.0.1:9/zoom");
    asked["host_ids"] = json!(["u-ana"]);
    asked["metadata"] = json!({"team": "sales"});
    let made = api.post("/api/v1/relays", &asked).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let relay = made.json()["data"]["relay"].take();
    assert_eq!(relay["media"], json!(["audio", "video", "share", "transcript", "chat"]));
    assert_eq!((&relay["catch_up"], &relay["source"]), (&json!(false), &json!("api")));
    let path = format!("/api/v1/relays/{}", relay["id"].as_str().unwrap());
    let changed = api.patch(&path, json!({"catch_up": true, "media": ["audio"]})).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let shown = api.get(&path).await.unwrap();
    let all = api.get("/api/v1/relays").await.unwrap();
    let after = shown.json()["data"]["relay"].take();
    assert_eq!((&after["catch_up"], &after["media"]), (&json!(true), &json!(["audio"])));
    assert_eq!(after["host_ids"], json!(["u-ana"]));
    for answer in [&made, &changed, &shown, &all] {
        assert!(!answer.text().contains("oneSecret") && !answer.text().contains("oneToken"));
    }
    assert_eq!(api.delete(&path).await.status, 200);
    let gone = api.get(&path).await.unwrap();
    assert_eq!((gone.status, &*gone.code()), (404, "relay_not_found"));
}

#[tokio::test]
async fn what_cannot_be_a_relay_is_refused_by_its_field() {
    let home = home();
    let daemon = TestDaemon::start(&home).await;
    let api = daemon.api();
    for (field, value, status, code) in [
        ("webhook_url", json!("http://10.0.0.1/zoom"), 422, "invalid_value"),
        ("webhook_url", Value::Null, 422, "invalid_value"),
        ("client_secret", json!(""), 422, "invalid_value"),
        ("media", json!(["sound"]), 422, "invalid_value"),
        ("secret", json!("x"), 422, "unknown_field"),
        ("apps", json!(["nobody"]), 404, "unknown_app"),
    ] {
        let mut asked = description("one", "http://127.0.0.1:9/zoom");
        asked[field] = value;
        let refused = api.post("/api/v1/relays", &asked).await;
        assert_eq!((refused.status, &*refused.code()), (status, code), "{}", refused.text());
    }
}

#[tokio::test]
async fn a_configured_relay_works_and_only_the_configuration_changes_it() {
    let mut endpoint = Endpoint::good().await;
    let configured = json!([description("one", &endpoint.url)]).to_string();
    let home = home().set("RTMS_RELAYS", &configured);
    let scene = Scene::open(home, zoom(endless(50))).await;
    let started = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    Joined::join("one", started).await.media.receive_type(14).await;
    let api = scene.daemon.api();
    let all = api.get("/api/v1/relays").await.unwrap().json()["data"]["relays"].take();
    assert_eq!((&all[0]["source"], &all[0]["name"]), (&json!("configuration"), &json!("one")));
    let path = format!("/api/v1/relays/{}", all[0]["id"].as_str().unwrap());
    for refused in [api.delete(&path).await, api.patch(&path, json!({"catch_up": true})).await] {
        assert_eq!((refused.status, &*refused.code()), (409, "relay_configured"));
    }
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_relay_that_is_made_or_changed_in_a_meeting_serves_it_at_once() {
    let scene = Scene::open(home(), zoom(endless(50))).await;
    scene.live().await;
    let api = scene.daemon.api();
    let mut program = Program::new("one", api, json!({})).await;
    let mut joined = program.join().await;
    joined.media.receive_type(14).await;
    let path = format!("/api/v1/relays/{}", program.relay);
    let changed = api.patch(&path, json!({"media": ["transcript"]})).await;
    assert_eq!(changed.status, 200);
    // The program is disconnected as by a lost network, and comes back to what is new.
    assert_eq!(joined.media.drain().await.1, End::Dropped);
    let (_signaling, answer) = eventually("it is served again", async || {
        try_signal("one", &joined.started).await.filter(|(_, answer)| answer["status_code"] == 0)
    })
    .await;
    let urls = answer["media_server"]["server_urls"].as_object().unwrap();
    assert_eq!(urls.keys().collect::<Vec<_>>(), ["all", "transcript"]);
    assert_eq!(api.delete(&path).await.status, 200);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn only_matching_sessions_are_served() {
    let programs = [
        ("host", json!({"host_ids": ["u-ana"]})),
        ("other", json!({"host_ids": ["u-bo"]})),
        ("webinars", json!({"product": "webinar"})),
    ];
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &programs).await;
    programs[0].join().await.media.receive_type(14).await;
    for program in &mut programs[1..] {
        assert_eq!(program.stream(scene.daemon.api()).await, Value::Null);
        let hooks = program.endpoint.rest();
        assert!(hooks.iter().all(|event| event == "endpoint.url_validation"), "{hooks:?}");
    }
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_token_without_admin_manages_no_relays() {
    let home = home().set("API_TOKENS", &format!("tests:{API_TOKEN}:read+control"));
    let daemon = TestDaemon::start(&home).await;
    assert_eq!(daemon.api().get("/api/v1/relays").await.unwrap().status, 403);
}
