//! Writes the texts of a recording from the store: transcript, chat and events of its stream.

use std::io;
use std::path::Path;

use serde::Serialize;
use thiserror::Error;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::track::Cue;
use crate::model::{
    Cursor, Entry, EntryBody, EntryKind, Medium, StreamRecord, TranscriptLine, one_line, rfc3339,
};
use crate::store::{Store, StoreError};
use crate::transcript::Transcript;
use crate::transcript::format::{Format, Writer};
use crate::transcript::lines::Lines;

const TRANSCRIPTS: [Format; 4] = [Format::Vtt, Format::Srt, Format::Txt, Format::Jsonl];
/// The entries read from the store at a time.
const PAGE: u32 = 500;
/// The most bytes of a film's text in memory, and the approximate memory of a line beside its text.
const MAX_CUES_BYTES: usize = 16 << 20;
const CUE_BYTES: usize = 64;
/// The highest entry number that both databases can compare with.
const LAST_SEQ: u64 = i64::MAX as u64;

/// Why a text was not written.
#[derive(Debug, Error)]
pub(super) enum TextError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] io::Error),
}

/// A text that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub name: String,
    pub medium: &'static str,
    pub content_type: &'static str,
    /// The time of the first and the last entry in it, Unix milliseconds.
    pub span_ms: Option<(i64, i64)>,
    /// The number of lines or messages, if each of them has a line.
    pub entries: Option<u64>,
}

/// One stream's entries, and the folder that they are written to.
pub(super) struct Texts<'a> {
    pub store: &'a Store,
    /// All streams of the session.
    pub streams: &'a [StreamRecord],
    pub stream: &'a StreamRecord,
    pub folder: &'a Path,
    /// The time origin of the recording, Unix milliseconds.
    pub origin_ms: i64,
}

/// One line of a JSONL file.
#[derive(Serialize)]
struct EntryLine<'a> {
    seq: u64,
    at_ms: i64,
    at: Option<String>,
    offset_ms: i64,
    #[serde(flatten)]
    body: &'a EntryBody,
}

impl Texts<'_> {
    /// The transcript in every format.
    pub(super) async fn transcript(&self) -> Result<Vec<Text>, TextError> {
        let mut texts = Vec::new();
        for format in TRANSCRIPTS {
            texts.push(self.transcript_as(format).await?);
        }
        Ok(texts)
    }

    pub(super) async fn chat(&self) -> Result<Text, TextError> {
        self.entries(Medium::Chat.as_str(), &[EntryKind::Chat]).await
    }

    /// All entries other than transcript and chat.
    pub(super) async fn events(&self) -> Result<Text, TextError> {
        let is_event = |kind: &EntryKind| !matches!(kind, EntryKind::Transcript | EntryKind::Chat);
        let kinds: Vec<EntryKind> = EntryKind::ALL.into_iter().filter(is_event).collect();
        self.entries("events", &kinds).await
    }

    /// The lines of the transcript for the text of a film, as far as they fit.
    pub(super) async fn cues(&self) -> Result<Vec<Cue>, TextError> {
        let mut lines = Lines::new(self.store.clone(), [self.stream], true);
        let (mut cues, mut bytes) = (Vec::new(), 0);
        while let Some(line) = lines.next().await? {
            let cue = self.cue(&line.said);
            bytes += CUE_BYTES + cue.text.len();
            if bytes > MAX_CUES_BYTES {
                tracing::warn!(
                    "the transcript is too long for a film; the film has the beginning of it"
                );
                break;
            }
            cues.push(cue);
        }
        Ok(cues)
    }

    fn cue(&self, said: &TranscriptLine) -> Cue {
        let since = |ms: i64| u64::try_from(ms.saturating_sub(self.origin_ms)).unwrap_or_default();
        let text = match &said.speaker.name {
            Some(name) => format!("{}: {}", one_line(name), one_line(&said.text)),
            None => one_line(&said.text).to_string(),
        };
        Cue { start_ms: since(said.start_ms), end_ms: since(said.end_ms), text }
    }

    async fn transcript_as(&self, format: Format) -> Result<Text, TextError> {
        let suffix = format.file_suffix().unwrap_or("json");
        let name = format!("transcript.{suffix}");
        let (id, corrected) = (self.stream.session_id, format.applies_corrections());
        let mut lines = Lines::new(self.store.clone(), [self.stream], corrected);
        let first = lines.next().await?;
        let mut text = Transcript::new(lines, Writer::new(format, id, self.origin_ms), first);
        let mut file = BufWriter::new(File::create(self.folder.join(&name)).await?);
        let mut ends = 0;
        while let Some(chunk) = text.chunk().await? {
            // JSON escapes line breaks, so every line of JSONL has exactly one.
            ends += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
            file.write_all(&chunk).await?;
        }
        let entries = Some(ends).filter(|_| format == Format::Jsonl);
        // tokio's `BufWriter` does not flush when it is dropped.
        file.flush().await?;
        let tally = &self.stream.tally.transcript;
        let span_ms = tally.first_ms.zip(tally.last_ms);
        Ok(Text {
            name,
            medium: Medium::Transcript.as_str(),
            content_type: format.media_type(),
            span_ms,
            entries,
        })
    }

    async fn entries(&self, medium: &'static str, kinds: &[EntryKind]) -> Result<Text, TextError> {
        let name = format!("{medium}.jsonl");
        let mut file = BufWriter::new(File::create(self.folder.join(&name)).await?);
        let (mut cursor, mut span_ms, mut count) = (self.start(), None, 0);
        loop {
            let id = self.stream.session_id;
            let entries = self.store.entries_after(id, &cursor, kinds, PAGE).await?;
            let Some(last) = entries.last() else { break };
            cursor.advance(self.stream.ordinal, last.seq);
            count += entries.len() as u64;
            for entry in &entries {
                let (first_ms, last_ms) = span_ms.unwrap_or((entry.at_ms, entry.at_ms));
                span_ms = Some((first_ms.min(entry.at_ms), last_ms.max(entry.at_ms)));
                file.write_all(self.line(entry).as_bytes()).await?;
            }
        }
        file.flush().await?;
        let entries = Some(count);
        Ok(Text { name, medium, content_type: "application/jsonl", span_ms, entries })
    }

    /// The position before the first entry of this stream, and after all of the others.
    fn start(&self) -> Cursor {
        let mut cursor = Cursor::default();
        for other in self.streams.iter().filter(|other| other.ordinal != self.stream.ordinal) {
            cursor.advance(other.ordinal, LAST_SEQ);
        }
        cursor
    }

    fn line(&self, entry: &Entry) -> String {
        let line = EntryLine {
            seq: entry.seq,
            at_ms: entry.at_ms,
            at: rfc3339(entry.at_ms),
            offset_ms: entry.at_ms.saturating_sub(self.origin_ms),
            body: &entry.body,
        };
        serde_json::to_string(&line).expect("an entry has no map with other keys than text") + "\n"
    }
}
