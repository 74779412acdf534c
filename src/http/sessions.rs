//! `GET /api/v1/sdk/sessions`, `GET` and `DELETE …/{id}`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::AppState;
use super::auth::Caller;
use super::envelope::{rfc3339, success, success_as};
use super::error::ApiError;
use super::extract::{InPath, Params, known_session};
use super::session_list::{parse_page, read_page};
use super::view::SessionView;
use crate::model::{
    AppName, MediaParams, MediaPlan, Outcome, SessionId, StopReason, StreamId, StreamRecord,
    StreamStatus, Tally, UnknownMessages, UnreadableMessages, UserId,
};
use crate::store::SessionDeletion;

/// One page of sessions, newest first; `next` is the `before` of the next page.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let page = parse_page(&state, &caller, &params)?;
    let (sessions, next) = read_page(&state, &page).await?;
    let sessions: Vec<_> = sessions.iter().map(SessionView::of).collect();
    Ok(success("sessions", json!({ "sessions": sessions, "next": next })))
}

/// One session with its streams.
pub(super) async fn show(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    let session = known_session(&state.store, id).await?;
    let streams = state.store.streams_of(id).await?;
    let streams: Vec<_> = streams.iter().map(StreamView::of).collect();
    let session = SessionView::of(&session);
    Ok(success("session", json!({ "session": session, "streams": streams })))
}

/// Schedules the deletion of a session and its stored data. Refused while a stream of it runs.
pub(super) async fn remove(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    let act = caller.trail.act((state.now_ms)(), "session.delete", &id.to_string());
    match state.store.delete_session(id, &act).await? {
        SessionDeletion::Asked => {
            let data = json!({ "id": id });
            Ok(success_as(StatusCode::ACCEPTED, "the session is being deleted", data))
        }
        SessionDeletion::Unknown => Err(ApiError::UnknownSession),
        SessionDeletion::Live => Err(ApiError::SessionLive),
    }
}

/// A stream in JSON.
#[derive(Serialize)]
struct StreamView<'a> {
    stream_id: &'a StreamId,
    app: &'a AppName,
    /// The number of the stream in its session, from 1.
    ordinal: u32,
    status: StreamStatus,
    /// Starts at 1 and rises each time Zoom moves the stream to another server.
    generation: i64,
    interrupts: i64,
    stop_reason: Option<StopReasonView>,
    outcome: Option<Outcome>,
    first_packet_at: Option<String>,
    first_packet_ms: Option<i64>,
    tally: Tally,
    /// How many messages of unknown types arrived, by `msg_type`.
    unknown_messages: &'a UnknownMessages,
    /// The parts of its messages that could not be read, by kind.
    unreadable_messages: &'a UnreadableMessages,
    /// The requested media parameters; null for the configured ones.
    media: Option<&'a MediaPlan>,
    /// What Zoom sends; null before Zoom has said so.
    effective: Option<&'a MediaParams>,
    /// The participant that a program has chosen for video.
    video_user_id: Option<UserId>,
    created_at: Option<String>,
    created_at_ms: i64,
    ended_at: Option<String>,
    ended_at_ms: Option<i64>,
}

#[derive(Serialize)]
struct StopReasonView {
    code: StopReason,
    /// Zoom's name; null for a number that this version does not know.
    name: Option<&'static str>,
}

impl<'a> StreamView<'a> {
    fn of(stream: &'a StreamRecord) -> Self {
        let reason = |code: StopReason| StopReasonView { code, name: code.name() };
        Self {
            stream_id: &stream.stream_id,
            app: &stream.app,
            ordinal: stream.ordinal,
            status: stream.status,
            generation: stream.generation,
            interrupts: stream.interrupts,
            stop_reason: stream.stop_reason.map(reason),
            outcome: stream.outcome,
            first_packet_at: stream.first_packet_ms.and_then(rfc3339),
            first_packet_ms: stream.first_packet_ms,
            tally: stream.tally,
            unknown_messages: &stream.unknown_messages,
            unreadable_messages: &stream.unreadable_messages,
            media: stream.media.as_ref(),
            effective: stream.effective.as_ref(),
            video_user_id: stream.video_user_id,
            created_at: rfc3339(stream.created_at_ms),
            created_at_ms: stream.created_at_ms,
            ended_at: stream.ended_at_ms.and_then(rfc3339),
            ended_at_ms: stream.ended_at_ms,
        }
    }
}
