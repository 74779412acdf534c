//! Entries as JSON.

use serde::Serialize;

use super::{Entry, EntryBody, SessionId, StreamId, rfc3339};

/// An entry as JSON, the same in every API and sink.
#[derive(Debug, Serialize)]
pub struct EntryView<'a> {
    pub session_id: SessionId,
    pub stream_id: &'a StreamId,
    /// The number of the stream in its session, from 1.
    pub ordinal: u32,
    /// The former name of `ordinal`: deprecated, sent for one more release.
    pub stream: u32,
    pub seq: u64,
    pub at_ms: i64,
    pub at: Option<String>,
    #[serde(flatten)]
    pub body: &'a EntryBody,
}

impl<'a> EntryView<'a> {
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
