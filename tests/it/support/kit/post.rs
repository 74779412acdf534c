//! Delivers the simulator's webhooks to one or more daemons.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rtmsd::secret::Secret;
use rtmsd::zoom::signature::WebhookKey;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::eventually;
use crate::support::client::{head, try_exchange};

const PATH: &str = "/webhook";

/// Stands between the simulator's webhook sender and the daemon. Remembers every letter, and loses some.
pub(crate) struct Post {
    address: SocketAddr,
    office: Office,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Office(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    /// None: no daemon runs, and the answer is 503.
    daemon: Option<SocketAddr>,
    lost: HashSet<String>,
    letters: Vec<Letter>,
}

/// One webhook, and how it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub event: String,
    pub body: Value,
    pub status: u16,
}

impl Drop for Post {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Post {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let office = Office(Arc::default());
        let app = Router::new().fallback(take).with_state(office.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, office, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn deliver_to(&self, daemon: SocketAddr) {
        self.office.books().daemon = Some(daemon);
    }

    /// Accepts letters with this event name from now on, and delivers none of them.
    pub(crate) fn lose(&self, event: &str) {
        self.office.books().lost.insert(event.to_owned());
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.office.books().letters.clone()
    }

    /// The newest letter with this event name, once there is one.
    pub(crate) async fn letter(&self, event: &str) -> Letter {
        eventually(event, async || {
            self.letters().into_iter().rev().find(|letter| letter.event == event)
        })
        .await
    }

    /// Sends a letter of our own, signed as Zoom does; returns the answer's status.
    pub(crate) async fn send(&self, body: &Value) -> u16 {
        let daemon = self.office.books().daemon.expect("a daemon is there");
        send_webhook(daemon, body).await
    }
}

/// Posts a body with the signature of the tests' app, and returns the answer's status.
pub(crate) async fn send_webhook(daemon: SocketAddr, body: &Value) -> u16 {
    send_webhook_to(daemon, PATH, "demoSecretToken01", body).await
}

/// Posts a body to a path with the signature of this secret token, and returns the answer's status.
pub(crate) async fn send_webhook_to(
    daemon: SocketAddr,
    path: &str,
    secret_token: &str,
    body: &Value,
) -> u16 {
    let body = body.to_string();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_s = i64::try_from(since.as_secs()).unwrap();
    let key = WebhookKey::new(&Secret::new(secret_token.to_owned()));
    let signature = key.sign(now_s, body.as_bytes());
    deliver(daemon, path, body.as_bytes(), &now_s.to_string(), &signature).await.0
}

impl Office {
    /// Waits for the first daemon to start, for less time than the simulator waits for an answer.
    async fn opened(&self) {
        for _ in 0..800 {
            if self.books().daemon.is_some() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }
}

async fn take(State(office): State<Office>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let parsed: Value = serde_json::from_slice(&body).unwrap();
    let event = parsed["event"].as_str().unwrap_or_default().to_owned();
    office.opened().await;
    let (daemon, is_lost) = {
        let books = office.books();
        (books.daemon, books.lost.contains(&event))
    };
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let (status, answer) = match daemon {
        _ if is_lost => (200, Vec::new()),
        None => (503, Vec::new()),
        Some(daemon) => {
            let (timestamp, signature) = (value("x-zm-request-timestamp"), value("x-zm-signature"));
            deliver(daemon, uri.path(), &body, timestamp, signature).await
        }
    };
    office.books().letters.push(Letter { event, body: parsed, status });
    (StatusCode::from_u16(status).unwrap(), answer).into_response()
}

/// The answer's status and body; 502 when the daemon cannot be reached.
async fn deliver(
    daemon: SocketAddr,
    path: &str,
    body: &[u8],
    timestamp: &str,
    signature: &str,
) -> (u16, Vec<u8>) {
    let length = body.len().to_string();
    let headers = [
        ("content-length", length.as_str()),
        ("x-zm-request-timestamp", timestamp),
        ("x-zm-signature", signature),
    ];
    let request = [&head("POST", path, &headers), body].concat();
    match try_exchange(daemon, &request).await {
        Some(answer) => (answer.status, answer.body),
        None => (502, Vec::new()),
    }
}
