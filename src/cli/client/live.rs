//! One connection to a daemon's live socket.

use std::convert::identity;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::daemon::{Daemon, Request};
use super::failure::{Failure, Refusal};
use crate::net::{DialError, Target, WebSocket, describe};

const DIAL_LIMIT: Duration = Duration::from_secs(15);
/// The daemon pings every 20 s. One that has been silent this long is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// How long the closing handshake may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// The longest message: a greeting names everybody in a meeting.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// An open live socket.
pub(super) struct Live(WebSocket);

impl Live {
    /// Opens the socket of a session, and asks for these things (see docs/live.md).
    pub(super) async fn open(
        daemon: &Daemon,
        session: &str,
        asked: &Map<String, Value>,
    ) -> Result<Self, Failure> {
        let mut socket = dial(daemon, session).await?;
        // In a message and not in the query, so that a wrong value is refused with the API's code.
        let first = Message::text(Value::Object(asked.clone()).to_string());
        match timeout(DIAL_LIMIT, socket.send(first)).await {
            Ok(Ok(())) => Ok(Self(socket)),
            Ok(Err(error)) => Err(lost(&describe(&error))),
            Err(_) => Err(lost("no answer in time")),
        }
    }

    /// The next message; none when the daemon has closed the socket. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            let next = timeout(SILENCE_LIMIT, self.0.next()).await;
            let message = match next.map_err(|_| lost("the daemon has been silent for a minute"))? {
                None | Some(Ok(Message::Close(_))) => return Ok(None),
                Some(Err(error)) => return Err(lost(&describe(&error))),
                Some(Ok(Message::Text(text))) => serde_json::from_str::<Value>(&text),
                // Pings are answered by the library.
                Some(Ok(_)) => continue,
            };
            let message = message.map_err(|_| lost("a message is not JSON"))?;
            return match message["type"] == "error" {
                true => Err(Failure::Refused(Box::new(Refusal(message)))),
                false => Ok(Some(message)),
            };
        }
    }

    /// Says goodbye, as far as the daemon listens.
    pub(super) async fn close(mut self) {
        let _ = timeout(CLOSE_LIMIT, self.0.close(None)).await;
    }
}

/// Connects with a ticket, so that the token is in no URL and no header of a handshake.
async fn dial(daemon: &Daemon, session: &str) -> Result<WebSocket, Failure> {
    let api_path = format!("/api/v1/sdk/sessions/{session}/live");
    let parts = |path: &str| path.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
    let request = Request {
        method: "POST".to_owned(),
        path: parts("/api/v1/tickets"),
        body: Some(json!({ "path": api_path })),
        ..Request::default()
    };
    let ticket = daemon.call(&request).await?.data;
    let mut url = daemon.url(&parts(&api_path));
    url.query_pairs_mut().append_pair("ticket", ticket["ticket"].as_str().unwrap_or_default());
    let is_tls = url.scheme() == "https";
    let scheme = if is_tls { "wss" } else { "ws" };
    url.set_scheme(scheme).expect("http and https become ws and wss");
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or_default();
    let target = Target { host, port, is_tls, url: url.as_str() };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let dialled = daemon.network.websocket(target, config, |_| true, identity);
    let dialled = timeout(DIAL_LIMIT, dialled).await.unwrap_or(Err(DialError::Silent));
    dialled.map_err(|error| {
        let name = daemon.name();
        lost(&format!("cannot open the live socket of {name}: {error}"))
    })
}

fn lost(problem: &str) -> Failure {
    Failure::Unreachable(problem.to_owned())
}
