//! The transcript lines of a session in order of time, read from the store page by page.

use std::collections::VecDeque;

use super::window::Window;
use crate::model::{StreamId, StreamRecord, TranscriptLine};
use crate::store::{Store, StoreError};

/// How many lines of each stream are read from the store at once.
const PAGE: u32 = 250;

/// One phrase and its position in the log.
#[derive(Debug, Clone)]
pub struct Line {
    /// The number of its stream in the session, from 1.
    pub ordinal: u32,
    pub seq: u64,
    pub said: TranscriptLine,
}

/// Merges the lines of a session's streams in order of their start. Holds one page of each stream in memory.
pub struct Lines {
    store: Store,
    streams: Vec<StreamLines>,
    window: Window,
}

/// The lines of one stream that have been read but not merged.
struct StreamLines {
    id: StreamId,
    ordinal: u32,
    /// The number of the last line that was read.
    last_seq: u64,
    page: VecDeque<Line>,
    /// Whether the store has no further lines.
    drained: bool,
}

impl Lines {
    /// The lines of these streams.
    pub fn new<'a>(
        store: Store,
        streams: impl IntoIterator<Item = &'a StreamRecord>,
        applies_corrections: bool,
    ) -> Self {
        let streams = streams.into_iter().map(StreamLines::new).collect();
        Self { store, streams, window: Window::new(applies_corrections) }
    }

    pub async fn next(&mut self) -> Result<Option<Line>, StoreError> {
        // Nothing leaves the window before it is full or the streams are drained: a later correction may change it.
        while !self.window.is_full() {
            for stream in &mut self.streams {
                // A loop, because a page is empty if none of its lines is readable.
                while stream.page.is_empty() && !stream.drained {
                    // Boxed: otherwise the future of `next` contains that of `fill`, and is moved with it for every line.
                    Box::pin(stream.fill(&self.store)).await?;
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
    fn new(stream: &StreamRecord) -> Self {
        let (id, ordinal) = (stream.stream_id.clone(), stream.ordinal);
        Self { id, ordinal, last_seq: 0, page: VecDeque::new(), drained: false }
    }

    async fn fill(&mut self, store: &Store) -> Result<(), StoreError> {
        let lines = store.transcript_lines(&self.id, self.last_seq, PAGE).await?;
        // Only an empty page means the end: a page may hold nothing that can be read.
        self.drained = lines.is_empty();
        for (seq, said) in lines {
            self.last_seq = seq;
            self.page.extend(said.map(|said| Line { ordinal: self.ordinal, seq, said }));
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
