//! `GET /api/v1/sdk/sessions/{id}/recordings` and `…/recordings/{file}`.

use std::ops::Range;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::json;

use super::auth::Caller;
use super::envelope::{rfc3339, success};
use super::error::ApiError;
use super::extract::{InPath, PathPart, known_file, known_session};
use super::range::{Wanted, parse_range};
use super::view::recording_url;
use super::{AppState, download};
use crate::model::{
    RecordedFile, Recording, RecordingId, RecordingStatus, SessionId, Speaker, StreamId,
};
use crate::sinks::record::OpenError;

/// The most files in a list; the manifest has all of them.
const MAX_FILES: u32 = 5_000;

/// Lists a session's recordings and their files, running ones included.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    known_session(&state.store, id).await?;
    let recordings = state.store.recordings_of(id).await?;
    let files = state.store.recorded_files_of(id, MAX_FILES).await?;
    let recordings: Vec<_> =
        recordings.iter().map(|recording| RecordingView::of(recording, &files)).collect();
    Ok(success("recordings", json!({ "recordings": recordings })))
}

/// Serves one file or a range of it. The path names a row, never a file system path.
pub(super) async fn download(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<SessionId>,
    InPath(FileName(name)): InPath<FileName>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (recording, file) = known_file(&state.store, id, &name).await?;
    let etag = format!("\"{}\"", file.sha256);
    // A running recording has no hash yet, and every client would match its empty etag.
    let is_whole = recording.status != RecordingStatus::Recording;
    // A list of etags, weak or strong (RFC 9110, section 13.1.2); a hash in hex occurs in no other one.
    if is_whole
        && header_text(&headers, header::IF_NONE_MATCH).is_some_and(|known| known.contains(&etag))
    {
        return Ok(not_modified(&etag));
    }
    // A range of another version would not match.
    let is_same = header_text(&headers, header::IF_RANGE).is_none_or(|version| version == etag);
    // Only GET has ranges (RFC 9110, section 14.2).
    let has_range = is_same && method == Method::GET;
    let range = header_text(&headers, header::RANGE).filter(|_| has_range);
    let (status, range) = match parse_range(range, file.bytes) {
        Wanted::Nothing => {
            return Err(ApiError::RangeNotSatisfiable { bytes: file.bytes });
        }
        Wanted::All => (StatusCode::OK, 0..file.bytes),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    let permit = download::acquire_permit(&state, &caller)?;
    // A HEAD answer has the headers of the GET and no content (RFC 9110, section 9.3.2).
    let part = if method == Method::HEAD { 0..0 } else { range.clone() };
    let content = state.recordings.open(&recording, &file, part).await.map_err(open_refused)?;
    let content = content.inspect_err(|error| tracing::warn!(%error, "a recording was cut"));
    let mut response = Response::new(download::permitted_body(permit, content));
    *response.status_mut() = status;
    describe_file(response.headers_mut(), &file, &etag, &range);
    if status == StatusCode::PARTIAL_CONTENT {
        // The last position is inclusive (RFC 9110, section 14.4). A range is never empty here.
        let part = format!("bytes {}-{}/{}", range.start, range.end - 1, file.bytes);
        response.headers_mut().insert(header::CONTENT_RANGE, plain_header(&part));
    }
    Ok(response)
}

/// The last part of a recorded file's path.
pub(super) struct FileName(String);

impl PathPart for FileName {
    const NAME: &'static str = "file";

    fn read(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn unknown() -> ApiError {
        ApiError::UnknownRecording
    }
}

fn open_refused(error: OpenError) -> ApiError {
    match error {
        OpenError::NotYet => ApiError::RecordingNotFinished,
        OpenError::Lost => ApiError::RecordingLost,
        OpenError::Elsewhere => ApiError::RecordingElsewhere,
        OpenError::OtherTarget => ApiError::RecordingInOtherTarget,
        OpenError::Target(_) | OpenError::Place(_) => {
            tracing::warn!(%error, "could not read a recording; the client gets an error");
            ApiError::RecordingsUnavailable
        }
    }
}

fn not_modified(etag: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().insert(header::ETAG, plain_header(etag));
    response
}

fn describe_file(headers: &mut HeaderMap, file: &RecordedFile, etag: &str, range: &Range<u64>) {
    headers.insert(header::CONTENT_TYPE, plain_header(&file.content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, plain_header(etag));
    // Names and contents come from participants: a browser must not run a file as a page.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_DISPOSITION, plain_header(&content_disposition(&file.api_name)));
}

/// A plain name for every browser, and the real one for those that support RFC 6266.
fn content_disposition(name: &str) -> String {
    let ascii: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        match char::from(byte) {
            c if is_plain(c) => encoded.push(c),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A header from a value of the daemon's own; empty if a header cannot hold it.
fn plain_header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[derive(Serialize)]
struct RecordingView<'a> {
    recording_id: RecordingId,
    stream_id: &'a StreamId,
    /// The number of the stream in its session, from 1.
    ordinal: u32,
    /// The number of the part in that stream, from 1.
    part: u32,
    status: RecordingStatus,
    started_at: Option<String>,
    started_at_ms: i64,
    finished_at: Option<String>,
    finished_at_ms: Option<i64>,
    stored_at: Option<String>,
    stored_at_ms: Option<i64>,
    files: Vec<FileView<'a>>,
}

#[derive(Serialize)]
struct FileView<'a> {
    /// The last part of its path in this API.
    file: &'a str,
    url: String,
    /// The path below RECORDINGS_URL; null while the stream runs.
    path: Option<&'a str>,
    medium: &'a str,
    #[serde(flatten)]
    speaker: &'a Speaker,
    content_type: &'a str,
    bytes: Option<u64>,
    sha256: Option<&'a str>,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
}

impl<'a> RecordingView<'a> {
    fn of(recording: &'a Recording, files: &'a [(RecordingId, RecordedFile)]) -> Self {
        let own = files.iter().filter(|(id, _)| *id == recording.id);
        Self {
            recording_id: recording.id,
            stream_id: &recording.stream_id,
            ordinal: recording.ordinal,
            part: recording.part,
            status: recording.status,
            started_at: rfc3339(recording.started_at_ms),
            started_at_ms: recording.started_at_ms,
            finished_at: recording.finished_at_ms.and_then(rfc3339),
            finished_at_ms: recording.finished_at_ms,
            stored_at: recording.stored_at_ms.and_then(rfc3339),
            stored_at_ms: recording.stored_at_ms,
            files: own.map(|(_, file)| FileView::of(recording, file)).collect(),
        }
    }
}

impl<'a> FileView<'a> {
    fn of(recording: &Recording, file: &'a RecordedFile) -> Self {
        let is_whole = recording.finished_at_ms.is_some();
        let url = recording_url(recording.session_id, &file.api_name);
        Self {
            file: &file.api_name,
            url,
            path: is_whole.then_some(&*file.path),
            medium: &file.medium,
            speaker: &file.speaker,
            content_type: &file.content_type,
            bytes: is_whole.then_some(file.bytes),
            sha256: is_whole.then_some(&*file.sha256),
            first_ms: file.first_ms,
            last_ms: file.last_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_is_kept_and_breaks_no_header() {
        assert_eq!(
            content_disposition("1-audio-7-Núñez.wav"),
            "attachment; filename=\"1-audio-7-N__ez.wav\"; \
             filename*=UTF-8''1-audio-7-N%C3%BA%C3%B1ez.wav"
        );
        assert!(!content_disposition("a\"\r\nb").contains(['\r', '\n']));
    }
}
