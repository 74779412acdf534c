//! `GET …/{id}/events`: a session's entries as server-sent events, from any cursor, each exactly once.

mod text;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::time::timeout;

use super::AppState;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{InPath, Params, known_session};
use crate::hub::{Follow, Followed, Follower, Kinds, Permit};
use crate::model::{Cursor, SessionId};

/// How often the store is read, even without a notification.
const REREAD: Duration = Duration::from_secs(2);
/// The longest silence on the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Resumes after `Last-Event-ID` or `?after=`; the header takes precedence, because a reconnecting browser sends both.
/// 204 when the session has ended and nothing is left to send, which makes a browser stop.
pub(super) async fn subscribe(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<SessionId>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let cursor = start_cursor(&params, &headers)?;
    let kinds = params.parsed("kinds", Kinds::form(), Kinds::parse)?;
    known_session(&state.store, id).await?;
    let room = state.hub.enter(caller.entrant()).ok_or(ApiError::TooManySubscribers)?;
    let follow = Follow {
        session_id: id,
        after: cursor,
        kinds: kinds.unwrap_or_default(),
        reread_every: REREAD,
    };
    let stop = state.draining.clone();
    let mut follower = Follower::new(&state.hub, state.store.clone(), follow, stop);
    if !follower.begin().await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = Events { session_id: id, follower, is_new: true, _room: room };
    // The stream owns the permit, so it is returned when the client hangs up.
    let body = stream::unfold(events, |mut events| async move {
        let chunk = events.chunk().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), events))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // A buffering proxy would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn start_cursor(params: &Params, headers: &HeaderMap) -> Result<Cursor, ApiError> {
    let problem = "must have the form 1:57 or 1:57,2:3";
    let Some(last) = headers.get("last-event-id") else {
        let after = params.parsed("after", problem, |text| text.parse().ok())?;
        return Ok(after.unwrap_or_default());
    };
    let last = last.to_str().ok().and_then(|text| text.parse().ok());
    last.ok_or(ApiError::InvalidValue { name: "Last-Event-ID", problem })
}

/// The response to one subscriber.
struct Events {
    session_id: SessionId,
    follower: Follower,
    is_new: bool,
    _room: Permit,
}

impl Events {
    /// The next text to send; `None` when the event stream ends.
    async fn chunk(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.is_new) {
            return Some(Bytes::from_static(text::RETRY.as_bytes()));
        }
        let Ok(followed) = timeout(KEEP_ALIVE, self.follower.next()).await else {
            // `Follower::next` is cancel-safe: a keep-alive loses no entry.
            return Some(Bytes::from_static(text::KEEP_ALIVE.as_bytes()));
        };
        let mut chunk = self.text(&followed?);
        while let Some(followed) = self.follower.try_next() {
            // Everything that is ready goes into one chunk, which saves a write per entry during a replay.
            chunk.push_str(&self.text(&followed));
        }
        Some(chunk.into())
    }

    fn text(&self, followed: &Followed) -> String {
        match followed {
            Followed::Entry { cursor, entry } => text::entry_event(cursor, entry),
            Followed::End { cursor } => text::end_event(cursor, self.session_id),
        }
    }
}
