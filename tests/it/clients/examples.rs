//! The examples' own output. What they need of `rtmsd` is in their first comment.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use super::{NODE_FOLDER, ROOT, example, python};
use crate::support::browser::Browser;
use crate::support::kit::{API_TOKEN, Home, Scene, TIMEOUT, chatter, eventually, script, zoom};
use crate::support::nats::Broker;
use crate::support::process::Process;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const LINES: u32 = 10;

/// The lines of JSON that a program has printed.
fn printed(program: &Process) -> Vec<Value> {
    program.out().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// A meeting of ten lines, to its end. The first ones can be said before the daemon has joined.
async fn meeting(home: Home) -> Scene {
    let scene = Scene::open(home, zoom(script(chatter(LINES, 100), 2_000))).await;
    scene.log.over().await;
    scene
}

#[tokio::test]
async fn the_webhook_receivers_in_python_and_node_take_each_event_once() {
    let mut node = Command::new("node");
    node.arg(format!("{ROOT}/examples/webhook_receiver.mjs"))
        .arg("0")
        .env("WEBHOOK_SECRET", SECRET)
        .current_dir(NODE_FOLDER);
    let mut python = example("webhook_receiver.py");
    python.arg("0").env("WEBHOOK_SECRET", SECRET);
    let receivers = [("node", Process::of(node)), ("python", Process::of(python))];
    let mut endpoints = Vec::new();
    for (name, receiver) in &receivers {
        let url = receiver.printed("listening").await;
        endpoints.push(json!({"name": name, "url": url, "secret": SECRET}));
    }
    // The third one is the first under another secret: nothing of it verifies.
    let forged = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    endpoints.push(json!({"name": "forged", "url": endpoints[0]["url"], "secret": forged}));
    let home = Home::sqlite()
        .set("WEBHOOKS_OUT", &json!(endpoints).to_string())
        .set("WEBHOOKS_ALLOWED_HOSTS", "127.0.0.0/8")
        .set("MEDIA_TYPES", "transcript");
    let scene = meeting(home).await;
    let said = scene.log.page();
    for (name, receiver) in &receivers {
        let events = eventually(&format!("{name} has everything"), async || {
            let events = printed(receiver);
            let is_over = events.iter().any(|event| event["type"] == "session.ended");
            let lines = events.iter().filter(|event| event["type"] == "transcript.line").count();
            (is_over && lines >= said.texts().len()).then_some(events)
        })
        .await;
        let lines = events.iter().filter(|event| event["type"] == "transcript.line");
        let mut texts: Vec<&str> =
            lines.map(|line| line["data"]["text"].as_str().unwrap()).collect();
        texts.sort_unstable();
        assert_eq!(texts, said.texts(), "{name}");
    }
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn the_nats_consumer_prints_each_line_that_is_in_jetstream() {
    let broker = Broker::start("").await;
    let home = Home::sqlite().set("MEDIA_TYPES", "transcript").set("NATS_URL", &broker.url());
    let scene = meeting(home).await;
    let page = scene.log.page();
    broker.stored("RTMSD", page.entries.len() as u64).await;
    let mut command = example("nats_consumer.py");
    command.env("NATS_URL", broker.url());
    let consumer = Process::of(command);
    let lines = eventually("every line is printed", async || {
        let lines = printed(&consumer);
        (lines.len() >= page.texts().len()).then_some(lines)
    })
    .await;
    let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, page.texts());
    assert!(lines.iter().any(|line| line["who"] == "Ana Silva"), "{lines:?}");
    let stream = broker.stream("RTMSD").await;
    eventually("every line is acknowledged", async || {
        let info = stream.consumer_info("transcripts").await.ok()?;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    })
    .await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn the_speech_server_gets_each_utterance_as_a_wav_file() {
    let home = Home::sqlite()
        .set("MEDIA_TYPES", "audio,transcript")
        .set("FORWARD_ALLOWED_HOSTS", "127.0.0.1")
        .set("FORWARD_ALLOW_WS", "true");
    // A recognizer that hears how long and how loud it is.
    let recognizer = "import array, sys, wave; wav = wave.open(sys.stdin.buffer); \
        samples = array.array('h', wav.readframes(wav.getnframes())); \
        print(wav.getframerate(), wav.getnchannels(), len(samples), max(map(abs, samples)))";
    let mut command = example("speech_to_text.py");
    command.args(["--port", "0", "--"]).arg(super::PYTHON).args(["-c", recognizer]);
    let server = Process::of(command);
    let url = server.printed("listening").await;
    // Three utterances of a second with two seconds between them.
    let say = |at_ms: u32, who: &str| json!({"at_ms": at_ms, "say": {"who": who, "text": "hello", "duration_ms": 1_000}});
    let timeline = vec![say(3_000, "ana"), say(6_000, "bo"), say(9_000, "ana")];
    let scene = Scene::open(home, zoom(script(timeline, 12_000))).await;
    let path = format!("/api/v1/sdk/sessions/{}/forward", scene.log.session_id());
    let asked = json!({"url": url, "format": "twilio"});
    let made = scene.daemon.api().post(&path, &asked).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let heard = eventually("three utterances are recognized", async || {
        let heard: Vec<Value> =
            printed(&server).into_iter().filter(|line| !line["text"].is_null()).collect();
        (heard.len() >= 3).then_some(heard)
    })
    .await;
    for utterance in &heard {
        assert_eq!(utterance["call"], scene.log.session_id());
        let text = utterance["text"].as_str().unwrap();
        let numbers: Vec<u32> = text.split(' ').map(|number| number.parse().unwrap()).collect();
        let [rate_hz, channels, samples, loudest] = numbers[..] else { panic!("{text}") };
        assert_eq!((rate_hz, channels), (8_000, 1));
        // The second of speech, and the half second of silence that ends it.
        assert!((8_000..16_000).contains(&samples) && loudest > 500, "{text}");
    }
    let starts: Vec<i64> = heard.iter().map(|it| it["start_ms"].as_i64().unwrap()).collect();
    let apart: Vec<i64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(apart.iter().all(|ms| (2_000..4_000).contains(ms)), "{starts:?}");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn the_captions_page_shows_the_last_lines_and_the_end() {
    let home = Home::sqlite().set("MEDIA_TYPES", "transcript");
    let scene = meeting(home).await;
    let browser = Browser::open(false).await;
    let (server, id) = (format!("http://{}", scene.daemon.address), scene.log.session_id());
    let page = format!("file://{ROOT}/examples/captions.html");
    browser.visit(&format!("{page}#server={server}&session={id}&token={API_TOKEN}")).await;
    shows_the_end(&browser).await;
    // With a ticket the page has no token.
    let asked = json!({"path": format!("/api/v1/sdk/sessions/{id}/live")});
    let ticket = scene.daemon.api().post("/api/v1/tickets", &asked).await.json();
    let url = format!("{server}{}", ticket["data"]["url"].as_str().unwrap());
    let url: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    browser.visit("about:blank").await;
    browser.visit(&format!("{page}#ticket={url}")).await;
    shows_the_end(&browser).await;
    scene.zoom.close_clean().await;
}

/// Waits for the end, and compares what is shown.
async fn shows_the_end(browser: &Browser) {
    eventually("the page says that it is over", async || {
        (browser.text("#state").await == "the session has ended").then_some(())
    })
    .await;
    let lines = browser.text("#lines").await;
    let shown: Vec<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(shown.len(), 4, "{lines}");
    assert!(shown[3].starts_with("Bo") && shown[3].ends_with("line 9"), "{lines}");
}

#[tokio::test]
async fn the_views_for_grafana_have_the_same_rows_on_both_databases() {
    let media = |home: Home| home.set("MEDIA_TYPES", "audio,transcript");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let scene = meeting(media(Home::sqlite().set("DATA_DIR", &data))).await;
    let database = folder.path().join("rtmsd.db").display().to_string();
    let script = format!("{ROOT}/examples/grafana.sql");
    let apply = "import sqlite3, sys; database = sqlite3.connect(sys.argv[1]); \
        database.executescript(open(sys.argv[2]).read()); \
        [print('|'.join(map(str, row))) for row in database.execute(sys.argv[3])]";
    let mut sqlite = python();
    sqlite.args(["-c", apply, &database, &script, ROWS]);
    assert_rows(&scene, sqlite).await;
    scene.zoom.close_clean().await;

    let home = media(Home::postgres().await);
    let database =
        home.variables().iter().find(|(name, _)| name == "DATABASE_URL").unwrap().1.clone();
    let scene = meeting(home).await;
    let mut psql = Command::new("psql");
    psql.args(["-qAt", "-v", "ON_ERROR_STOP=1", "-f", &script, "-c", ROWS, &database]);
    assert_rows(&scene, psql).await;
    scene.zoom.close_clean().await;
}

/// The transcript's lines, its summary, and the session.
const ROWS: &str = "SELECT (SELECT SUM(lines) FROM grafana_lines), medium, frames, gaps, \
    (SELECT product FROM grafana_sessions), (SELECT COUNT(*) FROM grafana_gaps) \
    FROM grafana_streams WHERE medium = 'transcript' AND time > 1700000000 AND completeness > 0";

async fn assert_rows(scene: &Scene, mut command: Command) {
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ran = timeout(TIMEOUT, run).await.expect("it ends").unwrap();
    let error = String::from_utf8_lossy(&ran.stderr);
    let rows = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
    let page = scene.log.page();
    let (lines, gaps) = (page.texts().len(), page.of("gap"));
    let of_lines = gaps.iter().filter(|gap| gap["medium"] == "transcript").count();
    let wanted = format!("{lines}|transcript|{lines}|{of_lines}|meeting|{}", gaps.len());
    assert_eq!(rows, wanted, "{error}");
}
