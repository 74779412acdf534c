//! Health, for load balancers and container runtimes.

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

/// A store that takes longer is not ready.
const STORE_PING: Duration = Duration::from_secs(1);
/// How long an answer of the store counts: more probes than one in this time cost one question.
const PING_LIFE: Duration = Duration::from_millis(500);

/// Whether the store answered when it was last asked, and when that was.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    /// One question at a time; requests that come meanwhile share its answer.
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

/// 200 while the process answers at all.
pub async fn live() -> Response {
    Json(json!({ "status": true, "message": "live" })).into_response()
}

/// What must hold for a webhook sent now to be recorded.
pub struct Checks {
    store_ok: bool,
    draining: bool,
}

impl Checks {
    pub async fn of(state: &AppState) -> Self {
        let store_ok = state.readiness.is_store_ready(&state.store).await;
        Self { store_ok, draining: state.draining.is_cancelled() }
    }

    pub fn is_ready(&self) -> bool {
        self.store_ok && !self.draining
    }

    /// What is wrong, for people; none if the daemon is ready.
    pub fn problem(&self) -> Option<&'static str> {
        match self {
            Self { draining: true, .. } => Some("The daemon is stopping."),
            Self { store_ok: false, .. } => Some("The store cannot be reached."),
            _ => None,
        }
    }
}

/// 200 when a webhook sent now would be recorded, else 503 with the name of the check that failed. `restarts` counts
/// the parts of the daemon that panicked and were started again, `unreadable_rows` what of the store it could not read.
pub async fn ready(State(state): State<Arc<AppState>>) -> Response {
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
