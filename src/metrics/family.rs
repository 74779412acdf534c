//! A metric with its series, one for each combination of label values. The number of labels is part of the type, and a
//! value that its label does not know is counted as `other`.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts};

use super::labels::{Label, OTHER, Values};

/// The most series that exist before something was counted: of a metric without the label `app`, and of one app.
const MAX_EARLY: usize = 64;
const MAX_EARLY_PER_APP: usize = 8;

/// A row of the table of metrics.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [Label],
    pub help: &'static str,
    /// The upper bounds of a histogram.
    pub buckets: &'static [f64],
}

/// What Prometheus calls the type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Row {
    /// The values of every series that can be named in advance: all combinations, if these are few.
    fn early_values(&self, app: Option<&str>) -> Vec<Vec<String>> {
        let is_of_apps = self.labels.iter().any(|label| matches!(label.values, Values::Apps));
        let max = if is_of_apps { MAX_EARLY_PER_APP } else { MAX_EARLY };
        if is_of_apps != app.is_some() {
            return Vec::new();
        }
        let mut all = vec![Vec::new()];
        for label in self.labels {
            let values: Vec<&str> = match label.values {
                Values::Apps => app.into_iter().collect(),
                Values::Of(values) => values.to_vec(),
            };
            all =
                all.iter().flat_map(|some| values.iter().map(|value| with(some, value))).collect();
            if all.len() > max {
                return Vec::new();
            }
        }
        all
    }

    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }

    fn known<'a, const N: usize>(&self, values: [&'a str; N]) -> [&'a str; N] {
        let mut labels = self.labels.iter();
        values.map(|value| match labels.next().map(|label| label.values) {
            Some(Values::Of(known)) if !known.contains(&value) => OTHER,
            _ => value,
        })
    }
}

fn with(some: &[String], value: &str) -> Vec<String> {
    some.iter().cloned().chain([value.to_owned()]).collect()
}

/// A metric of the table.
pub(super) trait Family {
    const KIND: Kind;

    fn new(row: &'static Row) -> Self;

    /// Makes the series that can be named in advance: those of an app, or those of no app.
    fn touch(&self, app: Option<&str>);

    fn families(&self) -> Vec<MetricFamily>;
}

const VALID: &str =
    "a test builds every row of the table, and the type says how many labels there are";

/// A counter for each combination of `N` label values.
pub struct Counters<const N: usize> {
    row: &'static Row,
    series: CounterVec,
}

impl<const N: usize> Counters<N> {
    pub fn inc(&self, values: [&str; N]) {
        self.add(values, 1);
    }

    pub fn add(&self, values: [&str; N], count: u64) {
        self.add_value(values, count as f64);
    }

    pub fn add_time(&self, values: [&str; N], time: Duration) {
        self.add_value(values, time.as_secs_f64());
    }

    pub fn add_value(&self, values: [&str; N], count: f64) {
        self.series.with_label_values(&self.row.known(values)).inc_by(count);
    }

    /// The count of one combination; 0 if nothing was counted.
    pub fn get(&self, values: [&str; N]) -> u64 {
        self.series.with_label_values(&self.row.known(values)).get() as u64
    }
}

impl Counters<1> {
    /// The counts that are not 0, by the value of the label.
    pub fn by_value(&self) -> BTreeMap<String, u64> {
        let families = self.families();
        let series = families.iter().flat_map(MetricFamily::get_metric);
        let counts = series.filter_map(|series| {
            let value = series.get_label().first()?.value().to_owned();
            Some((value, series.get_counter().get_value() as u64))
        });
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

impl<const N: usize> Family for Counters<N> {
    const KIND: Kind = Kind::Counter;

    fn new(row: &'static Row) -> Self {
        let series = CounterVec::new(row.opts(), &row.label_names()).expect(VALID);
        Self { row, series }
    }

    fn touch(&self, app: Option<&str>) {
        for values in self.row.early_values(app) {
            self.series.with_label_values(&values);
        }
    }

    fn families(&self) -> Vec<MetricFamily> {
        self.series.collect()
    }
}

/// A value that rises and falls, for each combination of `N` label values.
pub struct Gauges<const N: usize> {
    row: &'static Row,
    series: GaugeVec,
}

impl<const N: usize> Gauges<N> {
    pub fn set(&self, values: [&str; N], value: f64) {
        self.series.with_label_values(&self.row.known(values)).set(value);
    }

    pub fn set_count(&self, values: [&str; N], count: usize) {
        self.set(values, count as f64);
    }

    pub fn add(&self, values: [&str; N], value: f64) {
        self.series.with_label_values(&self.row.known(values)).add(value);
    }
}

impl<const N: usize> Family for Gauges<N> {
    const KIND: Kind = Kind::Gauge;

    fn new(row: &'static Row) -> Self {
        let series = GaugeVec::new(row.opts(), &row.label_names()).expect(VALID);
        Self { row, series }
    }

    /// Nothing: a gauge without a value is absent and not 0.
    fn touch(&self, _: Option<&str>) {}

    fn families(&self) -> Vec<MetricFamily> {
        self.series.collect()
    }
}

/// A distribution, for each combination of `N` label values.
pub struct Histograms<const N: usize> {
    row: &'static Row,
    series: HistogramVec,
}

impl<const N: usize> Histograms<N> {
    pub fn observe(&self, values: [&str; N], value: f64) {
        self.series.with_label_values(&self.row.known(values)).observe(value);
    }

    pub fn observe_time(&self, values: [&str; N], time: Duration) {
        self.observe(values, time.as_secs_f64());
    }
}

impl<const N: usize> Family for Histograms<N> {
    const KIND: Kind = Kind::Histogram;

    fn new(row: &'static Row) -> Self {
        let opts = HistogramOpts { common_opts: row.opts(), buckets: row.buckets.to_vec() };
        let series = HistogramVec::new(opts, &row.label_names()).expect(VALID);
        Self { row, series }
    }

    /// Makes no series for an app: a histogram has a dozen for each.
    fn touch(&self, app: Option<&str>) {
        for values in self.row.early_values(app).iter().filter(|_| app.is_none()) {
            self.series.with_label_values(values);
        }
    }

    fn families(&self) -> Vec<MetricFamily> {
        self.series.collect()
    }
}
