//! `GET …/{id}/events`: a session's entries as server-sent events, from any point, each exactly once.

mod follower;
mod text;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use self::follower::{Follower, Kinds};
use super::AppState;
use super::error::ApiError;
use super::params::{Params, SessionPath, known_session};
use crate::model::{Cursor, EntryKind};

/// Resumes after `Last-Event-ID` or `?after=`; a header wins, because a browser that connects again sends both.
/// 204 when the session has ended and nothing is left to send, which tells a browser to stop.
pub async fn subscribe(
    State(state): State<Arc<AppState>>,
    SessionPath(id): SessionPath,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let cursor = cursor(&params, &headers)?;
    let kinds = params.parsed("kinds", "must be kinds of entries, separated by commas", kinds)?;
    known_session(&state.store, id).await?;
    // Before the store is read: an entry written in between comes twice, not never.
    let subscription = state.hub.subscribe(id).ok_or(ApiError::TooManySubscribers)?;
    let mut follower = Follower::new(&state, id, subscription, cursor, kinds.unwrap_or_default());
    if !follower.begin().await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let body = stream::unfold(follower, |mut follower| async move {
        let chunk = follower.chunk().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), follower))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // A buffering proxy would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn cursor(params: &Params, headers: &HeaderMap) -> Result<Cursor, ApiError> {
    let problem = "must have the form 1:57 or 1:57,2:3";
    let Some(last) = headers.get("last-event-id") else {
        let after = params.parsed("after", problem, |text| text.parse().ok())?;
        return Ok(after.unwrap_or_default());
    };
    let last = last.to_str().ok().and_then(|text| text.parse().ok());
    last.ok_or(ApiError::InvalidValue { name: "Last-Event-ID", problem })
}

fn kinds(text: &str) -> Option<Kinds> {
    let names = text.split(',').filter(|name| !name.is_empty());
    names.map(EntryKind::parse).collect::<Option<_>>().map(Kinds)
}
