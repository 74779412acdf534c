//! The actions and faults on a stream: stop, pause, cut, stall, failover.

use std::time::Duration;

use tokio::time::Instant;

use super::loss::MediaLoss;
use super::{Stream, build_announcement, reason};
use crate::simulator::control::{ControlError, CutKind, LinkName, MeetingAction};
use crate::simulator::link::Link;
use crate::simulator::shared::MeetingState;
use crate::simulator::wire;

impl Stream {
    /// Performs an action on the stream. The meeting handles the actions that need no stream.
    pub(crate) fn perform(
        &mut self,
        now: Instant,
        action: &MeetingAction,
        meeting: &MeetingState,
    ) -> Result<(), ControlError> {
        match action {
            MeetingAction::Stop { reason } => self.end(now, *reason, meeting),
            MeetingAction::Pause => self.pause(now, true),
            MeetingAction::Resume => self.pause(now, false),
            MeetingAction::Interrupt => return self.cut(now, LinkName::Signaling, CutKind::Drop),
            MeetingAction::FailOver => self.fail_over(now),
            MeetingAction::RepeatAnnouncement => {
                self.shared.send_webhook(self.announcement.clone())
            }
            MeetingAction::Cut { link, how } => return self.cut(now, *link, *how),
            MeetingAction::Stall { link, for_ms } => {
                let wait = Duration::from_millis(*for_ms);
                // Ignore the result: a full queue is stalled already.
                return self.for_each_link(*link, |link| _ = link.outbox.stall(wait));
            }
            MeetingAction::StopKeepAlives { link } => {
                return self.for_each_link(*link, Link::stop_keep_alives);
            }
            _ => unreachable!("the meeting performs the other verbs itself"),
        }
        Ok(())
    }

    /// Cuts the named links and interrupts the stream, as after a fault of Zoom's.
    fn cut(&mut self, now: Instant, name: LinkName, how: CutKind) -> Result<(), ControlError> {
        if name == LinkName::Signaling {
            let link = self.signaling.take().ok_or(ControlError::NoLink)?;
            cut_link(link, how);
            self.signaling_lost(now, reason::SIGNAL_INTERRUPTED);
            return Ok(());
        }
        let cut: Vec<_> = self.media.extract_if(.., |media| name.names(&media.media)).collect();
        if cut.is_empty() {
            return Err(ControlError::NoLink);
        }
        for media in cut {
            cut_link(media.link, how);
            self.media_lost(now, media.media, MediaLoss::Cut);
        }
        Ok(())
    }

    /// Applies `action` to every named link. Fails if there is none.
    fn for_each_link(
        &mut self,
        name: LinkName,
        mut action: impl FnMut(&mut Link),
    ) -> Result<(), ControlError> {
        let signaling = self.signaling.iter_mut().filter(|_| name == LinkName::Signaling);
        let media = self.media.iter_mut().filter(|media| name.names(&media.media));
        let mut found = Err(ControlError::NoLink);
        for link in signaling.chain(media.map(|media| &mut media.link)) {
            action(link);
            found = Ok(());
        }
        found
    }

    /// Simulates a failed server: another one takes over the stream and announces it (section 3.6, case A).
    fn fail_over(&mut self, now: Instant) {
        self.server += 1;
        // The new server knows nothing of the old links: the client connects from scratch, within the signaling
        // window.
        self.drop_all_links();
        self.media_windows.clear();
        self.zombies.clear();
        self.open_signaling_window(now, reason::AWAIT_RECONNECTION_TIMEOUT);
        self.announcement =
            build_announcement(&self.shared, &self.id, &self.operator_id, self.server, now);
        self.shared.send_webhook(self.announcement.clone());
    }

    /// Drops the TCP connections of all links.
    pub(super) fn drop_all_links(&mut self) {
        let media = self.media.drain(..).map(|media| media.link);
        self.signaling.take().into_iter().chain(media).for_each(|link| link.outbox.drop_tcp());
    }

    /// Pauses or resumes media. Keep-alives and windows go on (section 3.5).
    fn pause(&mut self, now: Instant, pause: bool) {
        if self.is_paused == pause {
            return;
        }
        self.is_paused = pause;
        // What is said in a pause is not sent later.
        self.progress.skip_to(self.shared.clock.ms(now));
        let (session, stream) = if pause {
            (wire::SESSION_PAUSED, wire::STREAM_PAUSED)
        } else {
            (wire::SESSION_RESUMED, wire::STREAM_RESUMED)
        };
        let now_ms = self.shared.wire_now(now);
        self.send_signaling(wire::session_state(&self.session_id, session, None, now_ms));
        self.send_state(now, stream, 0);
    }
}

fn cut_link(link: Link, how: CutKind) {
    match how {
        CutKind::Drop => link.outbox.drop_tcp(),
        CutKind::Reset => link.outbox.reset_tcp(),
        // Dropping the outbox sends what is queued and a Close frame.
        CutKind::Close => drop(link),
    }
}
