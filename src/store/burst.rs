//! Bursts of webhooks, as when many meetings begin at the full hour.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::Store;

/// A group of more deliveries than this is part of a burst. Outside bursts, most deliveries are recorded alone.
const MAX_OUTSIDE_BURST: usize = 8;
/// A burst is over when no such group has begun for this long.
const BURST_GAP: Duration = Duration::from_millis(100);
/// How long anything waits for the end of a burst.
const BURST_TIMEOUT: Duration = Duration::from_secs(2);

/// Tracks whether webhooks are arriving in a burst.
#[derive(Debug, Default)]
pub(super) struct Burst {
    until: Option<Instant>,
}

impl Burst {
    /// Notes the size of a group that is about to be recorded.
    pub(super) fn note(&mut self, deliveries: usize, now: Instant) {
        if deliveries > MAX_OUTSIDE_BURST {
            self.until = Some(now + BURST_GAP);
        }
    }

    /// When the burst ends if no further large group comes; `None` outside a burst.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

impl Store {
    /// Waits until the current burst of webhooks is over, for two seconds at most. Zoom waits only 3 s for an answer
    /// (rtms-protocol.md section 13.4), so answering webhooks comes before starting streams and reviewing
    /// sessions.
    pub async fn wait_for_burst_end(&self) {
        let over = async {
            while let Some(until) = self.group.burst_until(Instant::now()) {
                sleep_until(until).await;
            }
        };
        let _ = timeout(BURST_TIMEOUT, over).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_lasts_until_a_while_after_its_last_large_transaction() {
        let (mut burst, start) = (Burst::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        burst.note(MAX_OUTSIDE_BURST, at(0));
        assert_eq!(burst.until(at(0)), None, "webhooks that come one by one are no burst");
        burst.note(MAX_OUTSIDE_BURST + 1, at(10));
        burst.note(64, at(50));
        burst.note(1, at(140));
        assert_eq!(burst.until(at(149)), Some(at(150)));
        assert_eq!(burst.until(at(150)), None);
    }
}
