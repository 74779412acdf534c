//! Whether streams make progress: the supervisor's loop takes steps, and every thread of streams and a thread that opens
//! connections run tasks.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::stream_threads::StreamThreads;

/// Counts the steps of the supervisor's loop.
#[derive(Default)]
pub(super) struct Steps {
    taken: watch::Sender<u64>,
    asked: Arc<Notify>,
}

impl Steps {
    pub(super) fn take(&self) {
        self.taken.send_modify(|taken| *taken = taken.wrapping_add(1));
    }

    /// Completes when a [`Pulse`] waits for a step. Cancel-safe.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    pub(super) fn pulse(&self, threads: StreamThreads) -> Pulse {
        Pulse { taken: self.taken.subscribe(), asked: Arc::clone(&self.asked), threads }
    }
}

/// Shows whether streams make progress.
pub struct Pulse {
    taken: watch::Receiver<u64>,
    asked: Arc<Notify>,
    threads: StreamThreads,
}

impl Pulse {
    /// Completes when, after this call, the supervisor has taken a step, every thread of streams has run a task, and so has
    /// a thread that opens connections. Does not complete while one of them is stuck, nor after the supervisor has ended.
    pub async fn beat(&mut self) {
        self.taken.mark_unchanged();
        self.asked.notify_one();
        if self.taken.changed().await.is_err() || !self.threads.turn().await {
            pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::sessions::Threads;

    /// Long enough for a beat of a busy machine. A beat that must not come is waited for only this long.
    const A_WHILE: Duration = Duration::from_millis(300);
    const TIMEOUT: Duration = Duration::from_secs(60);

    fn threads() -> StreamThreads {
        StreamThreads::start(Threads { count: 2, dials: 1, pause: Duration::from_millis(1) })
            .unwrap()
    }

    /// A loop like the supervisor's, which takes a step when it is asked to, and is stuck while the lock is held.
    fn start_loop(steps: Arc<Steps>, lock: Arc<tokio::sync::Mutex<()>>) {
        tokio::spawn(async move {
            loop {
                let _free = lock.lock().await;
                steps.take();
                steps.asked().await;
            }
        });
    }

    #[tokio::test]
    async fn a_pulse_beats_while_supervisor_and_threads_make_progress() {
        let (steps, threads) = (Arc::new(Steps::default()), threads());
        let mut pulse = steps.pulse(threads);
        start_loop(steps, Arc::default());
        for _ in 0..100 {
            timeout(TIMEOUT, pulse.beat()).await.expect("it beats");
        }
    }

    #[tokio::test]
    async fn a_stuck_supervisor_stops_the_pulse() {
        let (steps, lock) = (Arc::new(Steps::default()), Arc::new(tokio::sync::Mutex::new(())));
        let mut pulse = steps.pulse(threads());
        // A step from before the call does not count.
        steps.take();
        let stuck = Arc::clone(&lock).lock_owned().await;
        start_loop(Arc::clone(&steps), Arc::clone(&lock));
        assert!(timeout(A_WHILE, pulse.beat()).await.is_err());
        drop(stuck);
        timeout(TIMEOUT, pulse.beat()).await.expect("it beats again");
    }

    #[tokio::test]
    async fn a_blocked_thread_of_streams_stops_the_pulse() {
        let (steps, threads) = (Arc::new(Steps::default()), threads());
        let mut pulse = steps.pulse(threads.clone());
        start_loop(steps, Arc::default());
        let (release, blocked) = mpsc::channel::<()>();
        let work = tokio::spawn(threads.run(async move { blocked.recv().is_err() }));
        // The block begins when the thread takes the task, which the first beats may overtake.
        let mut beats = 0;
        while timeout(A_WHILE, pulse.beat()).await.is_ok() {
            beats += 1;
            assert!(beats < 1_000_000, "a thread is blocked");
        }
        drop(release);
        assert!(work.await.unwrap());
        timeout(TIMEOUT, pulse.beat()).await.expect("it beats again");
    }

    #[tokio::test]
    async fn there_is_no_pulse_after_the_supervisors_end() {
        let steps = Steps::default();
        let mut pulse = steps.pulse(threads());
        drop(steps);
        assert!(timeout(A_WHILE, pulse.beat()).await.is_err());
    }
}
