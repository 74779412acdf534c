//! Every command about sessions, with its output for people and for programs.

use rtmsd::secret::Secret;
use rtmsd::simulator::{Settings, Start};
use serde_json::Value;

use super::kit::{Client, cells, home};
use crate::support::kit::{Scene, TestDaemon, Zoom, chatter, endless, script, zoom};

const ZOOM_TOKEN: &str = "access-token-of-the-simulator";

/// The `data` of a GET of the API.
async fn data(scene: &Scene, path: &str) -> Value {
    let answer = scene.daemon.api().get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}");
    answer.json()["data"].take()
}

#[tokio::test]
async fn a_session_is_listed_shown_and_read_as_people_and_programs_need_it() {
    let scene = Scene::open(home(), zoom(script(chatter(6, 100), 2_000))).await;
    scene.log.over().await;
    scene.ended().await;
    let client = Client::of(scene.daemon.address);
    let id = scene.log.session_id();
    let path = format!("/api/v1/sdk/sessions/{id}");

    let list = cells(&client.text(&["sessions", "list"]).await);
    assert_eq!(list[0], ["ID", "STATUS", "PRODUCT", "MEETING", "APP", "CREATED", "ENDED"]);
    assert_eq!(list[1][..5], [id, "ended", "meeting", "91234567890", "default"]);
    assert_eq!(list.len(), 2);
    let none = cells(&client.text(&["sessions", "list", "--status", "live"]).await);
    assert_eq!(none.len(), 1, "{none:?}");
    assert_eq!(
        client.json(&["sessions", "list"]).await,
        data(&scene, "/api/v1/sdk/sessions").await
    );

    let shown = client.text(&["sessions", "show", "latest"]).await;
    assert!(
        shown.starts_with("id ") && shown.contains(id) && shown.contains("\nstreams\n"),
        "{shown}"
    );
    assert_eq!(client.json(&["sessions", "show", id]).await, data(&scene, &path).await);

    let ledger = cells(&client.text(&["sessions", "ledger", id]).await);
    assert_eq!(ledger[0][..3], ["STREAM", "MEDIUM", "COMPLETE"]);
    assert!(
        ledger.iter().any(|row| row.get(1).is_some_and(|cell| cell == "transcript")),
        "{ledger:?}"
    );
    let of_api = data(&scene, &format!("{path}/ledger")).await;
    assert_eq!(client.json(&["sessions", "ledger", id]).await, of_api);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_transcript_comes_in_every_format_of_the_api_and_as_text_by_itself() {
    let scene = Scene::open(home(), zoom(script(chatter(8, 250), 3_000))).await;
    scene.log.over().await;
    let client = Client::of(scene.daemon.address);
    let id = scene.log.session_id();
    let path = format!("/api/v1/sdk/sessions/{id}/transcript");
    for format in ["txt", "vtt", "srt", "json", "jsonl"] {
        let expected = scene.daemon.api().get(&format!("{path}?format={format}")).await.unwrap();
        let printed = client.text(&["sessions", "transcript", id, "--format", format]).await;
        assert_eq!(printed.trim_end(), expected.text().trim_end(), "{format}");
    }
    let text = client.text(&["sessions", "transcript", id]).await;
    assert!(text.contains("] Ana Silva: line ") && text.contains("] Bo: line "), "{text}");
    let lines = client.json(&["sessions", "transcript", id]).await;
    assert_eq!(lines["lines"].as_array().unwrap().len(), text.lines().count(), "{lines}");
    let wrong = client.run(&["sessions", "transcript", id, "--format", "docx"]).await;
    assert_eq!(wrong.code(), 1);
    assert!(wrong.err.contains("invalid_value") && wrong.err.contains("jsonl"), "{wrong:?}");
    scene.zoom.close_clean().await;
}

/// A daemon and a Zoom that starts no stream by itself.
async fn at_rest() -> (TestDaemon, Zoom) {
    let settings = Settings {
        start: Start::Rest,
        access_token: Some(Secret::new(ZOOM_TOKEN.into())),
        ..zoom(endless(100))
    };
    let zoom = Zoom::open(settings).await;
    let home = home()
        .set("ZOOM_ACCESS_TOKEN", ZOOM_TOKEN)
        .set("ZOOM_API_BASE_URL", &zoom.simulator.base_url());
    let daemon = TestDaemon::start(&home).await;
    zoom.post.deliver_to(daemon.address);
    (daemon, zoom)
}

#[tokio::test]
async fn a_session_is_created_started_paused_resumed_and_stopped() {
    let (daemon, zoom) = at_rest().await;
    let client = Client::of(daemon.address);
    let announced = zoom.post.letter("meeting.started").await;
    let number = announced.body["payload"]["object"]["id"].as_str().unwrap().to_owned();
    let create = ["sessions", "create", "--meeting-id", &number, "--metadata", "crm=42"];
    let made = client.json(&create).await["session"].take();
    let id = made["id"].as_str().unwrap();
    let again = client.text(&create).await;
    assert_eq!(again, format!("session already exists: {id}"));

    let media = ["types=transcript,audio", "audio.codec=opus", "audio.sample_rate=48000"];
    let media: Vec<&str> = media.iter().flat_map(|field| ["--media", field]).collect();
    let live = client.json(&[&["sessions", "start", id, "--wait"], &media[..]].concat()).await;
    assert_eq!(live["session"]["status"], "live", "{live}");
    assert_eq!(live["streams"][0]["media"]["audio"]["codec"], "opus", "{live}");

    let paused = client.text(&["sessions", "pause", id]).await;
    assert_eq!(paused, format!("Zoom RTMS pause requested: {id}"));
    daemon.api().reaches(id, "paused").await;
    let resumed = client.json(&["sessions", "resume", id]).await;
    assert_eq!(resumed["zoom"]["action"], "resume", "{resumed}");
    daemon.api().reaches(id, "live").await;
    let stopped = client.text(&["sessions", "stop", id]).await;
    assert_eq!(stopped, format!("Zoom RTMS stop requested: {id}"));
    daemon.api().reaches(id, "ended").await;
    zoom.close_clean().await;
}

#[tokio::test]
async fn waiting_for_a_session_that_zoom_does_not_start_fails_and_says_why() {
    let (daemon, zoom) = at_rest().await;
    let client = Client::of(daemon.address);
    zoom.post.letter("meeting.started").await;
    zoom.post.lose("meeting.rtms_started");
    let id =
        client.json(&["sessions", "list"]).await["sessions"][0]["id"].as_str().unwrap().to_owned();
    let ended = client.run(&["sessions", "start", &id, "--wait=1"]).await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.err.contains("its status is rtms_start_requested"), "{ended:?}");
    let refused = client.run(&["sessions", "start", &id, "--installation-id", "nobody"]).await;
    assert_eq!(refused.code(), 1);
    assert!(refused.err.contains("installation_id must be a UUID"), "{refused:?}");
    assert_eq!(refused.out, "");
}
