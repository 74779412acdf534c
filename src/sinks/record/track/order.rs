//! Decides which frames a file can hold, and in which order they are written (pure).

use std::collections::VecDeque;
use std::hash::BuildHasher;

use bytes::Bytes;
use foldhash::fast::FixedState;

/// The longest stream: Zoom ends a meeting after 30 hours.
pub(super) const MAX_SPAN_MS: i64 = 36 * 60 * 60 * 1000;

/// How long a frame of audio waits for earlier ones that arrive later.
const REORDER_WINDOW_MS: i64 = 200;

/// The most frames of audio that wait, whatever their times.
const MAX_WAITING: usize = 64;

/// How many frames are remembered, to recognize repetitions.
const MAX_PASSED: usize = 128;

/// A frame of audio follows the previous one without a seam if its time differs from the end of that one by less than
/// this, and by less than its own length: a lost frame leaves a hole of its length.
const MAX_JITTER_MS: u64 = 60;

/// How far a file may run ahead of the clock when more audio arrives than time passes. Audio beyond that is dropped. The
/// next pause brings the file back to the clock.
pub(super) const MAX_LEAD_MS: u64 = 2_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timed {
    pub at_ms: i64,
    pub payload: Bytes,
}

/// Whether a file that begins at the origin can hold a frame.
pub(super) fn fits_origin(origin_ms: i64, at_ms: i64) -> bool {
    (0..=MAX_SPAN_MS).contains(&at_ms.saturating_sub(origin_ms))
}

/// How far the time of a frame may be from the end of the previous one without a seam. Lengths are in samples or bytes,
/// `per_ms` of them in a millisecond.
pub(super) fn drift_tolerance(length: u64, per_ms: u64) -> u64 {
    length.min(MAX_JITTER_MS * per_ms)
}

/// The start of a frame that arrives in order: never before `next`, the end of the previous one. `exact`: the position of
/// its timestamp. None when the file would run too far ahead of the clock.
pub(super) fn frame_position(exact: u64, next: u64, length: u64, per_ms: u64) -> Option<u64> {
    match exact.checked_sub(next) {
        Some(pause) if pause >= drift_tolerance(length, per_ms) => Some(exact),
        Some(_) => Some(next),
        None => (next - exact <= MAX_LEAD_MS * per_ms).then_some(next),
    }
}

/// Sorts the audio of one voice by time and drops repeated frames.
#[derive(Debug)]
pub(super) struct ReorderBuffer {
    /// In order of time.
    waiting: VecDeque<Timed>,
    passed_ms: i64,
    /// Time and audio hash of the last written frames, in order of time.
    passed: VecDeque<(i64, u64)>,
}

/// The decision of [`ReorderBuffer::push`] about a frame.
pub(super) enum Turn {
    Waits,
    /// It is a repetition.
    Repeated,
    /// Other audio has the same time.
    Clashes,
    /// Later frames have been written already.
    Missed(Timed),
}

impl ReorderBuffer {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), passed_ms: i64::MIN, passed: VecDeque::new() }
    }

    pub(super) fn push(&mut self, frame: Timed) -> Turn {
        let index = self.index_of(frame.at_ms);
        let is_same = match index {
            Ok(waiting) => Some(self.waiting[waiting].payload == frame.payload),
            Err(_) => self.passed_at(frame.at_ms).map(|hash| hash == frame_hash(&frame.payload)),
        };
        match is_same {
            Some(true) => Turn::Repeated,
            Some(false) => Turn::Clashes,
            None if frame.at_ms < self.passed_ms => Turn::Missed(frame),
            None => {
                self.waiting.insert(index.unwrap_or_else(|index| index), frame);
                Turn::Waits
            }
        }
    }

    /// The index of the waiting frame with this time, or else the index to insert one at.
    fn index_of(&self, at_ms: i64) -> Result<usize, usize> {
        // Nearly all frames come in order.
        match self.waiting.back() {
            Some(newest) if newest.at_ms >= at_ms => {
                self.waiting.binary_search_by_key(&at_ms, |waiting| waiting.at_ms)
            }
            _ => Err(self.waiting.len()),
        }
    }

    /// The hash of the written frame with this time.
    fn passed_at(&self, at_ms: i64) -> Option<u64> {
        // In order of time, so a newer frame ends the search at once.
        let passed = self.passed.iter().rev().find(|passed| passed.0 <= at_ms)?;
        (passed.0 == at_ms).then_some(passed.1)
    }

    /// The next frame that has waited long enough.
    pub(super) fn pop(&mut self) -> Option<Timed> {
        let newest_ms = self.waiting.back()?.at_ms;
        let oldest_ms = self.waiting.front()?.at_ms;
        let is_due = newest_ms - oldest_ms >= REORDER_WINDOW_MS || self.waiting.len() > MAX_WAITING;
        if is_due { self.pop_any() } else { None }
    }

    /// The next frame, whether it has waited or not.
    pub(super) fn pop_any(&mut self) -> Option<Timed> {
        let frame = self.waiting.pop_front()?;
        self.passed_ms = frame.at_ms;
        if self.passed.len() >= MAX_PASSED {
            self.passed.pop_front();
        }
        self.passed.push_back((frame.at_ms, frame_hash(&frame.payload)));
        Some(frame)
    }
}

fn frame_hash(sound: &Bytes) -> u64 {
    // Fixed keys are enough: only frames of the same time are compared, and a forged collision is as good as a
    // repeated frame.
    FixedState::default().hash_one(sound)
}

#[cfg(test)]
mod tests {
    use std::iter;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn frame(at_ms: i64) -> Timed {
        Timed { at_ms, payload: Bytes::new() }
    }

    #[test]
    fn a_file_begins_at_its_origin_and_no_stream_is_longer_than_a_day_and_a_half() {
        for fitting in [0, 1, MAX_SPAN_MS] {
            assert!(fits_origin(1_000, 1_000 + fitting), "{fitting}");
        }
        for absurd in [999, i64::MIN, i64::MAX, 1_001 + MAX_SPAN_MS] {
            assert!(!fits_origin(1_000, absurd), "{absurd}");
        }
    }

    #[test]
    fn sound_follows_its_predecessor_unless_there_is_a_pause_or_the_file_is_too_far_ahead() {
        let after = |exact_ms: u64| frame_position(exact_ms * 32, 3_200, 640, 32);
        assert_eq!([99, 100, 119].map(after), [Some(3_200); 3]);
        assert_eq!([120, 5_000].map(after), [Some(120 * 32), Some(5_000 * 32)]);
        let ahead = |next_ms: u64| frame_position(0, next_ms * 32, 640, 32);
        assert_eq!(ahead(MAX_LEAD_MS), Some(MAX_LEAD_MS * 32));
        assert_eq!(ahead(MAX_LEAD_MS + 1), None);
    }

    proptest! {
        #[test]
        fn every_frame_that_waits_comes_out_once_in_order_of_time(
            times_ms in vec(0..600i64, 1..300),
        ) {
            let (mut order, mut waited, mut sorted) = (ReorderBuffer::new(), 0, Vec::new());
            for at_ms in times_ms {
                waited += usize::from(matches!(order.push(frame(at_ms)), Turn::Waits));
                sorted.extend(iter::from_fn(|| order.pop()));
                prop_assert!(order.waiting.len() <= MAX_WAITING);
            }
            sorted.extend(iter::from_fn(|| order.pop_any()));
            prop_assert_eq!(sorted.len(), waited);
            prop_assert!(sorted.is_sorted_by(|earlier, later| earlier.at_ms < later.at_ms));
        }
    }

    #[test]
    fn frames_out_of_order_are_sorted_and_repeated_ones_dropped() {
        let mut order = ReorderBuffer::new();
        let mut sorted = Vec::new();
        for at_ms in [0, 20, 60, 40, 60, 80, 300, 320] {
            order.push(frame(at_ms));
            while let Some(frame) = order.pop() {
                sorted.push(frame.at_ms);
            }
        }
        assert_eq!(sorted, [0, 20, 40, 60, 80]);
        assert!(matches!(order.push(frame(60)), Turn::Repeated));
        assert!(matches!(order.push(frame(70)), Turn::Missed(_)));
        let other = Timed { at_ms: 60, payload: Bytes::from_static(b"other") };
        assert!(matches!(order.push(other), Turn::Clashes));
        while let Some(frame) = order.pop_any() {
            sorted.push(frame.at_ms);
        }
        assert_eq!(sorted[5..], [300, 320]);
    }
}
