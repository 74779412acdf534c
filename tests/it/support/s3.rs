//! A small S3: one bucket in memory, for the clients of one access key.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
const KEY_ID: &str = "acme-key-id";
const SECRET: &str = "acme-secret-key";
const BUCKET: &str = "/bucket/";

/// The server. It ends with this value.
pub(crate) struct S3 {
    pub address: SocketAddr,
    state: Arc<Bucket>,
    serving: AbortHandle,
}

#[derive(Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Object>>,
    /// Whether requests are taken and never answered.
    is_silent: AtomicBool,
    /// The requests with another access key.
    strangers: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Object {
    bytes: Bytes,
    headers: HeaderMap,
}

impl S3 {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, state) = (listener.local_addr().expect("an address"), Arc::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state, serving: serving.abort_handle() }
    }

    /// The variables with which a client uses it.
    pub(crate) fn variables(&self) -> Value {
        json!({
            "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": format!("http://{}", self.address), "AWS_ALLOW_HTTP": true,
        })
    }

    pub(crate) fn be_silent(&self, is_silent: bool) {
        self.state.is_silent.store(is_silent, Ordering::Relaxed);
    }

    /// The keys of its objects.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.objects.lock().unwrap().keys().cloned().collect()
    }

    /// The requests that were not signed with its access key.
    pub(crate) fn strangers(&self) -> Vec<String> {
        self.state.strangers.lock().unwrap().clone()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(bucket): State<Arc<Bucket>>, request: Request) -> Response<axum::body::Body> {
    if bucket.is_silent.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.expect("a body");
    let signed = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    if !signed.is_some_and(|signed| signed.contains(&format!("Credential={KEY_ID}/"))) {
        bucket.strangers.lock().unwrap().push(format!("{} {}", parts.method, parts.uri));
        return StatusCode::FORBIDDEN.into_response();
    }
    let query = parts.uri.query().unwrap_or_default();
    let key = parts.uri.path().strip_prefix(BUCKET).unwrap_or_default().to_owned();
    let mut objects = bucket.objects.lock().unwrap();
    match parts.method {
        Method::PUT => {
            let is_kept = |name: &str| name.starts_with("x-amz-meta-") || name == "content-type";
            let headers =
                parts.headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
            let headers = headers.filter(|(name, _)| is_kept(name.as_str())).collect();
            objects.insert(key, Object { bytes: body, headers });
            ([("etag", "\"1\"")], "").into_response()
        }
        Method::POST if query.contains("delete") => {
            let text = String::from_utf8_lossy(&body);
            let keys: Vec<_> =
                text.split("<Key>").skip(1).filter_map(|it| it.split("</Key>").next()).collect();
            keys.iter().for_each(|key| drop(objects.remove(*key)));
            let deleted = keys.iter().map(|key| format!("<Deleted><Key>{key}</Key></Deleted>"));
            format!("<DeleteResult>{}</DeleteResult>", deleted.collect::<String>()).into_response()
        }
        Method::DELETE => {
            objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        Method::GET if query.contains("list-type=2") => {
            let pairs = url::form_urlencoded::parse(query.as_bytes());
            let prefix =
                pairs.filter(|(name, _)| name == "prefix").map(|(_, value)| value.into_owned());
            list(&objects, &prefix.last().unwrap_or_default()).into_response()
        }
        _ => match objects.get(&key) {
            None => StatusCode::NOT_FOUND.into_response(),
            Some(object) => {
                read(object, parts.headers.get("range").and_then(|it| it.to_str().ok()))
            }
        },
    }
}

fn list(objects: &BTreeMap<String, Object>, prefix: &str) -> String {
    let mut text = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
    for (key, object) in objects.iter().filter(|(key, _)| key.starts_with(prefix)) {
        let bytes = object.bytes.len();
        let _ = write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>\"1\"</ETag><Size>{bytes}</Size></Contents>"
        );
    }
    text + "</ListBucketResult>"
}

/// The object, or the part of it in `range` (`bytes=4-7`).
fn read(object: &Object, range: Option<&str>) -> Response<axum::body::Body> {
    let all = object.bytes.len();
    let ends = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let first = ends.and_then(|(first, _)| first.parse().ok()).unwrap_or(0);
    let last: usize = ends.and_then(|(_, last)| last.parse().ok()).unwrap_or(all.saturating_sub(1));
    let part = object.bytes.slice(first.min(all)..(last + 1).min(all));
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let headers = [
        ("etag", "\"1\"".to_owned()),
        ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT".to_owned()),
        ("content-range", format!("bytes {first}-{last}/{all}")),
    ];
    (status, headers, object.headers.clone(), part).into_response()
}
