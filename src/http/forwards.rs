//! `…/{id}/forward`: servers that receive a session's frames and entries.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::AppState;
use super::auth::Caller;
use super::envelope::{rfc3339, success, success_as};
use super::error::ApiError;
use super::extract::{InPath, PathPart, known_session};
use crate::model::{AuditRow, Cursor, Forward, ForwardId, SessionId, SessionStatus};
use crate::sinks::forward::{ForwardStatus, MAX_PER_SESSION};
use crate::sinks::live::{From, Policy, Request};

/// Creates a forward. It runs while a stream of the session runs.
pub(super) async fn create(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let act = caller.trail.act((state.now_ms)(), "forward.create", &id.to_string());
    let forward = make_forward(&state, id, &body, &act).await?;
    state.forwards.wake();
    let data = json!({ "forward": ForwardView::of(&forward, &state) });
    Ok(success_as(StatusCode::CREATED, "forward created", data))
}

async fn make_forward(
    state: &AppState,
    id: SessionId,
    body: &[u8],
    act: &AuditRow,
) -> Result<Forward, ApiError> {
    let mut asked: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| ApiError::NotJson { line: error.line(), column: error.column() })?;
    let problem = "must be the URL of your server, such as wss://bot.example.com/rtms";
    let Some(Value::String(url)) = asked.remove("url") else {
        return Err(ApiError::InvalidValue { name: "url", problem });
    };
    // Checked again at every dial; here, so that the client gets the reason.
    state.forwards.check(&url).map_err(ApiError::Target)?;
    let request = Request::read(&asked, Some(id))?;
    if request.policy == Policy::Disconnect {
        let problem = "can only be drop: a disconnected server is dialled again";
        return Err(ApiError::InvalidValue { name: "policy", problem });
    }
    if known_session(&state.store, id).await?.status == SessionStatus::Ended {
        return Err(ApiError::SessionEnded);
    }
    let cursor = match request.from {
        From::Start => Cursor::default(),
        // Resolved now: entries written between this request and the first connection are sent.
        From::Now => state.store.newest(id).await?,
        From::After(mut cursors) => cursors.remove(&id).unwrap_or_default(),
    };
    // The cursor says it from here on.
    asked.remove("from");
    let created_at_ms = (state.now_ms)();
    let forward_id = ForwardId(Uuid::now_v7());
    let forward = Forward { id: forward_id, session_id: id, url, asked, cursor, created_at_ms };
    if state.store.add_forward(&forward, MAX_PER_SESSION, act).await? {
        Ok(forward)
    } else {
        Err(ApiError::TooManyForwards)
    }
}

/// Lists a session's forwards with their state on this daemon.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    known_session(&state.store, id).await?;
    let forwards = state.store.forwards_of(id).await?;
    let forwards: Vec<_> =
        forwards.iter().map(|forward| ForwardView::of(forward, &state)).collect();
    Ok(success("forwards", json!({ "forwards": forwards })))
}

/// Removes a forward.
pub(super) async fn remove(
    State(state): State<Arc<AppState>>,
    InPath(session): InPath<SessionId>,
    InPath(forward): InPath<ForwardId>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let act = caller.trail.act((state.now_ms)(), "forward.remove", &session.to_string());
    // Removing an unknown forward of an existing session is 404 for the forward, not for the session.
    if !state.store.remove_forward(session, forward, &act).await? {
        known_session(&state.store, session).await?;
        return Err(ApiError::UnknownForward);
    }
    state.forwards.wake();
    Ok(success("forward removed", Value::Null))
}

impl PathPart for ForwardId {
    const NAME: &'static str = "forward";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn unknown() -> ApiError {
        ApiError::UnknownForward
    }
}

#[derive(Serialize)]
struct ForwardView<'a> {
    id: ForwardId,
    session_id: SessionId,
    /// Without its query, which may hold a secret.
    url: &'a str,
    asked: &'a Map<String, Value>,
    /// The last entry of each stream that is known to have been delivered, as last stored.
    cursor: String,
    #[serde(flatten)]
    doing: ForwardStatus,
    created_at: Option<String>,
    created_at_ms: i64,
}

impl<'a> ForwardView<'a> {
    fn of(forward: &'a Forward, state: &AppState) -> Self {
        Self {
            id: forward.id,
            session_id: forward.session_id,
            url: forward.url.split(['?', '#']).next().unwrap_or_default(),
            asked: &forward.asked,
            cursor: forward.cursor.to_string(),
            doing: state.forwards.status(forward.id),
            created_at: rfc3339(forward.created_at_ms),
            created_at_ms: forward.created_at_ms,
        }
    }
}
