//! A page of another origin in a real browser, running the program of docs/live.md.

use std::sync::Arc;

use axum::Router;
use axum::response::Html;
use rtmsd::model::{EntryBody, Participant, StreamRecord, UserId};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::server::{Server, Wiring};
use super::tickets::record;
use crate::support::browser::Browser;

/// Far more than a player fetches before a seek.
const SECONDS: usize = 40 * 60;
const BYTES_PER_S: usize = 32_000;

/// A server of pages; its port is one origin as 127.0.0.1 and another as localhost.
async fn pages() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().fallback(async || Html("<audio preload=metadata></audio>"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// A WAV with 40 minutes of silence.
fn wav() -> Vec<u8> {
    let length = u32::try_from(SECONDS * BYTES_PER_S).unwrap();
    let mut wav = Vec::with_capacity(44 + length as usize);
    wav.extend(b"RIFF");
    wav.extend((36 + length).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(16_000_u32.to_le_bytes());
    wav.extend(32_000_u32.to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(length.to_le_bytes());
    wav.resize(44 + length as usize, 0);
    wav
}

/// The program of docs/live.md, for this server and token.
fn program(server: &Server) -> String {
    let document = include_str!("../../../docs/live.md");
    let (_, after) = document.split_once("<!-- page.js -->\n```js\n").unwrap();
    let (program, _) = after.split_once("```").unwrap();
    format!("const API = 'http://{}', TOKEN = 'read-token-of-tests';\n{program}", server.address)
}

struct Page {
    server: Arc<Server>,
    stream: StreamRecord,
    browser: Browser,
    port: u16,
}

impl Page {
    async fn open() -> Self {
        let port = pages().await;
        let origins = format!("http://127.0.0.1:{port}");
        let wiring = Wiring { origins, now_ms: rtmsd::clock::now_ms, ..Wiring::default() };
        let server = Arc::new(Server::wired(wiring).await);
        let now_ms = rtmsd::clock::now_ms();
        let stream = server.start_stream_at("m1==", "s1", now_ms).await;
        let mut feed = server.feed(&stream);
        let person = Participant { user_id: UserId(7), user_name: Some("Ana".into()) };
        feed.note(None, EntryBody::ParticipantJoined(person));
        server.state.hub.flush().await;
        let browser = Browser::open(false).await;
        browser.visit(&format!("http://127.0.0.1:{port}/")).await;
        Self { server, stream, browser, port }
    }

    /// The value that a script passes to `done`; `arguments[0]` is the session.
    async fn run(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1], session = arguments[0], file = arguments[1];\n\
             {}\n(async () => {{ {script} }})().catch((error) => done('failed: ' + error));",
            program(&self.server)
        );
        let file = format!("/api/v1/sdk/sessions/{}/recordings/1-ana.wav", self.stream.session_id);
        self.browser.ask(&script, json!([self.stream.session_id, file])).await
    }
}

#[tokio::test]
async fn a_page_of_a_listed_origin_follows_events_and_listens_live_with_tickets() {
    let page = Page::open().await;
    let seen = page
        .run("await follow(session, ['participant_joined'], (entry) => done(entry.user_name));")
        .await;
    assert_eq!(seen, "Ana");
    let heard = page
        .run(
            "const socket = await listen(session);
             socket.onmessage = (message) => done(JSON.parse(message.data).type);
             socket.onerror = () => done('refused');",
        )
        .await;
    assert_eq!(heard, "hello");
    let twice = page
        .run(
            "const url = await ticket(`/api/v1/sdk/sessions/${session}/events`);
             const first = new EventSource(url);
             first.addEventListener('participant_joined', () => {
               first.close();
               const again = new EventSource(url);
               again.onopen = () => done('let in');
               again.onerror = () => done(again.readyState === EventSource.CLOSED ? 'refused' : 'tried again');
             });",
        )
        .await;
    assert_eq!(twice, "refused");
}

#[tokio::test]
async fn a_page_sends_a_token_with_any_characters_as_a_subprotocol() {
    let page = Page::open().await;
    let script = "
        const token = 'sla/sh=token-of-tests';
        const bearer = 'bearer64.' + btoa(token).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
        const url = `${API.replace('http', 'ws')}/api/v1/sdk/sessions/${session}/live?media=audio`;
        const socket = new WebSocket(url, ['rtmsd', bearer]);
        socket.onmessage = (message) => done([socket.protocol, JSON.parse(message.data).type]);
        socket.onerror = () => done('refused');";
    assert_eq!(page.run(script).await, json!(["rtmsd", "hello"]));
    assert_eq!(page.run(&script.replace("sla/sh=", "sla/sh-")).await, "refused");
}

#[tokio::test]
async fn an_audio_element_plays_and_seeks_a_recording_with_a_ticket() {
    let page = Page::open().await;
    let playing_ms = i64::try_from(SECONDS * 1000).unwrap();
    record(&page.server, &page.stream, &wav(), playing_ms).await;
    let seen = page
        .run(
            "const audio = document.querySelector('audio');
             audio.onerror = () => done('error: ' + audio.error.message);
             const places = [2100, 60, 1500];
             const next = () => {
               if (!places.length) return done({ duration: audio.duration, time: audio.currentTime });
               const place = places.shift();
               audio.ontimeupdate = () => {
                 if (audio.seeking || audio.currentTime < place + 0.2 || audio.currentTime > place + 30) return;
                 audio.ontimeupdate = null;
                 next();
               };
               audio.currentTime = place;
             };
             await play(audio, file);
             audio.onloadedmetadata = () => { audio.play(); next(); };",
        )
        .await;
    assert_eq!(seen["duration"], SECONDS as f64, "{seen}");
    assert!(seen["time"].as_f64().is_some_and(|time| (1500.0..1600.0).contains(&time)), "{seen}");
    // A part of it, with the headers that a page may read.
    let part = page
        .run(
            "const url = await ticket(file);
             const ask = async (range) => {
               const answer = await fetch(url, { headers: { range } });
               const length = (await answer.arrayBuffer()).byteLength;
               return [answer.status, length, answer.headers.get('content-range')];
             };
             done([await ask('bytes=0-43'), await ask('bytes=44-45')]);",
        )
        .await;
    let size = 44 + SECONDS * BYTES_PER_S;
    let expected = [
        json!([206, 44, format!("bytes 0-43/{size}")]),
        json!([206, 2, format!("bytes 44-45/{size}")]),
    ];
    assert_eq!(part, json!(expected));
}

#[tokio::test]
async fn a_page_of_another_origin_reads_nothing() {
    let page = Page::open().await;
    page.browser.visit(&format!("http://localhost:{}/", page.port)).await;
    let seen = page.run("await ticket('/api/v1/live'); done('read');").await;
    assert!(seen.as_str().is_some_and(|seen| seen.starts_with("failed: TypeError")), "{seen}");
    let plain = page
        .run("await fetch(`${API}/health/live`).then(() => done('read'), () => done('refused'));")
        .await;
    assert_eq!(plain, "refused");
}
