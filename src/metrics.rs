//! Every metric of the daemon, in one table: what its parts count while they work, and what is read when somebody asks.
//!
//! A part counts where the thing happens, in its clone of [`Metrics`]. What exists anyway (queues, places, rows of the
//! store) is not counted a second time: `http` reads it into [`Gathered`] for each answer.

mod family;
mod labels;
mod process;
mod table;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use prometheus::TextEncoder;
use prometheus::proto::{LabelPair, Metric, MetricFamily};

pub use self::family::{Counters, Gauges, Histograms, Kind, Row};
pub use self::labels::{Label, Values};
pub use self::process::read_process;
pub use self::table::{Counted, Gathered};
use crate::model::{AppName, AppScope};

/// The media type of [`Metrics::render`]: Prometheus' text format.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// What the parts of one daemon count. Cheap to clone; all clones count together.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Counted>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Deref for Metrics {
    type Target = Counted;

    fn deref(&self) -> &Counted {
        &self.0
    }
}

impl Metrics {
    /// Makes the series of an app that an alert looks at, so that their first increase is seen as one.
    pub fn add_app(&self, app: &AppName) {
        self.0.touch(Some(app.as_str()));
    }

    /// Everything in Prometheus' text format. A scope of some apps gets only the series of these apps.
    pub fn render(&self, gathered: &Gathered, scope: &AppScope) -> String {
        let mut families = self.0.families();
        families.extend(gathered.families());
        families.iter_mut().for_each(|family| arrange(family, scope));
        // A family without series has no type that could be written.
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        let text = TextEncoder::new().encode_to_string(&families);
        text.expect("every family has a name and a series, and memory takes every byte")
    }
}

/// Every row of the table.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    Counted::ROWS.iter().chain(Gathered::ROWS)
}

/// Keeps the series that the scope may see, in an order that stays the same.
fn arrange(family: &mut MetricFamily, scope: &AppScope) {
    let mut series = family.take_metric();
    series.retain(|series| is_visible(series, scope));
    series.sort_by(|one, other| values_of(one).cmp(values_of(other)));
    family.set_metric(series);
}

fn is_visible(series: &Metric, scope: &AppScope) -> bool {
    let app = series.get_label().iter().find(|label| label.name() == labels::APP.name);
    let app = app.and_then(|app| AppName::parse(app.value()).ok());
    *scope == AppScope::All || app.is_some_and(|app| scope.includes(&app))
}

fn values_of(series: &Metric) -> impl Iterator<Item = &str> {
    series.get_label().iter().map(LabelPair::value)
}
