//! Lost links: noted, dialled again, and given up after their window.

use std::time::{Duration, Instant};

use super::link::{Due, Link};
use super::{End, HangUp, LinkEvent, LossReason, Output, Socket, Stream, find_link};
use crate::model::{EntryBody, GapCause, Outcome};
use crate::rtms::LinkId;
use crate::rtms::ledger::Change;

/// How long a closed link waits for the end that Zoom announced before it is dialled again.
const TERMINATING_PAUSE: Duration = Duration::from_secs(2);

impl Stream {
    /// Handles a lost link, or one that must be dropped. Signaling starts over with all media; a media link is
    /// rebuilt alone.
    pub(super) fn lost(&mut self, now: Instant, id: LinkId, loss: LossReason, socket: Socket) {
        let Some(link) = self.link_mut(id).filter(|link| link.has_socket()) else { return };
        let is_news = link.is_live() || link.is_first_loss();
        // This loss is most likely the one that Zoom reported.
        self.media_report_due = None;
        if socket == Socket::Open {
            self.outputs.push_back(Output::HangUp(id, HangUp::Silently));
        }
        if !self.is_running() {
            return self.lost_while_ending(id);
        }
        if !self.is_terminating {
            self.link_events.push(LinkEvent::Lost(id, loss.kind()));
        }
        match (self.is_terminating, is_news) {
            (true, _) => {}
            (false, true) => self.note_link_down(id, &loss),
            // No entry for a repeated loss, but the ledger must know: media may have arrived before the
            // handshake was answered.
            (false, false) => self.account(Change::Down { link: id, cause: GapCause::LinkLost }),
        }
        if id == LinkId::Signaling {
            self.lose_media_with_signaling();
        }
        let link = find_link(&mut self.signaling, &mut self.media, id);
        let Some(link) = link else { return };
        let due = link.lost(now, &loss, &mut self.rng);
        if self.is_terminating {
            link.postpone(now + TERMINATING_PAUSE, is_news.then(|| loss.clone()));
        }
        if due == Due::WindowExpired {
            self.window_expired(id, &loss);
        }
    }

    /// Gives up a link after its window. The stream continues without one medium, and ends without signaling or
    /// without all media.
    pub(super) fn window_expired(&mut self, id: LinkId, loss: &LossReason) {
        let is_last = self.media.iter().all(|media| media.link.is_down());
        let is_over = id == LinkId::Signaling || is_last;
        if is_over && self.is_contested && matches!(loss, LossReason::Duplicate(_)) {
            return self.leave_to_owner();
        }
        if is_over {
            let detail = format!("{}: {loss}", id.as_str());
            self.finish(End { outcome: Outcome::WindowExpired, stop_reason: None, detail });
        }
        self.note_liveness();
    }

    pub(super) fn link_due(&mut self, now: Instant, id: LinkId) {
        let due = self.link_mut(id).map_or(Due::Nothing, |link| link.due(now));
        match due {
            Due::Nothing | Due::WindowExpired => {}
            Due::Lost(loss) => self.lost(now, id, loss, Socket::Open),
            Due::Redial => self.redial(now, id),
        }
    }

    pub(super) fn redial(&mut self, now: Instant, id: LinkId) {
        let Some(endpoint) = self.endpoint_of(id) else { return };
        self.account_deferred_loss(id);
        if let Some(link) = find_link(&mut self.signaling, &mut self.media, id) {
            link.redial(now, &self.setup.timings);
        }
        self.outputs.push_back(Output::Dial(id, endpoint));
    }

    pub(super) fn account_deferred_loss(&mut self, id: LinkId) {
        if let Some(loss) = self.link_mut(id).and_then(Link::take_deferred_loss) {
            self.note_link_down(id, &loss);
        }
    }

    pub(super) fn note_link_down(&mut self, id: LinkId, loss: &LossReason) {
        let cause = match loss {
            LossReason::Reported => GapCause::ZoomInterrupted,
            _ => GapCause::LinkLost,
        };
        self.account(Change::Down { link: id, cause });
        let (link, cause) = (id.as_str().into(), loss.to_string());
        self.note(None, EntryBody::LinkDown { link, cause });
    }
}
