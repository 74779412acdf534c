//! Planned faults of handshakes.

use std::time::Duration;

use super::Stream;
use crate::rtms::server::handshake::Handshake;
use crate::rtms::server::refusal::Refusal;
use crate::simulator::control::HandshakeFault;
use crate::simulator::quirk::Quirk;
use crate::simulator::socket::Outbox;
use crate::simulator::wire;

/// The most idle sockets of a stream that stay open; the oldest is closed first.
const MAX_IDLE_SOCKETS: usize = 32;

impl Stream {
    /// Applies the next planned fault to this handshake. Returns the outbox if the handshake continues.
    pub(super) fn apply_fault(&mut self, handshake: &Handshake, outbox: Outbox) -> Option<Outbox> {
        match self.shared.handshake_faults.next(|link| link.is_opened_by(&handshake.kind)) {
            None => return Some(outbox),
            Some(HandshakeFault::Slow { for_ms }) => {
                // Queued before the answer, so it delays the answer too.
                outbox.stall(Duration::from_millis(for_ms));
                return Some(outbox);
            }
            Some(HandshakeFault::Silent) => self.leave_open(outbox),
            Some(HandshakeFault::Drop) => outbox.drop_tcp(),
            Some(HandshakeFault::Refuse { status }) => {
                let refusal = Refusal::planned(status);
                // Counted, but not as a breach, because the client did nothing wrong.
                *self.report().refusals.entry(refusal.code).or_default() += 1;
                outbox.send(wire::handshake_refused(handshake.answer, refusal));
                self.after_refusal(outbox);
            }
        }
        None
    }

    /// Closes a refused socket by dropping its outbox, or with the quirk `open_after_error` leaves it open.
    pub(super) fn after_refusal(&mut self, outbox: Outbox) {
        if self.shared.quirks.has(Quirk::OpenAfterError) {
            self.leave_open(outbox);
        }
    }

    fn leave_open(&mut self, outbox: Outbox) {
        if self.idle_sockets.len() == MAX_IDLE_SOCKETS {
            self.idle_sockets.pop_front();
        }
        self.idle_sockets.push_back(outbox);
    }
}
