//! Transcripts: a session's lines in order, corrected and rendered as text, for downloads and recordings.

// The formats of a transcript.
pub mod format;
// Reading lines from the store.
pub mod lines;
mod window;

use bytes::Bytes;

use self::format::Writer;
use self::lines::{Line, Lines};
use crate::model::{StreamRecord, Tally};
use crate::store::StoreError;

/// The approximate size of a chunk.
const CHUNK_BYTES: usize = 32 * 1024;

/// Produces a transcript in chunks, so that a long one does not take much memory.
pub struct Transcript {
    lines: Lines,
    writer: Writer,
    next: Option<Line>,
    state: State,
}

enum State {
    Start,
    Lines,
    Done,
}

impl Transcript {
    /// `first` is the first line, if any. The caller has already read it, to fail before the response starts if the
    /// store does not answer.
    pub fn new(lines: Lines, writer: Writer, first: Option<Line>) -> Self {
        Self { lines, writer, next: first, state: State::Start }
    }

    /// The next chunk; none after the last one.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut text = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        match self.state {
            State::Start => self.writer.start(&mut text),
            State::Lines => {}
            State::Done => return Ok(None),
        }
        // Before the first read: after an error, the next call must not write the start again.
        self.state = State::Lines;
        while let Some(line) = self.next.take() {
            self.writer.line(&mut text, &line);
            self.next = self.lines.next().await?;
            // Checked after the read, so that the last chunk also gets the end of the document.
            if text.len() >= CHUNK_BYTES {
                return Ok(Some(text.into()));
            }
        }
        self.writer.end(&mut text);
        self.state = State::Done;
        Ok(Some(text.into()))
    }
}

/// The origin of a transcript's time line: the earliest of all first packets, audio frames, pictures and the first
/// line. Audio that Zoom buffered before rtmsd joined can be older than the first-packet event.
pub fn origin_ms<'a>(
    streams: impl IntoIterator<Item = &'a StreamRecord>,
    first: Option<&Line>,
) -> i64 {
    let of_stream = |stream: &StreamRecord| {
        let Tally { audio, video, share, .. } = &stream.tally;
        [stream.first_packet_ms, audio.first_ms, video.first_ms, share.first_ms]
    };
    let oldest = streams.into_iter().flat_map(of_stream).flatten();
    oldest.chain(first.map(|line| line.said.start_ms)).min().unwrap_or(0)
}
