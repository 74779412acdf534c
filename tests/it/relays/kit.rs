//! A program written against Zoom's protocol: its webhook endpoint and its sockets. It shares no code with the daemon.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::response::Response;
use rtmsd::simulator::Settings;
use rtmsd::sinks::relays::Timings;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::simulator::kit::{Answer, Client, Endpoint, hmac_hex};
use crate::support::kit::{API_TOKEN, Api, Home, Scene, eventually};

/// The relays' waits, short enough for a test and long enough for a busy machine.
pub(super) fn timings() -> Timings {
    Timings {
        keep_alive: Duration::from_millis(500),
        missed_keep_alives: 20,
        webhook_deadline: Duration::from_secs(10),
        retries: [Duration::from_millis(100); 3],
        away: Duration::from_secs(600),
        poll: Duration::from_millis(100),
    }
}

/// A daemon whose relays are managed over the API.
pub(super) fn home() -> Home {
    let mut home = Home::sqlite()
        .set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"))
        .set("WEBHOOKS_ALLOWED_HOSTS", "127.0.0.0/8")
        .set("RELAY_PUBLIC_URL", "ws://{address}")
        .set("MEDIA_TYPES", "audio,transcript")
        .set("MEDIA_SOCKET_CONNECTION_MODE", "unified");
    home.relays = timings();
    home
}

/// A simulator's settings that remember every frame.
pub(super) fn remembering(settings: Settings) -> Settings {
    Settings { remembers_frames: true, ..settings }
}

/// A program with credentials of its own.
pub(super) struct Program {
    pub name: &'static str,
    pub endpoint: Endpoint,
    /// The relay's id.
    pub relay: String,
}

impl Program {
    /// A program whose endpoint answers every webhook, and its relay.
    pub(super) async fn new(name: &'static str, api: Api, more: Value) -> Self {
        Self::answering(name, api, more, good_answer(name)).await
    }

    pub(super) async fn answering(
        name: &'static str,
        api: Api,
        more: Value,
        answer: Answer,
    ) -> Self {
        let endpoint = Endpoint::answering(answer).await;
        let mut asked = description(name, &endpoint.url);
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = api.post("/api/v1/relays", &asked).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let relay = made.json()["data"]["relay"]["id"].as_str().unwrap().to_owned();
        Self { name, endpoint, relay }
    }

    /// The payload of the next `rtms_started`.
    pub(super) async fn started(&mut self) -> Value {
        self.endpoint.next("meeting.rtms_started").await.body["payload"].clone()
    }

    /// Waits for the announcement and connects everything over one socket.
    pub(super) async fn join(&mut self) -> Joined {
        let started = self.started().await;
        Joined::join(self.name, started).await
    }

    /// What the API says of the program's only stream.
    pub(super) async fn stream(&self, api: Api) -> Value {
        let path = format!("/api/v1/relays/{}/streams", self.relay);
        let answer = api.get(&path).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"]["streams"].get(0).cloned().unwrap_or_default()
    }

    /// Waits until what the API says of the program's stream is so.
    pub(super) async fn reaches(&self, what: &str, api: Api, is: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || Some(self.stream(api).await).filter(|stream| is(stream))).await
    }
}

/// What creates the relay of a program.
pub(super) fn description(name: &str, url: &str) -> Value {
    json!({
        "name": name, "webhook_url": url, "client_id": format!("{name}Client"),
        "client_secret": format!("{name}Secret"), "secret_token": format!("{name}Token"),
    })
}

/// Answers 200, and a URL validation with the program's secret token.
pub(super) fn good_answer(name: &'static str) -> Answer {
    use axum::response::IntoResponse;
    std::sync::Arc::new(move |hook| -> Response {
        let Some(plain) = hook.body["payload"]["plainToken"].as_str() else {
            return axum::http::StatusCode::OK.into_response();
        };
        let encrypted = hmac_hex(&format!("{name}Token"), plain);
        axum::Json(json!({"plainToken": plain, "encryptedToken": encrypted})).into_response()
    })
}

/// A daemon with a relay for each of these programs, and a meeting that begins afterwards.
pub(super) async fn scene_with(
    home: Home,
    settings: Settings,
    programs: &[(&'static str, Value)],
) -> (Scene, Vec<Program>) {
    let mut made = Vec::new();
    let scene = Scene::prepared(home, settings, async |api| {
        for (name, more) in programs {
            made.push(Program::new(name, api, more.clone()).await);
        }
    })
    .await;
    (scene, made)
}

/// The fields of message 1 or 3, signed by a program.
pub(super) fn handshake(name: &str, started: &Value, msg_type: u64) -> Value {
    let (id, stream) = (&started["meeting_uuid"], &started["rtms_stream_id"]);
    let signed = format!("{name}Client,{},{}", id.as_str().unwrap(), stream.as_str().unwrap());
    json!({
        "msg_type": msg_type, "protocol_version": 1, "sequence": 1, "meeting_uuid": id,
        "rtms_stream_id": stream, "signature": hmac_hex(&format!("{name}Secret"), &signed),
    })
}

/// A program's sockets: signaling, and one for all media.
pub(super) struct Joined {
    pub signaling: Client,
    pub media: Client,
    /// Message 4.
    pub granted: Value,
    pub started: Value,
}

impl Joined {
    pub(super) async fn join(name: &str, started: Value) -> Self {
        let (signaling, url) = Self::signal(name, &started).await;
        let media = Client::connect(&url).await;
        Self::with(name, started, signaling, media).await
    }

    /// Over a media socket that holds little of what the program does not read.
    pub(super) async fn join_slowly(name: &str, started: Value) -> Self {
        let (signaling, url) = Self::signal(name, &started).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let host = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
        let media = Client::over(&url, socket.connect(host.parse().unwrap()).await.unwrap()).await;
        Self::with(name, started, signaling, media).await
    }

    async fn signal(name: &str, started: &Value) -> (Client, String) {
        let (signaling, answer) = signal(name, started).await;
        assert_eq!(answer["status_code"], 0, "{answer}");
        (signaling, answer["media_server"]["server_urls"]["all"].as_str().unwrap().to_owned())
    }

    async fn with(name: &str, started: Value, mut signaling: Client, media: Client) -> Self {
        let (media, granted) = ask_for_media(name, &started, media, (32, json!(null))).await;
        assert_eq!(granted["status_code"], 0, "{granted}");
        signaling.send(&ready(&started)).await;
        Self { signaling, media, granted, started }
    }

    /// Ends both connections without a Close frame.
    pub(super) fn drop_both(self) -> Value {
        self.started
    }
}

pub(super) fn ready(started: &Value) -> Value {
    json!({"msg_type": 7, "rtms_stream_id": started["rtms_stream_id"]})
}

/// A signaling socket after message 1, and message 2.
pub(super) async fn signal(name: &str, started: &Value) -> (Client, Value) {
    let mut signaling = Client::connect(started["server_urls"].as_str().unwrap()).await;
    signaling.send(&handshake(name, started, 1)).await;
    let answer = signaling.receive().await;
    (signaling, answer)
}

/// The same, or none if the daemon drops the connection.
pub(super) async fn try_signal(name: &str, started: &Value) -> Option<(Client, Value)> {
    let mut signaling = Client::connect(started["server_urls"].as_str().unwrap()).await;
    signaling.send(&handshake(name, started, 1)).await;
    let answer = signaling.try_receive().await.ok()?;
    Some((signaling, answer))
}

/// A media socket after message 3, and message 4.
pub(super) async fn open_media(
    name: &str,
    started: &Value,
    url: &str,
    (media_type, media_params): (u64, Value),
) -> (Client, Value) {
    ask_for_media(name, started, Client::connect(url).await, (media_type, media_params)).await
}

async fn ask_for_media(
    name: &str,
    started: &Value,
    mut media: Client,
    (media_type, media_params): (u64, Value),
) -> (Client, Value) {
    let mut first = handshake(name, started, 3);
    first["media_type"] = media_type.into();
    first["media_params"] = media_params;
    media.send(&first).await;
    let answer = media.receive().await;
    (media, answer)
}

/// One frame: its time, its size, and the first four bytes of its payload's SHA-256.
pub(super) type Print = (i64, u64, u64);

/// The fingerprint of a frame that a program received.
pub(super) fn print_of(message: &Value) -> Print {
    use base64::Engine;
    use sha2::Digest;
    let content = &message["content"];
    let data = content["data"].as_str().unwrap();
    let payload = base64::prelude::BASE64_STANDARD.decode(data).unwrap();
    let hash = sha2::Sha256::digest(&payload);
    let checksum = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    (content["timestamp"].as_i64().unwrap(), payload.len() as u64, checksum.into())
}

/// The fingerprints of the frames of a medium that the simulator sent.
pub(super) async fn sent_frames(scene: &Scene, medium: &str) -> Vec<Print> {
    let stream = scene.zoom.stream().stream_id;
    let url = format!("{}/simulator/streams/{stream}/frames", scene.zoom.simulator.base_url());
    let log: Value =
        crate::simulator::kit::http().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(log["is_cut"], false);
    let frames = log["media"][medium].as_array().cloned().unwrap_or_default();
    let sent = frames.iter().filter(|frame| frame[2] == true);
    sent.map(|frame| {
        let number = |index: usize| frame[index].as_u64().unwrap();
        (frame[0].as_i64().unwrap(), number(1), number(3))
    })
    .collect()
}

/// Asserts that a program received exactly the frames that the simulator sent, in any order of the speakers.
pub(super) fn assert_same(received: &[Print], sent: &[Print]) {
    let set = |prints: &[Print]| prints.iter().copied().collect::<BTreeSet<_>>();
    let (here, there) = (set(received), set(sent));
    let missing: Vec<_> = there.difference(&here).take(5).collect();
    let strange: Vec<_> = here.difference(&there).take(5).collect();
    assert!(missing.is_empty() && strange.is_empty(), "missing {missing:?}, strange {strange:?}");
    assert_eq!(received.len(), sent.len(), "no frame comes twice");
}
