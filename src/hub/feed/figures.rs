//! The figures of a stream: counted while it runs, and written to its row.

use std::time::{Duration, Instant};

use super::{Beginning, Feed};
use crate::capture::event::Event;
use crate::hub::queue::Item;
use crate::model::{Medium, StreamStatus, UnknownMessages, UnreadableMessages};
use crate::store::StreamUpdate;

/// How often a stream's figures are written while its status stays the same.
const FIGURES_EVERY: Duration = Duration::from_secs(10);

/// How often the frames that sinks dropped are collected, and the counts published. More often than the figures are
/// written, so that a gap entry appears within two seconds.
const COLLECT_EVERY: Duration = Duration::from_secs(1);
/// Messages of unknown types, from earlier runs of this stream and from this one.
pub(super) struct Unknown {
    pub before: UnknownMessages,
    pub now: UnknownMessages,
    pub is_written: bool,
}

impl Unknown {
    fn total(&self) -> UnknownMessages {
        let mut total = self.before.clone();
        for (number, count) in &self.now {
            *total.entry(*number).or_default() += count;
        }
        total
    }
}

/// The stream's state as last written to the store.
pub(super) struct Written {
    /// None if another daemon may have written a different status since.
    pub status: Option<StreamStatus>,
    pub at: Option<Instant>,
}

impl Feed {
    /// Records the count of messages of unknown types in this run.
    pub fn count_unknown(&mut self, unknown: &UnknownMessages) {
        if *unknown != self.unknown.now {
            self.unknown.now.clone_from(unknown);
            self.unknown.is_written = false;
        }
    }

    /// Adds to the count of unreadable messages.
    pub fn add_unreadable(&mut self, unreadable: UnreadableMessages) {
        if !unreadable.is_empty() {
            self.counting.unreadable(&unreadable);
            self.unreadable.add_all(unreadable.seen_at(self.now_ms()));
            self.is_unreadable_written = false;
        }
    }

    /// Writes the stream's state to the store: a new status at once, figures periodically.
    pub fn report(&mut self, status: StreamStatus, now: Instant) {
        self.status = status;
        let collects = self.collected_at.is_none_or(|at| now.duration_since(at) >= COLLECT_EVERY);
        if collects {
            self.collected_at = Some(now);
            self.publish_counts(now);
        }
        if self.beginning == Beginning::Contested {
            return;
        }
        if collects {
            self.take_left_out();
        }
        let is_due = self.written.at.is_none_or(|at| now.duration_since(at) >= FIGURES_EVERY);
        // The ledger advances with the clock: it records until when the stream was alive.
        if Some(status) != self.written.status || is_due {
            self.write_figures(now);
        }
    }

    /// Writes status and figures again after another daemon held the claim in between and may have overwritten them.
    pub fn claimed_again(&mut self, now: Instant) {
        self.written.status = None;
        self.write_figures(now);
    }

    /// Queues an update of the stream's figures. Returns false when there was no room.
    pub(super) fn write_figures(&mut self, now: Instant) -> bool {
        let clock_ms = self.clock_ms;
        // One time for the event and for what it settles.
        self.set_clock(Some(self.now_ms()));
        self.capture_now(Event::Figures {});
        self.settle_ledger();
        let update = StreamUpdate {
            status: Some(self.status).filter(|status| Some(*status) != self.written.status),
            first_packet_ms: self.first_packet_ms,
            tally: Some(self.tally),
            effective: self.effective.clone(),
            unknown_messages: (!self.unknown.is_written).then(|| self.unknown.total()),
            unreadable_messages: (!self.is_unreadable_written).then(|| self.unreadable.clone()),
            ledger: Some(self.ledger.accounts(self.now_ms())),
            // The writer's log fills this in.
            epoch: 0,
        };
        self.set_clock(clock_ms);
        let is_queued = self.hub.queue.push(Item::Update(self.stream_id.clone(), Box::new(update)));
        if is_queued {
            self.written = Written { status: Some(self.status), at: Some(now) };
            self.unknown.is_written = true;
            self.is_unreadable_written = true;
            // Only after the update is queued: a refused push must not lose the change.
            self.effective = None;
        }
        is_queued
    }

    /// Closes the gaps of unreadable frames, which stay open for a moment.
    pub fn settle_ledger(&mut self) {
        self.ledger.settle();
        self.note_gaps();
    }

    pub(super) fn count(&mut self, medium: Medium, at_ms: i64, bytes: u64) {
        let tally = self.tally.of_mut(medium);
        tally.frames += 1;
        tally.bytes += bytes;
        tally.first_ms = Some(tally.first_ms.map_or(at_ms, |first_ms| first_ms.min(at_ms)));
        // Handed-over entries are older than the newest.
        tally.last_ms = tally.last_ms.max(Some(at_ms));
    }
}
