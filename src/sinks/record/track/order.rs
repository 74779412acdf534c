//! Which frames are believed, and in which order they are written (pure).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Counts;

/// How long a stream may be: Zoom ends a meeting after 30 hours.
pub const MAX_SPAN_MS: i64 = 36 * 60 * 60 * 1000;

/// A frame that is further than this from its predecessor is believed only when others agree.
const TRUSTED_JUMP_MS: i64 = 10 * 60 * 1000;

/// How many frames have to agree on a doubted time.
const WITNESSES: usize = 5;

/// How far apart frames may be that agree.
const AGREEMENT_MS: i64 = 10_000;

/// How long a frame of sound waits for earlier ones that come after it.
const REORDER_WINDOW_MS: i64 = 200;

/// How many frames of sound wait at most, whatever their times say.
const MAX_WAITING: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    pub at_ms: i64,
    pub payload: Bytes,
}

/// Keeps frames with absurd times away from the files: a single one would make hours of silence.
#[derive(Debug)]
pub struct Doubt {
    origin_ms: i64,
    newest_ms: i64,
    held: Vec<Timed>,
}

impl Doubt {
    /// `newest_ms`: where the track ends so far.
    pub fn new(origin_ms: i64, newest_ms: i64) -> Self {
        Self { origin_ms, newest_ms, held: Vec::new() }
    }

    /// The stream has come to this time: nothing is doubted until well after it.
    pub fn reach(&mut self, at_ms: i64) {
        self.newest_ms = self.newest_ms.max(at_ms);
    }

    /// The frames that may be written now.
    pub fn pass(&mut self, frame: Timed, counts: &mut Counts) -> Vec<Timed> {
        let since_origin_ms = frame.at_ms.saturating_sub(self.origin_ms);
        if !(0..=MAX_SPAN_MS).contains(&since_origin_ms) {
            counts.absurd += 1;
            return Vec::new();
        }
        if frame.at_ms - self.newest_ms <= TRUSTED_JUMP_MS {
            self.forget(counts);
            self.newest_ms = self.newest_ms.max(frame.at_ms);
            return vec![frame];
        }
        if self
            .held
            .last()
            .is_some_and(|last| last.at_ms.abs_diff(frame.at_ms) > AGREEMENT_MS as u64)
        {
            self.forget(counts);
        }
        self.held.push(frame);
        if self.held.len() < WITNESSES {
            return Vec::new();
        }
        self.newest_ms = self.held.iter().map(|frame| frame.at_ms).fold(self.newest_ms, i64::max);
        std::mem::take(&mut self.held)
    }

    /// Whether frames wait for others to agree.
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Gives up what nobody confirmed.
    pub fn forget(&mut self, counts: &mut Counts) {
        counts.absurd += self.held.len() as u64;
        self.held.clear();
    }
}

/// Sorts the sound of one voice by time, and leaves out what comes twice.
#[derive(Debug)]
pub struct Reorder {
    waiting: BTreeMap<i64, Bytes>,
    passed_ms: i64,
}

/// What [`Reorder::push`] says of a frame.
pub enum Turn {
    Waits,
    Repeated,
    /// Later frames have passed already.
    Missed(Timed),
}

impl Reorder {
    pub fn new() -> Self {
        Self { waiting: BTreeMap::new(), passed_ms: i64::MIN }
    }

    pub fn push(&mut self, frame: Timed) -> Turn {
        if frame.at_ms == self.passed_ms || self.waiting.contains_key(&frame.at_ms) {
            return Turn::Repeated;
        }
        if frame.at_ms < self.passed_ms {
            return Turn::Missed(frame);
        }
        self.waiting.insert(frame.at_ms, frame.payload);
        Turn::Waits
    }

    /// The next frame that has waited long enough.
    pub fn pop(&mut self) -> Option<Timed> {
        let newest_ms = *self.waiting.last_key_value()?.0;
        let oldest_ms = *self.waiting.first_key_value()?.0;
        let is_due = newest_ms - oldest_ms >= REORDER_WINDOW_MS || self.waiting.len() > MAX_WAITING;
        if is_due { self.pop_any() } else { None }
    }

    /// The next frame, whether it has waited or not.
    pub fn pop_any(&mut self) -> Option<Timed> {
        let (at_ms, payload) = self.waiting.pop_first()?;
        self.passed_ms = at_ms;
        Some(Timed { at_ms, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn frame(at_ms: i64) -> Timed {
        Timed { at_ms, payload: Bytes::new() }
    }

    fn passed(doubt: &mut Doubt, times: &[i64]) -> (Vec<i64>, u64) {
        let mut counts = Counts::default();
        let pass = |at_ms: &i64| doubt.pass(frame(*at_ms), &mut counts);
        let passed = times.iter().flat_map(pass).map(|frame| frame.at_ms).collect();
        (passed, counts.absurd)
    }

    #[test]
    fn one_frame_from_hours_away_is_left_out() {
        let mut doubt = Doubt::new(1000, 1000);
        let times = [1000, 1020, 1040 + 5 * HOUR_MS, 1060, i64::MAX, i64::MIN, 999, 1080];
        assert_eq!(passed(&mut doubt, &times), (vec![1000, 1020, 1060, 1080], 4));
    }

    #[test]
    fn frames_that_agree_on_a_late_beginning_are_all_written() {
        let times: Vec<i64> = (0..7).map(|n| 5 * HOUR_MS + 20 * n).collect();
        assert_eq!(passed(&mut Doubt::new(0, 0), &times), (times.clone(), 0));
    }

    #[test]
    fn a_single_frame_is_believed_when_the_stream_has_come_so_far() {
        let mut doubt = Doubt::new(0, 0);
        doubt.reach(5 * HOUR_MS);
        assert_eq!(passed(&mut doubt, &[5 * HOUR_MS + 7]), (vec![5 * HOUR_MS + 7], 0));
    }

    #[test]
    fn frames_that_do_not_agree_are_never_written() {
        let times: Vec<i64> = (1..20).map(|n| n * HOUR_MS).collect();
        let (passed, absurd) = passed(&mut Doubt::new(0, 0), &times);
        assert_eq!((passed, absurd), (vec![], 18));
    }

    #[test]
    fn a_frame_that_comes_after_its_successor_is_put_before_it_and_a_repeated_one_is_left_out() {
        let mut order = Reorder::new();
        let mut sorted = Vec::new();
        for at_ms in [0, 20, 60, 40, 60, 80, 300, 320] {
            order.push(frame(at_ms));
            while let Some(frame) = order.pop() {
                sorted.push(frame.at_ms);
            }
        }
        assert_eq!(sorted, [0, 20, 40, 60, 80]);
        assert!(matches!(order.push(frame(60)), Turn::Missed(_)));
        while let Some(frame) = order.pop_any() {
            sorted.push(frame.at_ms);
        }
        assert_eq!(sorted[5..], [300, 320]);
    }
}
