//! The settings of traces, under the names of OpenTelemetry.

use std::time::Duration;

use url::Url;

use super::read::Reader;
use crate::secret::Secret;
use crate::telemetry::{Sampling, TraceSettings};

/// Where the standard puts traces below an endpoint for all signals.
const TRACES_PATH: &str = "v1/traces";

/// Reads where traces are sent. `Some(None)` if they are not.
pub(super) fn read_settings(read: &mut Reader<'_>) -> Option<Option<TraceSettings>> {
    let is_off = read.flag("OTEL_SDK_DISABLED");
    let url = read_url(read);
    let headers = read_pairs(read, "OTEL_EXPORTER_OTLP_HEADERS");
    let timeout_ms = read.number("OTEL_EXPORTER_OTLP_TIMEOUT", 1..=60_000);
    let service_name = read.text("OTEL_SERVICE_NAME");
    let attributes = read_pairs(read, "OTEL_RESOURCE_ATTRIBUTES");
    let sampling = read_sampling(read);
    let headers = headers?.into_iter().map(|(name, text)| (name, Secret::new(text))).collect();
    let settings = TraceSettings {
        url: url?,
        headers,
        timeout: Duration::from_millis(timeout_ms?),
        service_name,
        attributes: attributes?,
        sampling: sampling?,
    };
    let is_on = settings.url.is_some() && !is_off?;
    Some(is_on.then_some(settings))
}

/// `Some(None)` without an endpoint.
fn read_url(read: &mut Reader<'_>) -> Option<Option<Url>> {
    let (own, all) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
    let (name, text) = match (read.optional(own), read.optional(all)) {
        (Some(text), _) => (own, text),
        (None, Some(text)) => (all, format!("{}/{TRACES_PATH}", text.trim_end_matches('/'))),
        (None, None) => return Some(None),
    };
    let is_web = |url: &Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
    match Url::parse(&text).ok().filter(is_web) {
        Some(url) => Some(Some(url)),
        None => read.wrong(name, "an http:// or https:// URL, such as http://localhost:4318"),
    }
}

/// Reads `name=value` pairs, separated by commas.
fn read_pairs(read: &mut Reader<'_>, name: &'static str) -> Option<Vec<(String, String)>> {
    let text = read.optional(name).unwrap_or_default();
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (key.trim(), value.trim());
        (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
    };
    match pairs.map(pair).collect() {
        Some(pairs) => Some(pairs),
        None => read.wrong(name, "name=value pairs, separated by commas"),
    }
}

fn read_sampling(read: &mut Reader<'_>) -> Option<Sampling> {
    let ratio = match read.optional("OTEL_TRACES_SAMPLER_ARG") {
        None => Some(1.0),
        Some(text) => match text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)) {
            Some(ratio) => Some(ratio),
            None => read.wrong("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1"),
        },
    };
    let samplers = [
        ("always_on", (false, Some(1.0))),
        ("always_off", (false, Some(0.0))),
        ("traceidratio", (false, None)),
        ("parentbased_always_on", (true, Some(1.0))),
        ("parentbased_always_off", (true, Some(0.0))),
        ("parentbased_traceidratio", (true, None)),
    ];
    let (is_parent_based, fixed) = read.one_of("OTEL_TRACES_SAMPLER", &samplers)?;
    Some(Sampling { is_parent_based, ratio: fixed.or(ratio)? })
}
