use serde::Serialize;

use super::{Entry, EntryBody, SessionId, StreamId, rfc3339};

/// An entry in JSON, for everybody who gets one.
#[derive(Serialize)]
pub struct EntryView<'a> {
    session_id: SessionId,
    stream_id: &'a StreamId,
    /// Which stream of its session this is, from 1.
    stream: u32,
    seq: u64,
    at_ms: i64,
    at: Option<String>,
    #[serde(flatten)]
    body: &'a EntryBody,
}

impl<'a> EntryView<'a> {
    pub fn of(entry: &'a Entry) -> Self {
        Self {
            session_id: entry.session_id,
            stream_id: &entry.stream_id,
            stream: entry.stream_ordinal,
            seq: entry.seq,
            at_ms: entry.at_ms,
            at: rfc3339(entry.at_ms),
            body: &entry.body,
        }
    }
}
