//! What was said, in order, corrected, and as text: for downloads and for recordings.

/// The formats, and what writes them.
pub mod format;
/// Lines out of the store.
pub mod lines;
mod window;

use bytes::Bytes;

use self::format::Writer;
use self::lines::{Line, Lines};
use crate::model::{StreamRecord, Tally};
use crate::store::StoreError;

/// About how much text is written at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// A transcript on its way out: a long one takes no memory.
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
    /// `first` is the first of the lines, if there is any: whoever reads it knows that the store answers.
    pub fn new(lines: Lines, writer: Writer, first: Option<Line>) -> Self {
        Self { lines, writer, next: first, state: State::Start }
    }

    /// The next piece of the text; none at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut text = String::new();
        match self.state {
            State::Start => self.writer.start(&mut text),
            State::Lines => {}
            State::Done => return Ok(None),
        }
        self.state = State::Lines;
        while let Some(line) = self.next.take() {
            self.writer.line(&mut text, &line);
            self.next = self.lines.next().await?;
            if text.len() >= CHUNK_BYTES {
                return Ok(Some(text.into()));
            }
        }
        self.writer.end(&mut text);
        self.state = State::Done;
        Ok(Some(text.into()))
    }
}

/// The zero of a time line: the oldest of all first packets, sounds, pictures and the first line. What Zoom kept
/// before we joined may be older than the first packet that it tells of.
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
