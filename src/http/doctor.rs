//! `/api/v1/doctor`: runs the checks of the daemon's surroundings, and shows their last result.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::AppState;
use super::auth::Caller;
use super::envelope::success;
use super::error::ApiError;

/// The last report, and whether the checks run now.
pub(super) async fn last(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    require_operator(&caller)?;
    let doctor = &state.doctor;
    let data = json!({ "running": doctor.is_running(), "report": doctor.last() });
    Ok(success("the last checks", data))
}

/// Runs every check; takes seconds. It changes nothing that the API shows, so the audit trail has no row of it.
pub(super) async fn run(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    require_operator(&caller)?;
    let report = state.doctor.run().await;
    let message = report.summary();
    Ok(success(&message, json!({ "running": false, "report": report })))
}

/// The checks concern every app.
fn require_operator(caller: &Caller) -> Result<(), ApiError> {
    match caller.apps.names() {
        Some(_) => Err(ApiError::OperatorOnly("the doctor")),
        None => Ok(()),
    }
}
