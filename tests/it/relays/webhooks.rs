//! The webhooks to programs: signed, validated and retried as Zoom does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::kit::{Joined, Program, good_answer, home, scene_with};
use crate::simulator::kit::hmac_hex;
use crate::support::kit::{Scene, endless, eventually, zoom};

async fn shown(scene: &Scene, program: &Program) -> Value {
    let path = format!("/api/v1/relays/{}", program.relay);
    scene.daemon.api().get(&path).await.unwrap().json()["data"]["relay"].take()
}

async fn deliveries(scene: &Scene, program: &Program) -> Vec<Value> {
    let path = format!("/api/v1/relays/{}/deliveries", program.relay);
    let answer = scene.daemon.api().get(&path).await.unwrap();
    answer.json()["data"]["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_announcement_is_zooms_with_other_urls_and_another_signature() {
    let (scene, mut programs) = scene_with(home(), zoom(endless(100)), &[("one", json!({}))]).await;
    let hook = programs[0].endpoint.next("meeting.rtms_started").await;
    let header = |name: &str| hook.headers.get(name).unwrap().to_str().unwrap();
    let signed = format!("v0:{}:{}", header("x-zm-request-timestamp"), hook.raw);
    assert_eq!(header("x-zm-signature"), format!("v0={}", hmac_hex("oneToken", &signed)));
    assert_eq!(header("clientid"), "oneClient");
    assert!(header("content-type").starts_with("application/json"));
    let of_zoom = scene.zoom.post.letter("meeting.rtms_started").await.body["payload"].take();
    let mut payload = hook.body["payload"].clone();
    let url = payload["server_urls"].take();
    let expected = format!("ws://{}/relay/{}/signaling", scene.daemon.address, programs[0].relay);
    assert_eq!(url, expected);
    payload["server_urls"] = of_zoom["server_urls"].clone();
    assert_eq!(payload, of_zoom);
    // Validated first.
    let relay = shown(&scene, &programs[0]).await;
    assert!(relay["validated_at_ms"].is_i64(), "{relay}");
    assert_eq!(relay["validation_error"], Value::Null);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_failed_validation_is_shown_and_holds_nothing_back() {
    let mut made = None;
    let scene = Scene::prepared(home(), zoom(endless(50)), async |api| {
        // It answers every request alike, as a program does that knows no validation.
        let answer = Arc::new(|_: &_| StatusCode::OK.into_response());
        made = Some(Program::answering("one", api, json!({}), answer).await);
    })
    .await;
    let mut program = made.unwrap();
    let mut joined = program.join().await;
    joined.media.receive_type(14).await;
    let relay = shown(&scene, &program).await;
    assert!(relay["validation_error"].as_str().unwrap().contains("secret_token"), "{relay}");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_webhook_that_fails_is_tried_again_and_one_that_is_refused_is_not() {
    let failures = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&failures);
    let mut made = Vec::new();
    let scene = Scene::prepared(home(), zoom(endless(50)), async |api| {
        let good = good_answer("one");
        let answer = Arc::new(move |hook: &_| {
            let hook: &crate::simulator::kit::Hook = hook;
            let is_start = hook.body["event"] == "meeting.rtms_started";
            if is_start && counted.fetch_add(1, Ordering::Relaxed) < 2 {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            good(hook)
        });
        made.push(Program::answering("one", api, json!({}), answer).await);
        let refuse = Arc::new(|_: &_| StatusCode::NOT_FOUND.into_response());
        made.push(Program::answering("two", api, json!({}), refuse).await);
    })
    .await;
    let first = made[0].started().await;
    assert_eq!(made[0].started().await, first);
    let third = made[0].started().await;
    assert_eq!(third, first);
    Joined::join("one", third).await.media.receive_type(14).await;
    let settled = eventually("both are settled", async || {
        let one = deliveries(&scene, &made[0]).await;
        let two = deliveries(&scene, &made[1]).await;
        let all = one.into_iter().chain(two);
        let all: Vec<Value> = all.filter(|it| it["event"] == "meeting.rtms_started").collect();
        let is_settled = all.len() == 2 && all.iter().all(|it| it["next_try_at_ms"].is_null());
        is_settled.then_some(all)
    })
    .await;
    let outline: Vec<_> = settled
        .iter()
        .map(|it| (it["delivered"].clone(), it["attempts"].clone(), it["last_status"].clone()))
        .collect();
    let expected = [(json!(true), json!(3), json!(200)), (json!(false), json!(1), json!(404))];
    assert_eq!(outline, expected);
    scene.zoom.close_clean().await;
}
