//! Gaps of unreadable frames. Each frame makes a gap of its own length, which stays open for a moment to absorb
//! further ones.

use std::collections::VecDeque;

use super::MediumCoverage;
use crate::model::{FrameCount, Gap, GapCause, Medium, Newest, TimeOf, believed};
use crate::prefetch::prefetch;

/// Unreadable frames this close together share a gap, so a speaker with only unreadable frames cannot flood the log.
const MERGE_MS: i64 = 1_000;
/// A gap is closed and reported after this long even if unreadable frames keep coming.
const MAX_LENGTH_MS: i64 = 10_000;
/// The most distinct times before the newest for which received frames are remembered. Frames overtake each
/// other by less.
const MAX_RECENT: usize = 16;

/// An open gap of one unreadable frame, or of several close together.
#[derive(Debug)]
pub(super) struct Unread {
    start_ms: i64,
    end_ms: i64,
    /// When the newest unreadable frame arrived.
    came_ms: i64,
    /// Frames received with times inside the gap.
    inside: FrameCount,
    /// Frames received with times after the gap's end. They fall inside the gap if it grows.
    after: FrameCount,
    newest_ms: i64,
}

impl Unread {
    fn new(now_ms: i64, start_ms: i64, end_ms: i64) -> Self {
        let (inside, after) = (FrameCount::default(), FrameCount::default());
        Self { start_ms, end_ms, came_ms: now_ms, inside, after, newest_ms: start_ms }
    }

    /// Whether an unreadable frame of time `at_ms` belongs to this gap.
    fn reaches(&self, at_ms: i64) -> bool {
        at_ms - self.end_ms <= MERGE_MS
            && self.start_ms - at_ms <= MERGE_MS
            && self.end_ms - self.start_ms < MAX_LENGTH_MS
    }

    /// Extends the gap to another unreadable frame and takes in the frames received in between.
    fn grow(&mut self, now_ms: i64, end_ms: i64) {
        self.came_ms = now_ms;
        self.inside.add(std::mem::take(&mut self.after));
        self.end_ms = self.end_ms.max(end_ms).max(self.newest_ms + 1);
    }

    /// Counts a received frame. Returns true when it lies inside the gap.
    pub(super) fn received(&mut self, at_ms: i64, frame: FrameCount) -> bool {
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

/// Frames received outside gaps with times before the newest, in order of time.
#[derive(Debug)]
pub(super) struct Recent {
    frames: VecDeque<Newest>,
    /// Nothing is remembered from before this time.
    since_ms: i64,
}

impl Recent {
    /// Remembers frames from `since_ms` on.
    pub(super) fn since(since_ms: i64) -> Self {
        Self { frames: VecDeque::new(), since_ms }
    }

    /// Prefetches the entries that the next frame may change.
    pub(super) fn prefetch(&self) {
        [self.frames.front(), self.frames.back()].into_iter().flatten().for_each(prefetch);
    }

    pub(super) fn add(&mut self, at_ms: i64, frame: FrameCount) {
        // Nearly always the newest: found without a look at the others.
        let place = match self.frames.back() {
            Some(newest) if newest.at_ms >= at_ms => {
                self.frames.partition_point(|known| known.at_ms < at_ms)
            }
            _ => self.frames.len(),
        };
        match self.frames.get_mut(place).filter(|known| known.at_ms == at_ms) {
            Some(known) => known.count.add(frame),
            None if at_ms >= self.since_ms => {
                // Grown by doubling, it would have room for twice as many.
                self.frames.reserve_exact(MAX_RECENT + 1 - self.frames.len());
                self.frames.insert(place, Newest { at_ms, count: frame })
            }
            None => {}
        }
        if self.frames.len() > MAX_RECENT
            && let Some(oldest) = self.frames.pop_front()
        {
            // A gap must not begin before this: its frames would be missing from the count.
            self.since_ms = oldest.at_ms + 1;
        }
    }

    /// Removes the frames with times inside this span and returns their count.
    fn take(&mut self, start_ms: i64, end_ms: i64) -> FrameCount {
        let start = self.frames.partition_point(|known| known.at_ms < start_ms);
        let end = self.frames.partition_point(|known| known.at_ms < end_ms);
        let mut sum = FrameCount::default();
        self.frames.drain(start..end.max(start)).for_each(|known| sum.add(known.count));
        sum
    }
}

impl MediumCoverage {
    /// Accounts for one unreadable frame.
    pub(crate) fn unreadable(&mut self, now_ms: i64, at_ms: Option<i64>) {
        // An unreadable frame still shows that the link works.
        self.arrived(now_ms);
        let next_ms = match &self.unread {
            // Without a readable time, the frame follows the last one, if the medium has a rate.
            Some(unread) => self.step_ms.map(|_| unread.end_ms),
            None => self.last_frame_ms.zip(self.step_ms).map(|(last, step)| last + step),
        };
        let at_ms = believed(at_ms, TimeOf::Media, now_ms).or(next_ms).unwrap_or(now_ms);
        let end_ms = at_ms + self.frame_ms();
        let open_ms = self.account.open.map(|open| open.start_ms);
        let gaps = || self.account.gaps.iter().filter(|gap| gap.cause != GapCause::LeftOut);
        let later = gaps().map(|gap| gap.start_ms).chain(open_ms).filter(|start| *start > at_ms);
        if open_ms.is_some_and(|open_ms| at_ms >= open_ms) {
            // The open gap must cover this frame, whatever ends the gap.
            self.lost_until_ms = self.lost_until_ms.max(end_ms);
        } else if gaps().any(|gap| gap.holds(at_ms)) {
            // A closed gap already covers it.
        } else if let Some(later_ms) = later.min() {
            self.lose_late(at_ms, end_ms.min(later_ms));
        } else {
            self.lose(now_ms, at_ms, end_ms);
        }
    }

    /// Records a gap for a frame from before a known gap: it cannot extend the open one.
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
        // `Unread` already counts the frames with times after the gap's start.
        let until_ms = unread.as_ref().map_or(i64::MAX, |unread| unread.start_ms);
        let mut unread = unread.unwrap_or_else(|| Unread::new(now_ms, start_ms, end_ms));
        unread.start_ms = unread.start_ms.min(start_ms);
        unread.inside.add(self.take_received(unread.start_ms, until_ms));
        // Already in `Unread`: only removed here, so that no frame counts twice.
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

    /// Removes the received frames with times inside this span, so that the caller can count them elsewhere.
    fn take_received(&mut self, start_ms: i64, end_ms: i64) -> FrameCount {
        let mut sum = self.recent.take(start_ms, end_ms);
        let newest = &mut self.account.newest;
        if (start_ms..end_ms).contains(&newest.at_ms) {
            sum.add(std::mem::take(&mut newest.count));
        }
        sum
    }

    /// How long one frame lasts; a typical value where the medium's rate is unknown.
    fn frame_ms(&self) -> i64 {
        self.step_ms.unwrap_or(match self.medium {
            Medium::Audio => 20,
            Medium::Video => 40,
            Medium::Share => 1_000,
            Medium::Transcript | Medium::Chat => 1,
        })
    }

    /// Closes the open gap of unreadable frames.
    pub(crate) fn settle(&mut self) {
        if let Some(Unread { start_ms, end_ms, inside, .. }) = self.unread.take() {
            self.account.in_gaps.add(inside);
            self.record(Gap { start_ms, end_ms, cause: GapCause::Unreadable });
        }
    }

    /// Closes the open gap when no unreadable frame has come for `MERGE_MS`.
    pub(crate) fn settle_old(&mut self, now_ms: i64) {
        if self.unread.as_ref().is_some_and(|unread| now_ms - unread.came_ms > MERGE_MS) {
            self.settle();
        }
    }
}
