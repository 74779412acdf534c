//! The time in the file. It stands still while the client is late with a link (pure but for the waiting).

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::plan::Moment;

/// Says when something of the file is due.
#[derive(Debug)]
pub(super) struct Clock {
    /// The first moment of the file that is played in time.
    start: Moment,
    speed: f64,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// When the first handshake was answered, later by every time that the clock stood still.
    zero: Option<Instant>,
    /// What is later in the file is not due, whatever the time.
    horizon: Moment,
}

impl Clock {
    pub(super) fn new(start: Moment, speed: f64) -> Self {
        Self { start, speed, state: watch::Sender::new(State { zero: None, horizon: start }) }
    }

    /// Starts the clock, unless it runs.
    pub(super) fn start(&self) {
        self.state.send_if_modified(|state| {
            let is_first = state.zero.is_none();
            state.zero.get_or_insert_with(Instant::now);
            is_first
        });
    }

    /// Waits until the clock runs.
    pub(super) async fn started(&self) {
        // The sender is in `self`, so it is not gone.
        let _ = self.state.subscribe().wait_for(|state| state.zero.is_some()).await;
    }

    /// Lets the clock run up to a moment of the file.
    pub(super) fn run_to(&self, horizon: Moment) {
        self.state.send_modify(|state| state.horizon = horizon);
    }

    /// Counts a time in which the clock stood still at its horizon.
    pub(super) fn stood_still(&self, time: Duration) {
        self.state.send_modify(|state| state.zero = state.zero.map(|zero| zero + time));
    }

    /// Waits until something of the file is due. While the clock does not run, everything is.
    pub(super) async fn wait_until(&self, at: Moment) {
        let mut states = self.state.subscribe();
        loop {
            let state = *states.borrow_and_update();
            let Some(zero) = state.zero else { return };
            let is_due = async {
                if at > state.horizon {
                    std::future::pending::<()>().await;
                }
                sleep_until(zero + self.since_start(at)).await;
            };
            tokio::select! {
                () = is_due => return,
                _ = states.changed() => {}
            }
        }
    }

    fn since_start(&self, at: Moment) -> Duration {
        Duration::from_nanos(at.saturating_sub(self.start)).div_f64(self.speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Moment = 1_000_000_000;

    #[tokio::test(start_paused = true)]
    async fn what_is_due_later_waits_for_the_horizon_and_then_for_its_time() {
        let clock = Clock::new(10 * SECOND, 2.0);
        clock.wait_until(90 * SECOND).await;
        let began = Instant::now();
        clock.start();
        clock.run_to(14 * SECOND);
        clock.wait_until(14 * SECOND).await;
        assert_eq!(began.elapsed().as_millis(), 2000);
        let stood_still = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            clock.stood_still(Duration::from_secs(3));
            clock.run_to(Moment::MAX);
        };
        tokio::join!(clock.wait_until(16 * SECOND), stood_still);
        assert_eq!(began.elapsed().as_millis(), 6000);
    }
}
