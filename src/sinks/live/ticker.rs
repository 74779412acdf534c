//! A periodic timer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::wake_flag::{WakeFlag, WakeFlags};

/// Becomes due once per period. It stays registered with the runtime, because creating a timer per frame would take the
/// runtime's lock twice.
pub(super) struct Ticker {
    interval: Interval,
    wake: WakeFlag,
}

impl Ticker {
    /// A ticker that wakes the task of `wakes`, first after one period.
    pub(super) fn new(period: Duration, wakes: &Arc<WakeFlags>) -> Self {
        let mut interval = interval_at(Instant::now() + period, period);
        // After a stall it is due once, not once per missed period.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, wake: WakeFlag::of(wakes) }
    }

    /// Whether a period has passed. If not, the task is woken when it has.
    pub(super) fn is_due(&mut self) -> bool {
        self.wake.poll(|cx| self.interval.poll_tick(cx)).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::time::advance;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(20);

    #[tokio::test(start_paused = true)]
    async fn a_ticker_wakes_its_task_once_in_each_period() {
        let wakes = Arc::<WakeFlags>::default();
        let mut ticker = Ticker::new(PERIOD, &wakes);
        let began = Instant::now();
        for period in 1..=3 {
            poll_fn(|cx| {
                wakes.register(cx.waker());
                if ticker.is_due() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            assert_eq!(began.elapsed(), period * PERIOD);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_of_many_periods_it_is_due_once() {
        let mut ticker = Ticker::new(PERIOD, &Arc::default());
        assert!(!ticker.is_due());
        advance(5 * PERIOD).await;
        assert!(ticker.is_due());
        assert!(!ticker.is_due());
        advance(PERIOD).await;
        assert!(ticker.is_due());
    }
}
