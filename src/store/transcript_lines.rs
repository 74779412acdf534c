//! The transcript lines of a stream, page by page.

use super::database::binds;
use super::entries::stored_seq;
use super::rows;
use super::{Store, StoreError, sql};
use crate::model::{StreamId, TranscriptLine};

/// A transcript line with its number in the log of its stream; `None` for one that this version cannot read.
pub(super) type NumberedLine = (u64, Option<TranscriptLine>);

impl Store {
    /// Up to `limit` transcript lines of a stream after the entry number `after`, in order. Lines of a revoked stream are
    /// hidden until they are deleted.
    pub async fn transcript_lines(
        &self,
        stream: &StreamId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<NumberedLine>, StoreError> {
        let values = binds![stream.as_str(), stored_seq(after), i64::from(limit)];
        let page: Option<(Option<String>,)> =
            self.database.optional(sql::TRANSCRIPT_LINES, values).await?;
        let page = page.and_then(|(lines,)| lines).unwrap_or_default();
        let numbered = page.lines().map(|line| numbered_line(stream, line));
        let mut lines: Vec<NumberedLine> = numbered.filter_map(rows::or_passed_over).collect();
        // Neither database promises to aggregate in the order of a subquery.
        lines.sort_by_key(|(seq, _)| *seq);
        Ok(lines)
    }
}

fn numbered_line(stream: &StreamId, line: &str) -> Result<NumberedLine, StoreError> {
    let unreadable = |seq| StoreError::Row(format!("entry {seq} of {stream}"));
    let (seq, body) = line.split_once(' ').ok_or_else(|| unreadable("?"))?;
    // The error leaves out serde_json's message, which could quote what was said.
    let read = serde_json::from_str(body).map_err(|_| unreadable(seq));
    let seq = seq.parse().map_err(|_| unreadable(seq))?;
    Ok((seq, rows::or_passed_over(read)))
}
