//! A minimal HTTP client, which can misbehave. It uses HTTP/1.0, so that bodies are not chunked.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

pub(crate) use super::wait::TIMEOUT;

pub(crate) struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Parses everything that a server wrote until it closed the connection. `None` if that is not a response.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let mut lines = std::str::from_utf8(&bytes[..end]).ok()?.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| line.split_once(": ").map(|(n, v)| (n.into(), v.into()));
        let headers = lines.filter_map(header).collect();
        Some(Self { status, headers, body: bytes[end + 4..].to_vec() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// `error.code` of the envelope.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().expect("an error envelope").to_owned()
    }
}

pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.0\r\nhost: localhost\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Sends bytes and reads until the server closes.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    try_exchange(address, request).await.expect("the server listens and answers")
}

/// `None` if no server listens, or the connection ends without a response.
pub(crate) async fn try_exchange(address: SocketAddr, request: &[u8]) -> Option<Answer> {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.ok()?;
        // A server may answer and close before it has read everything.
        let _ = socket.write_all(request).await;
        let mut bytes = Vec::new();
        let _ = socket.read_to_end(&mut bytes).await;
        Answer::parse(&bytes)
    };
    tokio::time::timeout(TIMEOUT, exchange).await.expect("an answer in time")
}

pub(crate) async fn read_answer(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes).await;
    Answer::parse(&bytes)
        .unwrap_or_else(|| panic!("no response: {:?}", String::from_utf8_lossy(&bytes)))
}

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SseEvent {
    pub id: String,
    pub event: String,
    pub data: Value,
}

/// An open event stream.
pub(crate) struct SseClient {
    reader: BufReader<TcpStream>,
}

impl SseClient {
    pub(crate) async fn open(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (u16, Self) {
        Self::try_open(address, path, headers).await.expect("the server listens and answers")
    }

    /// `None` if no server listens, or the connection ends without a response.
    pub(crate) async fn try_open(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Option<(u16, Self)> {
        let socket = TcpSocket::new_v4().expect("a socket");
        // Small, so that the server soon notices a client that does not read.
        socket.set_recv_buffer_size(4096).expect("a buffer");
        let mut socket = socket.connect(address).await.ok()?;
        socket.write_all(&head("GET", path, headers)).await.ok()?;
        let mut client = Self { reader: BufReader::new(socket) };
        let status_line = client.line().await?;
        while !client.line().await?.is_empty() {}
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        Some((status?, client))
    }

    /// The next event; `None` when the server has ended the stream. Skips comments and `retry`.
    pub(crate) async fn next(&mut self) -> Option<SseEvent> {
        let mut event = SseEvent::default();
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("id", id)) => event.id = id.into(),
                Some(("event", name)) => event.event = name.into(),
                Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON"),
                _ if line.is_empty() && !event.event.is_empty() => return Some(event),
                _ => {}
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(TIMEOUT, self.reader.read_line(&mut line)).await;
        let read = read.expect("a line in time").unwrap_or(0);
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
