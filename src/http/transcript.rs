//! `GET …/{id}/transcript`: the transcript as JSON, subtitles or text.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use futures_util::stream;

use super::auth::Caller;
use super::error::ApiError;
use super::extract::{InPath, Params, known_session};
use super::{AppState, download};
use crate::model::SessionId;
use crate::store::StoreError;
use crate::transcript::format::{self, Format, Writer};
use crate::transcript::lines::Lines;
use crate::transcript::{Transcript, origin_ms};

/// The transcript of all streams of a session on one time line, which starts with the oldest data received of any of
/// them. Streamed from the store, so that a long one takes no memory.
pub(super) async fn download(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<SessionId>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let format = chosen_format(&params, &headers)?;
    known_session(&state.store, id).await?;
    // The permit before the queries: a transcript over the limit costs the store nothing.
    let permit = download::acquire_permit(&state, &caller)?;
    let streams = state.store.streams_of(id).await?;
    let mut lines = Lines::new(state.store.clone(), &streams, format.applies_corrections());
    // Read before the answer starts: an unavailable store is a 503, not a truncated file.
    let first = lines.next().await?;
    let writer = Writer::new(format, id, origin_ms(&streams, first.as_ref()));
    let reading = Transcript::new(lines, writer, first);
    let body = stream::try_unfold(reading, |mut reading| async move {
        let chunk = reading.chunk().await.inspect_err(|error| {
            tracing::warn!(%error, "could not read a transcript to its end; the download is cut");
        })?;
        Ok::<_, StoreError>(chunk.map(|chunk| (chunk, reading)))
    });
    Ok(transcript_response(format, id, download::permitted_body(permit, body)))
}

fn chosen_format(params: &Params, headers: &HeaderMap) -> Result<Format, ApiError> {
    // The query takes precedence: a link cannot set a header.
    let named =
        params.parsed("format", "must be one of json, jsonl, vtt, srt, txt", Format::parse)?;
    let accept = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
    match (named, accept) {
        (Some(format), _) => Ok(format),
        (None, None) => Ok(Format::Json),
        (None, Some(accept)) => std::str::from_utf8(accept)
            .ok()
            .and_then(Format::accepted)
            .ok_or(ApiError::NotAcceptable(format::MEDIA_TYPES)),
    }
}

fn transcript_response(format: Format, id: SessionId, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    // The same URL has several formats.
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Some(suffix) = format.file_suffix() {
        let disposition = format!("attachment; filename=\"transcript-{id}.{suffix}\"");
        let disposition = HeaderValue::try_from(disposition).expect("a UUID is plain ASCII");
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}
