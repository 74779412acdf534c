//! Log lines as JSON: one object a line, with the fields of the event and of its context side by side.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The fields that every line begins with.
const FIRST: [&str; 4] = ["timestamp", "level", "target", "message"];

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
            let extensions = span.extensions();
            let written = extensions.get::<FormattedFields<JsonFields>>();
            let read = written.and_then(|written| serde_json::from_str(written).ok());
            fields.0.extend::<Map<String, Value>>(read.unwrap_or_default());
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let message = fields.0.remove(FIRST[3]).unwrap_or_default();
        let first: [Value; 4] = [
            Timestamp::now().to_string().into(),
            metadata.level().as_str().into(),
            metadata.target().into(),
            message,
        ];
        let first = FIRST.into_iter().zip(&first);
        let all = first.chain(fields.0.iter().map(|(name, value)| (name.as_str(), value)));
        for (number, (name, value)) in all.enumerate() {
            writer.write_char(if number == 0 { '{' } else { ',' })?;
            write!(writer, "{}:{value}", Value::from(name))?;
        }
        writer.write_str("}\n")
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
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
