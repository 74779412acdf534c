//! Zoom's REST API, as far as an RTMS app needs it (section 14).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::control::{ControlError, Verb};
use super::meeting::Input;
use super::world::World;

pub fn router() -> Router<Arc<World>> {
    Router::new().route(
        "/v2/live_meetings/{meeting_id}/rtms_app/status",
        routing::patch(update_meeting_status),
    )
}

/// An error as Zoom words it.
struct ApiError {
    status: StatusCode,
    body: Value,
}

impl ApiError {
    fn new(status: StatusCode, code: u32, message: &str) -> Self {
        Self { status, body: json!({"code": code, "message": message}) }
    }

    fn invalid_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 124, "Invalid access token.")
    }

    fn invalid_field(field: &str, message: &str) -> Self {
        let errors = json!([{"field": field, "message": message}]);
        let body = json!({"code": 300, "message": "Validation Failed.", "errors": errors});
        Self { status: StatusCode::BAD_REQUEST, body }
    }

    fn app_not_authorized() -> Self {
        let message = "The app is not authorized to access the meeting content.";
        Self::new(StatusCode::FORBIDDEN, 13262, message)
    }

    fn no_meeting(meeting_id: &str) -> Self {
        let message = format!("Meeting does not exist: {meeting_id}.");
        Self::new(StatusCode::NOT_FOUND, 3001, &message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

#[derive(Deserialize)]
struct StatusUpdate {
    action: String,
    settings: Option<UpdateSettings>,
}

#[derive(Deserialize)]
struct UpdateSettings {
    client_id: Option<String>,
}

/// `PATCH /v2/live_meetings/{meetingId}/rtms_app/status`: 204, and the webhook says what came of it.
async fn update_meeting_status(
    State(world): State<Arc<World>>,
    Path(meeting_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    check_token(&world, &headers)?;
    let update: StatusUpdate = serde_json::from_slice(&body)
        .map_err(|_| ApiError::invalid_field("action", "The body is not what it must be."))?;
    let verb = verb_of(&update.action, &world)?;
    let client_id = update.settings.and_then(|settings| settings.client_id);
    if client_id.is_some_and(|client_id| client_id != world.settings.client_id) {
        return Err(ApiError::app_not_authorized());
    }
    match perform(&world, &meeting_id, verb).await {
        // What Zoom answers to a stop without a stream is not published; the state is the one asked for.
        Ok(()) | Err(ControlError::NoStream | ControlError::NoLink) => Ok(StatusCode::NO_CONTENT),
        Err(ControlError::NoMeeting) => Err(ApiError::no_meeting(&meeting_id)),
        Err(ControlError::Full) => {
            Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, 429, "Too many streams."))
        }
    }
}

fn check_token(world: &World, headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    let expected = world.settings.access_token.as_ref().map(|token| token.expose().as_str());
    if given.is_some() && given == expected { Ok(()) } else { Err(ApiError::invalid_token()) }
}

fn verb_of(action: &str, world: &World) -> Result<Verb, ApiError> {
    match action {
        "start" => Ok(Verb::Start),
        "stop" => Ok(Verb::Stop { reason: world.settings.rest_stop_reason }),
        "pause" => Ok(Verb::Pause),
        "resume" => Ok(Verb::Resume),
        _ => Err(ApiError::invalid_field("action", "must be start, stop, pause or resume")),
    }
}

/// Has a live meeting do something, and waits for its word.
pub async fn perform(world: &World, meeting_id: &str, verb: Verb) -> Result<(), ControlError> {
    let inbox = world.inbox_of_meeting(meeting_id).ok_or(ControlError::NoMeeting)?;
    let (answer, answered) = oneshot::channel();
    let input = Input::Do { verb, answer };
    inbox.send(input).await.map_err(|_| ControlError::NoMeeting)?;
    answered.await.unwrap_or(Err(ControlError::NoMeeting))
}
