//! `POST /api/v1/sdk/sessions/{id}/video/subscribe`: chooses which participant's camera is streamed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::AppState;
use super::auth::Caller;
use super::envelope::success_as;
use super::error::ApiError;
use super::extract::InPath;
use super::json::parse_fields;
use crate::model::{SessionId, UserId};

/// The choice holds for this session's streams until the next one; Zoom's answer becomes an entry of the stream.
pub(super) async fn subscribe(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let act = caller.trail.act((state.now_ms)(), "video.subscribe", &id.to_string());
    let problem = "must be a participant's number in the meeting, such as 16778240";
    let invalid = ApiError::InvalidValue { name: "user_id", problem };
    let given = parse_fields(&body, &["user_id"])?.remove("user_id").unwrap_or(Value::Null);
    let user_id: UserId = serde_json::from_value(given).map_err(|_| invalid.clone())?;
    // Section 6.19: a uint32.
    if user_id.0 == 0 || u32::try_from(user_id.0).is_err() {
        return Err(invalid);
    }
    let stream_id = state.control.pin_video(id, user_id, &act).await?;
    let data = json!({ "user_id": user_id, "stream_id": stream_id });
    if let Some(stream_id) = stream_id {
        state.receiver.changes.notify_stream(stream_id);
    }
    Ok(success_as(StatusCode::ACCEPTED, "video will be requested", data))
}
