//! Zoom's own SDK behind the daemon: it takes it for Zoom.

use std::collections::BTreeSet;
use std::net::TcpListener as StdListener;
use std::path::PathBuf;
use std::time::Duration;

use rtmsd::secret::Secret;
use rtmsd::simulator::{MeetingAction, ReplaySettings, ZoomApp, replay};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::front::Front;
use super::kit::{Print, assert_same, description, home, remembering, sent_frames};
use crate::daemon::capture::kit::{capturing, stored, write};
use crate::support::kit::{
    Api, Home, Scene, TIMEOUT, TestDaemon, chatter, endless, eventually, script, zoom,
};
use crate::support::process::Process;

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/relays/sdk.py");

/// A program on the SDK, with credentials of its own.
struct Sdk {
    name: &'static str,
    port: u16,
    logs: PathBuf,
    process: Process,
}

impl Sdk {
    /// Waits for webhooks.
    async fn listen(name: &'static str, home: &Home) -> Self {
        let free = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = start(name, home, &["webhook", &free.to_string()]);
        process.printed("ready").await;
        Self { name, port: free, logs: home.folder().join("logs"), process }
    }

    /// Joins the stream of this announcement directly.
    fn join(name: &'static str, home: &Home, payload: &Value) -> Self {
        Self {
            name,
            port: 0,
            logs: home.folder().join("logs"),
            process: start(name, home, &["join", &payload.to_string()]),
        }
    }

    async fn relay(&self, api: Api) {
        let mut asked = description(self.name, &format!("http://127.0.0.1:{}/", self.port));
        asked["catch_up"] = true.into();
        let made = api.post("/api/v1/relays", &asked).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }

    /// What it has printed with this key.
    fn said(&self, key: &str) -> Vec<Value> {
        let out = self.process.out();
        let lines = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| !line[key].is_null()).collect()
    }

    fn frames(&self) -> Vec<Print> {
        let frames = self.said("sum");
        let print = |it: &Value| {
            let number = |name: &str| it[name].as_u64().unwrap();
            (it["at"].as_i64().unwrap(), number("bytes"), number("sum"))
        };
        frames.iter().map(print).collect()
    }

    fn lines(&self) -> Vec<String> {
        let lines = self.said("text");
        lines.iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    }

    async fn has_frames(&self, count: usize) {
        let what = format!("{} has {count} frames", self.name);
        let has = eventually(&what, async || (self.frames().len() >= count).then_some(()));
        // What the SDK says of itself is worth more than the time that has passed.
        if timeout(TIMEOUT - Duration::from_secs(5), has).await.is_err() {
            panic!("never happened: {what}; {}", self.log());
        }
    }

    /// What the SDK writes to a file.
    fn log(&self) -> String {
        std::fs::read_dir(&self.logs)
            .into_iter()
            .flatten()
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .collect()
    }

    async fn said_once(&self, key: &str) -> Value {
        let what = format!("{} says {key}; {}", self.name, self.process.err());
        eventually(&what, async || self.said(key).into_iter().next()).await
    }
}

fn start(name: &str, home: &Home, arguments: &[&str]) -> Process {
    let _ = std::fs::create_dir(home.folder().join("logs"));
    let mut command = Command::new(PYTHON);
    command
        .env_clear()
        .env("ZM_RTMS_CLIENT", format!("{name}Client"))
        .env("ZM_RTMS_SECRET", format!("{name}Secret"))
        .env("ZM_RTMS_CA", home.folder().join("tls/ca.pem"))
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(home.folder())
        .arg(SCRIPT)
        .args(arguments);
    Process::of(command)
}

/// Three programs over TLS: one runs through, one is stalled for a while, one is killed and joins again directly.
#[tokio::test]
async fn zooms_own_sdk_takes_the_daemon_for_zoom() {
    let home = home();
    let tls = home.folder().join("tls");
    std::fs::create_dir(&tls).unwrap();
    let front = Front::open_tls(&tls).await;
    let mut home = home.set("RELAY_PUBLIC_URL", &front.url());
    home.relays.keep_alive = Duration::from_secs(2);
    let mut programs = Vec::new();
    for name in ["through", "stalled", "killed"] {
        programs.push(Sdk::listen(name, &home).await);
    }
    let settings = remembering(zoom(endless(100)));
    let scene = Scene::prepared(home, settings, async |api| {
        front.lead_to(api.0);
        for program in &programs {
            program.relay(api).await;
        }
    })
    .await;
    for program in &programs {
        assert_eq!(program.said_once("joined").await["joined"], 0);
        program.has_frames(50).await;
    }
    let [through, stalled, killed] = <[Sdk; 3]>::try_from(programs).ok().unwrap();
    stalled.process.signal("STOP");
    killed.process.signal("KILL");
    let before = killed.lines();
    let payload = scene.zoom.post.letter("meeting.rtms_started").await.body["payload"].take();
    let relays = scene.daemon.api().get("/api/v1/relays").await.unwrap().json();
    let relays = relays["data"]["relays"].as_array().unwrap().clone();
    let relay = relays.iter().find(|relay| relay["name"] == "killed").unwrap()["id"].clone();
    let mut payload = payload;
    let url = format!("{}/relay/{}/signaling", front.url(), relay.as_str().unwrap());
    payload["server_urls"] = url.into();
    // Far more than a moment passes without it.
    let said = scene.log.page().of("transcript").len();
    scene.log.lines(said + 20).await;
    let again = Sdk::join("killed", &scene.home, &payload);
    assert_eq!(again.said_once("joined").await["joined"], 0);
    again.has_frames(50).await;
    stalled.process.signal("CONT");
    scene.zoom.perform(MeetingAction::End).await;
    for program in [&through, &stalled] {
        assert_eq!(program.said_once("stopped").await["stopped"], 6);
        program.said_once("left").await;
    }
    again.said_once("left").await;
    let page = scene.log.over().await;
    let sent = sent_frames(&scene, "audio").await;
    // Every byte, to the frame, also of the one that did not read for a while.
    assert_same(&through.frames(), &sent);
    assert_same(&stalled.frames(), &sent);
    assert_eq!(through.lines(), page.texts());
    assert_eq!(stalled.lines(), page.texts());
    // The killed one has every line, and while it ran every frame. The line behind its last may be missing: the SDK
    // answers keep-alives on a thread of its own, also for what the program has not handled when it is killed.
    let lines: BTreeSet<String> = before.iter().cloned().chain(again.lines()).collect();
    for (place, text) in page.texts().iter().enumerate() {
        assert!(lines.contains(*text) || place == before.len(), "{text}: {lines:?}");
    }
    let first = again.frames().first().unwrap().0;
    let rest: Vec<Print> = sent.into_iter().filter(|frame| frame.0 >= first).collect();
    assert_same(&again.frames(), &rest);
    scene.zoom.close_clean().await;
    drop((through, stalled, killed, again));
}

/// The stream goes on behind a daemon that is replaced: the SDK reconnects by itself to the URL that it has.
#[tokio::test]
async fn the_sdk_comes_back_by_itself_to_a_restarted_daemon() {
    let home = home();
    let tls = home.folder().join("tls");
    std::fs::create_dir(&tls).unwrap();
    let front = Front::open_tls(&tls).await;
    let home = home.set("RELAY_PUBLIC_URL", &front.url());
    let program = Sdk::listen("one", &home).await;
    let scene = Scene::prepared(home, zoom(endless(100)), async |api| {
        front.lead_to(api.0);
        program.relay(api).await;
    })
    .await;
    program.has_frames(50).await;
    let Scene { home, daemon, zoom, log } = scene;
    daemon.stop().await;
    let daemon = TestDaemon::start(&home).await;
    front.lead_to(daemon.address);
    zoom.post.deliver_to(daemon.address);
    let frames = program.frames().len();
    program.has_frames(frames + 50).await;
    let log = log.moved_to(daemon.api());
    zoom.perform(MeetingAction::End).await;
    program.said_once("stopped").await;
    let page = log.over().await;
    // Announced once: it is the same URL.
    let started: Vec<Value> = program
        .said("webhook")
        .into_iter()
        .filter(|said| said["webhook"] == "meeting.rtms_started")
        .collect();
    assert_eq!(started.len(), 1, "{started:?}");
    // At least once, and nothing left out.
    let lines: BTreeSet<String> = program.lines().into_iter().collect();
    let all: BTreeSet<String> = page.texts().iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(lines, all);
    zoom.close_clean().await;
}

/// A bug report's file, played by `rtmsd replay` over TLS to a program that knows nothing of rtmsd.
#[tokio::test]
async fn the_sdk_takes_a_replay_for_zoom() {
    let home = capturing("all").set("MEDIA_TYPES", "audio,transcript");
    let settings = remembering(zoom(script(chatter(20, 100), 3_000)));
    let scene = Scene::open(home, settings).await;
    let page = scene.log.over().await;
    let sent = sent_frames(&scene, "audio").await;
    let file = stored(scene.daemon.api(), scene.log.session_id()).await;
    let path = write(scene.home.folder(), &file);
    let tls = scene.home.folder().join("tls");
    let program = Sdk::listen("replay", &scene.home).await;
    let settings = ReplaySettings {
        app: ZoomApp {
            client_id: "replayClient".to_owned(),
            client_secret: Secret::new("replaySecret".to_owned()),
            secret_token: Secret::new("replayToken".to_owned()),
            webhook_url: Some(format!("http://127.0.0.1:{}/", program.port)),
            is_server_to_server: false,
        },
        skip_url_validation: true,
        speed: 1.0,
        shifts_times: false,
        port: 0,
        tls_dir: Some(tls),
        tls_host: "localhost".to_owned(),
    };
    let report = replay(&path, settings, CancellationToken::new(), |_| {}).await.unwrap();
    assert_eq!(report.refused, 0, "{report:?}");
    program.said_once("left").await;
    assert_eq!(program.lines(), page.texts(), "{report:?}");
    // The SDK drops what it has not handled when it learns of the end, and a frame now and then on a busy machine.
    let frames = program.frames();
    assert!(frames.len() + 25 >= sent.len(), "{} of {} frames", frames.len(), sent.len());
    assert!(frames.iter().all(|frame| sent.contains(frame)), "{frames:?} of {sent:?}");
    scene.zoom.close_clean().await;
}
