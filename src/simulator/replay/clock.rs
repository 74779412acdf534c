//! The clock of a replay: maps moments of the file to real time, and pauses while the client is late to open a link.
//! Pure except for the waiting.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::plan::Moment;

/// Says when something of the file is due.
#[derive(Debug)]
pub(super) struct Clock {
    /// The moment of the file at which the clock starts: the first answered handshake.
    start: Moment,
    speed: f64,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// The real time of `start`, moved later by every pause. `None` until the first handshake is answered.
    zero: Option<Instant>,
    /// Nothing later in the file is due until the horizon moves.
    horizon: Moment,
}

impl Clock {
    pub(super) fn new(start: Moment, speed: f64) -> Self {
        Self { start, speed, state: watch::Sender::new(State { zero: None, horizon: start }) }
    }

    /// Starts the clock. Only the first call has an effect.
    pub(super) fn start(&self) {
        self.state.send_if_modified(|state| {
            let is_first = state.zero.is_none();
            state.zero.get_or_insert_with(Instant::now);
            is_first
        });
    }

    /// Waits until the clock has started.
    pub(super) async fn wait_until_started(&self) {
        // The sender is in `self`, so it is not gone.
        let _ = self.state.subscribe().wait_for(|state| state.zero.is_some()).await;
    }

    /// Lets the clock run up to this moment of the file.
    pub(super) fn set_horizon(&self, horizon: Moment) {
        self.state.send_modify(|state| state.horizon = horizon);
    }

    /// Delays everything that is still to come by a pause that has just ended.
    pub(super) fn add_pause(&self, pause: Duration) {
        self.state.send_modify(|state| state.zero = state.zero.map(|zero| zero + pause));
    }

    /// Waits until a moment of the file is due. Before the clock has started, everything is due.
    pub(super) async fn wait_until(&self, at: Moment) {
        self.wait(at, |state| at <= state.horizon).await;
    }

    /// Like [`Self::wait_until`], without the horizon: for what comes in spite of a pause.
    pub(super) async fn wait_through_pause(&self, at: Moment) {
        self.wait(at, |_| true).await;
    }

    async fn wait(&self, at: Moment, may_come: impl Fn(&State) -> bool) {
        let mut states = self.state.subscribe();
        loop {
            let state = *states.borrow_and_update();
            let Some(zero) = state.zero else { return };
            let is_due = async {
                if !may_come(&state) {
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
    async fn nothing_after_the_horizon_is_due_and_a_pause_delays_what_follows() {
        let clock = Clock::new(10 * SECOND, 2.0);
        clock.wait_until(90 * SECOND).await;
        let began = Instant::now();
        clock.start();
        clock.set_horizon(14 * SECOND);
        clock.wait_until(14 * SECOND).await;
        assert_eq!(began.elapsed().as_millis(), 2000);
        let pause = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            clock.add_pause(Duration::from_secs(3));
            clock.set_horizon(Moment::MAX);
        };
        tokio::join!(clock.wait_until(16 * SECOND), pause);
        assert_eq!(began.elapsed().as_millis(), 6000);
    }
}
