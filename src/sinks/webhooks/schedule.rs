//! When a delivery is retried, and when an endpoint is disabled (pure).

use sha2::{Digest, Sha256};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The waits after each failed attempt, about 28 hours in total.
const WAITS_MS: [i64; 7] = [
    5 * SECOND_MS,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    10 * HOUR_MS,
];
/// A wait is extended by up to this share of it, so that deliveries that failed together are not retried together.
const JITTER: f64 = 0.2;
/// The longest pause that an endpoint can ask for.
const LONGEST_PAUSE_MS: i64 = 24 * HOUR_MS;
/// An endpoint without any success for this long is disabled.
const GIVE_UP_AFTER_MS: i64 = 3 * 24 * HOUR_MS;
/// The receiver wants no further deliveries.
const GONE: u16 = 410;

/// What to do after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// Retry after this many milliseconds.
    RetryAfter(i64),
    /// Give up: that was the last attempt.
    GiveUp,
    /// Give up and disable the endpoint.
    Gone,
}

/// What to do after attempt number `attempts` (from 1) that ended with this status, or without an answer. `pause_ms` is
/// the answer's `Retry-After`, `jitter` a number from 0 to 1.
pub fn verdict(status: Option<u16>, attempts: u32, pause_ms: Option<u64>, jitter: f64) -> Verdict {
    match status {
        Some(200..=299) => return Verdict::Delivered,
        Some(GONE) => return Verdict::Gone,
        _ => {}
    }
    let Some(wait_ms) = wait_ms(attempts, jitter) else { return Verdict::GiveUp };
    let pause_ms = pause_ms.map_or(0, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
    // Never sooner than planned: the receiver cannot make the daemon hurry.
    Verdict::RetryAfter(wait_ms.max(pause_ms.min(LONGEST_PAUSE_MS)))
}

/// Whether an endpoint that has been failing for this long is to be disabled.
pub fn is_hopeless(failing_for_ms: i64) -> bool {
    failing_for_ms >= GIVE_UP_AFTER_MS
}

/// A number from 0 to 1 that differs for every delivery and attempt.
pub fn delivery_jitter(endpoint: &str, event: &str, attempts: u32) -> f64 {
    let parts = [endpoint.as_bytes(), event.as_bytes(), &attempts.to_be_bytes()];
    // A hash and no random number, so that a test can predict it.
    let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize();
    f64::from(u16::from_be_bytes([hash[0], hash[1]])) / f64::from(u16::MAX)
}

/// `None` after the last attempt.
fn wait_ms(attempts: u32, jitter: f64) -> Option<i64> {
    let index = usize::try_from(attempts.saturating_sub(1)).ok()?;
    let wait_ms = *WAITS_MS.get(index)?;
    Some(wait_ms + (wait_ms as f64 * JITTER * jitter.clamp(0.0, 1.0)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_endpoint_is_tried_eight_times_over_about_a_day() {
        for jitter in [0.0, 1.0] {
            let (mut now_ms, mut attempts) = (0, 1);
            while let Verdict::RetryAfter(ms) = verdict(None, attempts, None, jitter) {
                assert!(ms > 0);
                (now_ms, attempts) = (now_ms + ms, attempts + 1);
            }
            assert_eq!(attempts, 8);
            assert!((27 * HOUR_MS..34 * HOUR_MS).contains(&now_ms), "{now_ms}");
        }
        assert_eq!(verdict(Some(500), 1, None, 0.0), Verdict::RetryAfter(5000));
    }

    #[test]
    fn a_success_ends_the_delivery_and_gone_disables_the_endpoint() {
        for status in [200, 202, 204, 299] {
            assert_eq!(verdict(Some(status), 8, None, 0.0), Verdict::Delivered);
        }
        assert_eq!(verdict(Some(410), 1, None, 0.0), Verdict::Gone);
        for status in [100, 199, 301, 302, 307, 400, 404, 429, 500, 503] {
            assert!(matches!(verdict(Some(status), 1, None, 0.0), Verdict::RetryAfter(_)));
            assert_eq!(verdict(Some(status), 8, None, 0.0), Verdict::GiveUp);
        }
    }

    #[test]
    fn a_requested_pause_is_respected_up_to_a_day() {
        let after = |pause_ms| verdict(Some(503), 1, Some(pause_ms), 0.0);
        assert_eq!(after(60_000), Verdict::RetryAfter(60_000));
        assert_eq!(after(10), Verdict::RetryAfter(5000), "never sooner than planned");
        assert_eq!(after(u64::MAX), Verdict::RetryAfter(24 * HOUR_MS));
    }

    #[test]
    fn an_endpoint_is_disabled_after_three_days_of_failures() {
        let days = |days: i64| days * 24 * HOUR_MS;
        assert!(!is_hopeless(days(3) - 1));
        assert!(is_hopeless(days(3)));
        assert!(!is_hopeless(0));
    }

    #[test]
    fn the_jitter_is_spread_and_deterministic() {
        let all: Vec<f64> =
            (0..1000).map(|n| delivery_jitter("e", &format!("evt_{n}"), 1)).collect();
        assert!(all.iter().all(|jitter| (0.0..=1.0).contains(jitter)));
        let mean = all.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
        assert_eq!(all[7], delivery_jitter("e", "evt_7", 1));
    }
}
