//! The file of a stream's capture: kept, uploaded and deleted with the recording of the stream.
//!
//! Lines are gathered and written as blocks, so that a killed process leaves a file that can be read up to the last of
//! them. A file that is full, or a disk that fails, costs lines, which the file counts, and nothing else.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::capture::block::{BlockKind, compress, whole_blocks};
use crate::capture::event::{CutReason, Event, Header, Record, Subject};
use crate::capture::redact::Redactor;
use crate::capture::{Events, Item};
use crate::metrics::Metrics;
use crate::model::CaptureMode;

/// The name of the file in the recording.
pub(super) const CAPTURE: &str = "capture.jsonl.gz";
/// A block is written when its lines have this many bytes, or this age.
const BLOCK_BYTES: usize = 256 * 1024;
const BLOCK_EVERY: Duration = Duration::from_secs(2);
/// What is kept free in the file for the line that says what is missing.
const RESERVE_BYTES: u64 = 4 * 1024;

/// The file of a stream that runs here.
pub(super) struct CaptureFile {
    file: File,
    header: Header,
    /// The bytes of whole blocks.
    length: u64,
    max_bytes: u64,
    redactor: Redactor,
    /// The lines of the next block, how many events they are, and the bytes of messages in them.
    lines: Vec<u8>,
    events: u64,
    began: Instant,
    /// What is missing at the end of the file, and why.
    missing: Option<Missing>,
    is_full: bool,
    has_warned: bool,
    metrics: Metrics,
}

/// Events that were not written.
#[derive(Debug, Clone, Copy)]
struct Missing {
    events: u64,
    bytes: u64,
    why: CutReason,
    /// When the last of them happened.
    t: u64,
    at_ms: i64,
}

/// What a capture may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct CaptureLimits {
    pub mode: CaptureMode,
    pub max_bytes: u64,
}

impl CaptureFile {
    /// Continues the file in `folder` after its last whole block, or begins it. Blocks.
    pub(super) fn open(
        folder: &Path,
        subject: &Subject,
        limits: CaptureLimits,
        metrics: Metrics,
    ) -> io::Result<Self> {
        // The session may have chosen another mode since: the file keeps its own.
        let mode = mode_of(folder).unwrap_or(limits.mode);
        let (file, length) = open_at_end(&folder.join(CAPTURE))?;
        Ok(Self {
            file,
            header: Header::new(subject, mode, limits.max_bytes),
            length,
            max_bytes: limits.max_bytes,
            redactor: Redactor::new(mode),
            lines: Vec::new(),
            events: 0,
            began: Instant::now(),
            missing: None,
            is_full: false,
            has_warned: false,
            metrics,
        })
    }

    /// The size of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.length
    }

    /// Whether lines wait to be written.
    pub(super) fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Takes what is queued. `has_room`: whether the disk has room beside a file of this size. `is_last`: everything is
    /// written now. Blocks.
    pub(super) fn take(&mut self, events: &Events, has_room: impl Fn(u64) -> bool, is_last: bool) {
        self.redactor.hide(events.take_secrets());
        let (mut length, mut is_refused) = (self.length, !has_room(self.length));
        for item in events.take() {
            self.take_item(item, is_refused);
            if self.length != length {
                (length, is_refused) = (self.length, !has_room(self.length));
            }
        }
        if self.has_lines() && (is_last || self.began.elapsed() >= BLOCK_EVERY) {
            self.write_block();
        }
        if is_last {
            self.say_what_is_missing();
        }
    }

    fn take_item(&mut self, item: Item, is_refused: bool) {
        let (t, at_ms, bytes) = (item.t, item.at_ms, item.raw.message_bytes() as u64);
        let why = match (self.is_full, is_refused) {
            (true, _) => CutReason::Size,
            (false, true) => CutReason::Disk,
            (false, false) => {
                self.add_missing();
                let record = self.redactor.record(item);
                self.add(&record);
                self.events += 1;
                if self.lines.len() >= BLOCK_BYTES {
                    self.write_block();
                }
                return;
            }
        };
        self.miss(Missing { events: 1, bytes, why, t, at_ms });
    }

    /// Adds a line, after the header if it is the first one.
    fn add(&mut self, line: &Record) {
        if self.lines.is_empty() {
            self.began = Instant::now();
            if self.length == 0 {
                push_line(&mut self.lines, &self.header);
            }
        }
        push_line(&mut self.lines, line);
    }

    fn add_missing(&mut self) {
        if let Some(Missing { events, bytes, why, t, at_ms }) = self.missing.take() {
            self.add(&Record { t, at_ms, event: Event::Cut { events, bytes, why } });
        }
    }

    fn miss(&mut self, more: Missing) {
        self.metrics.capture_events.add(["cut"], more.events);
        let before = self.missing.map_or((0, 0), |missing| (missing.events, missing.bytes));
        let (events, bytes) = (before.0 + more.events, before.1 + more.bytes);
        self.missing = Some(Missing { events, bytes, ..more });
    }

    /// Writes the gathered lines as one block, or counts them as missing.
    fn write_block(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let events = std::mem::take(&mut self.events);
        let block = compress(BlockKind::Wire, &lines);
        let why = match self.length + block.len() as u64 + RESERVE_BYTES > self.max_bytes {
            true => {
                self.is_full = true;
                tracing::warn!(
                    "the capture of a stream has its full size (CAPTURE_BYTES); the rest is left out"
                );
                CutReason::Size
            }
            false => match self.append(&block) {
                Ok(()) => return self.metrics.capture_events.add(["written"], events),
                Err(error) => {
                    if !std::mem::replace(&mut self.has_warned, true) {
                        tracing::warn!(%error,
                            "cannot write the capture of a stream; the file says what is missing");
                    }
                    CutReason::Disk
                }
            },
        };
        let last = last_record(&lines);
        let (t, at_ms) = last.map_or((0, 0), |record| (record.t, record.at_ms));
        self.miss(Missing { events, bytes: lines.len() as u64, why, t, at_ms });
    }

    fn say_what_is_missing(&mut self) {
        let Some(missing) = self.missing else { return };
        self.add_missing();
        let block = compress(BlockKind::Wire, &std::mem::take(&mut self.lines));
        // Within the reserve, unless the disk is still full.
        if self.append(&block).is_err() {
            self.missing = Some(missing);
        }
    }

    fn append(&mut self, block: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(block);
        match written {
            Ok(()) => self.length += block.len() as u64,
            // A part of a block would hide every later one.
            Err(_) => cut_to(&mut self.file, self.length)?,
        }
        written
    }
}

/// Appends webhooks and REST calls to the finished file in `folder`, in place of those of an earlier try. False if there
/// is no file. Blocks.
pub(super) fn append_http(folder: &Path, records: &[Record]) -> io::Result<bool> {
    let path = folder.join(CAPTURE);
    if !path.exists() {
        return Ok(false);
    }
    let (mut file, _) = open_at_end(&path)?;
    let mut lines = Vec::new();
    records.iter().for_each(|record| push_line(&mut lines, record));
    if !lines.is_empty() {
        file.write_all(&compress(BlockKind::Http, &lines))?;
    }
    file.sync_all()?;
    Ok(true)
}

/// The mode of the finished capture in `folder`, if there is one. Blocks.
pub(super) fn mode_of(folder: &Path) -> Option<CaptureMode> {
    let file = File::open(folder.join(CAPTURE)).ok()?;
    Some(crate::capture::reader::Reader::open(file).ok()?.header().mode)
}

/// Opens a file behind its last whole block, and removes what is behind it.
fn open_at_end(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).mode(0o600).open(path)?;
    let length = whole_blocks(&mut BufReader::new(&file))?;
    cut_to(&mut file, length)?;
    Ok((file, length))
}

fn cut_to(file: &mut File, length: u64) -> io::Result<()> {
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length)).map(drop)
}

fn push_line(lines: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *lines, line).expect("a line has only text keys");
    lines.push(b'\n');
}

fn last_record(lines: &[u8]) -> Option<Record> {
    let last = lines.strip_suffix(b"\n")?.rsplit(|byte| *byte == b'\n').next()?;
    serde_json::from_slice(last).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::capture::reader::Reader;
    use crate::capture::{CaptureRoom, Raw};
    use crate::model::{AppName, IdKey, Product, SessionId, StreamId};

    fn subject() -> Subject {
        Subject {
            session_id: SessionId(Uuid::nil()),
            stream_id: StreamId::parse("s").unwrap(),
            ordinal: 1,
            app: AppName::default(),
            product: Product::Meeting,
            id_key: IdKey::MeetingUuid,
            instance_id: "m".to_owned(),
        }
    }

    fn open(folder: &Path, max_bytes: u64) -> CaptureFile {
        let limits = CaptureLimits { mode: CaptureMode::All, max_bytes };
        CaptureFile::open(folder, &subject(), limits, Metrics::default()).unwrap()
    }

    fn read(folder: &Path) -> Vec<Record> {
        let mut reader = Reader::open(File::open(folder.join(CAPTURE)).unwrap()).unwrap();
        let records = std::iter::from_fn(|| reader.next_record().unwrap()).collect();
        assert!(!reader.is_truncated());
        records
    }

    /// Text that hardly shrinks.
    fn noise(bytes: usize) -> Bytes {
        let noise: Vec<u8> = (0..bytes).map(|_| rand::random_range(b'0'..=b'z')).collect();
        Bytes::from(noise)
    }

    fn put(file: &mut CaptureFile, messages: usize, bytes: usize) {
        let now = Instant::now();
        let (capturer, events) = CaptureRoom::new(usize::MAX, usize::MAX).queue(now);
        for at_ms in 0..messages {
            capturer.push(now, at_ms as i64, Raw::In("audio", noise(bytes)));
        }
        file.take(&events, |_| true, true);
    }

    #[test]
    fn a_file_that_was_cut_off_continues_behind_its_last_whole_block() {
        let folder = tempfile::tempdir().unwrap();
        put(&mut open(folder.path(), u64::MAX), 3, 10);
        let path = folder.path().join(CAPTURE);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(compress(BlockKind::Wire, b"half of a block\n").split_off(8));
        std::fs::write(&path, bytes).unwrap();
        put(&mut open(folder.path(), u64::MAX), 2, 10);
        let times: Vec<i64> = read(folder.path()).iter().map(|record| record.at_ms).collect();
        assert_eq!(times, [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_full_file_says_what_is_missing_and_stays_within_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = open(folder.path(), 600 * 1024);
        put(&mut file, 2_000, 1_000);
        put(&mut file, 5, 1_000);
        assert!(std::fs::metadata(folder.path().join(CAPTURE)).unwrap().len() <= 600 * 1024);
        let mut records = read(folder.path());
        let written = records.iter().filter(|it| matches!(it.event, Event::In { .. })).count();
        records.retain(|record| !matches!(record.event, Event::In { .. }));
        let cuts: Vec<u64> = records
            .iter()
            .map(|record| match &record.event {
                Event::Cut { events, why: CutReason::Size, .. } => *events,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(written > 100 && cuts.len() == 2, "{written} {cuts:?}");
        assert_eq!(written as u64 + cuts.iter().sum::<u64>(), 2_005);
    }

    #[test]
    fn a_refusing_disk_costs_the_events_and_the_file_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = open(folder.path(), u64::MAX);
        let now = Instant::now();
        let (capturer, events) = CaptureRoom::new(usize::MAX, usize::MAX).queue(now);
        for (at_ms, is_refused) in [(1, false), (2, true), (3, true), (4, false)] {
            capturer.push(now, at_ms, Raw::In("audio", noise(100)));
            file.take(&events, |_| !is_refused, false);
        }
        file.take(&events, |_| true, true);
        let records = read(folder.path());
        let times: Vec<i64> = records.iter().map(|record| record.at_ms).collect();
        assert_eq!(times, [1, 3, 4]);
        let cut = Event::Cut { events: 2, bytes: 200, why: CutReason::Disk };
        assert_eq!(records[1].event, cut);
    }

    #[test]
    fn webhooks_are_appended_once() {
        let folder = tempfile::tempdir().unwrap();
        put(&mut open(folder.path(), u64::MAX), 1, 10);
        let webhook = Record { t: 0, at_ms: 9, event: Event::Left {} };
        for _ in 0..2 {
            assert!(append_http(folder.path(), std::slice::from_ref(&webhook)).unwrap());
        }
        assert_eq!(read(folder.path()).len(), 2);
        assert!(!append_http(&folder.path().join("none"), &[]).unwrap());
    }

    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path(), u64::MAX));
        let mode = std::fs::metadata(folder.path().join(CAPTURE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
