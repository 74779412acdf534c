//! `GET /api/v1/sdk/sessions/{id}/ledger`: what came of every medium, what is missing, and why.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::AppState;
use super::envelope::success;
use super::error::ApiError;
use super::extract::{InPath, known_session};
use crate::model::{MediumLedger, SessionId, StreamId, StreamRecord, StreamStatus};

/// Every stream of a session with its accounts, as they were last stored: of a live stream at most a few seconds ago,
/// see `until_ms`.
///
/// `completeness` is covered time by expected time, from 0 to 1. Expected is the time from `since_ms` (the medium's
/// first link, or the announcement where joining took longer than 5 s) to `until_ms` without the pauses; covered is
/// what of it lies in no gap. Silence is covered. `in_gaps` of what came has a time inside a gap: outside the gaps exactly
/// `frames` without these were sent and received.
pub async fn show(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    known_session(&state.store, id).await?;
    let streams = state.store.streams_of(id).await?;
    let streams: Vec<_> = streams.iter().map(StreamLedger::of).collect();
    Ok(success("ledger", json!({ "streams": streams })))
}

#[derive(Serialize)]
struct StreamLedger<'a> {
    stream_id: &'a StreamId,
    /// Which stream of its session this is, from 1.
    ordinal: u32,
    status: StreamStatus,
    media: Vec<MediumLedger<'a>>,
}

impl<'a> StreamLedger<'a> {
    fn of(stream: &'a StreamRecord) -> Self {
        let media = stream.ledger.iter().map(|account| MediumLedger::of(account, &stream.tally));
        Self {
            stream_id: &stream.stream_id,
            ordinal: stream.ordinal,
            status: stream.status,
            media: media.collect(),
        }
    }
}
