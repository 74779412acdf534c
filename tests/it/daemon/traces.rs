//! Traces of the compiled binary, received over OTLP by a parser that is not ours.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use rtmsd::secret::Secret;
use rtmsd::simulator::{Settings, Start};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::client::{exchange, head};
use crate::support::kit::{API_TOKEN, Home, Log, Zoom, endless, eventually, zoom};
use crate::support::process::Process;

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python");
const RECEIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/otlp.py");
/// A trace of a caller.
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_ID: &str = "00f067aa0ba902b7";

/// Kinds of spans in OTLP.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

struct Receiver {
    process: Process,
    url: String,
}

impl Receiver {
    async fn open() -> Self {
        let mut command = Command::new(PYTHON);
        command.arg(RECEIVER);
        let process = Process::of(command);
        let port = process.printed("port").await.as_u64().unwrap();
        Self { process, url: format!("http://127.0.0.1:{port}") }
    }

    fn spans(&self) -> Vec<Value> {
        let out = self.process.out();
        let parsed = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line.get("span_id").is_some()).collect()
    }

    /// The span of this name, in a trace or in any, as soon as it was received.
    async fn span(&self, name: &str, trace_id: Option<&str>) -> Value {
        eventually(name, async || {
            let of_trace = |span: &Value| trace_id.is_none_or(|id| span["trace_id"] == id);
            self.spans().into_iter().find(|span| span["name"] == name && of_trace(span))
        })
        .await
    }
}

fn home(receiver: &Receiver) -> Home {
    Home::sqlite()
        .set("MEDIA_TYPES", "audio,transcript")
        .set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"))
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url)
        .set("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer s3cret-of-otlp")
        .set("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
        // Milliseconds between batches; the SDK reads it itself.
        .set("OTEL_BSP_SCHEDULE_DELAY", "200")
}

#[tokio::test]
async fn one_trace_leads_from_the_webhook_to_the_first_frame() {
    let receiver = Receiver::open().await;
    let (process, api) = Process::serve(&home(&receiver)).await;
    let zoom = Zoom::open(zoom(endless(100))).await;
    zoom.post.deliver_to(api.0);
    let join = receiver.span("rtms.join", None).await;
    let trace = join["trace_id"].as_str().unwrap().to_owned();
    let webhook = receiver.span("POST /webhook", Some(&trace)).await;
    assert_eq!((&webhook["kind"], &webhook["parent_id"]), (&json!(SERVER), &json!("")));
    assert_eq!(webhook["attributes"]["http.response.status_code"], 200);
    assert_eq!(join["parent_id"], webhook["span_id"]);
    assert_eq!(join["attributes"]["stream_id"], zoom.stream().stream_id);
    let stored = receiver.span("store.record_delivery", Some(&trace)).await;
    assert_eq!(stored["parent_id"], webhook["span_id"]);
    for name in ["rtms.dial", "rtms.handshake"] {
        let spans = receiver.spans().into_iter();
        let of_links: Vec<_> =
            spans.filter(|span| span["name"] == name && span["trace_id"] == *trace).collect();
        let links: Vec<_> =
            of_links.iter().filter_map(|span| span["attributes"]["link"].as_str()).collect();
        assert!(links.contains(&"signaling") && links.len() > 1, "{name}: {links:?}");
        for span in &of_links {
            assert_eq!((&span["parent_id"], &span["kind"]), (&join["span_id"], &json!(CLIENT)));
            assert!(span["start_ns"].as_u64() >= join["start_ns"].as_u64());
            assert!(span["end_ns"].as_u64() <= join["end_ns"].as_u64());
        }
    }
    assert_eq!(join["path"], "/v1/traces");
    assert_eq!(join["authorization"], "Bearer s3cret-of-otlp");
    let resource = &join["resource"];
    assert_eq!(resource["service.name"], "rtmsd");
    assert_eq!(resource["deployment.environment.name"], "tests");
    // Nothing of these reaches a trace or the log.
    let (all, log) = (json!(receiver.spans()).to_string(), process.err());
    for secret in ["Ana Silva", API_TOKEN, "demoClientSecret01", "demoSecretToken01"] {
        assert!(!all.contains(secret) && !log.contains(secret), "{secret}");
    }
    assert!(!log.contains("s3cret-of-otlp"));
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

/// A receiver of outgoing webhooks that notes the header `traceparent` of each.
async fn webhook_receiver() -> (String, Arc<Mutex<Vec<String>>>) {
    let noted = Arc::<Mutex<Vec<String>>>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let notes = Arc::clone(&noted);
    let receive = post(async move |headers: HeaderMap| {
        let header = headers.get("traceparent").map(|value| value.to_str().unwrap().to_owned());
        notes.lock().unwrap().extend(header);
    });
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", receive)).await });
    (format!("http://{address}/"), noted)
}

#[tokio::test]
async fn a_callers_trace_leads_to_zoom_and_an_outgoing_webhook_has_one() {
    let receiver = Receiver::open().await;
    let settings = Settings {
        start: Start::Rest,
        access_token: Some(Secret::new("zoom-token".into())),
        ..zoom(endless(100))
    };
    let zoom = Zoom::open(settings).await;
    let (url, headers_there) = webhook_receiver().await;
    let home = home(&receiver)
        .set("ZOOM_API_BASE_URL", &format!("http://{}", zoom.simulator.addr()))
        .set("ZOOM_ACCESS_TOKEN", "zoom-token")
        .set("WEBHOOKS_ALLOWED_HOSTS", "127.0.0.1");
    let (process, api) = Process::serve(&home).await;
    let endpoint = api.post("/api/v1/webhooks/endpoints", &json!({"url": url})).await;
    assert_eq!(endpoint.status, 201, "{}", endpoint.text());
    zoom.post.deliver_to(api.0);
    let session = eventually("a session", async || {
        let sessions = api.sessions().await;
        sessions.first().and_then(|session| session["id"].as_str().map(str::to_owned))
    })
    .await;
    let path = format!("/api/v1/sdk/sessions/{session}/rtms/start");
    let (authorization, traceparent) =
        (format!("Bearer {API_TOKEN}"), format!("00-{TRACE_ID}-{PARENT_ID}-01"));
    let headers = [
        ("authorization", &*authorization),
        ("traceparent", &*traceparent),
        ("content-length", "0"),
    ];
    let answer = exchange(api.0, &head("POST", &path, &headers)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let request = "POST /api/v1/sdk/sessions/{id}/rtms/start";
    let request = receiver.span(request, Some(TRACE_ID)).await;
    assert_eq!(request["parent_id"], PARENT_ID);
    let call = receiver.span("PATCH /v2/live_meetings/{id}/rtms_app/status", Some(TRACE_ID)).await;
    assert_eq!((&call["parent_id"], &call["kind"]), (&request["span_id"], &json!(CLIENT)));
    assert_eq!(call["attributes"]["http.response.status_code"], 204);
    Log::of_session(api, session).lines(1).await;
    let sent = receiver.span("POST webhook endpoint", None).await;
    let (trace, span) = (sent["trace_id"].as_str().unwrap(), sent["span_id"].as_str().unwrap());
    let there = headers_there.lock().unwrap().clone();
    assert!(there.contains(&format!("00-{trace}-{span}-01")), "{there:?}");
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}
