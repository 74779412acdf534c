//! A JavaScript program with the packages of Zoom's quickstart behind the daemon.

use serde_json::{Value, json};
use tokio::process::Command;

use super::kit::{Print, assert_same, description, home, remembering, sent_frames};
use crate::support::kit::{Scene, chatter, eventually, script, zoom};
use crate::support::process::Process;

const NODE_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/node");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/relays/program.cjs");

/// What it has printed with this key.
fn said(program: &Process, key: &str) -> Vec<Value> {
    let out = program.out();
    let lines = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| !line[key].is_null()).collect()
}

#[tokio::test]
async fn a_javascript_program_gets_every_frame_and_line() {
    let mut command = Command::new("node");
    command
        .arg(SCRIPT)
        .env("NODE_PATH", format!("{NODE_FOLDER}/node_modules"))
        .env("CLIENT_ID", "nodeClient")
        .env("CLIENT_SECRET", "nodeSecret")
        .env("SECRET_TOKEN", "nodeToken")
        .current_dir(NODE_FOLDER);
    let program = Process::of(command);
    let port = program.printed("listening").await;
    let settings = remembering(zoom(script(chatter(30, 100), 4_000)));
    let scene = Scene::prepared(home(), settings, async |api| {
        let mut asked = description("node", &format!("http://127.0.0.1:{port}/zoom"));
        asked["catch_up"] = true.into();
        assert_eq!(api.post("/api/v1/relays", &asked).await.status, 201);
    })
    .await;
    let page = scene.log.over().await;
    eventually("it is told of the end", async || said(&program, "stopped").pop()).await;
    let state = eventually("it sees the end", async || {
        said(&program, "state").pop().filter(|said| said["state"] == 4)
    });
    state.await;
    let frames: Vec<Print> = said(&program, "sum")
        .iter()
        .map(|it| {
            let number = |name: &str| it[name].as_u64().unwrap();
            (it["at"].as_i64().unwrap(), number("bytes"), number("sum"))
        })
        .collect();
    assert_same(&frames, &sent_frames(&scene, "audio").await);
    let texts: Vec<Value> =
        said(&program, "text").iter().map(|line| line["text"].clone()).collect();
    assert_eq!(texts, page.texts());
    let webhooks: Vec<Value> =
        said(&program, "webhook").iter().map(|it| it["webhook"].clone()).collect();
    let expected = ["endpoint.url_validation", "meeting.rtms_started", "meeting.rtms_stopped"];
    assert_eq!(webhooks, expected.map(|name| json!(name)));
    assert!(said(&program, "forged").is_empty() && said(&program, "error").is_empty());
    // The roster on subscription.
    assert!(said(&program, "event").iter().any(|it| it["event"] == 3));
    scene.zoom.close_clean().await;
}
