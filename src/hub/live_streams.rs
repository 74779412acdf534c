//! What the streams that run here receive, published by each about once a second: for metrics and pages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frame::StreamInfo;
use crate::model::{Medium, MediumTally, StreamStatus, Tally};

/// Figures older than this say nothing about the present: a stream without messages publishes none.
const FRESH: Duration = Duration::from_secs(5);

/// A stream that runs here, as of its last message.
#[derive(Debug, Clone)]
pub struct LiveStream {
    pub stream: Arc<StreamInfo>,
    pub status: StreamStatus,
    /// How long it has run here.
    pub age: Duration,
    /// Everything that was received since the stream began, also by earlier daemons.
    pub tally: Tally,
    /// What is received now, by the order of [`Medium::ALL`].
    pub rates: [Rate; Medium::ALL.len()],
    /// Whether anything was received here.
    pub has_media: bool,
}

impl LiveStream {
    /// What is received of a medium now.
    pub fn rate(&self, medium: Medium) -> Rate {
        self.rates[medium as usize]
    }
}

/// What is received of one medium.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    pub frames_per_s: f64,
    pub bytes_per_s: f64,
}

/// The figures of a stream since it began to run here.
#[derive(Debug)]
pub(super) struct Figures {
    begun_at: Instant,
    status: StreamStatus,
    /// As the stream was when it began to run here.
    first: Tally,
    tally: Tally,
    published_at: Instant,
    rates: [Rate; Medium::ALL.len()],
}

impl Figures {
    pub(super) fn new(now: Instant, status: StreamStatus, tally: Tally) -> Self {
        let rates = [Rate::default(); Medium::ALL.len()];
        Self { begun_at: now, status, first: tally, tally, published_at: now, rates }
    }

    pub(super) fn publish(&mut self, now: Instant, status: StreamStatus, tally: &Tally) {
        let passed_s = now.duration_since(self.published_at).as_secs_f64();
        if passed_s > 0.0 {
            let rate = |medium| rate(tally.of(medium), self.tally.of(medium), passed_s);
            self.rates = Medium::ALL.map(rate);
            (self.published_at, self.tally) = (now, *tally);
        }
        self.status = status;
    }

    pub(super) fn read(&self, now: Instant, stream: Arc<StreamInfo>) -> LiveStream {
        LiveStream {
            stream,
            status: self.status,
            age: now.duration_since(self.begun_at),
            tally: self.tally,
            rates: self.rates_at(now),
            has_media: self.has_media(),
        }
    }

    fn rates_at(&self, now: Instant) -> [Rate; Medium::ALL.len()] {
        let is_fresh = now.duration_since(self.published_at) < FRESH;
        if is_fresh { self.rates } else { Default::default() }
    }

    fn has_media(&self) -> bool {
        frames(&self.tally) > frames(&self.first)
    }
}

fn rate(now: MediumTally, before: MediumTally, passed_s: f64) -> Rate {
    let per_s = |now: u64, before: u64| now.saturating_sub(before) as f64 / passed_s;
    Rate {
        frames_per_s: per_s(now.frames, before.frames),
        bytes_per_s: per_s(now.bytes, before.bytes),
    }
}

fn frames(tally: &Tally) -> u64 {
    Medium::ALL.iter().map(|medium| tally.of(*medium).frames).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_interval_and_end_with_the_messages() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut figures = Figures::new(begun, StreamStatus::Announced, Tally::default());
        assert!(!figures.has_media());
        let mut tally = Tally::default();
        for (ms, frames, bytes) in [(1_000, 50, 32_000), (3_000, 250, 192_000)] {
            tally.audio = MediumTally { frames, bytes, ..MediumTally::default() };
            figures.publish(at(ms), StreamStatus::Live, &tally);
        }
        let rates = figures.rates_at(at(3_000));
        let expected = Rate { frames_per_s: 100.0, bytes_per_s: 80_000.0 };
        assert_eq!(rates[Medium::Audio as usize], expected);
        assert_eq!(rates[Medium::Video as usize], Rate::default());
        assert!(figures.has_media());
        assert_eq!(figures.rates_at(at(8_000)), [Rate::default(); Medium::ALL.len()]);
    }
}
