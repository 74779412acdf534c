//! A minimal WebSocket client (RFC 6455). It can break rules, and it shares no code with the daemon's library, so that an
//! error in one is caught by the other.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::client::Answer;
use super::wait::TIMEOUT;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

pub(crate) struct WebSocket {
    socket: BufReader<TcpStream>,
    /// What the server chose.
    pub subprotocol: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Text(Value),
    Binary(Vec<u8>),
    Close(u16, String),
    /// TCP ended without a Close frame.
    Gone,
}

impl WebSocket {
    /// The HTTP answer where it is not 101.
    pub(crate) async fn open(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Answer> {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that a client that does not read is soon felt by the server.
        socket.set_recv_buffer_size(4096).unwrap();
        let mut socket = socket.connect(address).await.unwrap();
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        socket.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        let mut socket = BufReader::new(socket);
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(timeout(TIMEOUT, socket.read_u8()).await.unwrap().unwrap());
        }
        let mut parsed = Answer::parse(&answer).unwrap();
        if parsed.status == 101 {
            // The example of RFC 6455, section 1.3.
            let accept = parsed.header("sec-websocket-accept");
            assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
            let subprotocol = parsed.header("sec-websocket-protocol").map(ToOwned::to_owned);
            return Ok(Self { socket, subprotocol });
        }
        let length = parsed.header("content-length").map_or(0, |length| length.parse().unwrap());
        parsed.body = vec![0; length];
        socket.read_exact(&mut parsed.body).await.unwrap();
        Err(parsed)
    }

    /// The next message; pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            let heard = timeout(TIMEOUT, self.frame()).await.expect("a message in time");
            let Ok((opcode, payload)) = heard else { return Heard::Gone };
            match opcode {
                TEXT => return Heard::Text(serde_json::from_slice(&payload).expect("JSON")),
                BINARY => return Heard::Binary(payload),
                PING => self.send(PONG, &payload).await,
                PONG => {}
                CLOSE if payload.len() < 2 => return Heard::Close(1005, String::new()),
                CLOSE => {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    return Heard::Close(code, String::from_utf8(payload[2..].to_vec()).unwrap());
                }
                opcode => panic!("a frame with opcode {opcode}"),
            }
        }
    }

    /// The next text, which is what comes next.
    pub(crate) async fn text(&mut self) -> Value {
        match self.next().await {
            Heard::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next object of this `type`; others are passed over.
    pub(crate) async fn of_type(&mut self, wanted: &str) -> Value {
        loop {
            match self.next().await {
                Heard::Text(text) if text["type"] == wanted => return text,
                Heard::Text(_) | Heard::Binary(_) => {}
                other => panic!("no {wanted}: {other:?}"),
            }
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.send(TEXT, text.as_bytes()).await;
    }

    pub(crate) async fn close(mut self) {
        self.send_close().await;
    }

    pub(crate) async fn send_close(&mut self) {
        self.send(CLOSE, &1000_u16.to_be_bytes()).await;
    }

    async fn frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let [first, second] = [self.socket.read_u8().await?, self.socket.read_u8().await?];
        assert_eq!(second & 0x80, 0, "a server masks nothing");
        assert_eq!(first & 0x70, 0, "no extension was agreed");
        assert_eq!(first & 0x80, 0x80, "the daemon sends every message in one piece");
        let length = match second {
            126 => u64::from(self.socket.read_u16().await?),
            127 => self.socket.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.socket.read_exact(&mut payload).await?;
        Ok((first & 0x0f, payload))
    }

    /// Sends a masked frame. Ignores a peer that is gone.
    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        const MASK: [u8; 4] = [7, 42, 0, 255];
        let mut frame = vec![0x80 | opcode];
        match u8::try_from(payload.len()) {
            Ok(short @ 0..126) => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        let _ = self.socket.write_all(&frame).await;
    }
}
