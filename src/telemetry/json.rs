//! Log lines as JSON: one object a line, with the fields of the event and of its context side by side.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats an event as one line of JSON.
pub(super) struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        // From the outermost span in, so that the closest one counts; then the event's own.
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(written) = span.extensions().get::<FormattedFields<JsonFields>>() {
                fields.set_written(span.metadata(), written);
            }
        }
        event.record(&mut fields);
        let (now, metadata) = (Timestamp::now(), event.metadata());
        let (level, target) = (metadata.level(), metadata.target());
        let message = fields.0.remove("message").unwrap_or_else(|| "null".to_owned());
        write!(writer, r#"{{"timestamp":"{now}","level":"{level}","target":"{target}""#)?;
        write!(writer, r#","message":{message}"#)?;
        for (name, value) in &fields.0 {
            write!(writer, r#","{name}":{value}"#)?;
        }
        writer.write_str("}\n")
    }
}

/// The fields of a line. Names are (dotted) Rust identifiers and need no escaping; values are JSON.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Serialize) {
        // Numbers and texts always become JSON.
        if let Ok(value) = serde_json::to_string(&value) {
            self.0.insert(field.name(), value);
        }
    }

    /// Sets the fields of a span, which were written as a JSON object.
    fn set_written(&mut self, metadata: &'static Metadata<'static>, written: &str) {
        let read: BTreeMap<&str, &RawValue> = serde_json::from_str(written).unwrap_or_default();
        for (name, value) in read {
            if let Some(field) = metadata.fields().field(name) {
                self.0.insert(field.name(), value.get().to_owned());
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{fmt, registry};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_innermost_field_of_a_name_wins_and_values_are_escaped() {
        let written = Written::default();
        let writer = written.clone();
        let layer = fmt::layer().with_writer(move || writer.clone());
        let layer = layer.fmt_fields(JsonFields::new()).event_format(JsonLine);
        tracing::subscriber::with_default(registry().with(layer), || {
            let outer = tracing::error_span!("outer", app = "a \"b\"", stream_id = %"s1", n = 1);
            let inner = tracing::error_span!(parent: &outer, "inner", n = 2, otel.name = "x");
            inner.in_scope(|| {
                tracing::error!(n = 3, ms = -4, odd = f64::NAN, is_late = true, kind = ?"k\n", "a \n");
            });
        });
        let line = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(line.ends_with("}\n") && line.starts_with(r#"{"timestamp":""#), "{line}");
        assert_eq!(line.matches(r#""n":"#).count(), 1, "{line}");
        let mut line: Value = serde_json::from_str(&line).unwrap();
        assert!(line["timestamp"].take().as_str().unwrap().parse::<Timestamp>().is_ok());
        let expected = json!({
            "timestamp": null, "level": "ERROR", "target": "rtmsd::telemetry::json::tests", "message": "a \n",
            "app": "a \"b\"", "stream_id": "s1", "n": 3, "otel.name": "x", "ms": -4, "odd": null,
            "is_late": true, "kind": "\"k\\n\"",
        });
        assert_eq!(line, expected);
    }
}
