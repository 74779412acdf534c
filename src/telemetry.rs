//! Logging to standard error: text on a terminal, JSON otherwise.

mod context;
mod control;
mod json;
mod traces;

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing_log::AsLog;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, fmt, reload};

use self::json::JsonLine;

pub use self::context::{
    recording_span, request_span, session_span, session_span_of, stream_span, stream_span_of,
};
pub use self::control::{LogControl, LogLevel, MAX_TIME, NotAFilter};
pub use self::traces::{
    Sampling, TRACEPARENT, TRACES, TraceSettings, continue_trace, end_traces, join_span,
    note_announced, send_traces_with, traceparent,
};

/// Crates that log the content of connections at `debug` or `trace` (signatures, tokens, meeting content), each with
/// its most verbose allowed level. No filter can raise it.
const CAPS: [&str; 7] = [
    "tungstenite=info",
    "tokio_tungstenite=info",
    "rustls=info",
    "hyper=info",
    "hyper_util=info",
    "reqwest=info",
    "async_nats=info",
];

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// The level of rtmsd's own code, from `trace` to `off`. Other crates log from `warn`.
    pub level: String,
    /// A filter by module, which replaces the level.
    pub directives: Option<String>,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info".to_owned(), directives: None, format: LogFormat::Auto }
    }
}

impl LogSettings {
    /// The levels, from the most verbose on.
    pub const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];

    /// The level, or the filter that replaces it.
    pub fn text(&self) -> &str {
        self.directives.as_deref().unwrap_or(&self.level)
    }

    /// Whether a text is a valid filter by module.
    pub fn is_filter(text: &str) -> bool {
        EnvFilter::try_new(text).is_ok()
    }

    fn filter(&self) -> EnvFilter {
        let filter = match &self.directives {
            Some(directives) => EnvFilter::new(directives),
            None => return EnvFilter::new(format!("warn,rtmsd={}", self.level)),
        };
        let cap = |cap: &str| cap.parse().expect("a constant directive, which a test parses");
        // Added last: the most recent directive for a crate wins.
        CAPS.iter().fold(filter, |filter, text| filter.add_directive(cap(text)))
    }
}

/// Starts logging for the whole process, and tracing if traces are sent. Fails if it was started before.
pub fn init(settings: &LogSettings, traces: Option<&TraceSettings>) -> Result<(), TryInitError> {
    let is_terminal = io::stderr().is_terminal();
    let is_text = match settings.format {
        LogFormat::Auto => is_terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let (filter, handle) = reload::Layer::new(settings.filter());
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(is_terminal);
    let lines = match is_text {
        true => lines.boxed(),
        false => lines.fmt_fields(JsonFields::new()).event_format(JsonLine).boxed(),
    };
    tracing_subscriber::registry()
        .with(traces.and_then(traces::layer))
        .with(lines.with_filter(without_traces(filter)))
        .try_init()?;
    let control = LogControl::new(settings.clone(), move |filter| {
        // Fails only if the log has ended.
        let _ = handle.reload(filter);
        tracing_log::log::set_max_level(LevelFilter::current().as_log());
    });
    // The log is that of the process, and was not started before.
    let _ = CONTROL.set(control);
    Ok(())
}

/// The filter without the spans and events that are only for traces. It keeps the filter's level: without one, the `log`
/// crate would build each of the dozens of records that the WebSocket crates have for a message, only for this filter to
/// drop it.
fn without_traces<S>(filter: impl Filter<S>) -> impl Filter<S> {
    let is_logged = filter_fn(|metadata| metadata.target() != TRACES);
    filter.and(is_logged.with_max_level_hint(LevelFilter::TRACE))
}

static CONTROL: OnceLock<LogControl> = OnceLock::new();

/// Changes the log of the process; without one, nothing.
pub fn log_control() -> LogControl {
    CONTROL.get().cloned().unwrap_or_else(|| LogControl::without_log(LogSettings::default()))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::Registry;

    use super::*;

    #[test]
    fn records_below_the_level_are_not_built() {
        let settings = LogSettings { level: "warn".to_owned(), ..LogSettings::default() };
        let (filter, _handle) = reload::Layer::<_, Registry>::new(settings.filter());
        let hint = Filter::<Registry>::max_level_hint(&without_traces(filter));
        assert_eq!(hint, Some(LevelFilter::WARN));
    }

    #[test]
    fn no_filter_raises_the_level_of_a_crate_that_logs_connection_content() {
        for directives in ["trace", "tungstenite=trace", "hyper=debug,info"] {
            let settings =
                LogSettings { directives: Some(directives.to_owned()), ..LogSettings::default() };
            let filter = settings.filter().to_string();
            for cap in CAPS {
                let (name, _) = cap.split_once('=').unwrap();
                assert!(filter.contains(cap), "{directives}: {filter}");
                assert!(!filter.contains(&format!("{name}=trace")), "{directives}: {filter}");
            }
        }
    }
}
