//! An RTMS server that sends exactly what the test says.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::support::kit::TIMEOUT;

pub(super) struct Peer {
    listener: TcpListener,
    address: SocketAddr,
}

impl Peer {
    pub(super) async fn listen() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// The next WebSocket that is opened.
    pub(super) async fn accept(&mut self) -> PeerSocket {
        let accept = async {
            let (tcp, _) = self.listener.accept().await.unwrap();
            PeerSocket(accept_async(tcp).await.unwrap())
        };
        timeout(TIMEOUT, accept).await.expect("a connection")
    }
}

pub(super) struct PeerSocket(WebSocketStream<TcpStream>);

impl PeerSocket {
    /// The next message, as JSON.
    pub(super) async fn hear(&mut self) -> Value {
        loop {
            let message = timeout(TIMEOUT, self.0.next()).await.expect("a message");
            if let Message::Text(text) = message.expect("not the end").unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Waits for the next message of this type.
    pub(super) async fn hear_type(&mut self, number: u16) -> Value {
        loop {
            let message = self.hear().await;
            if message["msg_type"] == number {
                return message;
            }
        }
    }

    /// Sends a text frame with arbitrary bytes.
    pub(super) async fn say_bytes(&mut self, bytes: &[u8]) {
        let text = OpCode::Data(Data::Text);
        let frame = Frame::message(bytes.to_vec(), text, true);
        self.0.send(Message::Frame(frame)).await.unwrap();
    }

    pub(super) async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Sends messages that arrive together.
    pub(super) async fn say_together(&mut self, messages: &[Value]) {
        for message in messages {
            self.0.feed(Message::text(message.to_string())).await.unwrap();
        }
        self.0.flush().await.unwrap();
    }

    /// Answers a signaling handshake well, with one media URL for everything.
    pub(super) async fn welcome(&mut self, media_url: &str) {
        assert_eq!(self.hear().await["msg_type"], 1);
        let urls = json!({"media_server": {"server_urls": {"all": media_url}}});
        let mut answer =
            json!({"msg_type": 2, "protocol_version": 1, "status_code": 0, "reason": ""});
        answer["media_server"] = urls["media_server"].clone();
        self.say(&answer).await;
    }
}
