//! Zoom's REST API, which answers what a test wants, and remembers every request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::Notify;

use super::FakeZoom;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: String,
    pub body: Value,
}

impl Asked {
    pub(crate) fn action(&self) -> &str {
        self.body["action"].as_str().expect("an action")
    }
}

#[derive(Clone)]
pub(crate) struct Say {
    status: u16,
    header: Option<(&'static str, String)>,
    body: String,
}

impl Say {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, header: None, body: String::new() }
    }

    pub(crate) fn error(status: u16, code: i64) -> Self {
        let body = format!(r#"{{"code":{code},"message":"Zoom's words about {code}"}}"#);
        Self { status, header: None, body }
    }

    pub(crate) fn with_body(self, body: &str) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) fn with_header(self, name: &'static str, value: impl Into<String>) -> Self {
        Self { header: Some((name, value.into())), ..self }
    }
}

#[derive(Default)]
pub(super) struct Rest {
    /// The next answers; 204 when there is none.
    script: Mutex<VecDeque<Say>>,
    asked: Mutex<Vec<Asked>>,
    changed: Notify,
    /// While true, requests wait.
    held: tokio::sync::RwLock<()>,
}

/// Answers every path that is not OAuth's.
pub(super) fn routes(rest: Arc<Rest>) -> Router {
    Router::new().fallback(answer).with_state(rest)
}

impl FakeZoom {
    pub(crate) fn will_say(&self, says: impl IntoIterator<Item = Say>) {
        self.rest.script.lock().unwrap().extend(says);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.rest.asked.lock().unwrap().clone()
    }

    pub(crate) fn actions(&self) -> Vec<String> {
        self.asked().iter().map(|asked| asked.action().to_owned()).collect()
    }

    /// Waits until it was asked so often.
    pub(crate) async fn asked_times(&self, times: usize) {
        let waiting = async {
            loop {
                let changed = self.rest.changed.notified();
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
    pub(crate) async fn hold(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.rest.held.write().await
    }
}

async fn answer(
    State(rest): State<Arc<Rest>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked {
        method: method.to_string(),
        path: uri.path().into(),
        authorization: headers.get("authorization").map_or("", |it| it.to_str().unwrap()).into(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    rest.asked.lock().unwrap().push(asked);
    rest.changed.notify_waiters();
    let _held = rest.held.read().await;
    let say = rest.script.lock().unwrap().pop_front().unwrap_or(Say::status(204));
    let status = StatusCode::from_u16(say.status).unwrap();
    let mut response = (status, say.body).into_response();
    response.headers_mut().insert("x-zm-trackingid", "track1".parse().unwrap());
    if let Some((name, value)) = say.header {
        response.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    response
}
