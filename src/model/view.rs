//! Entries as JSON.

use serde::Serialize;

use super::{Entry, EntryBody, SessionId, StreamId, rfc3339};

/// An entry as JSON, the same in every API and sink.
#[derive(Debug, Serialize)]
pub struct EntryView<'a> {
    /// The session of the stream.
    pub session_id: SessionId,
    /// Zoom's id of the stream.
    pub stream_id: &'a StreamId,
    /// The number of the stream in its session, from 1.
    pub ordinal: u32,
    /// The former name of `ordinal`: deprecated, sent for one more release.
    pub stream: u32,
    /// The number of the entry in its stream, from 1, without gaps.
    pub seq: u64,
    /// When it happened, Unix milliseconds.
    pub at_ms: i64,
    /// `at_ms` in RFC 3339; none if it is out of range.
    pub at: Option<String>,
    /// The kind and the fields of that kind, in the same JSON object.
    #[serde(flatten)]
    pub body: &'a EntryBody,
}

impl<'a> EntryView<'a> {
    /// Borrows the entry for one serialization.
    pub fn of(entry: &'a Entry) -> Self {
        Self {
            session_id: entry.session_id,
            stream_id: &entry.stream_id,
            ordinal: entry.stream_ordinal,
            stream: entry.stream_ordinal,
            seq: entry.seq,
            at_ms: entry.at_ms,
            at: rfc3339(entry.at_ms),
            body: &entry.body,
        }
    }
}
