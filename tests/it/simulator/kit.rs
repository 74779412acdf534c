//! A webhook endpoint and an RTMS client that share no code with the daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use rtmsd::simulator::{Script, Settings, Simulator, Timings, ZoomApp, start};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

pub(crate) const CLIENT_ID: &str = "demoClientId01";
pub(crate) const CLIENT_SECRET: &str = "demoClientSecret01";
pub(crate) const SECRET_TOKEN: &str = "demoSecretToken01";
pub(crate) use crate::support::wait::TIMEOUT;

pub(crate) fn hmac_hex(key: &str, message: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// An HTTP client that does not follow redirects.
pub(crate) fn http() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    client.tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

/// A received webhook.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub headers: HeaderMap,
    pub raw: String,
    pub body: Value,
}

/// Computes the endpoint's answer to a webhook.
pub(crate) type Answer = Arc<dyn Fn(&Hook) -> Response + Send + Sync>;

/// A webhook endpoint that queues what it receives.
pub(crate) struct Endpoint {
    pub url: String,
    hooks: mpsc::UnboundedReceiver<Hook>,
}

#[derive(Clone)]
struct EndpointState {
    hooks: mpsc::UnboundedSender<Hook>,
    answer: Answer,
}

impl Endpoint {
    /// An endpoint that answers every webhook correctly.
    pub(crate) async fn good() -> Self {
        Self::answering(Arc::new(good_answer)).await
    }

    pub(crate) async fn answering(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        let (sender, hooks) = mpsc::unbounded_channel();
        let state = EndpointState { hooks: sender, answer };
        let app = Router::new().fallback(take).with_state(state);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, hooks }
    }

    /// The next webhook with this event name; others are skipped.
    pub(crate) async fn next(&mut self, event: &str) -> Hook {
        timeout(TIMEOUT, async {
            loop {
                let hook =
                    self.hooks.recv().await.expect("the endpoint task runs as long as the test");
                if hook.body["event"] == event {
                    return hook;
                }
            }
        })
        .await
        .unwrap_or_else(|_| panic!("no {event}"))
    }

    /// The event names of the webhooks that have arrived but have not been taken by `next`.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Ok(hook) = self.hooks.try_recv() {
            names.push(hook.body["event"].as_str().unwrap_or_default().to_owned());
        }
        names
    }
}

async fn take(State(state): State<EndpointState>, headers: HeaderMap, body: Bytes) -> Response {
    let raw = String::from_utf8(body.to_vec()).unwrap();
    let hook = Hook { headers, body: serde_json::from_str(&raw).unwrap(), raw };
    let answer = (state.answer)(&hook);
    let _ = state.hooks.send(hook);
    answer
}

pub(crate) fn good_answer(hook: &Hook) -> Response {
    let Some(plain) = hook.body["payload"]["plainToken"].as_str() else {
        return StatusCode::OK.into_response();
    };
    let encrypted = hmac_hex(SECRET_TOKEN, plain);
    axum::Json(json!({"plainToken": plain, "encryptedToken": encrypted})).into_response()
}

/// The JSON of a script with two people in a meeting of one minute.
pub(crate) fn script() -> Value {
    json!({
        "title": "Test", "meeting_id": "91234567890", "account_id": "acc-1", "host": "u-ana",
        "people": [{"key": "ana", "user_id": 16778240, "name": "Ana Silva"},
                   {"key": "bo", "user_id": 16779264, "name": "Bo"}],
        "timeline": [{"at_ms": 0, "join": "ana"}, {"at_ms": 0, "join": "bo"}],
        "end": {"at_ms": 60000, "stop_reason": 6}
    })
}

/// The script with these items added to its timeline.
pub(crate) fn script_with(items: Value) -> Script {
    let mut script = script();
    script["timeline"].as_array_mut().unwrap().extend(items.as_array().unwrap().clone());
    Script::parse(&script.to_string()).unwrap()
}

/// The script of a conversation of this product.
pub(crate) fn script_of(product: &str) -> Script {
    let mut script = script();
    script["product"] = product.into();
    Script::parse(&script.to_string()).unwrap()
}

pub(crate) fn settings() -> Settings {
    // Few clients here answer a Close frame, so a shutdown would wait for each of them.
    let timings = Timings { close_ms: 200, ..Timings::default() };
    Settings { script: script_with(json!([])), timings, ..Settings::default() }
}

/// Timings a hundred times as fast, except for the webhook deadline and the close time-out.
pub(crate) fn fast() -> Timings {
    Timings {
        time_scale: 100.0,
        webhook_deadline_ms: 300_000,
        close_ms: 20_000,
        ..Timings::default()
    }
}

/// A simulator and an endpoint that has received the announcement of the first stream.
pub(crate) struct Scene {
    pub simulator: Simulator,
    pub endpoint: Endpoint,
    /// The payload of the first `rtms_started`.
    pub started: Value,
}

impl Scene {
    pub(crate) async fn open(settings: Settings) -> Self {
        let mut endpoint = Endpoint::good().await;
        let simulator = simulate(settings, &endpoint).await;
        let started = endpoint.next("meeting.rtms_started").await.body["payload"].clone();
        Self { simulator, endpoint, started }
    }

    pub(crate) fn meeting_id(&self) -> &str {
        self.started["meeting_id"].as_str().unwrap()
    }

    /// The fields that messages 1 and 3 share.
    pub(crate) fn handshake(&self, msg_type: u64) -> Value {
        handshake(&self.started, "meeting_uuid", msg_type)
    }

    pub(crate) async fn connect(&self, url: &str) -> Client {
        Client::connect(url).await
    }

    /// A signaling socket before its handshake.
    pub(crate) async fn dial_signaling(&self) -> Client {
        self.connect(self.started["server_urls"].as_str().unwrap()).await
    }

    /// A signaling socket after its handshake, and message 2.
    pub(crate) async fn join(&self) -> (Client, Value) {
        let mut client = self.dial_signaling().await;
        client.send(&self.handshake(1)).await;
        let answer = client.receive().await;
        assert_eq!((&answer["msg_type"], &answer["status_code"]), (&json!(2), &json!(0)));
        (client, answer)
    }

    /// A media socket after message 3 with this `media_type` and these parameters, and message 4.
    pub(crate) async fn open_media(
        &self,
        answer: &Value,
        key: &str,
        media_type: u64,
        params: Value,
    ) -> (Client, Value) {
        let mut client = self.connect(media_url(answer, key)).await;
        let mut handshake = self.handshake(3);
        handshake["media_type"] = media_type.into();
        handshake["media_params"] = params;
        client.send(&handshake).await;
        let answer = client.receive().await;
        assert_eq!(answer["msg_type"], 4);
        (client, answer)
    }

    pub(crate) fn ready(&self) -> Value {
        json!({"msg_type": 7, "rtms_stream_id": self.started["rtms_stream_id"]})
    }
}

pub(crate) async fn simulate(settings: Settings, endpoint: &Endpoint) -> Simulator {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = ZoomApp { webhook_url: Some(endpoint.url.clone()), ..settings.app };
    let settings = Settings { app, ..settings };
    start(settings, listener).await.unwrap()
}

/// The common fields of a handshake for the stream of this `rtms_started` payload, with the instance id in `id_key`.
pub(crate) fn handshake(started: &Value, id_key: &str, msg_type: u64) -> Value {
    let (id, stream) = (&started[id_key], &started["rtms_stream_id"]);
    let signed = format!("{CLIENT_ID},{},{}", id.as_str().unwrap(), stream.as_str().unwrap());
    json!({
        "msg_type": msg_type, "protocol_version": 1, "sequence": 1, id_key: id,
        "rtms_stream_id": stream, "signature": hmac_hex(CLIENT_SECRET, &signed),
    })
}

pub(crate) fn media_url<'a>(answer: &'a Value, key: &str) -> &'a str {
    answer["media_server"]["server_urls"][key].as_str().unwrap_or_else(|| panic!("no {key} URL"))
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// One WebSocket of a client.
pub(crate) struct Client {
    socket: WebSocketStream<Box<dyn Wire>>,
    answers: Arc<AtomicBool>,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        let host = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
        let tcp = TcpStream::connect(host).await.unwrap();
        Self::over(url, tcp).await
    }

    pub(crate) async fn over(
        url: &str,
        wire: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let wire: Box<dyn Wire> = Box::new(wire);
        let (socket, response) = client_async(url, wire).await.unwrap();
        assert!(response.headers().get("sec-websocket-protocol").is_none());
        Self { socket, answers: Arc::new(AtomicBool::new(true)) }
    }

    /// Stops answering keep-alives. `receive` returns them instead.
    pub(crate) fn stop_answering(&self) {
        self.answers.store(false, Ordering::Relaxed);
    }

    /// Answers keep-alives again.
    pub(crate) fn start_answering(&self) {
        self.answers.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The next message. Keep-alives are answered and skipped. Panics if the socket ends.
    pub(crate) async fn receive(&mut self) -> Value {
        self.try_receive().await.expect("a message, not the end of the socket")
    }

    /// The next message, or how the socket ended.
    pub(crate) async fn try_receive(&mut self) -> Result<Value, End> {
        timeout(TIMEOUT, async {
            loop {
                let message = match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
                    Some(Ok(Message::Binary(bytes))) => serde_json::from_slice(&bytes).unwrap(),
                    Some(Ok(Message::Close(frame))) => return Err(End::Closed(frame)),
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => return Err(End::Dropped),
                };
                if !self.answers.load(Ordering::Relaxed) || !self.answer(&message).await {
                    return Ok(message);
                }
            }
        })
        .await
        .expect("a message in time")
    }

    async fn answer(&mut self, message: &Value) -> bool {
        if message["msg_type"] != 12 {
            return false;
        }
        let (timestamp, sequence) = (&message["timestamp"], &message["sequence"]);
        let answer = json!({"msg_type": 13, "timestamp": timestamp, "sequence": sequence});
        // Ignore the error: the socket may be closing.
        let _ = self.socket.send(Message::text(answer.to_string())).await;
        true
    }

    /// The next WebSocket message of any kind.
    pub(crate) async fn receive_raw(&mut self) -> Message {
        timeout(TIMEOUT, self.socket.next()).await.expect("something in time").unwrap().unwrap()
    }

    /// Reads one message for at most 20 ms. Returns whether there was none, or a keep-alive, which is answered, an
    /// event or a state.
    pub(crate) async fn is_silent_or_answers(&mut self) -> bool {
        let Ok(message) = timeout(Duration::from_millis(20), self.socket.next()).await else {
            return true;
        };
        let Some(Ok(Message::Text(text))) = message else { return false };
        let message = serde_json::from_str(&text).unwrap();
        self.answer(&message).await || matches!(message["msg_type"].as_u64(), Some(6 | 8 | 9))
    }

    /// Whether nothing arrives for this long.
    pub(crate) async fn is_silent_for(&mut self, wait: Duration) -> bool {
        timeout(wait, self.socket.next()).await.is_err()
    }

    /// The next message of this type; others are skipped.
    pub(crate) async fn receive_type(&mut self, msg_type: u64) -> Value {
        loop {
            let message = self.receive().await;
            if message["msg_type"] == msg_type {
                return message;
            }
        }
    }

    /// The next event of this type.
    pub(crate) async fn receive_event(&mut self, event_type: u64) -> Value {
        loop {
            let event = self.receive_type(6).await["event"].take();
            if event["event_type"] == event_type {
                return event;
            }
        }
    }

    /// All messages until the socket ends, and how it ended.
    pub(crate) async fn drain(&mut self) -> (Vec<Value>, End) {
        let mut messages = Vec::new();
        loop {
            match self.try_receive().await {
                Ok(message) => messages.push(message),
                Err(end) => return (messages, end),
            }
        }
    }

    /// Closes the socket with a Close frame 1000.
    pub(crate) async fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = self.socket.close(Some(frame)).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Dropped,
    Closed(Option<CloseFrame>),
}

impl End {
    pub(crate) fn close_code(&self) -> Option<u16> {
        match self {
            Self::Closed(Some(frame)) => Some(frame.code.into()),
            _ => None,
        }
    }
}
