//! Frames that sinks took and dropped, collected for the stream's ledger (pure).

use super::frame::Frame;
use crate::model::{FrameCount, Medium};

/// Frames at most this far apart share a span.
const NEAR_MS: i64 = 1_000;
/// The most spans that are kept; further ones are merged into spans of the same medium.
const MAX_SPANS: usize = 64;

/// A span of frames of one medium that were received and that a sink dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    pub medium: Medium,
    /// The times of the first and the last frame, Unix milliseconds.
    pub first_ms: i64,
    pub last_ms: i64,
    pub count: FrameCount,
}

/// Spans of dropped frames; nearby spans are merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOuts(Vec<LeftOut>);

impl LeftOut {
    /// The span of one frame.
    pub fn of(frame: &Frame) -> Self {
        Self::frames(frame.medium, frame.at_ms, 1, frame.payload.len())
    }

    /// The span of several frames of the same size and time.
    pub fn frames(medium: Medium, at_ms: i64, frames: u64, bytes_each: usize) -> Self {
        let count = FrameCount { frames, bytes: frames * bytes_each as u64 };
        Self { medium, first_ms: at_ms, last_ms: at_ms, count }
    }

    fn is_near(&self, other: &Self) -> bool {
        self.medium == other.medium
            && other.first_ms <= self.last_ms.saturating_add(NEAR_MS)
            && other.last_ms >= self.first_ms.saturating_sub(NEAR_MS)
    }

    fn take_in(&mut self, other: &Self) {
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.count.add(other.count);
    }
}

impl LeftOuts {
    pub fn add(&mut self, span: LeftOut) {
        let is_full = self.0.len() >= MAX_SPANS;
        let joins =
            |there: &&mut LeftOut| there.is_near(&span) || is_full && there.medium == span.medium;
        // Newest first: a dropped frame nearly always extends the last span.
        match self.0.iter_mut().rev().find(joins) {
            Some(there) => there.take_in(&span),
            None => self.0.push(span),
        }
    }

    /// The number of frames in all spans.
    pub fn frames(&self) -> u64 {
        self.0.iter().map(|span| span.count.frames).sum()
    }
}

impl FromIterator<LeftOut> for LeftOuts {
    fn from_iter<I: IntoIterator<Item = LeftOut>>(spans: I) -> Self {
        let mut left_outs = Self::default();
        spans.into_iter().for_each(|span| left_outs.add(span));
        left_outs
    }
}

impl IntoIterator for LeftOuts {
    type Item = LeftOut;
    type IntoIter = std::vec::IntoIter<LeftOut>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(times_ms: impl IntoIterator<Item = (Medium, i64)>) -> Vec<(i64, i64, u64)> {
        let frame = |(medium, at_ms)| LeftOut::frames(medium, at_ms, 1, 10);
        let spans: LeftOuts = times_ms.into_iter().map(frame).collect();
        spans.into_iter().map(|span| (span.first_ms, span.last_ms, span.count.frames)).collect()
    }

    #[test]
    fn nearby_frames_share_a_span_and_media_are_separate() {
        let times = [(Medium::Audio, 20), (Medium::Video, 20), (Medium::Audio, 0)];
        assert_eq!(spans(times), [(0, 20, 2), (20, 20, 1)]);
        assert_eq!(spans([(Medium::Audio, 0), (Medium::Audio, 1_001)]).len(), 2);
    }

    #[test]
    fn spans_are_bounded_and_every_frame_is_counted() {
        let many = spans((0..1_000).map(|n| (Medium::Audio, 5_000 * n)));
        assert_eq!(many.len(), MAX_SPANS);
        assert_eq!(many.iter().map(|span| span.2).sum::<u64>(), 1_000);
    }
}
