//! Whether the daemon is ready: the store answers, and the daemon is not stopping.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::AppState;
use crate::store::Store;

/// How long the store may take to answer; after this the daemon is not ready.
const STORE_PING: Duration = Duration::from_secs(1);
/// How long the store's answer is cached. Probes within this time share one query.
const PING_LIFE: Duration = Duration::from_millis(500);

/// The store's last answer and its time.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    /// Queries the store once at a time; concurrent requests share the answer.
    async fn is_store_ready(&self, store: &Store) -> bool {
        // Held across the query on purpose: probes that arrive meanwhile wait for its answer instead of asking again.
        let mut last = self.0.lock().await;
        if let Some((at, answer)) = *last
            && at.elapsed() < PING_LIFE
        {
            return answer;
        }
        let answer = matches!(timeout(STORE_PING, store.ping()).await, Ok(Ok(())));
        *last = Some((Instant::now(), answer));
        answer
    }
}

/// The conditions for recording a webhook.
pub(super) struct Checks {
    pub(super) store_ok: bool,
    pub(super) draining: bool,
}

impl Checks {
    pub(super) async fn of(state: &AppState) -> Self {
        let store_ok = state.readiness.is_store_ready(&state.store).await;
        Self { store_ok, draining: state.draining.is_cancelled() }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.store_ok && !self.draining
    }

    /// The problem, as a sentence for people; `None` if the daemon is ready.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self {
            // Stopping first: during the shutdown the store may be closed already.
            Self { draining: true, .. } => Some("The daemon is stopping."),
            Self { store_ok: false, .. } => Some("The store cannot be reached."),
            _ => None,
        }
    }
}
