//! Wraps every request: an id, a log line, security headers, and panics caught.

use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tracing::{Instrument, Span, field, info_span};
use uuid::Uuid;

use super::client_address::{ClientAddress, Peer, TrustedProxies};
use super::connections::Overload;
use super::error::ApiError;
use crate::metrics::Metrics;
use crate::model::AppName;
use crate::telemetry::{TRACEPARENT, TRACES, continue_trace, request_span};

const REQUEST_ID_HEADER: &str = "x-request-id";

/// The id of a request, for handlers that put it into an answer.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub String);

/// Marks an error response with a page as its body.
#[derive(Debug, Clone)]
pub(super) struct ErrorShown;

/// The webhook of a request, for the request's log line.
#[derive(Debug, Clone)]
pub(super) struct WebhookLogFields {
    pub app: AppName,
    pub event: String,
    pub outcome: &'static str,
}

/// The state of [`observe_request`].
pub(super) struct Observer {
    pub metrics: Metrics,
    pub trusted_proxies: TrustedProxies,
    /// The routes of Zoom's webhooks, which have places of their own when the daemon is overloaded.
    pub webhook_paths: Vec<String>,
}

impl Observer {
    /// Only tests make requests without a peer.
    fn client(&self, request: &Request) -> ClientAddress {
        let peer = request.extensions().get::<Peer>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        self.trusted_proxies.client(peer, request.headers())
    }

    /// Whether there is no place for a request to this route.
    fn is_refused(&self, overload: Option<Overload>, route: &str) -> bool {
        let is_webhook = || self.webhook_paths.iter().any(|path| path == route);
        overload.is_some() && !is_probe(route) && !is_webhook()
    }
}

/// Wraps every route, fallbacks included.
pub(super) async fn observe_request(
    State(observer): State<Arc<Observer>>,
    mut request: Request,
    next: Next,
) -> Response {
    // Version 7, so that ids sort by time in logs. An id that the client sends is ignored: it could forge log lines.
    let request_id = Uuid::now_v7().to_string();
    let client = observer.client(&request);
    let context = request_span(&request_id);
    request.extensions_mut().insert(RequestId(request_id.clone()));
    request.extensions_mut().insert(client);
    let started = Instant::now();
    let method = request.method().clone();
    // The raw path may hold anything; the route is one of the daemon's.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let overload = request.extensions().get::<Overload>().copied();
    let trace = trace_of(&context, request.headers(), &method, route);
    let mut response = match observer.is_refused(overload, route) {
        true => ApiError::Overloaded.into_response(),
        // The state of a handler that panicked is dropped with its future, so nothing observes a broken invariant.
        false => {
            let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
            // The trace inside, so that what it leads to is a part of it.
            let answer = answer.instrument(trace.clone()).instrument(context.clone());
            answer.await.unwrap_or_else(|_| {
                observer.metrics.panics.inc([]);
                ApiError::Panicked.into_response()
            })
        }
    };
    let error = response.extensions_mut().remove::<ApiError>();
    let is_shown = response.extensions_mut().remove::<ErrorShown>().is_some();
    let webhook = response.extensions_mut().remove::<WebhookLogFields>();
    if let Some(error) = error.as_ref().filter(|_| !is_shown) {
        error.render(&mut response, &request_id);
    }
    security_headers(response.headers_mut(), &request_id);
    trace.record("http.response.status_code", i64::from(response.status().as_u16()));
    // Successful probes and scrapes arrive every few seconds and would drown the log.
    if is_periodic(route) && response.status().is_success() {
        return response;
    }
    context.in_scope(|| {
        tracing::info!(
            client = %client.0,
            %method,
            route,
            status = response.status().as_u16(),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            error = error.as_ref().map(log_text),
            app = webhook.as_ref().map(|webhook| webhook.app.as_str()),
            event = webhook.as_ref().map(|webhook| &*webhook.event),
            outcome = webhook.as_ref().map(|webhook| webhook.outcome),
            "request"
        );
    });
    in_context(response, context)
}

/// The span of a request: in the trace of its caller, if it names one. Probes and scrapes are not traced.
fn trace_of(context: &Span, headers: &HeaderMap, method: &Method, route: &str) -> Span {
    if is_periodic(route) {
        return Span::none();
    }
    let span = info_span!(
        target: TRACES, parent: context, "request", otel.kind = "server", otel.name = format_args!("{method} {route}"),
        http.request.method = %method, http.route = route,
        http.response.status_code = field::Empty,
    );
    if let Some(traceparent) = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()) {
        continue_trace(&span, traceparent);
    }
    span
}

/// Logs what happens while an answer is streamed as a part of its request.
fn in_context(response: Response, context: Span) -> Response {
    // An answer of a known size is complete.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| Body::new(BodyInContext { body, context }))
}

/// The body of an answer, polled in the context of its request.
struct BodyInContext {
    body: Body,
    context: Span,
}

impl HttpBody for BodyInContext {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, context } = &mut *self;
        let _entered = context.enter();
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn is_periodic(route: &str) -> bool {
    is_probe(route) || route == "/metrics"
}

fn is_probe(route: &str) -> bool {
    route.starts_with("/health/")
}

/// What the log gets to read: more than the client where the cause is ours.
fn log_text(error: &ApiError) -> String {
    match error {
        ApiError::Store(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

fn security_headers(headers: &mut HeaderMap, request_id: &str) {
    // Answers hold personal data or change from one moment to the next, unless the handler says otherwise.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID_HEADER, request_id);
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    async fn call(router: Router, path: &str) -> Response {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        TowerToHyperService::new(router).call(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_panic_in_a_handler_is_answered_500_and_counted() {
        let metrics = Metrics::default();
        let boom = || async {
            if true {
                panic!("a secret")
            }
        };
        let observer = Observer {
            metrics: metrics.clone(),
            trusted_proxies: TrustedProxies::default(),
            webhook_paths: Vec::new(),
        };
        let router = Router::new()
            .route("/boom", get(boom))
            .layer(from_fn_with_state(Arc::new(observer), observe_request));
        let response = call(router, "/boom").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(metrics.panics.get([]), 1);
        let id = response.headers()[REQUEST_ID_HEADER].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["code"], "internal");
        assert_eq!(body["error"]["request_id"], id);
        assert!(!body.to_string().contains("secret"));
    }
}
