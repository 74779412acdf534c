//! The floor: a program that makes Zoom's handshakes, answers keep-alives, and looks at nothing else that it reads.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::receiver::{CLIENT_ID, CLIENT_SECRET};

/// A frame of 640 bytes and its envelope fit.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Only a keep-alive is as short.
const LONGEST_KEEP_ALIVE_BYTES: usize = 120;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Serves webhooks at `port` without end; each started stream is read by a task of its own.
pub(crate) async fn run(port: u16, folder: &Path) {
    let tls = rtmsd::tls::client_config(Some(&folder.join("ca.pem"))).expect("an authority");
    let router = Router::new()
        .route("/", post(webhook))
        .route("/health/ready", get(StatusCode::OK))
        .with_state(TlsConnector::from(tls));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the port is free");
    axum::serve(listener, router).await.expect("the server runs");
}

async fn webhook(State(tls): State<TlsConnector>, Json(body): Json<Value>) -> StatusCode {
    if body["event"] == "meeting.rtms_started" {
        tokio::spawn(read_stream(tls, body["payload"].clone()));
    }
    StatusCode::OK
}

async fn read_stream(tls: TlsConnector, payload: Value) {
    let stream = Arc::new(Stream::new(tls, &payload));
    let url = payload["server_urls"].as_str().expect("a URL");
    let (mut signaling, answer) = stream.open(url, json!({"msg_type": 1})).await;
    for (medium, media_type) in [("audio", 1), ("transcript", 8)] {
        let url = answer["media_server"]["server_urls"][medium].as_str().expect("a URL").to_owned();
        let handshake = json!({
            "msg_type": 3, "media_type": media_type, "payload_encryption": false,
            "media_params": {
                "audio": {
                    "content_type": 2, "sample_rate": 1, "channel": 1, "codec": 1, "data_opt": 1,
                    "send_rate": 20,
                },
                "transcript": {"content_type": 5},
            },
        });
        let (socket, _) = stream.open(&url, handshake).await;
        tokio::spawn(read(socket));
    }
    send(&mut signaling, &json!({"msg_type": 7, "rtms_stream_id": stream.id})).await;
    read(signaling).await;
}

struct Stream {
    tls: TlsConnector,
    meeting: String,
    id: String,
    signature: String,
}

impl Stream {
    fn new(tls: TlsConnector, payload: &Value) -> Self {
        let text = |name: &str| payload[name].as_str().expect("a text").to_owned();
        let (meeting, id) = (text("meeting_uuid"), text("rtms_stream_id"));
        let mut hmac = Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes())
            .expect("HMAC takes keys of any length");
        hmac.update(format!("{CLIENT_ID},{meeting},{id}").as_bytes());
        let signature = hex::encode(hmac.finalize().into_bytes());
        Self { tls, meeting, id, signature }
    }

    /// Connects, sends the handshake with what every handshake has, and returns its answer.
    async fn open(&self, url: &str, mut handshake: Value) -> (Socket, Value) {
        for (name, value) in [
            ("protocol_version", json!(1)),
            ("sequence", json!(1)),
            ("meeting_uuid", json!(self.meeting)),
            ("rtms_stream_id", json!(self.id)),
            ("signature", json!(self.signature)),
        ] {
            handshake[name] = value;
        }
        let mut socket = self.connect(url).await;
        send(&mut socket, &handshake).await;
        let answer = socket.next().await.expect("an answer").expect("a message");
        let answer: Value = serde_json::from_slice(&answer.into_data()).expect("JSON");
        assert_eq!(answer["status_code"], 0, "the handshake is accepted");
        (socket, answer)
    }

    async fn connect(&self, url: &str) -> Socket {
        let parsed = url::Url::parse(url).expect("a URL");
        let host = parsed.host_str().expect("a host").to_owned();
        let port = parsed.port_or_known_default().expect("a port");
        let tcp = TcpStream::connect((host.as_str(), port)).await.expect("the simulator listens");
        let name = ServerName::try_from(host).expect("a name");
        let tls = self.tls.connect(name, tcp).await.expect("TLS");
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let upgrade = tokio_tungstenite::client_async_with_config(url, tls, Some(config));
        upgrade.await.expect("an upgrade").0
    }
}

async fn send(socket: &mut Socket, message: &Value) {
    socket.send(Message::text(message.to_string())).await.expect("the simulator reads");
}

async fn read(mut socket: Socket) {
    while let Some(Ok(message)) = socket.next().await {
        if message.len() > LONGEST_KEEP_ALIVE_BYTES || !(message.is_text() || message.is_binary()) {
            continue;
        }
        let Ok(mut message) = serde_json::from_slice::<Value>(&message.into_data()) else {
            continue;
        };
        if message["msg_type"] == 12 {
            message["msg_type"] = json!(13);
            send(&mut socket, &message).await;
        }
    }
}
