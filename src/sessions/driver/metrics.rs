//! What the driver of a stream counts.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::clock;
use crate::metrics::Metrics;
use crate::model::between;
use crate::rtms::LinkId;
use crate::rtms::message::Outgoing;
use crate::rtms::stream::LinkEvent;
use crate::sessions::stream_task::StreamTask;

/// Zoom's time in a keep-alive, if it is one: from 2001 on, so that seconds are none.
const FIRST_TIME_MS: i64 = 1_000_000_000_000;

/// The counts of one stream's links.
pub(super) struct Counting {
    metrics: Metrics,
    app: String,
    product: &'static str,
    /// When the webhook of a new stream arrived that is not dialled yet, Unix milliseconds.
    announced_at_ms: Option<i64>,
    /// The links that were up before.
    known: BTreeSet<LinkId>,
}

/// A keep-alive that is answered: Zoom's time in it, Unix milliseconds, if there is one.
pub(super) struct Asked(Option<i64>);

impl Counting {
    pub(super) fn new(task: &StreamTask) -> Self {
        Self {
            metrics: task.metrics().clone(),
            app: task.app.to_string(),
            product: task.setup.instance.product.as_str(),
            announced_at_ms: task.is_new.then_some(task.announced_at_ms),
            known: BTreeSet::new(),
        }
    }

    /// Counts the first dial of a new stream.
    pub(super) fn dialled(&mut self) {
        if let Some(at_ms) = self.announced_at_ms.take() {
            let waited = between(at_ms, clock::now_ms());
            self.metrics.dial_delay.observe_time([&self.app, self.product], waited);
        }
    }

    pub(super) fn links(&mut self, events: Vec<LinkEvent>) {
        for event in events {
            match event {
                LinkEvent::Up(id) => {
                    self.metrics.connections.inc([&self.app, id.as_str()]);
                    if !self.known.insert(id) {
                        self.metrics.reconnections.inc([&self.app, id.as_str()]);
                    }
                }
                LinkEvent::Lost(id, cause) => {
                    let labels = [&*self.app, id.as_str(), cause.as_str()];
                    self.metrics.connection_errors.inc(labels);
                }
            }
        }
    }

    /// What a message answers, if it answers a keep-alive.
    pub(super) fn asked_at(&self, message: &Outgoing) -> Option<Asked> {
        let Outgoing::KeepAlive { timestamp, .. } = message else { return None };
        let text = timestamp.as_ref().map(|raw| raw.get().trim_matches('"'));
        let at_ms = text.and_then(|text| text.parse().ok());
        Some(Asked(at_ms.filter(|at_ms| *at_ms >= FIRST_TIME_MS)))
    }

    /// Counts the answer of a keep-alive that was read `since` then.
    pub(super) fn answered(&self, id: LinkId, since: Instant, Asked(asked_at_ms): Asked) {
        self.metrics.keep_alive.observe_time([id.as_str()], since.elapsed());
        if let Some(at_ms) = asked_at_ms {
            let difference_s = clock::now_ms().saturating_sub(at_ms) as f64 / 1000.0;
            self.metrics.clock_difference.set(["keep_alive"], difference_s);
        }
    }
}
