//! One socket of a stream, from the server's side: its outbox and its keep-alives.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::settings::Timings;
use super::socket::Outbox;
use super::wire;

/// Timestamps of requests that an answer may still name.
const REMEMBERED: usize = 8;

pub(super) struct Link {
    pub socket: u64,
    pub outbox: Outbox,
    next_at: Instant,
    sequence: i32,
    /// The timestamps of the last requests, and when they were made.
    asked: VecDeque<(i64, Instant)>,
    /// Requests since the last answer.
    unanswered: u32,
    keep_alives: bool,
}

/// What a keep-alive check found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeepAliveCheck {
    NotDue,
    Sent,
    /// Too many requests in a row without an answer.
    Unanswered,
    /// The queue is full: the client has not read for a long time.
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
        self.next_at = now + timings.wait(timings.keep_alive_ms);
        if !self.keep_alives {
            return KeepAliveCheck::NotDue;
        }
        if self.unanswered >= timings.missed_keep_alives {
            return KeepAliveCheck::Unanswered;
        }
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

    /// How long the answer took, if it names a request that was made.
    pub(super) fn answered(&mut self, now: Instant, timestamp_ms: Option<i64>) -> Option<Duration> {
        let (_, asked_at) = self.asked.iter().find(|(asked, _)| Some(*asked) == timestamp_ms)?;
        self.unanswered = 0;
        Some(now.saturating_duration_since(*asked_at))
    }

    pub(super) fn stop_keep_alives(&mut self) {
        self.keep_alives = false;
    }

    pub(super) fn next_keep_alive_at(&self) -> Instant {
        self.next_at
    }
}
