//! Zoom's REST API, as far as an RTMS app needs it (section 14).

mod caller;
mod error;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Json, Router, routing};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::body::Body;
use super::control::{ControlError, Verb};
use super::lock;
use super::meeting::Input;
use super::world::World;
use crate::clock;
use caller::Caller;
use error::ApiError;

pub fn router() -> Router<Arc<World>> {
    Router::new()
        .route(
            "/v2/live_meetings/{meeting_id}/rtms_app/status",
            routing::patch(update_meeting_status),
        )
        .route("/v2/users/{user_id}", routing::get(user))
}

/// What a token must hold for the call: granular or classic (section 14.1).
const STATUS_SCOPES: [&str; 2] = ["meeting:update:participant_rtms_app_status", "meeting:write"];

#[derive(Deserialize)]
struct StatusUpdate {
    action: String,
    settings: Option<UpdateSettings>,
}

#[derive(Default, Deserialize)]
struct UpdateSettings {
    client_id: Option<String>,
    participant_user_id: Option<String>,
}

/// `PATCH /v2/live_meetings/{meetingId}/rtms_app/status`: 204, and the webhook says what came of it.
async fn update_meeting_status(
    State(world): State<Arc<World>>,
    Path(meeting_id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<StatusCode, ApiError> {
    let caller = Caller::check(&world, &headers, &STATUS_SCOPES)?;
    let update: StatusUpdate = serde_json::from_slice(&body)
        .map_err(|_| ApiError::invalid_field("action", "The body is not what it must be."))?;
    let settings = update.settings.unwrap_or_default();
    if settings.client_id.is_some_and(|client_id| client_id != world.settings.client_id) {
        return Err(ApiError::app_not_authorized());
    }
    let operator = operator(&world, caller, settings.participant_user_id)?;
    let verb = verb_of(&update.action, &world, operator)?;
    match perform(&world, &meeting_id, verb).await {
        // What Zoom answers to a stop without a stream is not published; the state is the one asked for.
        Ok(()) | Err(ControlError::NoStream | ControlError::NoLink) => Ok(StatusCode::NO_CONTENT),
        Err(ControlError::NoMeeting) => Err(ApiError::no_meeting(&meeting_id)),
        Err(ControlError::Full) => {
            Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, 429, "Too many streams."))
        }
    }
}

/// The Zoom user on whose behalf the app runs: the participant, or else the owner of the token, who must have
/// installed the app. Tokens without a person act for the host.
fn operator(
    world: &World,
    caller: Caller,
    participant: Option<String>,
) -> Result<String, ApiError> {
    let host = &world.settings.script.host;
    let user_id = match caller {
        Caller::User(owner) => participant.unwrap_or(owner),
        Caller::Machine => participant.unwrap_or_else(|| host.clone()),
        Caller::Anybody => return Ok(participant.unwrap_or_else(|| host.clone())),
    };
    if world.user(&user_id).is_none() || (world.settings.hosts_only && user_id != *host) {
        return Err(ApiError::not_a_host());
    }
    if !lock(&world.book).has_installed(&user_id, clock::now_ms()) {
        return Err(ApiError::app_not_authorized());
    }
    Ok(user_id)
}

fn verb_of(action: &str, world: &World, operator: String) -> Result<Verb, ApiError> {
    match action {
        "start" => Ok(Verb::StartAs { user_id: operator }),
        "stop" => Ok(Verb::Stop { reason: world.settings.rest_stop_reason }),
        "pause" => Ok(Verb::Pause),
        "resume" => Ok(Verb::Resume),
        _ => Err(ApiError::invalid_field("action", "must be start, stop, pause or resume")),
    }
}

/// `GET /v2/users/me`, or a user by id (section 15.2).
async fn user(
    State(world): State<Arc<World>>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let caller = Caller::check(&world, &headers, &["user:read:user"])?;
    let host = &world.settings.script.host;
    let user_id = match caller {
        Caller::User(me) if user_id == "me" || user_id == me => me,
        // An app managed by users sees nobody but them.
        Caller::User(_) => return Err(ApiError::no_user(&user_id)),
        Caller::Machine | Caller::Anybody if user_id == "me" => host.clone(),
        Caller::Machine | Caller::Anybody => user_id,
    };
    let user = world.user(&user_id).ok_or_else(|| ApiError::no_user(&user_id))?;
    let (first_name, last_name) = user.name.split_once(' ').unwrap_or((&user.name, ""));
    Ok(Json(json!({
        "id": user.id, "account_id": world.settings.script.account_id, "email": user.email,
        "display_name": user.name, "first_name": first_name, "last_name": last_name, "type": 2,
        "status": "active", "timezone": "UTC",
    })))
}

/// Has a live meeting do something, and waits for its word.
pub async fn perform(world: &World, meeting_id: &str, verb: Verb) -> Result<(), ControlError> {
    let inbox = world.inbox_of_meeting(meeting_id).ok_or(ControlError::NoMeeting)?;
    let (answer, answered) = oneshot::channel();
    let input = Input::Do { verb, answer };
    inbox.send(input).await.map_err(|_| ControlError::NoMeeting)?;
    answered.await.unwrap_or(Err(ControlError::NoMeeting))
}
