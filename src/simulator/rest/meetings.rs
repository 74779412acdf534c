//! Which meetings run: `GET /v2/meetings/{meetingId}` and `GET /v2/users/{userId}/meetings?type=live`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::error::ApiError;
use crate::model::Product;
use crate::simulator::state::SimulatorState;

/// A live meeting by its number. One that is over does not exist.
pub(super) async fn show_meeting(
    State(state): State<Arc<SimulatorState>>,
    Path(meeting_id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    Caller::check(&state, &headers, &["meeting:read:meeting", "meeting:read"])?;
    let mut meeting =
        meeting(&state, &meeting_id).ok_or_else(|| ApiError::no_meeting(&meeting_id))?;
    meeting["status"] = "started".into();
    Ok(Json(meeting))
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    r#type: Option<String>,
}

/// The meetings that a user hosts. The simulator knows only live ones.
pub(super) async fn list_meetings(
    State(state): State<Arc<SimulatorState>>,
    Path(user_id): Path<String>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let caller = Caller::check(&state, &headers, &["meeting:read:list_meetings", "meeting:read"])?;
    let user_id = match caller {
        Caller::User(_, me) if user_id == "me" || user_id == me => me,
        Caller::User(..) => return Err(ApiError::no_user(&user_id)),
        Caller::Machine(_) | Caller::Trusted => user_id,
    };
    let is_host = user_id == state.settings.script.host;
    let is_live = query.r#type.as_deref() == Some("live");
    let numbers = if is_host && is_live { state.directory.live_meetings() } else { Vec::new() };
    let meetings: Vec<Value> =
        numbers.iter().filter_map(|number| meeting(&state, number)).collect();
    Ok(Json(json!({ "page_size": 30, "next_page_token": "", "meetings": meetings })))
}

fn meeting(state: &SimulatorState, meeting_id: &str) -> Option<Value> {
    let script = &state.settings.script;
    if script.product != Product::Meeting {
        return None;
    }
    let uuid = state.directory.instance_of_meeting(meeting_id)?;
    let id: u64 = meeting_id.parse().ok()?;
    Some(json!({
        "uuid": uuid, "id": id, "host_id": script.host, "topic": script.title, "type": 2,
        "timezone": "UTC",
    }))
}
