//! The gap of frames that came and could not be read, while it may still grow.

use super::Book;
use crate::model::{FrameCount, Gap, GapCause, believed};
use crate::rtms::message::Medium;

/// Unreadable frames this close together are one gap: a speaker whose every frame is odd must not fill the log.
const MERGE_MS: i64 = 1_000;
/// A gap is told after this long even if it goes on.
const MAX_LENGTH_MS: i64 = 10_000;

/// A gap of one unreadable frame, or of several with little between them.
#[derive(Debug)]
pub(super) struct Unread {
    start_ms: i64,
    end_ms: i64,
    /// When the newest of them came.
    came_ms: i64,
    /// What was received of the time inside the gap.
    inside: FrameCount,
    /// What was received after its end, which lies inside if the gap grows.
    after: FrameCount,
    newest_ms: i64,
}

impl Unread {
    /// `inside` was received of what was made at `start_ms`.
    pub fn new(now_ms: i64, start_ms: i64, end_ms: i64, inside: FrameCount) -> Self {
        let after = FrameCount::default();
        Self { start_ms, end_ms, came_ms: now_ms, inside, after, newest_ms: start_ms }
    }

    pub fn end_ms(&self) -> i64 {
        self.end_ms
    }

    /// Whether a frame that was made at `at_ms` belongs to the same gap.
    pub fn reaches(&self, at_ms: i64) -> bool {
        at_ms - self.end_ms <= MERGE_MS && self.end_ms - self.start_ms < MAX_LENGTH_MS
    }

    /// Whether nothing unreadable has come for a while.
    pub fn is_over(&self, now_ms: i64) -> bool {
        now_ms - self.came_ms > MERGE_MS
    }

    /// Takes in another unreadable frame, and whatever was received in between.
    pub fn grow(&mut self, now_ms: i64, end_ms: i64) {
        self.came_ms = now_ms;
        self.inside.add(std::mem::take(&mut self.after));
        self.end_ms = self.end_ms.max(end_ms).max(self.newest_ms + 1);
    }

    /// Counts a frame that was received. True when the gap holds it.
    pub fn received(&mut self, at_ms: i64, frame: FrameCount) -> bool {
        if at_ms < self.start_ms {
            return false;
        }
        let is_inside = at_ms < self.end_ms;
        if is_inside {
            self.inside.add(frame);
        } else {
            self.after.add(frame);
            self.newest_ms = self.newest_ms.max(at_ms);
        }
        is_inside
    }

    /// The gap, and what was received inside it.
    pub fn close(self) -> (Gap, FrameCount) {
        let Self { start_ms, end_ms, .. } = self;
        (Gap { start_ms, end_ms, cause: GapCause::Unreadable }, self.inside)
    }
}

impl Book {
    /// One frame came that cannot be read: it lies in a gap of its length, which does not hold what came before.
    pub fn unreadable(&mut self, now_ms: i64, at_ms: Option<i64>) {
        self.arrived(now_ms);
        // What is lost inside a gap is in it.
        if self.account.open.is_some() {
            return;
        }
        let next_ms = match &self.unread {
            Some(unread) => self.step_ms.map(|_| unread.end_ms()),
            None => {
                self.last_frame_ms.zip(self.step_ms).map(|(last_ms, step_ms)| last_ms + step_ms)
            }
        };
        let at_ms = believed(at_ms, now_ms, now_ms).or(next_ms).unwrap_or(now_ms);
        let last_gap_ms = self.last_gap_ms();
        let start_ms = at_ms.max(self.account.newest.at_ms).max(last_gap_ms);
        let end_ms = start_ms + self.frame_ms();
        if self.unread.as_ref().is_some_and(|unread| !unread.reaches(start_ms)) {
            self.settle();
        }
        let newest = &mut self.account.newest;
        let unread = match self.unread.take() {
            Some(mut unread) => {
                unread.grow(now_ms, end_ms);
                newest.count = FrameCount::default();
                unread
            }
            None => {
                let is_in_it = newest.at_ms == start_ms;
                let inside = is_in_it.then(|| std::mem::take(&mut newest.count));
                Unread::new(now_ms, start_ms, end_ms, inside.unwrap_or_default())
            }
        };
        let end_ms = unread.end_ms();
        self.account.alive_ms = self.account.alive_ms.max(end_ms);
        self.last_frame_ms = self.last_frame_ms.max(self.last_frame_ms.map(|_| end_ms));
        self.unread = Some(unread);
    }

    /// How long one frame lasts, as far as that is known.
    fn frame_ms(&self) -> i64 {
        self.step_ms.unwrap_or(match self.medium {
            Medium::Audio => 20,
            Medium::Video => 40,
            Medium::Share => 1_000,
            Medium::Transcript | Medium::Chat => 1,
        })
    }

    /// Closes the gap of what could not be read.
    pub fn settle(&mut self) {
        if let Some(unread) = self.unread.take() {
            let (gap, inside) = unread.close();
            self.account.in_gaps.add(inside);
            self.record(gap);
        }
    }

    pub fn settle_old(&mut self, now_ms: i64) {
        if self.unread.as_ref().is_some_and(|unread| unread.is_over(now_ms)) {
            self.settle();
        }
    }

    /// Where the newest gap ends of what did not come.
    fn last_gap_ms(&self) -> i64 {
        let gaps = self.account.gaps.iter().rev();
        let own = gaps.filter(|gap| gap.cause != GapCause::LeftOut);
        own.map(|gap| gap.end_ms).next().unwrap_or(i64::MIN)
    }
}
