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

/// 200 when a webhook sent now would be recorded, else 503 with the name of the check that failed. `restarts` counts
/// the parts of the daemon that panicked and were started again.
pub async fn ready(State(state): State<Arc<AppState>>) -> Response {
    let store_ok = state.readiness.is_store_ready(&state.store).await;
    let draining = state.draining.is_cancelled();
    let checks = json!({
        "store": if store_ok { "ok" } else { "unavailable" },
        "draining": draining,
        "restarts": state.counters.restarts(),
    });
    let ready = store_ok && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let message = if ready { "ready" } else { "not ready" };
    (status, Json(json!({ "status": ready, "message": message, "data": checks }))).into_response()
}
