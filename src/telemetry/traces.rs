//! Traces: spans that are sent to an OTLP receiver, with the feature `otel`. Without a receiver they are never made, and
//! cost a comparison.
//!
//! A span of this kind has the target [`TRACES`]; the log does not show it. The names of spans and attributes follow
//! the conventions of OpenTelemetry. No attribute holds a secret, a token, or what people said.

#[cfg(feature = "otel")]
mod otlp;
#[cfg(not(feature = "otel"))]
mod without;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tracing::Span;
use url::Url;

#[cfg(feature = "otel")]
use self::otlp as backend;
#[cfg(not(feature = "otel"))]
use self::without as backend;
use crate::model::StreamId;
use crate::secret::Secret;

pub use self::backend::{end_traces, send_traces_with};

pub(super) use self::backend::layer;

/// The target of spans that are traced.
pub const TRACES: &str = "rtmsd::traces";
/// The header of a trace.
pub const TRACEPARENT: &str = "traceparent";
/// The most announced streams whose trace is remembered until they are joined.
const MAX_ANNOUNCED: usize = 1_000;

/// Where traces are sent, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// The path for traces included; none if they are not sent.
    pub url: Option<Url>,
    pub headers: Vec<(String, Secret<String>)>,
    pub timeout: Duration,
    pub service_name: String,
    /// What every trace says of this daemon.
    pub attributes: Vec<(String, String)>,
    pub sampling: Sampling,
}

/// Which traces are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Whether a caller decides that sends a trace of its own.
    pub is_parent_based: bool,
    /// The share of the others, from 0 to 1.
    pub ratio: f64,
}

/// The announcements that wait for their streams to be joined, the newest last.
static ANNOUNCED: Mutex<VecDeque<(StreamId, String)>> = Mutex::new(VecDeque::new());

/// Continues a caller's trace, as its header `traceparent` names it. A header that cannot be read is ignored.
pub fn continue_trace(span: &Span, traceparent: &str) {
    if !span.is_disabled() {
        backend::set_parent(span, traceparent);
    }
}

/// The header `traceparent` for a request that belongs to this span; none if it is not traced.
pub fn traceparent(span: &Span) -> Option<String> {
    (!span.is_disabled()).then(|| backend::traceparent(span)).flatten()
}

/// Remembers the trace of a webhook that announces a stream, for [`join_span`].
pub fn note_announced(stream_id: &StreamId, webhook: &Span) {
    let Some(traceparent) = traceparent(webhook) else { return };
    let mut announced = ANNOUNCED.lock().expect("no holder of this lock panics");
    announced.retain(|(known, _)| known != stream_id);
    if announced.len() >= MAX_ANNOUNCED {
        announced.pop_front();
    }
    announced.push_back((stream_id.clone(), traceparent));
}

/// The span of a stream's way from its claim to its first frame: in the trace of the webhook, if that came to this
/// daemon.
pub fn join_span(stream_id: &StreamId) -> Span {
    let span = tracing::info_span!(target: TRACES, "rtms.join", stream_id = %stream_id);
    if !span.is_disabled() {
        let mut announced = ANNOUNCED.lock().expect("no holder of this lock panics");
        let found = announced.iter().position(|(known, _)| known == stream_id);
        if let Some((_, traceparent)) = found.and_then(|at| announced.remove(at)) {
            backend::set_parent(&span, &traceparent);
        }
    }
    span
}
