//! `GET /dashboard/sessions/{id}` and its parts: one session.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::html;
use super::viewer::Viewer;
use crate::control::Timeline;
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::extract::{InPath, known_session};
use crate::http::view::recording_url;
use crate::model::{Cursor, EntryKind, RecordedFile, RecordingId, RecordingStatus, SessionId};
use crate::web::dashboard::recordings::{File, Recorded, Recordings};
use crate::web::dashboard::session::{Ledger, SessionPage, StatePart, Story};
use crate::web::dashboard::{Section, marks};

/// The most files of recordings on the page; the manifest has all of them.
const MAX_FILES: u32 = 500;
/// The most lines and events that shade the picture of the ledger.
const MAX_MARKS: u32 = 5_000;

/// The kinds of entries that shade the picture.
const MARKS: [EntryKind; 4] =
    [EntryKind::Transcript, EntryKind::Chat, EntryKind::SharingStarted, EntryKind::SharingStopped];

/// The page of a session.
pub(in crate::http) async fn page(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    let session = known_session(&state.store, id).await?;
    let name = marks::number(session.meeting_id.as_deref().unwrap_or(session.instance.id()));
    let page = SessionPage {
        layout: viewer.layout(Section::Sessions, &name),
        id: id.to_string(),
        is_over: session.ended_at_ms.is_some() && !session.status.is_under_way(),
        state: read_state(&state, id, viewer.caller.may_control).await?,
        ledger: read_ledger(&state, id).await?,
        story: read_story(&state, id).await?,
        recordings: read_recordings(&state, id).await?,
    };
    Ok(html(page.html()))
}

/// The status, the facts and the actions.
pub(in crate::http) async fn status(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    Ok(html(read_state(&state, id, viewer.caller.may_control).await?.html()))
}

/// The picture of what was received.
pub(in crate::http) async fn ledger(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    known_session(&state.store, id).await?;
    Ok(html(read_ledger(&state, id).await?.html()))
}

/// What happened, and what is missing.
pub(in crate::http) async fn timeline(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    Ok(html(read_story(&state, id).await?.html()))
}

/// The recordings.
pub(in crate::http) async fn recordings(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    known_session(&state.store, id).await?;
    Ok(html(read_recordings(&state, id).await?.html()))
}

async fn read_state(
    state: &AppState,
    id: SessionId,
    may_control: bool,
) -> Result<StatePart, ApiError> {
    let session = known_session(&state.store, id).await?;
    let streams = state.store.streams_of(id).await?;
    Ok(StatePart::of(&session, &streams, may_control, (state.now_ms)()))
}

async fn read_ledger(state: &AppState, id: SessionId) -> Result<Ledger, ApiError> {
    let streams = state.store.streams_of(id).await?;
    let start = Cursor::default();
    let marks = state.store.entries_after(id, &start, &MARKS, MAX_MARKS).await?;
    Ok(Ledger::of(id, &streams, &marks))
}

async fn read_story(state: &AppState, id: SessionId) -> Result<Story, ApiError> {
    let Timeline { session, moments, missing } =
        state.control.timeline(id).await?.ok_or(ApiError::UnknownSession)?;
    Ok(Story::of(&session, moments, missing))
}

async fn read_recordings(state: &AppState, id: SessionId) -> Result<Recordings, ApiError> {
    let recordings = state.store.recordings_of(id).await?;
    let files = state.store.recorded_files_of(id, MAX_FILES).await?;
    let is_done = |status| matches!(status, RecordingStatus::Stored | RecordingStatus::Failed);
    let is_final = recordings.iter().all(|recording| is_done(recording.status));
    let recorded = recordings.iter().map(|recording| Recorded {
        ordinal: recording.ordinal,
        part: recording.part,
        status: recording.status,
        files: files_of(recording.id, id, &files),
    });
    Ok(Recordings { id: id.to_string(), is_final, recordings: recorded.collect() })
}

fn files_of(
    recording: RecordingId,
    session: SessionId,
    files: &[(RecordingId, RecordedFile)],
) -> Vec<File> {
    let own = files.iter().filter(|(id, _)| *id == recording);
    own.map(|(_, file)| File::of(file, recording_url(session, &file.api_name))).collect()
}
