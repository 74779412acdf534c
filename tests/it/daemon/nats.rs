//! The daemon with NATS behind it.

use std::process::Stdio;

use rtmsd::simulator::MeetingAction;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::kit::{
    API_TOKEN, Home, Log, Page, Scene, TIMEOUT, Zoom, chatter, endless, eventually, script, zoom,
};
use crate::support::nats::{Broker, Stored};
use crate::support::process::Process;

const LINE_MS: u32 = 50;
const REFUSED: &str = "NATS rejected the connection or is unreachable; retrying until connected, further failures are not logged";

fn home(broker: &Broker) -> Home {
    Home::sqlite().set("MEDIA_TYPES", "transcript,audio").set("NATS_URL", &broker.url())
}

/// Everything that the API shows of a session that is over is in the broker's stream, each entry once.
async fn assert_whole(broker: &Broker, page: &Page) -> Vec<Stored> {
    let stored = broker.stored("RTMSD", page.entries.len() as u64).await;
    let mut bodies: Vec<Value> = stored.iter().map(Stored::json).collect();
    bodies.sort_by_key(|entry| (entry["ordinal"].as_u64(), entry["seq"].as_u64()));
    assert_eq!(bodies, page.entries);
    stored
}

#[tokio::test]
async fn every_entry_of_a_meeting_is_in_jetstream_as_the_api_shows_it() {
    let broker = Broker::start("").await;
    let scene = Scene::open(home(&broker), zoom(script(chatter(20, 50), 2_000))).await;
    let page = scene.log.over().await;
    let stored = assert_whole(&broker, &page).await;
    for (message, entry) in stored.iter().zip(&page.entries) {
        let (session, kind) = (scene.log.session_id(), entry["kind"].as_str().unwrap());
        assert_eq!(message.subject, format!("rtms.acc-1.{session}.entries.{kind}"));
        assert_eq!(message.header("Rtms-Kind"), kind);
        assert_eq!(message.header("Rtms-Product"), "meeting");
        let id = format!("{}:{}", entry["stream_id"].as_str().unwrap(), entry["seq"]);
        assert_eq!(message.header("Nats-Msg-Id"), id);
    }
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn frames_go_to_core_subjects_in_order_and_not_to_jetstream() {
    let broker = Broker::start("").await;
    let client = broker.client().await;
    let mut audio = client.subscribe("rtms.*.*.audio.*").await.unwrap();
    client.flush().await.unwrap();
    let home = home(&broker).set("NATS_MEDIA", "audio");
    let scene = Scene::open(home, zoom(script(chatter(20, 100), 3_000))).await;
    let page = scene.log.over().await;
    assert_whole(&broker, &page).await;
    let frames = scene.stream().await.tally.audio.frames;
    assert!(frames > 50, "{frames}");
    for seq in 1..=frames {
        let next = futures_util::StreamExt::next(&mut audio);
        let frame = timeout(TIMEOUT, next).await.expect("every frame comes").unwrap();
        let headers = frame.headers.unwrap();
        let header = |name: &str| headers.get(name).unwrap().as_str();
        assert_eq!(header("Rtms-Seq"), seq.to_string());
        assert_eq!((header("Rtms-Medium"), header("Rtms-Codec")), ("audio", "l16"));
        let (session, user) = (scene.log.session_id(), header("Rtms-User"));
        assert_eq!(frame.subject.as_str(), format!("rtms.acc-1.{session}.audio.{user}"));
        assert_eq!(frame.payload.len(), 640, "20 ms at 16 kHz");
    }
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_broker_that_is_killed_twice_loses_and_repeats_no_entry() {
    let mut broker = Broker::start("").await;
    let scene = Scene::open(home(&broker), zoom(endless(LINE_MS))).await;
    let mut lines = 20;
    for _ in 0..2 {
        scene.log.lines(lines).await;
        broker.stored("RTMSD", lines as u64).await;
        broker.kill().await;
        lines = scene.log.page().of("transcript").len() + 40;
        scene.log.lines(lines).await;
        broker.come().await;
        lines += 20;
    }
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let page = scene.log.over().await;
    assert_whole(&broker, &page).await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_daemon_starts_without_its_broker_and_publishes_everything_when_it_comes() {
    let mut broker = Broker::away("").await;
    let home = home(&broker).set("NATS_MEDIA", "audio");
    let scene = Scene::open(home, zoom(script(chatter(20, 50), 2_000))).await;
    let page = scene.log.over().await;
    broker.come().await;
    assert_whole(&broker, &page).await;
    scene.daemon.stop().await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn frames_that_a_missing_broker_costs_are_a_gap_in_the_ledger() {
    let broker = Broker::away("").await;
    let home = home(&broker).set("NATS_MEDIA", "audio").set("NATS_MEDIA_BUFFER_BYTES", "65536");
    let scene = Scene::open(home, zoom(script(chatter(60, 50), 5_000))).await;
    let page = scene.log.over().await;
    let is_told = |gap: &&Value| gap["medium"] == "audio" && gap["cause"] == "left_out";
    assert!(page.of("gap").iter().any(is_told), "{:#?}", page.outline());
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_daemon_that_is_killed_repeatedly_loses_and_repeats_no_entry() {
    let broker = Broker::start("").await;
    let home = home(&broker);
    let zoom = Zoom::open(zoom(endless(LINE_MS))).await;
    let (mut process, mut api) = Process::serve(&home).await;
    zoom.post.deliver_to(api.0);
    let mut log = Log::follow(api, &zoom.announced().await.instance_id).await;
    for round in 1..=3 {
        log.lines(round * 20).await;
        broker.stored("RTMSD", round as u64 * 15).await;
        process.signal("KILL");
        process.ended().await;
        (process, api) = Process::serve(&home).await;
        zoom.post.deliver_to(api.0);
        log = log.moved_to(api);
    }
    log.lines(80).await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let page = log.over().await;
    assert_whole(&broker, &page).await;
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

#[tokio::test]
async fn a_third_party_client_reads_what_was_published() {
    let broker = Broker::start("").await;
    let scene = Scene::open(home(&broker), zoom(script(chatter(20, 50), 2_000))).await;
    let page = scene.log.over().await;
    broker.stored("RTMSD", page.entries.len() as u64).await;
    let count = page.entries.len().to_string();
    let mut python = Command::new("python3")
        .args(["-", &broker.url(), "RTMSD", &count])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the tests need python3");
    let mut input = python.stdin.take().unwrap();
    input.write_all(include_bytes!("../support/nats.py")).await.unwrap();
    drop(input);
    let output = timeout(TIMEOUT, python.wait_with_output()).await.expect("it ends").unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let read: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bodies: Vec<Value> = read.iter().map(|message| message["body"].clone()).collect();
    assert_eq!(bodies, page.entries);
    for (message, entry) in read.iter().zip(&page.entries) {
        assert_eq!(message["headers"]["Rtms-Kind"], entry["kind"]);
        assert_eq!(message["headers"]["Rtms-Seq"], entry["seq"].to_string());
        assert_eq!(message["headers"]["Rtms-At-Ms"], entry["at_ms"].to_string());
    }
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_broker_with_a_password_takes_it_from_the_url_and_it_is_not_logged() {
    let login = "authorization { user: ana, password: \"p@ss-w0rd\" }";
    let broker = Broker::start(login).await;
    let with = |password: &str| {
        let url = broker.url().replace("//", &format!("//ana:{password}@"));
        home(&broker).set("NATS_URL", &url).set("RUST_LOG", "debug")
    };
    let (process, _) = Process::serve(&with("p%40ss-w0rd")).await;
    eventually("the broker takes us", async || process.logged("NATS is connected")).await;
    process.signal("TERM");
    let ended = process.ended().await;
    assert_eq!(ended.code(), 0);
    assert!(!ended.err.contains("ss-w0rd"), "{}", ended.err);

    let (process, api) = Process::serve(&with("wr0ng")).await;
    eventually("the refusal is logged", async || process.logged(REFUSED)).await;
    assert_eq!(api.get("/health/live").await.unwrap().status, 200, "the daemon goes on");
    process.signal("TERM");
    let ended = process.ended().await;
    assert_eq!(ended.code(), 0);
    assert!(!ended.err.contains("wr0ng"), "{}", ended.err);
}

#[tokio::test]
async fn what_is_deleted_is_told_after_what_was_said() {
    let broker = Broker::start("").await;
    let home = home(&broker).set("API_TOKENS", &format!("boss:{API_TOKEN}:admin"));
    let scene = Scene::open(home, zoom(script(chatter(5, 50), 1_000))).await;
    let page = scene.log.over().await;
    assert_whole(&broker, &page).await;
    let session = scene.log.session_id();
    let answer = scene.daemon.api().delete(&format!("/api/v1/sdk/sessions/{session}")).await;
    assert_eq!(answer.status, 202);
    let stored = broker.stored("RTMSD", page.entries.len() as u64 + 1).await;
    let last = stored.last().unwrap();
    assert_eq!(last.subject, "rtms.deleted.session");
    assert_eq!(last.json()["subject"], session);
    scene.zoom.close_clean().await;
}
