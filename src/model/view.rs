use jiff::Timestamp;
use serde::Serialize;

use super::{Entry, EntryBody, SessionId, StreamId};

/// An entry in JSON, as everything that hands it on shows it.
#[derive(Debug, Serialize)]
pub struct EntryView<'a> {
    pub session_id: SessionId,
    pub stream_id: &'a StreamId,
    /// Which stream of its session this is, from 1.
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
            stream: entry.stream_ordinal,
            seq: entry.seq,
            at_ms: entry.at_ms,
            at: rfc3339(entry.at_ms),
            body: &entry.body,
        }
    }
}

/// Unix milliseconds as RFC 3339 in UTC; none outside the years -9999 to 9999.
pub fn rfc3339(ms: i64) -> Option<String> {
    let at = Timestamp::from_millisecond(ms).ok()?;
    Some(format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn a_time_is_written_with_its_milliseconds() {
        assert_eq!(rfc3339(1_732_313_171_881).as_deref(), Some("2024-11-22T22:06:11.881Z"));
        assert_eq!(rfc3339(1_732_313_171_000).as_deref(), Some("2024-11-22T22:06:11.000Z"));
        assert_eq!(rfc3339(i64::MAX), None);
    }
}
