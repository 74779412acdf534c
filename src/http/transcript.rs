//! `GET …/{id}/transcript`: what was said, as JSON, subtitles or text.

mod format;
mod lines;
mod window;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use self::format::{Format, Writer};
use self::lines::{Line, Lines};
use super::AppState;
use super::error::ApiError;
use super::params::{Params, SessionPath, known_session};
use crate::model::{SessionId, StreamRecord};
use crate::store::StoreError;

/// About how much text is written at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// The transcript of all streams of a session on one time line, which starts with the first packet of the earliest
/// stream or, where Zoom sent none, with the first line. Written while it is read: a long one takes no memory.
pub async fn download(
    State(state): State<Arc<AppState>>,
    SessionPath(id): SessionPath,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let format = chosen(&params, &headers)?;
    known_session(&state.store, id).await?;
    let streams = state.store.streams_of(id).await?;
    let mut lines = Lines::new(state.store.clone(), id, &streams, format.applies_corrections());
    // Read before the answer starts: a dead store is a 503, not a file that ends early.
    let first = lines.next().await?;
    let writer = Writer::new(format, id, origin_ms(&streams, first.as_ref()));
    let reading = Reading { lines, writer, next: first, state: ReadState::Start };
    let body = stream::try_unfold(reading, |mut reading| async move {
        let chunk = reading.chunk().await.inspect_err(|error| {
            tracing::warn!(%error, "a transcript was cut");
        })?;
        Ok::<_, StoreError>(chunk.map(|chunk| (chunk, reading)))
    });
    Ok(response(format, id, Body::from_stream(body)))
}

fn chosen(params: &Params, headers: &HeaderMap) -> Result<Format, ApiError> {
    let named = params.parsed("format", "must be one of json, vtt, srt, txt", Format::parse)?;
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

fn origin_ms(streams: &[StreamRecord], first: Option<&Line>) -> i64 {
    let first_packet = streams.iter().filter_map(|stream| stream.first_packet_ms).min();
    first_packet.or(first.map(|line| line.said.start_ms)).unwrap_or(0)
}

fn response(format: Format, id: SessionId, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Some(suffix) = format.file_suffix() {
        let disposition = format!("attachment; filename=\"transcript-{id}.{suffix}\"");
        let disposition = HeaderValue::try_from(disposition).expect("a UUID is plain ASCII");
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// A transcript on its way out.
struct Reading {
    lines: Lines,
    writer: Writer,
    next: Option<Line>,
    state: ReadState,
}

enum ReadState {
    Start,
    Lines,
    Done,
}

impl Reading {
    async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut text = String::new();
        match self.state {
            ReadState::Start => self.writer.start(&mut text),
            ReadState::Lines => {}
            ReadState::Done => return Ok(None),
        }
        self.state = ReadState::Lines;
        while let Some(line) = self.next.take() {
            self.writer.line(&mut text, &line);
            self.next = self.lines.next().await?;
            if text.len() >= CHUNK_BYTES {
                return Ok(Some(text.into()));
            }
        }
        self.writer.end(&mut text);
        self.state = ReadState::Done;
        Ok(Some(text.into()))
    }
}
