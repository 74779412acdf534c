//! Logging to standard error: text on a terminal, JSON otherwise.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

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

/// Starts logging for the whole process. Fails if it was started before.
pub fn init(settings: &LogSettings) -> Result<(), TryInitError> {
    use tracing_subscriber::util::SubscriberInitExt;
    let is_terminal = io::stderr().is_terminal();
    let is_text = match settings.format {
        LogFormat::Auto => is_terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(settings.filter())
        .with_writer(io::stderr)
        .with_ansi(is_terminal);
    if is_text {
        builder.finish().try_init()
    } else {
        builder.json().flatten_event(true).finish().try_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
