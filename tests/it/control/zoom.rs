//! Zoom's REST API as far as control needs it: says what a test wants said, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: String,
    pub body: Value,
}

impl Asked {
    pub(super) fn action(&self) -> &str {
        self.body["action"].as_str().expect("an action")
    }
}

#[derive(Clone)]
pub(super) struct Say {
    status: u16,
    header: Option<(&'static str, String)>,
    body: String,
}

impl Say {
    pub(super) fn status(status: u16) -> Self {
        Self { status, header: None, body: String::new() }
    }

    pub(super) fn error(status: u16, code: i64) -> Self {
        let body = format!(r#"{{"code":{code},"message":"Zoom's words about {code}"}}"#);
        Self { status, header: None, body }
    }

    pub(super) fn with_body(self, body: &str) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(super) fn with_header(self, name: &'static str, value: impl Into<String>) -> Self {
        Self { header: Some((name, value.into())), ..self }
    }
}

#[derive(Default)]
struct Inner {
    /// What to say next; 204 when there is nothing.
    script: Mutex<VecDeque<Say>>,
    asked: Mutex<Vec<Asked>>,
    changed: Notify,
    /// While true, requests wait.
    held: tokio::sync::RwLock<()>,
}

pub(super) struct FakeZoom {
    pub url: String,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

impl Drop for FakeZoom {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl FakeZoom {
    pub(super) async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving =
            tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, inner, serving }
    }

    pub(super) fn will_say(&self, says: impl IntoIterator<Item = Say>) {
        self.inner.script.lock().unwrap().extend(says);
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().unwrap().clone()
    }

    pub(super) fn actions(&self) -> Vec<String> {
        self.asked().iter().map(|asked| asked.action().to_owned()).collect()
    }

    /// Waits until it was asked so often.
    pub(super) async fn asked_times(&self, times: usize) {
        let waiting = async {
            loop {
                let changed = self.inner.changed.notified();
                if self.asked().len() >= times {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(crate::support::wait::TIMEOUT, waiting).await;
        assert!(waited.is_ok(), "asked {} times, not {times}", self.asked().len());
    }

    /// Requests get no answer while this is kept.
    pub(super) async fn hold(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.inner.held.write().await
    }
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked {
        method: method.to_string(),
        path: uri.path().into(),
        authorization: headers["authorization"].to_str().unwrap().into(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    inner.asked.lock().unwrap().push(asked);
    inner.changed.notify_waiters();
    let _held = inner.held.read().await;
    let say = inner.script.lock().unwrap().pop_front().unwrap_or(Say::status(204));
    let status = StatusCode::from_u16(say.status).unwrap();
    let mut response = (status, say.body).into_response();
    response.headers_mut().insert("x-zm-trackingid", "track1".parse().unwrap());
    if let Some((name, value)) = say.header {
        response.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    response
}
