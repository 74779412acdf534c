//! Live consumers of the whole daemon: what the simulator sends is what they get.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use base64::prelude::{BASE64_STANDARD, Engine};
use rtmsd::simulator::{CutKind, LinkName, MeetingAction};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::browser::Browser;
use crate::support::kit::{API_TOKEN, Api, Home, Scene, TIMEOUT, chatter, endless, script, zoom};
use crate::support::websocket::{Heard, WebSocket};

fn session_path(scene: &Scene) -> String {
    format!("/api/v1/sdk/sessions/{}/live", scene.log.session_id())
}

async fn open(api: Api, path: &str) -> WebSocket {
    let authorization = format!("Bearer {API_TOKEN}");
    let socket = WebSocket::open(api.0, path, &[("authorization", &authorization)]).await;
    socket.unwrap_or_else(|answer| panic!("{} {}", answer.status, answer.text()))
}

/// With a camera that is on and a screen that is shared.
fn pictures(mut timeline: Vec<Value>) -> Vec<Value> {
    timeline.push(json!({"at_ms": 1, "video_on": "ana"}));
    timeline.push(json!({"at_ms": 1, "share_start": "bo"}));
    timeline
}

/// What came of each medium: frames and bytes.
#[derive(Debug, Default, PartialEq)]
struct Account(BTreeMap<String, (u64, u64)>);

impl Account {
    /// Takes a binary frame, which must be the next of its medium.
    fn take(&mut self, message: &[u8]) {
        let (length, rest) = message.split_at(2);
        let (head, payload) = rest.split_at(usize::from(length[0]) << 8 | usize::from(length[1]));
        let head: Value = serde_json::from_slice(head).unwrap();
        let medium = head["medium"].as_str().unwrap().to_owned();
        let (frames, bytes) = self.0.entry(medium).or_default();
        *frames += 1;
        *bytes += payload.len() as u64;
        assert_eq!(head["seq"], *frames);
    }
}

#[tokio::test]
async fn a_consumer_of_everything_gets_every_frame_and_every_entry_that_zoom_sent() {
    let mut opened = None;
    let settings = zoom(script(pictures(chatter(6, 500)), 3_500));
    let scene = Scene::prepared(Home::sqlite(), settings, async |api| {
        let at_once = open(api, "/api/v1/live?format=binary");
        let in_batches = open(api, "/api/v1/live?format=binary&batch_ms=300");
        opened = Some(tokio::join!(at_once, in_batches));
    })
    .await;
    let (at_once, in_batches) = opened.expect("they were opened before Zoom said anything");
    let (at_once, in_batches) = tokio::join!(read_to_end(at_once), read_to_end(in_batches));
    assert_eq!(in_batches, at_once);
    let (account, entries) = at_once;
    let page = scene.log.over().await;
    let plain = |mut entry: Value| {
        let fields = entry.as_object_mut().unwrap();
        assert!(fields.remove("cursor").is_some() && fields.remove("type").is_some());
        entry
    };
    assert_eq!(entries.into_iter().map(plain).collect::<Vec<_>>(), page.entries);
    for medium in ["audio", "video", "share"] {
        let sent = scene.zoom.medium(medium);
        assert!(sent.frames > 0, "{medium}");
        assert_eq!(account.0[medium], (sent.frames, sent.bytes), "{medium}");
    }
    scene.zoom.close_clean().await;
}

/// The frames and the entries until the end of the session.
async fn read_to_end(mut socket: WebSocket) -> (Account, Vec<Value>) {
    let (mut account, mut entries) = (Account::default(), Vec::new());
    loop {
        match socket.next().await {
            Heard::Binary(message) => account.take(&message),
            Heard::Text(text) if text["type"] == "entry" => entries.push(text),
            Heard::Text(text) if text["type"] == "end" => return (account, entries),
            Heard::Text(text) => assert_ne!(text["type"], "dropped"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_rejoined_stream_goes_on_in_the_same_socket() {
    let home = Home::sqlite().set("MEDIA_TYPES", "audio,transcript");
    let scene = Scene::open(home, zoom(endless(100))).await;
    scene.live().await;
    let mut socket = open(scene.daemon.api(), &(session_path(&scene) + "?media=audio")).await;
    let hello = socket.text().await;
    assert_eq!(hello["streams"][0]["parameters"]["audio"]["sample_rate"], 16_000);
    let before = socket.of_type("frame").await["seq"].as_u64().unwrap();
    let cut = MeetingAction::Cut { link: LinkName::Media, how: CutKind::Reset };
    scene.zoom.perform(cut).await;
    let mut kinds = Vec::new();
    let after = loop {
        let said = socket.text().await;
        match said["type"].as_str().unwrap() {
            "entry" => kinds.push(said["kind"].as_str().unwrap().to_owned()),
            "frame" if kinds.contains(&"gap".to_owned()) => break said["seq"].as_u64().unwrap(),
            _ => {}
        }
    };
    assert!(after > before);
    assert!(kinds.contains(&"link_down".to_owned()) && !kinds.contains(&"transcript".to_owned()));
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_consumer_that_reads_nothing_costs_neither_the_stream_nor_another() {
    let home = Home::sqlite().set("LIVE_BUFFER_BYTES", "65536");
    let scene = Scene::open(home, zoom(script(pictures(chatter(8, 500)), 4_500))).await;
    scene.live().await;
    let api = scene.daemon.api();
    let _stuck = open(api, &session_path(&scene)).await;
    let mut other = open(api, &(session_path(&scene) + "?media=transcript")).await;
    let mut lines = 0;
    while !matches!(other.next().await, Heard::Text(text) if text["type"] == "end") {
        lines += 1;
    }
    assert!(lines > 8);
    let stream = scene.ended().await;
    // Keep-alives come every half second here, and the simulator cuts who does not answer.
    assert_eq!(scene.zoom.stream().lost_links, 0);
    assert!(stream.tally.video.frames > 0);
    scene.zoom.close_clean().await;
}

/// Reads Twilio's messages as a server of theirs does, and checks what such servers rely on.
#[derive(Default)]
struct TwilioServer {
    sequence: u64,
    chunks: i64,
    stream_sid: Option<String>,
    sound: Vec<u8>,
    is_stopped: bool,
}

impl TwilioServer {
    fn take(&mut self, message: &Value) {
        let text = |value: &Value| value.as_str().expect("Twilio's numbers are texts").to_owned();
        if message["event"] == "connected" {
            assert_eq!(message["protocol"], "Call");
            return;
        }
        self.sequence += 1;
        assert_eq!(text(&message["sequenceNumber"]), self.sequence.to_string());
        let sid = self.stream_sid.get_or_insert_with(|| text(&message["streamSid"]));
        assert_eq!(*sid, text(&message["streamSid"]));
        match message["event"].as_str().unwrap() {
            "start" => {
                let format =
                    json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1});
                assert_eq!(message["start"]["mediaFormat"], format);
                assert_eq!(message["start"]["customParameters"]["app"], "default");
            }
            "media" => {
                let media = &message["media"];
                assert_eq!(text(&media["timestamp"]), (self.chunks * 20).to_string());
                self.chunks += 1;
                assert_eq!(text(&media["chunk"]), self.chunks.to_string());
                let payload = BASE64_STANDARD.decode(text(&media["payload"])).unwrap();
                assert_eq!(payload.len(), 160);
                self.sound.extend(payload);
            }
            "stop" => self.is_stopped = true,
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_twilio_media_streams_server_gets_every_speaker_in_one_unbroken_track() {
    let home = Home::sqlite().set("MEDIA_TYPES", "audio,transcript");
    let scene = Scene::open(home, zoom(script(chatter(6, 500), 3_500))).await;
    scene.live().await;
    let mut socket = open(scene.daemon.api(), &(session_path(&scene) + "?format=twilio")).await;
    let mut server = TwilioServer::default();
    for _ in 0..2 {
        server.take(&socket.text().await);
    }
    socket.say(&json!({"event": "media", "media": {"payload": "/////w=="}}).to_string()).await;
    socket.say(&json!({"event": "clear", "streamSid": "MZ"}).to_string()).await;
    while !server.is_stopped {
        server.take(&socket.text().await);
    }
    assert_eq!(socket.next().await, Heard::Close(1000, "the session has ended".into()));
    // Two seconds at least, of which at least one is not silence.
    assert!(server.chunks > 100, "{}", server.chunks);
    let loud = server.sound.iter().filter(|byte| **byte & 0x7f < 0x70).count();
    assert!(loud > 8_000, "{loud}");
    scene.zoom.close_clean().await;
}

/// Zoom's own words for the sound of a frame of silence or tone: 20 ms of L16 at 16 kHz.
const FRAME_BYTES: u64 = 640;

#[tokio::test]
async fn the_python_program_of_the_readme_writes_one_wav_per_speaker() {
    let home = Home::sqlite().set("MEDIA_TYPES", "audio,transcript");
    let program = program_of_docs();
    assert!(program.lines().count() < 40, "{} lines", program.lines().count());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wav.py"), program).unwrap();
    let scene = Scene::open(home, zoom(script(chatter(6, 500), 3_500))).await;
    scene.live().await;
    let url = format!("ws://{}{}", scene.daemon.address, session_path(&scene));
    let mut python = Command::new("python3");
    python.args(["wav.py", &url, API_TOKEN]).current_dir(folder.path()).stderr(Stdio::piped());
    let ran = timeout(TIMEOUT, python.kill_on_drop(true).output()).await.expect("it ends");
    let ran = ran.expect("the tests need python3: apt-get install python3");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let [ana, bo] = ["16778240.wav", "16779264.wav"].map(|name| sound(&folder.path().join(name)));
    assert!(ana > 0 && bo > 0);
    let sent = scene.zoom.medium("audio");
    assert!((ana + bo) % FRAME_BYTES == 0 && ana + bo <= sent.bytes, "{ana} {bo} {}", sent.bytes);
    scene.zoom.close_clean().await;
}

fn program_of_docs() -> String {
    let document = std::fs::read_to_string("docs/live.md").unwrap();
    let (_, after) = document.split_once("<!-- wav.py -->\n```python\n").unwrap();
    after.split_once("```").unwrap().0.to_owned()
}

/// The bytes of sound in a WAV file, after a look at what its head says.
fn sound(path: &Path) -> u64 {
    let file = std::fs::read(path).unwrap();
    assert_eq!(
        (&file[..4], &file[8..16], &file[36..40]),
        (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..])
    );
    assert_eq!(file[22..24], 1_u16.to_le_bytes(), "one channel");
    assert_eq!(file[24..28], 16_000_u32.to_le_bytes());
    let length = u32::from_le_bytes(file[40..44].try_into().unwrap());
    assert_eq!(file.len(), 44 + length as usize);
    assert!(file[44..].iter().any(|byte| *byte != 0), "not silence");
    length.into()
}

#[tokio::test]
async fn a_page_in_a_browser_brings_its_token_as_a_subprotocol() {
    let scene = Scene::open(Home::sqlite(), zoom(endless(100))).await;
    let url = format!("ws://{}{}?media=audio", scene.daemon.address, session_path(&scene));
    let script = "const [url, token, done] = arguments;
        const socket = new WebSocket(url, ['rtmsd', 'bearer.' + token]);
        socket.onmessage = (message) => done([socket.protocol, JSON.parse(message.data).type]);
        socket.onerror = () => done('refused');";
    let browser = Browser::open(false).await;
    browser.visit(&format!("http://{}/health/live", scene.daemon.address)).await;
    let heard = browser.ask(script, json!([url, API_TOKEN])).await;
    assert_eq!(heard, json!(["rtmsd", "hello"]));
    assert_eq!(browser.ask(script, json!([url, "wrong"])).await, "refused");
}

#[tokio::test]
async fn entries_that_are_never_stored_reach_a_late_consumer() {
    let home = Home::sqlite().set("RETENTION_ENTRIES", "zero").set("MEDIA_TYPES", "transcript");
    let scene = Scene::open(home, zoom(endless(50))).await;
    scene.live().await;
    scene.log.lines(5).await;
    let mut socket = open(scene.daemon.api(), &(session_path(&scene) + "?media=transcript")).await;
    while socket.of_type("entry").await["kind"] != "transcript" {}
}
