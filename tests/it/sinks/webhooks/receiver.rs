//! An endpoint of somebody else's: keeps what it gets, and answers as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::client::TIMEOUT;

pub(super) struct Receiver {
    pub address: SocketAddr,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Desk {
    got: Mutex<Vec<Letter>>,
    count: watch::Sender<usize>,
    /// Of the next requests; 200 when there is none.
    replies: Mutex<VecDeque<Reply>>,
    released: Notify,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Reply {
    pub status: u16,
    pub header: Option<(&'static str, String)>,
    /// Only after [`Receiver::release`].
    pub is_held: bool,
}

impl Letter {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// As the verifying library takes it.
    pub(super) fn to_verify(&self, secret: &str) -> Value {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers: Value = names.into_iter().map(|name| (name, self.header(name))).collect();
        json!({ "secret": secret, "headers": headers, "body": str::from_utf8(&self.body).unwrap() })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let desk = Arc::new(Desk::default());
        let routes = Router::new().route("/hook", post(take)).with_state(Arc::clone(&desk));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, desk, serving }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The next request is answered so.
    pub(super) fn reply(&self, status: u16) {
        self.reply_with(Reply { status, ..Reply::default() });
    }

    pub(super) fn reply_with(&self, reply: Reply) {
        self.desk.replies.lock().unwrap().push_back(reply);
    }

    /// Lets every held request have its answer.
    pub(super) fn release(&self) {
        self.desk.released.notify_waiters();
    }

    pub(super) fn got(&self) -> Vec<Letter> {
        self.desk.got.lock().unwrap().clone()
    }

    pub(super) fn kinds(&self) -> Vec<String> {
        self.got().iter().map(Letter::kind).collect()
    }

    /// The first `count` requests, as soon as they have come.
    pub(super) async fn has(&self, count: usize) -> Vec<Letter> {
        let mut counts = self.desk.count.subscribe();
        let enough = timeout(TIMEOUT, counts.wait_for(|got| *got >= count)).await;
        assert!(enough.is_ok(), "{count} wanted, these came: {:?}", self.kinds());
        self.got()[..count].to_vec()
    }
}

async fn take(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    let released = desk.released.notified();
    let reply = desk.replies.lock().unwrap().pop_front();
    let count = {
        let mut got = desk.got.lock().unwrap();
        got.push(Letter { headers, body });
        got.len()
    };
    let reply = reply.unwrap_or(Reply { status: 200, ..Reply::default() });
    if reply.is_held {
        tokio::pin!(released);
        released.as_mut().enable();
        desk.count.send_replace(count);
        released.await;
    } else {
        desk.count.send_replace(count);
    }
    let mut response = (StatusCode::from_u16(reply.status).unwrap(), "thanks").into_response();
    if let Some((name, value)) = reply.header {
        response.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    response
}
