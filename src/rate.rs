//! Token buckets (pure): how often something may happen, evenly and in bursts.

use std::time::{Duration, Instant};

/// Tokens come in evenly, up to a full bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub per_second: f64,
    /// What a full bucket holds: at least one.
    pub burst: f64,
}

/// One bucket; full when it is made.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Negative while tokens that are still to come are reserved.
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst, at: now }
    }

    /// Takes a token that is there now.
    pub fn take(&mut self, rate: Rate, now: Instant) -> bool {
        self.reserve(rate, now, Duration::ZERO).is_some()
    }

    /// Takes a token, also one that is still to come: returns how long that takes, or takes nothing when it is longer
    /// than `max_wait`.
    pub fn reserve(&mut self, rate: Rate, now: Instant, max_wait: Duration) -> Option<Duration> {
        self.fill(rate, now);
        let missing = (1.0 - self.tokens).max(0.0);
        let wait = Duration::try_from_secs_f64(missing / rate.per_second).unwrap_or(Duration::MAX);
        (wait <= max_wait).then(|| {
            self.tokens -= 1.0;
            wait
        })
    }

    /// Whether forgetting it changes nothing.
    pub fn is_full(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.tokens >= rate.burst
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let since_s = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + since_s * rate.per_second).min(rate.burst);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2.0, burst: 3.0 };

    #[test]
    fn a_full_bucket_gives_a_burst_and_then_one_token_at_a_time() {
        let now = Instant::now();
        let mut bucket = Bucket::full(RATE, now);
        assert!((0..3).all(|_| bucket.take(RATE, now)));
        assert!(!bucket.take(RATE, now));
        let later = now + Duration::from_millis(500);
        assert!(bucket.take(RATE, later) && !bucket.take(RATE, later));
        assert!(!bucket.is_full(RATE, later));
        assert!(bucket.is_full(RATE, later + Duration::from_secs(60)));
    }

    #[test]
    fn a_reserved_token_is_waited_for_and_not_longer_than_allowed() {
        let now = Instant::now();
        let mut bucket = Bucket::full(RATE, now);
        let limit = Duration::from_secs(1);
        let waits: Vec<_> = (0..6).map(|_| bucket.reserve(RATE, now, limit)).collect();
        let half = Duration::from_millis(500);
        let none = Some(Duration::ZERO);
        assert_eq!(waits, [none, none, none, Some(half), Some(2 * half), None]);
    }
}
