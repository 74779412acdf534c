//! `GET /api/v1/sdk/sessions/{id}/ledger`: what was received of each medium, what is missing, and why.

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

/// Shows the coverage of every stream of a session as last stored; for a live stream at most a few seconds old, see
/// `until_ms`.
///
/// `completeness` is covered time divided by expected time, from 0 to 1. Expected is the time from `since_ms` (the
/// medium's first link, or the announcement if joining took longer than 5 s) to `until_ms` without the pauses; covered
/// is the part of it that lies in no gap. Silence is covered. `in_gaps` counts received frames with a time inside a
/// gap: outside the gaps exactly `frames` minus `in_gaps` were sent and received.
pub(super) async fn show(
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
    /// The number of the stream in its session, from 1.
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
