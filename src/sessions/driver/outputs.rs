//! Performs the outputs of a stream's state machine. A link is dialled only with a lease of the stream.

use std::time::Instant;

use super::{Driver, Exit, Lease};
use crate::capture::Raw;
use crate::capture::event::Event;
use crate::clock;
use crate::model::{EntryBody, StopReason};
use crate::rtms::LinkId;
use crate::rtms::endpoint::Endpoint;
use crate::rtms::message::encode;
use crate::rtms::stream::{Input, Output};
use crate::sessions::capturing::capture_output;
use crate::sessions::stream_threads::note_live_consumer;

impl Driver<'_> {
    /// Performs the state machine's outputs until there are none. Returns how the driver ends, if it does. `since` is
    /// when the message came that they answer.
    pub(super) fn perform(&mut self, since: Instant) -> Option<Exit> {
        while let Some(output) = self.stream.poll() {
            if let Some(capture) = self.task.feed.capture() {
                capture_output(capture, clock::now_ms(), &output);
            }
            match output {
                Output::Dial(id, endpoint) => self.dial(id, endpoint),
                Output::HangUp(id, how) => {
                    // A held dial has no slot in `links`: without this line the link would be dialled after its
                    // hang-up.
                    self.held.remove(id);
                    self.links.hang_up(id, how);
                }
                Output::Send(id, message) => {
                    let asked = self.counting.asked_at(&message);
                    let text = encode(message, clock::now_ms());
                    self.capture_sent(id, &text);
                    if let Err(loss) = self.links.send(id, text) {
                        self.handle(Instant::now(), Input::Lost(id, loss));
                    } else if let Some(asked) = asked {
                        self.counting.answered(id, since, asked);
                    }
                }
                Output::Frame(frame) => {
                    self.joining = None;
                    self.task.feed.frame(&frame);
                    if self.task.feed.has_live_consumer(frame.medium) {
                        note_live_consumer();
                    }
                }
                Output::Note { at_ms, body } => {
                    // What people said is a frame of its medium.
                    if matches!(body, EntryBody::Transcript(_) | EntryBody::Chat(_)) {
                        self.joining = None;
                    }
                    self.task.feed.note(at_ms, body);
                }
                Output::Ledger(change) => self.task.feed.change(change),
                Output::Finished(end) => {
                    if end.stop_reason.is_some_and(StopReason::is_revoked) {
                        self.task.feed.revoked();
                    }
                    self.task.feed.end();
                    return Some(Exit::Finished(end));
                }
                Output::LeftToOwner => return Some(Exit::LeftToOwner),
            }
        }
        None
    }

    /// Handles a renewed lease or a new claim of the same stream.
    pub(super) fn leased(&mut self, now: Instant) {
        let Lease { epoch, until } = *self.task.lease.borrow_and_update();
        if epoch != self.epoch {
            self.epoch = epoch;
            // Another daemon may have connected under the claim between the two epochs.
            self.stream.contested();
            self.task.feed.capture_now(Event::Contested {});
            self.task.feed.claimed_again(now);
        }
        for (id, endpoint) in self.held.release(now, until) {
            self.dial_now(id, endpoint);
        }
    }

    fn capture_sent(&self, id: LinkId, text: &str) {
        if let Some(capture) = self.task.feed.capture() {
            capture.push(Instant::now(), clock::now_ms(), Raw::Out(id.as_str(), text.to_owned()));
        }
    }

    /// Dials now, or holds the dial until there is a lease. A link lost after the lease expired may now belong to the
    /// new lease holder; dialling at once would take it back, and the two daemons would keep taking it from each other.
    fn dial(&mut self, id: LinkId, endpoint: Endpoint) {
        if self.is_leaving {
            return;
        }
        let (now, until) = (Instant::now(), self.task.lease.borrow().until);
        if let Some(endpoint) = self.held.hold(now, until, id, endpoint) {
            self.dial_now(id, endpoint);
        }
    }

    fn dial_now(&mut self, id: LinkId, endpoint: Endpoint) {
        if id == LinkId::Signaling {
            self.task.reach.dialled(Instant::now());
        }
        self.counting.dialled();
        if let Some(joining) = &mut self.joining {
            joining.dials(id, &endpoint);
        }
        self.links.dial(id, endpoint);
    }
}
