//! Coverage of one medium while its stream runs: what was received, and in which gaps data was or may have been lost.

mod gaps;
mod unread;

use self::unread::{Recent, Unread};
use crate::model::{
    FrameCount, Gap, GapCause, Medium, MediumAccount, Newest, OpenGap, TimeOf, believed,
};

/// The most gaps that an account lists. Older ones are counted there and found in the stream's log.
pub(super) const MAX_GAPS: usize = 64;
/// A medium that comes up (or ends) within this time of the announcement begins then: that is joining, not a
/// gap.
pub(super) const JOIN_GRACE_MS: i64 = 5_000;
/// How long after its link came up a medium's first frame may arrive and still end the gap at its own time.
/// Zoom waits for the client's readiness, and then sends what it buffered.
pub(super) const REJOIN_GRACE_MS: i64 = 2_000;
/// A keep-alive within this time of a frame may lie in the middle of a burst of older frames.
const BURST_MS: i64 = 2_000;
/// Longer than two keep-alive periods of 10 s (rtms-protocol.md section 11): a link that brought nothing in
/// this time was dead.
const QUIET_MS: i64 = 25_000;
/// Longer than one keep-alive period of signaling: without a keep-alive, the readiness message may not have
/// reached Zoom.
const CONFIRM_MS: i64 = 15_000;

/// How long before a stream's end the last frame of a medium with a rate may lie. Zoom's message of the end
/// takes a moment, and so does the wait for the last frames.
const TAIL_GRACE_MS: i64 = 3_000;

/// One medium's account, and the state of its link that the account needs.
#[derive(Debug)]
pub(super) struct MediumCoverage {
    pub medium: Medium,
    pub(super) account: MediumAccount,
    is_up: bool,
    /// Whether Zoom is known to send on this link: a frame arrived, or signaling, which carries the readiness
    /// message, showed life since.
    is_confirmed: bool,
    /// Why the link is down.
    down_cause: GapCause,
    is_paused: bool,
    /// Set when the link came up inside the open gap: until this time its first frame can set the gap's end.
    rejoined_until_ms: Option<i64>,
    /// When signaling last showed life. Without it Zoom sends no media, although their links are up.
    signaling_ms: i64,
    /// When anything last arrived. `arrived_ms`: when a frame last arrived.
    heard_ms: i64,
    arrived_ms: i64,
    /// The newest frame since the link came up, by its own time.
    last_frame_ms: Option<i64>,
    /// The interval of frames; none if the medium has no rate.
    step_ms: Option<i64>,
    /// The end of the last gap of frames that sinks dropped.
    left_out_until_ms: i64,
    /// The open gap of recent unreadable frames.
    unread: Option<Unread>,
    recent: Recent,
    /// The end of the last unreadable frame inside the open gap.
    lost_until_ms: i64,
    closed: Vec<Gap>,
}

impl MediumCoverage {
    pub(super) fn new(medium: Medium, start_ms: i64) -> Self {
        let mut account = MediumAccount::new(medium, start_ms);
        account.open = Some(OpenGap { start_ms, cause: GapCause::NeverConnected });
        Self {
            medium,
            account,
            is_up: false,
            is_confirmed: false,
            down_cause: GapCause::LinkLost,
            is_paused: false,
            rejoined_until_ms: None,
            signaling_ms: start_ms,
            heard_ms: start_ms,
            arrived_ms: start_ms,
            last_frame_ms: None,
            step_ms: None,
            left_out_until_ms: i64::MIN,
            unread: None,
            recent: Recent::since(i64::MIN),
            lost_until_ms: i64::MIN,
            closed: Vec::new(),
        }
    }

    pub(super) fn prefetch_recent(&self) {
        self.recent.prefetch();
    }

    /// Continues a stored account. A gap that was open when the daemon stopped ends at that time.
    pub(super) fn picked_up(medium: Medium, account: MediumAccount) -> Self {
        let recent = Recent::since(account.newest.at_ms);
        let mut coverage = Self { account, recent, ..Self::new(medium, 0) };
        let until_ms = coverage.account.until_ms;
        let start_ms = match coverage.account.open {
            Some(_) => until_ms,
            None => coverage.account.alive_ms,
        };
        coverage.record_unsure(GapCause::DaemonRestarted);
        coverage.close(until_ms);
        coverage.open(start_ms, GapCause::DaemonRestarted);
        coverage.down_cause = GapCause::DaemonRestarted;
        coverage
    }

    pub(super) fn up(&mut self, now_ms: i64, step_ms: Option<i64>) {
        self.is_up = true;
        self.is_confirmed = false;
        self.heard_ms = now_ms;
        self.step_ms = step_ms;
        // A link's first frame has no predecessor to be compared with.
        self.last_frame_ms = None;
        if self.account.open.is_some() {
            self.rejoined_until_ms = Some(now_ms + REJOIN_GRACE_MS);
        }
    }

    /// Records the loss of the link. A loss inside an open gap prolongs that gap.
    pub(super) fn down(&mut self, cause: GapCause) {
        self.settle();
        if !std::mem::take(&mut self.is_up) {
            return;
        }
        self.down_cause = cause;
        self.rejoined_until_ms = None;
        self.record_unsure(cause);
        if self.account.open.is_none() {
            self.open(self.account.alive_ms, cause);
        }
    }

    /// Records a failover, and changes the cause of an open gap that the failover explains.
    pub(super) fn moved(&mut self) {
        self.down(GapCause::Failover);
        self.down_cause = GapCause::Failover;
        if let Some(open) = &mut self.account.open
            && matches!(open.cause, GapCause::LinkLost | GapCause::ZoomInterrupted)
        {
            open.cause = GapCause::Failover;
        }
    }

    /// Records a keep-alive on signaling.
    pub(super) fn confirm(&mut self, now_ms: i64) {
        self.is_confirmed = self.is_up;
        self.signaling_ms = now_ms;
    }

    /// Records a keep-alive on the medium's link: everything sent before it has arrived.
    pub(super) fn alive(&mut self, now_ms: i64) {
        if !self.is_up {
            return;
        }
        self.heard(now_ms);
        self.settle_old(now_ms);
        if !self.is_confirmed || now_ms - self.arrived_ms < BURST_MS {
            return;
        }
        if let Some(until_ms) = self.rejoined_until_ms
            && until_ms <= now_ms
            && !self.is_paused
        {
            self.close(until_ms);
        }
        // Data with a time up to `lag_ms` ago may still be unsent, so the keep-alive does not vouch for it.
        let alive_ms = self.signaling_ms.min(now_ms) - self.lag_ms();
        self.account.alive_ms = self.account.alive_ms.max(alive_ms);
    }

    /// Counts a received frame. A link that brings a frame is up, even if its handshake was not answered yet.
    pub(super) fn frame(&mut self, now_ms: i64, at_ms: Option<i64>, bytes: u64) {
        let at_ms = placed_ms(now_ms, at_ms);
        self.arrived(now_ms);
        self.settle_old(now_ms);
        match self.account.open {
            Some(open) if open.cause == GapCause::NeverConnected => self.close(at_ms),
            Some(open) if at_ms > open.start_ms => {
                self.is_paused = false;
                self.close(at_ms);
            }
            // A late frame from before the gap.
            Some(_) => {}
            None => self.compare_with_rate(at_ms),
        }
        self.last_frame_ms = self.last_frame_ms.max(Some(at_ms));
        self.account.since_ms = self.account.since_ms.min(at_ms);
        self.account.alive_ms = self.account.alive_ms.max(at_ms);
        self.count(at_ms, FrameCount { frames: 1, bytes });
    }

    fn arrived(&mut self, now_ms: i64) {
        self.is_up = true;
        self.heard(now_ms);
        self.is_confirmed = true;
        self.arrived_ms = now_ms;
    }

    /// Counts a frame. Holds back the frames with the newest time, in case a gap begins there.
    fn count(&mut self, at_ms: i64, frame: FrameCount) {
        let account = &mut self.account;
        let is_in_unread = self.unread.as_mut().is_some_and(|unread| unread.received(at_ms, frame));
        if is_in_unread {
            // `settle` counts it when that gap closes.
        } else if account.gaps.iter().any(|gap| gap.cause != GapCause::LeftOut && gap.holds(at_ms))
        {
            account.in_gaps.add(frame);
        } else if at_ms > account.newest.at_ms {
            let newest = Newest { at_ms, count: frame };
            let older = std::mem::replace(&mut account.newest, newest);
            self.recent.add(older.at_ms, older.count);
        } else if at_ms == account.newest.at_ms {
            account.newest.count.add(frame);
        } else {
            self.recent.add(at_ms, frame);
        }
        if let Some((start_ms, _)) = &mut account.unsure {
            *start_ms = at_ms.max(*start_ms);
        }
    }

    /// Opens a gap for a frame that could not be kept. The next kept frame ends it.
    pub(super) fn overflow(&mut self, now_ms: i64, at_ms: Option<i64>, bytes: u64) {
        self.settle();
        self.account.in_gaps.add(FrameCount { frames: 1, bytes });
        if self.account.open.is_none() {
            let at_ms = placed_ms(now_ms, at_ms);
            self.open(at_ms.min(self.account.alive_ms), GapCause::SinkOverflow);
        }
    }

    /// Records a gap for received frames that a sink dropped. They still count as received: the gap says that a sink
    /// lacks them.
    pub(super) fn left_out(&mut self, first_ms: i64, last_ms: i64, count: FrameCount) {
        self.account.left_out.add(count);
        let start_ms = first_ms.max(self.left_out_until_ms);
        let end_ms = last_ms + self.step_ms.unwrap_or(1).max(1);
        self.left_out_until_ms = self.left_out_until_ms.max(end_ms);
        self.record(Gap { start_ms, end_ms, cause: GapCause::LeftOut });
    }

    /// Counts data that lies in a gap here and was received by another daemon.
    pub(super) fn handed_over(&mut self, bytes: u64) {
        self.account.in_gaps.add(FrameCount { frames: 1, bytes });
    }

    pub(super) fn paused(&mut self, at_ms: i64) {
        if std::mem::replace(&mut self.is_paused, true) {
            return;
        }
        self.stop(at_ms, GapCause::Paused);
    }

    /// Records that Zoom stopped sending at `at_ms`. Data already on its way may still arrive.
    fn stop(&mut self, at_ms: i64, cause: GapCause) {
        self.settle();
        let alive_ms = self.account.alive_ms;
        match self.account.open {
            Some(_) => self.close(at_ms),
            // Neither lost nor received for certain: what arrives next, or a loss, decides.
            None if alive_ms < at_ms => self.account.unsure = Some((alive_ms, at_ms)),
            None => {}
        }
        self.open(at_ms.max(self.account.alive_ms), cause);
    }

    /// Ends a pause or an interruption inside Zoom. If the link came up in the pause and has brought nothing
    /// yet, its first frame, or the end of the grace, says where the gap ends.
    pub(super) fn resumed(&mut self, at_ms: i64) {
        self.is_paused = false;
        let is_settling = self.rejoined_until_ms.is_some_and(|until_ms| until_ms > at_ms);
        match self.account.open.map(|open| open.cause) {
            _ if is_settling => {}
            Some(GapCause::Paused) => {
                self.close(at_ms);
                if !self.is_up {
                    self.open(at_ms, self.down_cause);
                }
            }
            // Data made in this millisecond may still be lost.
            Some(GapCause::ZoomInterrupted) if self.is_up => self.close(at_ms + 1),
            _ => {}
        }
    }

    pub(super) fn interrupted(&mut self, at_ms: i64) {
        let is_settling = self.rejoined_until_ms.is_some();
        match self.account.open.map(|open| open.cause) {
            _ if !self.is_up => return,
            Some(GapCause::Paused) => return,
            Some(GapCause::ZoomInterrupted) if !is_settling => return,
            _ => {}
        }
        self.stop(at_ms, GapCause::ZoomInterrupted);
    }

    pub(super) fn end(&mut self, now_ms: i64) {
        self.settle();
        let was_dead = self.is_up && now_ms - self.heard_ms > QUIET_MS;
        if was_dead {
            // The end came before the silence timeout, but the link was dead already.
            self.down(GapCause::LinkLost);
        }
        let is_settled = |until_ms: &i64| self.is_confirmed || now_ms - until_ms < CONFIRM_MS;
        let settled_ms = self.rejoined_until_ms.filter(is_settled);
        let end_ms = settled_ms.map_or(now_ms, |until_ms| until_ms.min(now_ms));
        self.close(end_ms);
        let last_ms = self.last_frame_ms.filter(|_| self.is_up);
        if last_ms.is_some_and(|last_ms| now_ms - last_ms > TAIL_GRACE_MS) {
            self.compare_with_rate(now_ms);
        }
        self.is_up = false;
        self.account.alive_ms = self.account.alive_ms.max(now_ms);
    }

    pub(super) fn account(&self, now_ms: i64) -> MediumAccount {
        let until_ms = self.account.until_ms.max(now_ms);
        MediumAccount { until_ms, ..self.account.clone() }
    }

    pub(super) fn take_closed(&mut self) -> impl Iterator<Item = Gap> {
        self.closed.drain(..)
    }

    fn heard(&mut self, now_ms: i64) {
        self.heard_ms = now_ms;
        let lag_ms = self.lag_ms();
        self.account.unsure =
            self.account.unsure.filter(|(_, pause_ms)| now_ms - lag_ms < *pause_ms);
    }

    /// The longest time between data's own time and its arrival. Speech is transcribed afterwards.
    fn lag_ms(&self) -> i64 {
        match self.medium {
            Medium::Transcript => 10_000,
            Medium::Audio | Medium::Video | Medium::Share | Medium::Chat => 1_000,
        }
    }
}

/// Returns Zoom's time if it is plausible, else the time of arrival.
pub(super) fn placed_ms(now_ms: i64, at_ms: Option<i64>) -> i64 {
    believed(at_ms, TimeOf::Media, now_ms).unwrap_or(now_ms)
}
