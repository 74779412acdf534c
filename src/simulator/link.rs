//! An established socket of a stream: its outbox and its keep-alives (section 6.11).

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::settings::Timings;
use super::socket::Outbox;
use super::wire;

/// How many recent requests an answer may still name.
const REMEMBERED: usize = 8;

/// A socket after a successful handshake.
pub(super) struct Link {
    pub socket: u64,
    pub outbox: Outbox,
    next_at: Instant,
    sequence: i32,
    /// The timestamps of the last requests, and when they were sent.
    asked: VecDeque<(i64, Instant)>,
    /// How many requests were sent since the last answer.
    unanswered: u32,
    /// False after the fault `stop_keep_alives`.
    keep_alives: bool,
}

/// The result of a keep-alive check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeepAliveCheck {
    NotDue,
    Sent,
    /// Too many requests in a row were not answered.
    Unanswered,
    /// The outbox is full: the client has not read for a long time.
    QueueFull,
}

impl Link {
    pub(super) fn new(socket: u64, outbox: Outbox, now: Instant, timings: &Timings) -> Self {
        let next_at = now + timings.wait(timings.keep_alive_ms);
        let asked = VecDeque::with_capacity(REMEMBERED);
        Self { socket, outbox, next_at, sequence: 0, asked, unanswered: 0, keep_alives: true }
    }

    /// Sends a keep-alive request if one is due.
    pub(super) fn check_keep_alive(
        &mut self,
        now: Instant,
        wire_ms: i64,
        timings: &Timings,
    ) -> KeepAliveCheck {
        if now < self.next_at {
            return KeepAliveCheck::NotDue;
        }
        // From now, not from the last due time: a delayed task must not send a burst of requests.
        self.next_at = now + timings.wait(timings.keep_alive_ms);
        if !self.keep_alives {
            return KeepAliveCheck::NotDue;
        }
        if self.unanswered >= timings.missed_keep_alives {
            return KeepAliveCheck::Unanswered;
        }
        // Zoom's own client needs a positive int32 (section 22).
        self.sequence = self.sequence.wrapping_add(1).max(1);
        if !self.outbox.send(wire::keep_alive(wire_ms, self.sequence)) {
            return KeepAliveCheck::QueueFull;
        }
        if self.asked.len() == REMEMBERED {
            self.asked.pop_front();
        }
        self.asked.push_back((wire_ms, now));
        self.unanswered += 1;
        KeepAliveCheck::Sent
    }

    /// The time that an answer took, if it names a recent request by its timestamp.
    pub(super) fn answered(&mut self, now: Instant, timestamp_ms: Option<i64>) -> Option<Duration> {
        let (_, asked_at) = self.asked.iter().find(|(asked, _)| Some(*asked) == timestamp_ms)?;
        // A late answer also shows that the client is alive.
        self.unanswered = 0;
        Some(now.saturating_duration_since(*asked_at))
    }

    /// Sends no further requests, as a fault.
    pub(super) fn stop_keep_alives(&mut self) {
        self.keep_alives = false;
    }

    pub(super) fn next_keep_alive_at(&self) -> Instant {
        self.next_at
    }
}
