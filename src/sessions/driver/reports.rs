//! What a stream's driver passes on beside frames: counts, the status, and what Zoom granted.

use std::time::{Duration, Instant};

use tracing::span::EnteredSpan;

use super::Driver;
use crate::rtms::params::Effective;

/// How often the counts, the status and the alarm are looked at while only frames come.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Driver<'_> {
    /// Passes on what frames do not change, and sets the alarm.
    pub(super) fn look(&mut self, now: Instant) {
        let _entered = self.enter();
        self.look_at = now + LOOK_EVERY;
        self.pass_counts();
        self.task.feed.report(self.stream.status(), now);
        self.set_alarm();
    }

    /// Passes on what was counted since the last call.
    pub(super) fn pass_counts(&mut self) {
        self.task.feed.count_unknown(self.stream.unknown());
        self.count_unreadable();
        self.counting.links(self.stream.take_link_events());
    }

    /// Passes on the parameters that Zoom grants, and logs each field that differs from the request, once.
    pub(super) fn note_granted(&mut self, effective: &Effective) {
        let _entered = self.enter();
        for difference in effective.differences(&self.task.setup.params) {
            // Every rejoin brings the same answer again.
            if self.logged_fields.insert(difference.field.clone()) {
                tracing::warn!(
                    "Zoom grants other media parameters than requested; the stream uses Zoom's: {difference}"
                );
            }
        }
        self.task.feed.effective(effective);
    }

    /// Logs once how many messages of unknown types came, by `msg_type`.
    pub(super) fn log_unknown(&self) {
        let unknown = self.stream.unknown();
        if !unknown.is_empty() {
            tracing::info!(
                ?unknown,
                "received messages of unknown types; they were ignored and counted"
            );
        }
    }

    /// Gives log lines the context of the stream. Not entered for each message, because that takes a twentieth of its time.
    pub(super) fn enter(&self) -> EnteredSpan {
        self.task.feed.context().clone().entered()
    }

    fn count_unreadable(&mut self) {
        let unreadable = self.stream.take_unreadable();
        if unreadable.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(
                ?unreadable,
                "unreadable message; it and later ones are skipped and counted"
            );
        }
        self.task.feed.add_unreadable(unreadable);
    }
}
