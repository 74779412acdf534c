//! Sends traces over OTLP, as Protobuf over HTTP, with the daemon's own HTTP client: one TLS stack and one proxy.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use super::{Sampling, TRACEPARENT, TRACES, TraceSettings};
use crate::stdio;

/// How long the end of the process waits for the last traces.
const LAST_TRACES: Duration = Duration::from_secs(5);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
/// Set when the network's settings are known. Traces are sent in batches, the first one seconds later.
static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();

/// The layer that takes the spans to be traced. Must be called on a runtime, which sends them.
pub(in crate::telemetry) fn layer(settings: &TraceSettings) -> Option<impl Layer<Registry>> {
    let url = settings.url.as_ref()?;
    let headers = settings.headers.iter();
    let headers: HashMap<_, _> =
        headers.map(|(name, value)| (name.clone(), value.expose().clone())).collect();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(OwnClient { runtime: Handle::current(), timeout: settings.timeout })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url.as_str())
        .with_timeout(settings.timeout)
        .with_headers(headers)
        .build();
    let exporter = match exporter {
        Ok(exporter) => exporter,
        // Not the log, which begins after this.
        Err(error) => {
            stdio::print_stderr(&format!("rtmsd: cannot send traces: {error}"));
            return None;
        }
    };
    let attributes =
        settings.attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let resource = Resource::builder_empty()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(attributes)
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .with_sampler(sampler(settings.sampling))
        .build();
    let tracer = provider.tracer("rtmsd");
    // The process has one log, and so one provider.
    let _ = PROVIDER.set(provider);
    let is_traced = filter_fn(|metadata| metadata.is_span() && metadata.target() == TRACES);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    Some(layer.with_filter(is_traced.with_max_level_hint(LevelFilter::INFO)))
}

fn sampler(Sampling { is_parent_based, ratio }: Sampling) -> Sampler {
    let root = Sampler::TraceIdRatioBased(ratio);
    if is_parent_based { Sampler::ParentBased(Box::new(root)) } else { root }
}

pub(super) fn set_parent(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    if parent.span().span_context().is_valid() {
        // Fails only if the span has begun: then it stays in its own trace.
        let _ = span.set_parent(parent);
    }
}

pub(super) fn traceparent(span: &Span) -> Option<String> {
    let context = span.context();
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Sends traces with this client from now on.
pub fn send_traces_with(client: reqwest::ClientBuilder) {
    if PROVIDER.get().is_none() {
        return;
    }
    match client.build() {
        // Later ones, of other daemons in one process, are as good.
        Ok(client) => drop(CLIENT.set(client)),
        Err(error) => tracing::error!(%error, "cannot send traces; they are dropped"),
    }
}

/// Sends what waits, and nothing after it. For the end of the process.
pub async fn end_traces() {
    let Some(provider) = PROVIDER.get() else { return };
    // It blocks until its own thread is done, which needs this runtime.
    let ended = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(LAST_TRACES)).await;
    if !matches!(ended, Ok(Ok(()))) {
        tracing::warn!("the last traces could not be sent in time; they are lost");
    }
}

/// The daemon's HTTP client for the exporter's thread, which is not one of the runtime.
#[derive(Debug)]
struct OwnClient {
    runtime: Handle,
    timeout: Duration,
}

/// What the trait's macro makes of an `async fn`.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for OwnClient {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Answer<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let sending = self.runtime.spawn(send(request, self.timeout));
        Box::pin(async move { sending.await? })
    }
}

async fn send(request: Request<Bytes>, timeout: Duration) -> Result<Response<Bytes>, HttpError> {
    let client = CLIENT.get().ok_or("the daemon has no network yet")?;
    let mut request = reqwest::Request::try_from(request)?;
    *request.timeout_mut() = Some(timeout);
    let answer = client.execute(request).await?;
    // The status counts; what a receiver says beside it is not read.
    Ok(Response::builder().status(answer.status()).body(Bytes::new())?)
}
