//! Health checks for load balancers and container runtimes.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::AppState;
use super::readiness::Checks;

/// Answers 200 while the process runs.
pub(super) async fn live() -> Response {
    // Without any check: a daemon that waits for its store must not be restarted.
    Json(json!({ "status": true, "message": "live" })).into_response()
}

/// 200 if a webhook sent now would be recorded, otherwise 503 with the failed check. `restarts` counts parts of the
/// daemon that panicked and were restarted, `streams` says whether streams wait for room, `unreadable_rows` rows of the store that could not be read.
pub(super) async fn ready(State(state): State<Arc<AppState>>) -> Response {
    let checks = Checks::of(&state).await;
    let ready = checks.is_ready();
    let data = json!({
        "store": if checks.store_ok { "ok" } else { "unavailable" },
        "draining": checks.draining,
        "streams": state.occupancy.shortage(&state.apps).map_or(Cow::Borrowed("ok"), Cow::Owned),
        "restarts": state.metrics.part_restarts.by_value(),
        "unreadable_rows": state.store.passed_over(),
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let message = if ready { "ready" } else { "not ready" };
    (status, Json(json!({ "status": ready, "message": message, "data": data }))).into_response()
}
