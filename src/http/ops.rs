//! Health, for load balancers and container runtimes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::AppState;

/// A store that takes longer is not ready.
const STORE_PING: Duration = Duration::from_secs(1);

/// 200 while the process answers at all.
pub async fn live() -> Response {
    Json(json!({ "status": true, "message": "live" })).into_response()
}

/// 200 when a webhook sent now would be recorded, else 503 with the name of the check that failed.
pub async fn ready(State(state): State<Arc<AppState>>) -> Response {
    let store_ok = matches!(tokio::time::timeout(STORE_PING, state.store.ping()).await, Ok(Ok(())));
    let draining = state.draining.is_cancelled();
    let checks = json!({
        "store": if store_ok { "ok" } else { "unavailable" },
        "draining": draining,
    });
    let ready = store_ok && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let message = if ready { "ready" } else { "not ready" };
    (status, Json(json!({ "status": ready, "message": message, "data": checks }))).into_response()
}
