//! `GET /api/v1/health`: what is wrong with the daemon, what to do about it, and the figures behind it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::AppState;
use super::auth::Caller;
use super::envelope::success;
use super::health_report::read_health;

/// Answers 200 whatever it finds: `/health/ready` is for load balancers.
pub(super) async fn show(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Response {
    let report = read_health(&state, &caller).await;
    success(report.status, &report)
}
