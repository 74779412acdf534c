//! How a stream ends: by Zoom, by request, or because it cannot continue.

use std::time::Instant;

use super::{End, HangUp, LinkId, Outgoing, Output, Phase, Stream};
use crate::model::{Outcome, StopReason};

/// The longest drain, in drain times, while frames keep coming.
const MAX_DRAINS: u32 = 10;

impl Stream {
    /// Handles the end by Zoom's webhook or by state 4. The last messages may still be on their way, so the
    /// stream drains first. A revoked stream ends at once, and its last messages are not read.
    pub(super) fn ended_by_zoom(&mut self, now: Instant, reason: Option<StopReason>) {
        if let Some(reason) = reason.filter(|reason| reason.is_revoked()) {
            return self.revoked(reason);
        }
        let outcome = match self.phase {
            Phase::Closing { .. } => Outcome::Closed,
            _ => Outcome::Stopped,
        };
        if let Phase::Draining { end, .. } = &mut self.phase {
            // The webhook and state 4 come in any order, or one of them alone (rtms-protocol.md section 3.8);
            // either may lack the reason.
            end.stop_reason = end.stop_reason.or(reason);
            return;
        }
        let (until, latest) =
            (now + self.setup.timings.drain, now + self.setup.timings.drain * MAX_DRAINS);
        let end = End { outcome, stop_reason: reason, detail: String::new() };
        self.phase = Phase::Draining { until, latest, end };
        self.stop_redialling();
    }

    fn revoked(&mut self, reason: StopReason) {
        let outcome = match &self.phase {
            Phase::Closing { .. } => Outcome::Closed,
            Phase::Draining { end, .. } => end.outcome,
            Phase::Running | Phase::Finished => Outcome::Stopped,
        };
        self.finish(make_end(outcome, Some(reason), ""));
    }

    /// Extends the drain after a frame or a line, because more may follow. After a pause of this process the
    /// sockets hold a backlog of minutes.
    pub(super) fn drain_on(&mut self, now: Instant) {
        if let Phase::Draining { until, latest, .. } = &mut self.phase {
            *until = (now + self.setup.timings.drain).min(*latest);
        }
    }

    pub(super) fn close(&mut self, now: Instant) {
        // Before the check: an announcement must not revive a stream that drains, either.
        self.is_unwanted = true;
        if !self.is_running() {
            return;
        }
        if !self.signaling.is_live() {
            // The close request travels on signaling alone (rtms-protocol.md section 3.7); Zoom ends the stream
            // after its window.
            return self.finish(make_end(Outcome::Closed, None, "signaling was not connected"));
        }
        let until = now + self.setup.timings.close;
        self.phase = Phase::Closing { until };
        self.send(LinkId::Signaling, Outgoing::Close(self.setup.stream_id.clone()));
        self.stop_redialling();
    }

    /// Takes down the links without a socket. If none has one, the stream ends at once.
    fn stop_redialling(&mut self) {
        for id in self.link_ids() {
            if self.link_mut(id).is_some_and(|link| !link.has_socket()) {
                self.lost_while_ending(id);
            }
        }
    }

    pub(super) fn finish(&mut self, end: End) {
        if matches!(self.phase, Phase::Finished) {
            return;
        }
        self.hang_up_media(HangUp::Politely);
        if self.signaling.has_socket() {
            self.outputs.push_back(Output::HangUp(LinkId::Signaling, HangUp::Politely));
            self.signaling.take_down();
        }
        self.outputs.push_back(Output::Finished(end));
        self.phase = Phase::Finished;
    }

    /// Gives the stream up to another daemon that is connected to it.
    pub(super) fn leave_to_owner(&mut self) {
        // A Close frame would make Zoom end the other daemon's stream (rtms-protocol.md section 22).
        self.hang_up_media(HangUp::Silently);
        if self.signaling.has_socket() {
            self.outputs.push_back(Output::HangUp(LinkId::Signaling, HangUp::Silently));
            self.signaling.take_down();
        }
        self.outputs.push_back(Output::LeftToOwner);
        self.phase = Phase::Finished;
    }

    /// Ends the stream when its close or drain time is over. Returns true when the stream has ended.
    pub(super) fn ending_due(&mut self, now: Instant) -> bool {
        match &self.phase {
            Phase::Closing { until } if now >= *until => {
                self.finish(make_end(Outcome::Closed, None, "Zoom did not end the stream in time"));
            }
            Phase::Draining { until, end, .. } if now >= *until => {
                let end = end.clone();
                self.finish(end);
            }
            _ => {}
        }
        matches!(self.phase, Phase::Finished)
    }

    pub(super) fn lost_while_ending(&mut self, id: LinkId) {
        if let Some(link) = self.link_mut(id) {
            link.take_down();
        }
        let is_over =
            !self.signaling.has_socket() && self.media.iter().all(|m| !m.link.has_socket());
        match &self.phase {
            Phase::Draining { end, .. } if is_over => {
                let end = end.clone();
                self.finish(end);
            }
            Phase::Closing { .. } if is_over => self.finish(make_end(Outcome::Closed, None, "")),
            _ => {}
        }
    }
}

fn make_end(outcome: Outcome, stop_reason: Option<StopReason>, detail: &str) -> End {
    End { outcome, stop_reason, detail: detail.to_owned() }
}
