//! Handshakes that go wrong because they were told to.

use std::time::Duration;

use super::Stream;
use crate::simulator::control::HandshakeFault;
use crate::simulator::handshake::Handshake;
use crate::simulator::quirk::Quirk;
use crate::simulator::socket::Outbox;
use crate::simulator::status::Refusal;
use crate::simulator::wire;

/// Sockets that are left open with nothing to do.
const MAX_IDLE_SOCKETS: usize = 32;

impl Stream {
    /// The outbox again, if the handshake goes on.
    pub(super) fn apply_fault(&mut self, handshake: &Handshake, outbox: Outbox) -> Option<Outbox> {
        match self.shared.handshake_faults.next(&handshake.kind) {
            None => return Some(outbox),
            Some(HandshakeFault::Slow { for_ms }) => {
                outbox.stall(Duration::from_millis(for_ms));
                return Some(outbox);
            }
            Some(HandshakeFault::Silent) => self.leave_open(outbox),
            Some(HandshakeFault::Drop) => outbox.drop_tcp(),
            Some(HandshakeFault::Refuse { status }) => {
                let refusal = Refusal::planned(status);
                // Not the client's doing: counted, but no breach.
                *self.report().refusals.entry(refusal.code).or_default() += 1;
                outbox.send(wire::handshake_refused(handshake.answer, refusal));
                self.after_refusal(outbox);
            }
        }
        None
    }

    /// Zoom closes a socket that it refused, or leaves that to the client.
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
