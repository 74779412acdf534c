//! Opens, closes and records the gaps of a medium.

use super::{JOIN_GRACE_MS, MAX_GAPS, MediumCoverage};
use crate::model::{Gap, GapCause, OpenGap};

impl MediumCoverage {
    /// Records a gap where a medium with a rate lacks a step. On a link that is up, Zoom lost it. At the end of
    /// a stream it may also be unread in a socket.
    pub(super) fn compare_with_rate(&mut self, at_ms: i64) {
        if let Some(start_ms) = self.last_frame_ms
            && self.step_ms.is_some()
            && !self.is_one_step(at_ms - start_ms)
        {
            let cause = GapCause::ZoomInterrupted;
            self.record(Gap { start_ms, end_ms: at_ms, cause });
        }
    }

    /// Whether two frames are neighbours. Timestamps may jitter by half a step.
    pub(super) fn is_one_step(&self, apart_ms: i64) -> bool {
        self.step_ms.is_some_and(|step_ms| apart_ms <= step_ms + step_ms / 2)
    }

    pub(super) fn open(&mut self, start_ms: i64, cause: GapCause) {
        self.account.open = Some(OpenGap { start_ms, cause });
    }

    pub(super) fn close(&mut self, end_ms: i64) {
        self.rejoined_until_ms = None;
        let lost_until_ms = std::mem::replace(&mut self.lost_until_ms, i64::MIN);
        let Some(OpenGap { start_ms, cause }) = self.account.open.take() else { return };
        let end_ms = end_ms.max(lost_until_ms);
        let gap = Gap { start_ms, end_ms: end_ms.max(start_ms), cause };
        // A later gap must not begin inside this one.
        self.account.alive_ms = self.account.alive_ms.max(gap.end_ms);
        self.last_frame_ms = self.last_frame_ms.max(self.last_frame_ms.map(|_| gap.end_ms));
        match cause {
            GapCause::NeverConnected if gap.length_ms() <= JOIN_GRACE_MS => {
                self.account.since_ms = self.account.since_ms.max(end_ms);
            }
            GapCause::Paused => self.record(gap),
            // The frames on both sides of the gap are neighbours, so nothing is missing.
            _ if start_ms == self.account.newest.at_ms && self.is_one_step(gap.length_ms()) => {}
            _ => self.record(gap),
        }
    }

    pub(super) fn record_unsure(&mut self, cause: GapCause) {
        if let Some((start_ms, end_ms)) = self.account.unsure.take() {
            self.record(Gap { start_ms, end_ms, cause });
        }
    }

    pub(super) fn record(&mut self, gap: Gap) {
        if gap.length_ms() <= 0 {
            return;
        }
        let account = &mut self.account;
        match gap.cause {
            GapCause::Paused => account.paused_ms += gap.length_ms(),
            _ => account.lost_ms += gap.length_ms(),
        }
        // Frames dropped by a sink were received; frames inside any other gap count separately.
        if gap.cause != GapCause::LeftOut && gap.holds(account.newest.at_ms) {
            account.in_gaps.add(std::mem::take(&mut account.newest.count));
        }
        if account.gaps.len() >= MAX_GAPS {
            // At most `MAX_GAPS` elements move.
            account.gaps.remove(0);
            account.earlier_gaps += 1;
        }
        account.gaps.push(gap);
        self.closed.push(gap);
    }
}
