//! Keeps the daemon's parts running: a part that panics is counted and restarted without affecting the others.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::upkeep;
use crate::control::Control;
use crate::events::EventSockets;
use crate::http::Refusals;
use crate::metrics::Metrics;
use crate::net::retry::Doubling;
use crate::sinks::Runner;
use crate::store::Store;
use crate::telemetry::LogControl;
use crate::zoom::app::{Apps, ManagedApps};
use crate::zoom::token::Tokens;

/// Builds the parts that are restarted after a panic. The stream supervisor, the HTTP server and the store's writer are
/// not among them: the daemon exits without one of those, and its next start continues the work.
pub(super) struct Parts {
    pub metrics: Metrics,
}

type Part = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Parts {
    pub(super) fn sink(&self, sink: Box<dyn Runner>, stop: &CancellationToken) -> Part {
        let until = stop.clone();
        self.part(sink.name(), stop, sink, move |sink| sink.run(until.clone()))
    }

    pub(super) fn control(&self, control: Arc<Control>, stop: &CancellationToken) -> Part {
        let until = stop.clone();
        self.part("control", stop, control, move |control| {
            Box::pin(Arc::clone(control).run(until.clone()))
        })
    }

    pub(super) fn event_sockets(&self, sockets: EventSockets, stop: &CancellationToken) -> Part {
        let until = stop.clone();
        self.part("event_sockets", stop, sockets, move |sockets| {
            Box::pin(sockets.run(until.clone()))
        })
    }

    pub(super) fn retention(&self, store: Store, apps: Apps) -> Part {
        self.background("retention", (store, apps), |(store, apps)| {
            Box::pin(upkeep::prune_hourly(store.clone(), apps.clone()))
        })
    }

    pub(super) fn deletions(&self, store: Store) -> Part {
        self.background("deletions", store, |store| {
            Box::pin(upkeep::process_deletions(store.clone()))
        })
    }

    pub(super) fn refusals(&self, refusals: Arc<Refusals>, store: Store) -> Part {
        self.background("refusals", (refusals, store), |(refusals, store)| {
            Box::pin(upkeep::note_refusals(Arc::clone(refusals), store.clone()))
        })
    }

    pub(super) fn memory(&self) -> Part {
        self.background("memory", (), |()| Box::pin(upkeep::release_memory()))
    }

    pub(super) fn apps(&self, apps: ManagedApps) -> Part {
        self.background("apps", apps, |apps| Box::pin(apps.clone().refresh_periodically()))
    }

    pub(super) fn log_level(&self, log: LogControl) -> Part {
        self.background("log_level", log, |log| Box::pin(log.clone().end_in_time()))
    }

    pub(super) fn idle_refresh(&self, tokens: Tokens) -> Part {
        self.background("idle_refresh", tokens, |tokens| {
            Box::pin(tokens.clone().refresh_idle_periodically())
        })
    }

    /// A part that is dropped at shutdown instead of being stopped.
    fn background<S: Send + 'static>(
        &self,
        name: &'static str,
        state: S,
        start: impl for<'a> Fn(&'a mut S) -> Running<'a> + Send + 'static,
    ) -> Part {
        // A token that is never cancelled: even an orderly return counts as an early end.
        self.part(name, &CancellationToken::new(), state, start)
    }

    fn part<S: Send + 'static>(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        state: S,
        start: impl for<'a> Fn(&'a mut S) -> Running<'a> + Send + 'static,
    ) -> Part {
        Box::pin(keep_running(name, self.metrics.clone(), stop.clone(), state, start))
    }
}

/// One run of a part.
type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The waits before a part is restarted.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After a run this long, the wait starts from [`FIRST_WAIT`] again.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Runs a part until `stop`. `start` starts it, and starts it again after a panic or when it returns early, with the
/// current `state`.
async fn keep_running<S: Send>(
    name: &'static str,
    metrics: Metrics,
    stop: CancellationToken,
    mut state: S,
    start: impl for<'a> Fn(&'a mut S) -> Running<'a>,
) {
    let mut waits = Doubling::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let started = Instant::now();
        // A panic may interrupt a change of `state`, so a part keeps in it only what it needs to start.
        let ended = AssertUnwindSafe(start(&mut state)).catch_unwind().await;
        if stop.is_cancelled() {
            return;
        }
        metrics.part_restarts.inc([name]);
        if started.elapsed() >= STABLE_AFTER {
            waits.restart();
        }
        let wait = waits.next_wait();
        let (cause, wait_s) = (if ended.is_err() { "a panic" } else { "its end" }, wait.as_secs());
        tracing::error!(
            part = name,
            cause,
            wait_s,
            "a part of the daemon stopped; restarting it after a wait"
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Counts its starts and panics in the first two.
    fn fragile(starts: &mut Arc<AtomicU32>) -> Running<'_> {
        Box::pin(async {
            if starts.fetch_add(1, Ordering::Relaxed) < 2 {
                panic!("a fault");
            }
            std::future::pending().await
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_panics_is_counted_and_started_again() {
        let (starts, metrics) = (Arc::new(AtomicU32::new(0)), Metrics::default());
        let stop = CancellationToken::new();
        let part = keep_running("recorder", metrics.clone(), stop.clone(), starts.clone(), fragile);
        let part = tokio::spawn(part);
        sleep(Duration::from_secs(30)).await;
        assert_eq!(starts.load(Ordering::Relaxed), 3);
        assert_eq!(metrics.part_restarts.get(["recorder"]), 2);
        assert!(!part.is_finished());
        part.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_ends_at_the_stop_is_not_restarted() {
        let (metrics, stop) = (Metrics::default(), CancellationToken::new());
        stop.cancel();
        keep_running("relay", metrics.clone(), stop, (), |()| Box::pin(async {})).await;
        assert!(metrics.part_restarts.by_value().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_keeps_panicking_waits_longer_each_time_and_still_stops() {
        let (metrics, stop) = (Metrics::default(), CancellationToken::new());
        let part = keep_running("nats", metrics.clone(), stop.clone(), (), |()| {
            Box::pin(async { panic!("a fault") })
        });
        let part = tokio::spawn(part);
        sleep(Duration::from_secs(1 + 2 + 4 + 8 + 1)).await;
        assert_eq!(metrics.part_restarts.get(["nats"]), 5);
        stop.cancel();
        part.await.unwrap();
    }
}
