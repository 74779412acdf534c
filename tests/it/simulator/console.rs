//! The simulator's own HTTP API.

use rtmsd::simulator::{Settings, Start};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::kit::{Endpoint, Scene, TIMEOUT, http, script_with, settings, simulate};

async fn post(url: String, body: &str) -> (u16, Value) {
    let response = http().post(url).body(body.to_owned()).send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

async fn get(url: String) -> Value {
    let response = http().get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn meetings_are_opened_listed_and_ended() {
    let mut endpoint = Endpoint::good().await;
    let settings = Settings { meetings: 0, ..settings() };
    let simulator = simulate(settings, &endpoint).await;
    let base = simulator.control_url();
    assert_eq!(get(format!("{base}/meetings")).await, json!([]));
    let (status, opened) = post(format!("{base}/meetings"), "").await;
    assert_eq!((status, &opened["meeting_id"]), (201, &json!("91234567890")));
    let started = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    let streams = json!([started["rtms_stream_id"]]);
    let listed = get(format!("{base}/meetings")).await;
    assert_eq!(listed, json!([{"meeting_id": "91234567890", "streams": streams}]));
    assert_eq!(post(format!("{base}/meetings/91234567890/end"), "").await.0, 200);
    endpoint.next("meeting.ended").await;
    let report = get(format!("{base}/report")).await;
    assert_eq!(report["streams"][0]["stop_reason"], 6);
}

#[tokio::test]
async fn verbs_are_performed_with_the_fields_in_the_body() {
    let mut scene = Scene::open(settings()).await;
    let base = format!("{}/meetings/{}", scene.simulator.control_url(), scene.meeting_id());
    assert_eq!(post(format!("{base}/pause"), "{}").await.0, 200);
    assert_eq!(post(format!("{base}/stop"), r#"{"reason": 8}"#).await.0, 200);
    let stopped = scene.endpoint.next("meeting.rtms_stopped").await.body;
    assert_eq!(stopped["payload"]["stop_reason"], 8);
    let error = async |path: &str, body: &str| {
        let (status, answer) = post(format!("{base}/{path}"), body).await;
        (status, answer["error"].as_str().unwrap().to_owned())
    };
    assert_eq!(error("pause", "").await, (409, "the meeting has no stream".to_owned()));
    assert!(error("jump", "").await.1.contains("unknown variant `jump`"));
    assert!(error("stop", "").await.1.contains("missing field `reason`"));
    assert_eq!(error("stop", "{").await.0, 400);
    let nowhere = format!("{}/meetings/1/pause", scene.simulator.control_url());
    assert_eq!(post(nowhere, "").await.0, 404);
}

#[tokio::test]
async fn call_failures_users_and_tokens_are_controlled() {
    let mut endpoint = Endpoint::good().await;
    let settings = Settings { start: Start::Rest, ..settings() };
    let simulator = simulate(settings, &endpoint).await;
    let base = simulator.control_url();
    assert_eq!(get(format!("{base}/users")).await[0]["id"], "u-ana");
    let trouble = r#"{"call": "user", "how": "server_error"}"#;
    assert_eq!(post(format!("{base}/calls"), trouble).await.0, 200);
    assert_eq!(post(format!("{base}/calls"), r#"{"call": "user"}"#).await.0, 400);
    let me = format!("{}/v2/users/me", simulator.base_url());
    let statuses = [
        http().get(&me).send().await.unwrap().status().as_u16(),
        http().get(&me).send().await.unwrap().status().as_u16(),
    ];
    assert_eq!(statuses, [500, 401]);
    assert_eq!(post(format!("{base}/users/u-ana/deauthorize"), "").await.0, 200);
    endpoint.next("app_deauthorized").await;
    assert_eq!(post(format!("{base}/users/nobody/deauthorize"), "").await.0, 404);
    assert_eq!(post(format!("{base}/tokens/expire"), "").await.0, 200);
}

#[tokio::test]
async fn every_frame_is_listed_if_frames_are_remembered() {
    let say = json!([{"at_ms": 0, "say": {"who": "ana", "text": "hello", "duration_ms": 20}}]);
    let settings = Settings { remembers_frames: true, script: script_with(say), ..settings() };
    let scene = Scene::open(settings).await;
    let stream = scene.simulator.report().streams.remove(0);
    let url = format!("{}/streams/{}/frames", scene.simulator.control_url(), stream.stream_id);
    // No client has connected, so the line is logged as not sent.
    let lines = async {
        loop {
            let frames = get(url.clone()).await;
            if let Some(lines) = frames["media"]["transcript"].as_array() {
                return lines.clone();
            }
        }
    };
    let lines = timeout(TIMEOUT, lines).await.expect("a transcript line is logged");
    assert_eq!((&lines[0][1], &lines[0][2]), (&json!(5), &json!(false)));
    let nowhere = format!("{}/streams/none/frames", scene.simulator.control_url());
    assert_eq!(http().get(nowhere).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn nothing_is_sent_for_a_stream_after_its_end() {
    let timeline = json!([
        {"at_ms": 200, "say": {"who": "ana", "text": "hello", "duration_ms": 100}},
        {"at_ms": 400, "fault": {"kind": "stop", "reason": 6}},
        {"at_ms": 300, "say": {"who": "ana", "text": "too late", "duration_ms": 100}},
    ]);
    let settings = Settings { remembers_frames: true, script: script_with(timeline), ..settings() };
    let mut scene = Scene::open(settings).await;
    let stream = scene.simulator.report().streams.remove(0);
    scene.endpoint.next("meeting.rtms_stopped").await;
    let url = format!("{}/streams/{}/frames", scene.simulator.control_url(), stream.stream_id);
    let lines = get(url).await["media"]["transcript"].take();
    assert_eq!(lines.as_array().map(Vec::len), Some(1), "{lines}");
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let scene = Scene::open(settings()).await;
    let url = format!("{}/meetings", scene.simulator.control_url());
    let from = async |origin: &str| {
        let request = http().post(&url).header("origin", origin);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(from("https://example.com").await, 403);
    assert_eq!(from("null").await, 403);
    assert_eq!(from(&scene.simulator.base_url()).await, 201);
}
