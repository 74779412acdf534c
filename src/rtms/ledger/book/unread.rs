//! Frames that came and could not be read: each lies in a gap of its length. A gap waits a moment for more of them.

use std::collections::VecDeque;

use super::Book;
use crate::model::{FrameCount, Gap, GapCause, Newest, believed};
use crate::rtms::message::Medium;

/// Unreadable frames this close together are one gap: a speaker whose every frame is odd must not fill the log.
const MERGE_MS: i64 = 1_000;
/// A gap is told after this long even if it goes on.
const MAX_LENGTH_MS: i64 = 10_000;
/// Of how many times before the newest it is known what was received. Frames overtake each other by less.
const MAX_RECENT: usize = 16;

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
    fn new(now_ms: i64, start_ms: i64, end_ms: i64) -> Self {
        let (inside, after) = (FrameCount::default(), FrameCount::default());
        Self { start_ms, end_ms, came_ms: now_ms, inside, after, newest_ms: start_ms }
    }

    /// Whether a frame that was made at `at_ms` belongs to the same gap.
    fn reaches(&self, at_ms: i64) -> bool {
        at_ms - self.end_ms <= MERGE_MS
            && self.start_ms - at_ms <= MERGE_MS
            && self.end_ms - self.start_ms < MAX_LENGTH_MS
    }

    /// Takes in another unreadable frame, and whatever was received in between.
    fn grow(&mut self, now_ms: i64, end_ms: i64) {
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
}

/// What was received outside the gaps with times before the newest, in order of time.
#[derive(Debug)]
pub(super) struct Recent {
    frames: VecDeque<Newest>,
    /// Of what is older it is not known.
    since_ms: i64,
}

impl Recent {
    /// Nothing is known of what was received before.
    pub fn since(since_ms: i64) -> Self {
        Self { frames: VecDeque::new(), since_ms }
    }

    pub fn add(&mut self, at_ms: i64, frame: FrameCount) {
        let place = self.frames.partition_point(|known| known.at_ms < at_ms);
        match self.frames.get_mut(place).filter(|known| known.at_ms == at_ms) {
            Some(known) => known.count.add(frame),
            None if at_ms >= self.since_ms => {
                self.frames.insert(place, Newest { at_ms, count: frame })
            }
            None => {}
        }
        if self.frames.len() > MAX_RECENT
            && let Some(oldest) = self.frames.pop_front()
        {
            self.since_ms = oldest.at_ms + 1;
        }
    }

    /// Takes out what was received with times inside this span.
    fn take(&mut self, start_ms: i64, end_ms: i64) -> FrameCount {
        let start = self.frames.partition_point(|known| known.at_ms < start_ms);
        let end = self.frames.partition_point(|known| known.at_ms < end_ms);
        let mut sum = FrameCount::default();
        self.frames.drain(start..end.max(start)).for_each(|known| sum.add(known.count));
        sum
    }
}

impl Book {
    /// One frame came that cannot be read.
    pub fn unreadable(&mut self, now_ms: i64, at_ms: Option<i64>) {
        self.arrived(now_ms);
        let next_ms = match &self.unread {
            Some(unread) => self.step_ms.map(|_| unread.end_ms),
            None => self.last_frame_ms.zip(self.step_ms).map(|(last, step)| last + step),
        };
        let at_ms = believed(at_ms, now_ms, now_ms).or(next_ms).unwrap_or(now_ms);
        let end_ms = at_ms + self.frame_ms();
        let open_ms = self.account.open.map(|open| open.start_ms);
        let gaps = || self.account.gaps.iter().filter(|gap| gap.cause != GapCause::LeftOut);
        let later = gaps().map(|gap| gap.start_ms).chain(open_ms).filter(|start| *start > at_ms);
        if open_ms.is_some_and(|open_ms| at_ms >= open_ms) {
            // What is lost inside a gap is in it, whatever ends that.
            self.lost_until_ms = self.lost_until_ms.max(end_ms);
        } else if gaps().any(|gap| gap.holds(at_ms)) {
            // It is in a gap already.
        } else if let Some(later_ms) = later.min() {
            self.lose_late(at_ms, end_ms.min(later_ms));
        } else {
            self.lose(now_ms, at_ms, end_ms);
        }
    }

    /// A frame from before a gap: it is none of those that follow each other.
    fn lose_late(&mut self, at_ms: i64, end_ms: i64) {
        let start_ms = at_ms.max(self.recent.since_ms);
        let inside = self.take_received(start_ms, end_ms);
        self.account.in_gaps.add(inside);
        self.record(Gap { start_ms, end_ms, cause: GapCause::Unreadable });
    }

    fn lose(&mut self, now_ms: i64, at_ms: i64, end_ms: i64) {
        if self.unread.as_ref().is_some_and(|unread| !unread.reaches(at_ms)) {
            self.settle();
        }
        let start_ms = at_ms.max(self.recent.since_ms);
        let end_ms = end_ms.max(start_ms + 1);
        let unread = self.unread.take();
        // What was received with times after the gap's beginning is counted there.
        let until_ms = unread.as_ref().map_or(i64::MAX, |unread| unread.start_ms);
        let mut unread = unread.unwrap_or_else(|| Unread::new(now_ms, start_ms, end_ms));
        unread.start_ms = unread.start_ms.min(start_ms);
        unread.inside.add(self.take_received(unread.start_ms, until_ms));
        self.take_received(until_ms, i64::MAX);
        unread.newest_ms = unread.newest_ms.max(self.account.newest.at_ms);
        unread.grow(now_ms, end_ms);
        self.account.alive_ms = self.account.alive_ms.max(unread.end_ms);
        let last_frame_ms = self.last_frame_ms.map(|_| unread.end_ms);
        self.last_frame_ms = self.last_frame_ms.max(last_frame_ms);
        if let Some((start_ms, _)) = &mut self.account.unsure {
            *start_ms = unread.end_ms.max(*start_ms);
        }
        self.unread = Some(unread);
    }

    /// What was received with times inside this span: it is counted elsewhere from now on.
    fn take_received(&mut self, start_ms: i64, end_ms: i64) -> FrameCount {
        let mut sum = self.recent.take(start_ms, end_ms);
        let newest = &mut self.account.newest;
        if (start_ms..end_ms).contains(&newest.at_ms) {
            sum.add(std::mem::take(&mut newest.count));
        }
        sum
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
        if let Some(Unread { start_ms, end_ms, inside, .. }) = self.unread.take() {
            self.account.in_gaps.add(inside);
            self.record(Gap { start_ms, end_ms, cause: GapCause::Unreadable });
        }
    }

    /// Closes it when nothing unreadable has come for a while.
    pub fn settle_old(&mut self, now_ms: i64) {
        if self.unread.as_ref().is_some_and(|unread| now_ms - unread.came_ms > MERGE_MS) {
            self.settle();
        }
    }
}
