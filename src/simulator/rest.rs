//! The part of Zoom's REST API that an RTMS app needs (section 14).

mod caller;
mod error;
mod jwt;
mod meetings;
mod status;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::{Json, Router, middleware, routing};
use serde_json::{Value, json};

use super::control::Call;
use super::fault_plan;
use super::state::SimulatorState;
use caller::Caller;
pub(super) use error::ApiError;

pub(super) fn router(state: &Arc<SimulatorState>) -> Router<Arc<SimulatorState>> {
    let with_faults = |call| {
        middleware::from_fn_with_state((state.fault_plan.clone(), call), fault_plan::apply_faults)
    };
    // `route_layer`, not `layer`: an unknown path stays a plain 404 and uses up no planned failure.
    let status = Router::new()
        .route("/v2/live_meetings/{id}/rtms_app/status", routing::patch(status::update_meeting))
        .route("/v2/videosdk/sessions/{id}/rtms_app/status", routing::patch(status::update_session))
        .route("/v2/contact_center/{id}/rtms_app/status", routing::put(status::update_engagement))
        .route("/v2/phone/calls/{id}/rtms_app/status", routing::patch(status::update_call))
        .route_layer(with_faults(Call::Status));
    let users = Router::new()
        .route("/v2/users/{user_id}", routing::get(show_user))
        .route_layer(with_faults(Call::User));
    let meetings = Router::new()
        .route("/v2/meetings/{id}", routing::get(meetings::show_meeting))
        .route("/v2/users/{user_id}/meetings", routing::get(meetings::list_meetings))
        .route_layer(with_faults(Call::Meeting));
    status.merge(users).merge(meetings)
}

/// `GET /v2/users/me`, or a user by id (section 15.2).
async fn show_user(
    State(state): State<Arc<SimulatorState>>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let caller = Caller::check(&state, &headers, &["user:read:user"])?;
    let host = &state.settings.script.host;
    let user_id = match caller {
        Caller::User(_, me) if user_id == "me" || user_id == me => me,
        // A user-managed app can read only the user who installed it.
        Caller::User(..) => return Err(ApiError::no_user(&user_id)),
        Caller::Machine(_) | Caller::Trusted if user_id == "me" => host.clone(),
        Caller::Machine(_) | Caller::Trusted => user_id,
    };
    let user = state.user(&user_id).ok_or_else(|| ApiError::no_user(&user_id))?;
    let (first_name, last_name) = user.name.split_once(' ').unwrap_or((&user.name, ""));
    Ok(Json(json!({
        "id": user.id, "account_id": state.settings.script.account_id, "email": user.email,
        "display_name": user.name, "first_name": first_name, "last_name": last_name, "type": 2,
        "status": "active", "timezone": "UTC",
    })))
}
