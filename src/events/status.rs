//! Keeps the claim of an event socket, and writes the state of its connection to the store. While the store is
//! unavailable, the connection stays as it is.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::questions;
use super::sockets::Settings;
use crate::model::ms;
use crate::store::{EventSocketClaim, EventSocketUp, StoreError};
use crate::zoom::app::App;
use crate::zoom::event_socket::{LastSeen, Problem};

/// The state of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// No connection was up since the claim.
    New,
    Up {
        since: Instant,
    },
    Down {
        problem: Problem,
        /// When the last connection was last known to be up.
        seen: Instant,
    },
}

/// Keeps one claim.
pub(super) struct Keeper<'a> {
    pub settings: &'a Settings,
    pub app: &'a std::sync::Arc<App>,
    pub claim: &'a EventSocketClaim,
    pub seen: &'a LastSeen,
}

impl Keeper<'_> {
    /// Renews the claim until another daemon has it. Notes every change of the status, and asks Zoom after a gap.
    pub(super) async fn run(&self, mut status: watch::Receiver<Status>) {
        let mut due = interval(self.settings.timings.poll_interval);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut noted, mut is_away) = (Status::New, false);
        let mut asking: Option<BoxFuture<'_, ()>> = None;
        loop {
            tokio::select! {
                _ = due.tick() => {}
                // The sender outlives this future.
                Ok(()) = status.changed() => {}
                () = poll_asking(&mut asking), if asking.is_some() => {
                    asking = None;
                    continue;
                }
            }
            let now = *status.borrow_and_update();
            match self.write(noted, now).await {
                Ok(None) => return,
                Ok(Some(up)) => {
                    (noted, is_away) = (now, false);
                    if let Some(gap) = up.and_then(|up| self.note_gap(up)) {
                        let (settings, app) = (self.settings, self.app);
                        let claim = self.claim;
                        asking = Some(questions::ask(settings, app, claim, gap).boxed());
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(app = %self.app.name, %error,
                            "the store is unavailable; the event socket stays as it is");
                    }
                }
            }
        }
    }

    /// Writes the status, if it has changed, and renews the claim. `None` if another daemon has the claim.
    async fn write(
        &self,
        noted: Status,
        now: Status,
    ) -> Result<Option<Option<EventSocketUp>>, StoreError> {
        let (store, claim) = (&self.settings.store, self.claim);
        let mut up = None;
        match now {
            _ if now == noted => {}
            Status::New => {}
            Status::Up { .. } => match store.event_socket_up(claim).await? {
                None => return Ok(None),
                is_up => up = is_up,
            },
            Status::Down { problem, seen } => {
                let ago_ms = ms(seen.elapsed());
                store.event_socket_down(claim, problem.as_str(), ago_ms).await?;
            }
        }
        let seen_ago_ms = match now {
            Status::Up { .. } => Some(ms(self.seen.get().elapsed())),
            Status::New | Status::Down { .. } => None,
        };
        let lease_ms = ms(self.settings.timings.lease);
        let is_kept = store.renew_event_socket(claim, lease_ms, seen_ago_ms).await?;
        Ok(is_kept.then_some(up))
    }

    /// Counts and logs the gap before a connection. Returns the gap that Zoom must be asked about.
    fn note_gap(&self, up: EventSocketUp) -> Option<crate::store::EventSocketGap> {
        let app = self.app.name.as_str();
        if let Some(gap) = up.gap {
            let length = Duration::from_millis(u64::try_from(gap.length_ms()).unwrap_or(0));
            let metrics = &self.settings.metrics;
            metrics.socket_gaps.inc([app]);
            metrics.socket_gap_seconds.add_time([app], length);
            tracing::warn!(
                app,
                gap_ms = gap.length_ms(),
                "no daemon was connected to the event socket for a while, and Zoom does not repeat the events; \
                Zoom is asked about the app's meetings"
            );
        }
        up.unasked
    }
}

/// Waits for a running question.
async fn poll_asking(asking: &mut Option<BoxFuture<'_, ()>>) {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}
