//! An established socket of a stream: its outbox and its keep-alives (section 6.11).

use std::time::Duration;

use tokio::time::Instant;

use super::settings::Timings;
use super::socket::Outbox;
use crate::rtms::server::keep_alive::{KeepAlive, KeepAlives};

/// A socket after a successful handshake.
pub(super) struct Link {
    pub socket: u64,
    pub outbox: Outbox,
    keep_alives: KeepAlives,
    /// True after the fault `stop_keep_alives`.
    is_silent: bool,
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
        let keep_alives = KeepAlives::new(now.into_std(), &timings.keep_alives());
        Self { socket, outbox, keep_alives, is_silent: false }
    }

    /// Sends a keep-alive request if one is due.
    pub(super) fn check_keep_alive(
        &mut self,
        now: Instant,
        wire_ms: i64,
        timings: &Timings,
    ) -> KeepAliveCheck {
        if self.is_silent {
            return KeepAliveCheck::NotDue;
        }
        match self.keep_alives.check(now.into_std(), wire_ms, &timings.keep_alives()) {
            KeepAlive::NotDue => KeepAliveCheck::NotDue,
            KeepAlive::Unanswered => KeepAliveCheck::Unanswered,
            KeepAlive::Send(request) => match self.outbox.send(request) {
                true => KeepAliveCheck::Sent,
                false => KeepAliveCheck::QueueFull,
            },
        }
    }

    /// The time that an answer took, if it names a recent request by its timestamp.
    pub(super) fn answered(&mut self, now: Instant, timestamp_ms: Option<i64>) -> Option<Duration> {
        self.keep_alives.answered(now.into_std(), timestamp_ms)
    }

    /// Sends no further requests, as a fault.
    pub(super) fn stop_keep_alives(&mut self) {
        self.is_silent = true;
    }

    /// When the next request is due; none after the fault `stop_keep_alives`.
    pub(super) fn next_keep_alive_at(&self) -> Option<Instant> {
        (!self.is_silent).then(|| self.keep_alives.next_at().into())
    }
}
