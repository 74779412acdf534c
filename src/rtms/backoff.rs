//! Computes the wait before the next dial (pure).

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The upper bound of the second wait. It doubles with each further wait.
const BASE: Duration = Duration::from_millis(500);
/// The longest wait. Zoom's guide has 30 s, but with 8 s several tries fit into its 60 s window
/// (rtms-protocol.md section 3.6).
const CAP: Duration = Duration::from_secs(8);
/// The bound of the first wait while Zoom still holds the lost connection. Zoom's samples wait 1.5 s and double
/// (rtms-protocol.md section 3.4).
const DUPLICATE_BASE: Duration = Duration::from_millis(1500);

/// Computes the waits between dials of one link. The first wait is zero. Later ones have full jitter, so that a
/// fleet does not dial in step.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Returns the wait after a loss or a failed dial.
    pub fn after_loss(&mut self, rng: &mut SmallRng) -> Duration {
        let attempt = self.count();
        match attempt {
            0 => Duration::ZERO,
            n => jittered_delay(rng, Duration::ZERO, doubled_delay(BASE, n - 1)),
        }
    }

    /// Returns the wait after Zoom refused a handshake because it still holds the old connection.
    pub fn after_duplicate(&mut self, rng: &mut SmallRng) -> Duration {
        let longest = doubled_delay(DUPLICATE_BASE, self.count());
        // Never zero: an immediate retry would only be refused again.
        jittered_delay(rng, longest / 2, longest)
    }

    /// Whether nothing failed since the last [`Backoff::clear`].
    pub fn is_clear(&self) -> bool {
        self.attempts == 0
    }

    /// Forgets the failures of a link that has been stable: the next loss counts as a first one.
    pub fn clear(&mut self) {
        self.attempts = 0;
    }

    fn count(&mut self) -> u32 {
        let attempt = self.attempts;
        self.attempts = attempt.saturating_add(1);
        attempt
    }
}

/// Creates a stream's random generator from its seed.
pub fn stream_rng(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

fn doubled_delay(base: Duration, times: u32) -> Duration {
    // `min(10)` keeps the shift in range; the cap is reached long before.
    base.saturating_mul(1 << times.min(10)).min(CAP)
}

fn jittered_delay(rng: &mut SmallRng, from: Duration, to: Duration) -> Duration {
    rng.random_range(from..=to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_redial_is_at_once_and_later_ones_are_spread_under_a_cap() {
        for seed in 0..200 {
            let mut rng = stream_rng(seed);
            let mut backoff = Backoff::default();
            assert_eq!(backoff.after_loss(&mut rng), Duration::ZERO);
            for attempt in 1..30 {
                let wait = backoff.after_loss(&mut rng);
                assert!(wait <= doubled_delay(BASE, attempt - 1), "seed {seed}, attempt {attempt}");
                assert!(wait <= CAP);
            }
        }
    }

    #[test]
    fn two_streams_do_not_redial_in_step() {
        let waits = |seed| {
            let mut rng = stream_rng(seed);
            let mut backoff = Backoff::default();
            (0..6).map(|_| backoff.after_loss(&mut rng)).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }

    /// All streams lose their links in one moment and are refused every time: from the second redial on, the
    /// waits of the fleet are spread evenly over the tenths of the longest wait.
    #[test]
    fn a_fleet_does_not_redial_in_step() {
        const FLEET: u64 = 2_000;
        let mut fleet: Vec<_> =
            (0..FLEET).map(|seed| (stream_rng(seed), Backoff::default())).collect();
        for attempt in 0..8 {
            let wait = |(rng, backoff): &mut (SmallRng, Backoff)| backoff.after_loss(rng);
            let waits: Vec<Duration> = fleet.iter_mut().map(wait).collect();
            if attempt == 0 {
                continue;
            }
            let longest = doubled_delay(BASE, attempt - 1);
            let mut tenths = [0; 10];
            for wait in waits {
                let tenth = wait.as_micros() * 10 / (longest.as_micros() + 1);
                tenths[usize::try_from(tenth).unwrap()] += 1;
            }
            let even = FLEET / 10;
            assert!(tenths.iter().all(|count| (even / 2..even * 2).contains(count)), "{tenths:?}");
        }
    }

    #[test]
    fn a_duplicate_is_given_time_to_go() {
        let mut rng = stream_rng(7);
        let mut backoff = Backoff::default();
        let first = backoff.after_duplicate(&mut rng);
        assert!(first >= DUPLICATE_BASE / 2 && first <= DUPLICATE_BASE);
        for _ in 0..30 {
            assert!(backoff.after_duplicate(&mut rng) <= CAP);
        }
    }

    #[test]
    fn any_failure_is_remembered_until_it_is_cleared() {
        let mut rng = stream_rng(7);
        for fail in [Backoff::after_loss, Backoff::after_duplicate] {
            let mut backoff = Backoff::default();
            assert!(backoff.is_clear());
            fail(&mut backoff, &mut rng);
            assert!(!backoff.is_clear());
            backoff.clear();
            assert!(backoff.is_clear());
        }
    }

    #[test]
    fn a_stable_link_starts_over() {
        let mut rng = stream_rng(7);
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.after_loss(&mut rng);
        }
        backoff.clear();
        assert_eq!(backoff.after_loss(&mut rng), Duration::ZERO);
    }
}
