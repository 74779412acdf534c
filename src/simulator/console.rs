//! The simulator's own HTTP API: opens meetings, performs actions on them and returns the report.
//!
//! | call | does |
//! |---|---|
//! | `GET /simulator/report` | returns what was sent and received, and the breaches of the protocol |
//! | `GET /simulator/meetings` | lists the live meetings with their streams |
//! | `POST /simulator/meetings` | opens one more meeting |
//! | `POST /simulator/meetings/{id}/{action}` | performs a [`MeetingAction`] with the fields in the body: `{"reason": 8}` for `stop` |
//! | `GET /simulator/streams/{id}/frames` | lists every frame of a stream, if `remembers_frames` is set |
//! | `POST /simulator/event_socket` | plans a fault of an app's event socket: `{"how": "refuse", "count": 2}` |
//! | `POST /simulator/calls` | plans failures of calls: `{"call": "status", "count": 2, "how": "rate_limit"}` |
//! | `GET /simulator/users` | lists the users who can install the app |
//! | `POST /simulator/users/{id}/deauthorize` | removes the app for that user |
//! | `POST /simulator/tokens/expire` | expires every access token |
//!
//! With several apps, `?client_id=` limits an action to the streams of one app, and says for which app a user is
//! deauthorized (by default the first).
//!
//! Answers are JSON; errors are `{"error": text}` with 400, 403, 404 or 409. The API needs no credentials: the
//! simulator listens on loopback only, and requests from pages of other origins are refused.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::app::App;
use super::body::Body;
use super::control::{ApiFault, Call, ControlError, MeetingAction};
use super::directory::Address;
use super::event_socket::EventSocketFault;
use super::meeting;
use super::state::SimulatorState;

pub(super) fn router(state: &Arc<SimulatorState>) -> Router<Arc<SimulatorState>> {
    Router::new()
        .route("/simulator/report", get(show_report))
        .route("/simulator/meetings", get(list_meetings).post(open_meeting))
        .route("/simulator/meetings/{id}/{verb}", post(perform_action))
        .route("/simulator/streams/{id}/frames", get(list_frames))
        .route("/simulator/event_socket", post(fail_event_socket))
        .route("/simulator/calls", post(fail_calls))
        .route("/simulator/users", get(list_users))
        .route("/simulator/users/{id}/deauthorize", post(deauthorize_user))
        .route("/simulator/tokens/expire", post(expire_tokens))
        .route_layer(middleware::from_fn_with_state(state.clone(), same_origin))
}

/// Refuses requests from other origins: a web page that a developer visits must not control the simulator.
async fn same_origin(
    State(state): State<Arc<SimulatorState>>,
    request: Request,
    next: Next,
) -> Response {
    match request.headers().get(header::ORIGIN) {
        // Programs send no Origin header; browsers send one with every POST.
        Some(origin) if *origin != *state.base_url() => {
            error_response(StatusCode::FORBIDDEN, "requests from other origins are refused")
        }
        _ => next.run(request).await,
    }
}

fn error_response(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NoMeeting | Self::NoApp => StatusCode::NOT_FOUND,
            Self::NoStream | Self::NoLink | Self::NobodyThere | Self::Full => StatusCode::CONFLICT,
        };
        error_response(status, &self.to_string())
    }
}

async fn show_report(State(state): State<Arc<SimulatorState>>) -> Response {
    Json(state.report()).into_response()
}

async fn list_meetings(State(state): State<Arc<SimulatorState>>) -> Json<Value> {
    // The report also knows ended streams, which the filter below leaves out.
    let streams = state.report().streams;
    let meeting = |id: &String| {
        let live = streams.iter().filter(|s| s.meeting_id == *id && s.stop_reason.is_none());
        json!({"meeting_id": id, "streams": live.map(|s| &s.stream_id).collect::<Vec<_>>()})
    };
    Json(state.directory.live_meetings().iter().map(meeting).collect())
}

async fn list_frames(
    State(state): State<Arc<SimulatorState>>,
    Path(stream_id): Path<String>,
) -> Response {
    match state.directory.frame_log_of(&stream_id) {
        Some(log) => Json(log).into_response(),
        None => error_response(
            StatusCode::NOT_FOUND,
            "no such stream, or the simulator does not remember frames",
        ),
    }
}

async fn open_meeting(State(state): State<Arc<SimulatorState>>) -> Result<Response, ControlError> {
    let meeting_id = meeting::open_meeting(&state)?;
    Ok((StatusCode::CREATED, Json(json!({"meeting_id": meeting_id}))).into_response())
}

async fn perform_action(
    State(state): State<Arc<SimulatorState>>,
    Path((meeting_id, action)): Path<(String, String)>,
    Query(query): Query<AppQuery>,
    Body(body): Body,
) -> Response {
    let action = match meeting_action(&action, &body) {
        Ok(action) => action,
        Err(error) => return error_response(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let address = match app_of(&state, &query) {
        Ok(Some(app)) => Address::App(app.index),
        Ok(None) => Address::All,
        Err(error) => return error.into_response(),
    };
    match state.directory.perform(&meeting_id, &address, action).await {
        Ok(()) => Json(json!({"meeting_id": meeting_id})).into_response(),
        Err(error) => error.into_response(),
    }
}

#[derive(Deserialize)]
struct AppQuery {
    client_id: Option<String>,
}

/// The app that the query names, if it names one.
fn app_of<'a>(
    state: &'a SimulatorState,
    query: &AppQuery,
) -> Result<Option<&'a Arc<App>>, ControlError> {
    let Some(client_id) = &query.client_id else { return Ok(None) };
    state.apps.of_client_id(client_id).map(Some).ok_or(ControlError::NoApp)
}

/// Parses an action: the same JSON as a script's `fault`, except that its kind is in the path.
fn meeting_action(kind: &str, body: &[u8]) -> serde_json::Result<MeetingAction> {
    let mut fields: Map<String, Value> =
        if body.is_empty() { Map::new() } else { serde_json::from_slice(body)? };
    fields.insert("kind".to_owned(), kind.into());
    serde_json::from_value(fields.into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Planned {
    call: Call,
    #[serde(default = "default_count")]
    count: u32,
    how: ApiFault,
}

fn default_count() -> u32 {
    1
}

async fn fail_calls(State(state): State<Arc<SimulatorState>>, Body(body): Body) -> Response {
    match serde_json::from_slice::<Planned>(&body) {
        Ok(planned) => {
            state.fault_plan.planned.plan(planned.call, planned.count, planned.how);
            Json(json!({})).into_response()
        }
        Err(error) => error_response(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlannedOfSocket {
    how: EventSocketFault,
    #[serde(default = "default_count")]
    count: u32,
}

async fn fail_event_socket(
    State(state): State<Arc<SimulatorState>>,
    Query(query): Query<AppQuery>,
    Body(body): Body,
) -> Response {
    let planned: PlannedOfSocket = match serde_json::from_slice(&body) {
        Ok(planned) => planned,
        Err(error) => return error_response(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let app = match app_of(&state, &query) {
        Ok(app) => app.unwrap_or(state.apps.first()),
        Err(error) => return error.into_response(),
    };
    match &app.event_socket {
        Some(socket) => {
            socket.plan(planned.how, planned.count);
            Json(json!({})).into_response()
        }
        None => error_response(StatusCode::CONFLICT, "events come by webhook only: see --events"),
    }
}

async fn list_users(State(state): State<Arc<SimulatorState>>) -> Json<Value> {
    let user = |user: &super::User| json!({"id": user.id, "name": user.name, "email": user.email});
    Json(state.users.iter().map(user).collect())
}

async fn deauthorize_user(
    State(state): State<Arc<SimulatorState>>,
    Path(user_id): Path<String>,
    Query(query): Query<AppQuery>,
) -> Response {
    // Else a typo would send an event about a user who does not exist.
    if state.user(&user_id).is_none() {
        return error_response(StatusCode::NOT_FOUND, "no such user");
    }
    let app = match app_of(&state, &query) {
        Ok(app) => app.unwrap_or(state.apps.first()),
        Err(error) => return error.into_response(),
    };
    state.deauthorize(app, &user_id);
    Json(json!({"user_id": user_id})).into_response()
}

async fn expire_tokens(State(state): State<Arc<SimulatorState>>) -> Json<Value> {
    state.apps.expire_access_tokens();
    Json(json!({}))
}
