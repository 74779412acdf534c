//! Health checks for load balancers and container runtimes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
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

/// Answers 200 while the process runs.
pub(super) async fn live() -> Response {
    Json(json!({ "status": true, "message": "live" })).into_response()
}

/// The conditions for recording a webhook.
pub(super) struct Checks {
    store_ok: bool,
    draining: bool,
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
            Self { draining: true, .. } => Some("The daemon is stopping."),
            Self { store_ok: false, .. } => Some("The store cannot be reached."),
            _ => None,
        }
    }
}

/// 200 if a webhook sent now would be recorded, otherwise 503 with the failed check. `restarts` counts parts of the
/// daemon that panicked and were restarted, `unreadable_rows` rows of the store that could not be read.
pub(super) async fn ready(State(state): State<Arc<AppState>>) -> Response {
    let checks = Checks::of(&state).await;
    let ready = checks.is_ready();
    let data = json!({
        "store": if checks.store_ok { "ok" } else { "unavailable" },
        "draining": checks.draining,
        "restarts": state.counters.restarts(),
        "unreadable_rows": state.store.passed_over(),
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let message = if ready { "ready" } else { "not ready" };
    (status, Json(json!({ "status": ready, "message": message, "data": data }))).into_response()
}
