//! The transcript lines of a session in order of time, read from the store page by page.

use std::collections::VecDeque;

use super::window::Window;
use crate::model::{Cursor, Entry, EntryBody, EntryKind, SessionId, StreamRecord, TranscriptLine};
use crate::store::{Store, StoreError};

/// How many lines of each stream are read from the store at once.
const PAGE: u32 = 200;
/// The highest entry number that both stores can compare with.
const LAST_SEQ: u64 = i64::MAX as u64;

/// One phrase and its position in the log.
#[derive(Debug, Clone)]
pub struct Line {
    /// The number of its stream in the session, from 1.
    pub ordinal: u32,
    pub seq: u64,
    pub said: TranscriptLine,
}

impl Line {
    fn of(entry: Entry) -> Option<Self> {
        let EntryBody::Transcript(said) = entry.body else { return None };
        Some(Self { ordinal: entry.stream_ordinal, seq: entry.seq, said })
    }
}

/// Merges the lines of a session's streams in order of their start. Holds one page of each stream in memory.
pub struct Lines {
    store: Store,
    session_id: SessionId,
    streams: Vec<StreamLines>,
    window: Window,
}

/// The lines of one stream that have been read but not merged.
struct StreamLines {
    ordinal: u32,
    /// Marks every entry of the other streams as seen, so that a page holds only lines of this stream.
    cursor: Cursor,
    page: VecDeque<Line>,
    /// Whether the store has no further lines.
    drained: bool,
}

impl Lines {
    /// The lines of all streams of a session.
    pub fn new(
        store: Store,
        session_id: SessionId,
        streams: &[StreamRecord],
        applies_corrections: bool,
    ) -> Self {
        let ordinals: Vec<u32> = streams.iter().map(|stream| stream.ordinal).collect();
        let streams = ordinals.iter().map(|own| StreamLines::new(*own, &ordinals)).collect();
        Self { store, session_id, streams, window: Window::new(applies_corrections) }
    }

    /// The lines of one stream of a session.
    pub fn of_stream(
        store: Store,
        session_id: SessionId,
        streams: &[StreamRecord],
        ordinal: u32,
        applies_corrections: bool,
    ) -> Self {
        // The cursor needs the ordinals of all streams, so the others are removed only after that.
        let mut lines = Self::new(store, session_id, streams, applies_corrections);
        lines.streams.retain(|stream| stream.ordinal == ordinal);
        lines
    }

    pub async fn next(&mut self) -> Result<Option<Line>, StoreError> {
        // Nothing leaves the window before it is full or the streams are drained: a later correction may change it.
        while !self.window.is_full() {
            for stream in &mut self.streams {
                // A loop, because a page is empty if none of its lines is readable.
                while stream.page.is_empty() && !stream.drained {
                    stream.fill(&self.store, self.session_id).await?;
                }
            }
            let heads = self.streams.iter_mut().filter(|stream| !stream.page.is_empty());
            let earliest = heads.min_by_key(|stream| stream.page[0].said.start_ms);
            match earliest.and_then(|stream| stream.page.pop_front()) {
                Some(line) => self.window.push(line),
                None => break,
            }
        }
        Ok(self.window.pop())
    }
}

impl StreamLines {
    fn new(ordinal: u32, all: &[u32]) -> Self {
        let mut cursor = Cursor::default();
        for other in all.iter().filter(|other| **other != ordinal) {
            cursor.advance(*other, LAST_SEQ);
        }
        Self { ordinal, cursor, page: VecDeque::new(), drained: false }
    }

    async fn fill(&mut self, store: &Store, session_id: SessionId) -> Result<(), StoreError> {
        let kinds = [EntryKind::Transcript];
        let entries = store.entries_after(session_id, &self.cursor, &kinds, PAGE).await?;
        // Entries of a stream that started after the list of streams was read are left for the next download.
        let own = entries.into_iter().filter(|entry| entry.stream_ordinal == self.ordinal);
        // Only an empty page means the end: unreadable rows make a page shorter.
        self.drained = true;
        for entry in own {
            self.drained = false;
            self.cursor.advance(self.ordinal, entry.seq);
            self.page.extend(Line::of(entry));
        }
        Ok(())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::model::{Speaker, UserId};

    pub fn line(ordinal: u32, seq: u64, start_ms: i64, text: &str) -> Line {
        let said = TranscriptLine {
            speaker: Speaker::participant(UserId(7), Some("Ana".into())),
            text: text.into(),
            start_ms,
            end_ms: start_ms + 1500,
            language: Some(9),
            attribute: None,
        };
        Line { ordinal, seq, said }
    }
}
