//! Still images as files, and an index of their times.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::order::MAX_SPAN_MS;
use super::{Counts, Finished, TrackFile};

/// How many images one track may have: more than 27 hours at one a second.
pub const MAX_PICTURES: usize = 100_000;

/// One JSON object a line, in the order in which the images came.
const INDEX: &str = "index.jsonl";

/// A folder of images named by their time since the origin.
pub struct Pictures {
    folder: PathBuf,
    origin_ms: i64,
    index: File,
    index_bytes: u64,
    lines: Vec<Line>,
    counts: Counts,
    bytes: u64,
}

/// A line of the index.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    file: String,
    /// Unix milliseconds.
    at_ms: i64,
    /// Since the origin, in milliseconds.
    offset_ms: i64,
    bytes: u64,
}

impl Pictures {
    pub fn open(folder: &Path, origin_ms: i64) -> io::Result<Self> {
        if let Err(error) = fs::create_dir(folder)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let (lines, index_bytes) = listed(folder)?;
        remove_unlisted(folder, &lines)?;
        let path = folder.join(INDEX);
        let index = OpenOptions::new().append(true).create(true).open(path)?;
        index.set_len(index_bytes)?;
        Ok(Self {
            folder: folder.to_owned(),
            origin_ms,
            index,
            index_bytes,
            lines,
            counts: Counts::default(),
            bytes: 0,
        })
    }

    pub fn write(&mut self, at_ms: i64, payload: &Bytes) -> io::Result<()> {
        let offset_ms = at_ms.saturating_sub(self.origin_ms);
        let Some(extension) = extension(payload) else {
            self.counts.unreadable += 1;
            return Ok(());
        };
        if !(0..=MAX_SPAN_MS).contains(&offset_ms) {
            self.counts.absurd += 1;
            return Ok(());
        }
        if self.lines.len() >= MAX_PICTURES {
            self.counts.beyond_limit += 1;
            return Ok(());
        }
        let file = format!("{offset_ms:09}.{extension}");
        self.put(Line { file, at_ms, offset_ms, bytes: payload.len() as u64 }, payload)
    }

    pub fn finish(self) -> io::Result<Finished> {
        self.index.sync_all()?;
        let times = || self.lines.iter().map(|line| line.at_ms);
        let first_ms = times().min().unwrap_or(self.origin_ms);
        let last_ms = times().max().unwrap_or(self.origin_ms);
        let path = self.folder.join(INDEX);
        let mut files = vec![TrackFile { path, bytes: self.index_bytes, first_ms, last_ms }];
        files.extend(self.lines.iter().map(|line| TrackFile {
            path: self.folder.join(&line.file),
            bytes: line.bytes,
            first_ms: line.at_ms,
            last_ms: line.at_ms,
        }));
        Ok(Finished { files, counts: self.counts })
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The image first: what the index names is whole.
    fn put(&mut self, line: Line, payload: &Bytes) -> io::Result<()> {
        let path = self.folder.join(&line.file);
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.counts.late += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut text = serde_json::to_vec(&line).expect("plain fields always serialize");
        text.push(b'\n');
        let written = file.write_all(payload).and_then(|()| self.index.write_all(&text));
        if let Err(error) = written {
            self.index.set_len(self.index_bytes)?;
            fs::remove_file(&path)?;
            return Err(error);
        }
        self.index_bytes += text.len() as u64;
        self.bytes += line.bytes + text.len() as u64;
        self.counts.written += 1;
        self.lines.push(line);
        Ok(())
    }
}

/// The lines of the index, and where the last whole one ends.
fn listed(folder: &Path) -> io::Result<(Vec<Line>, u64)> {
    let text = match fs::read(folder.join(INDEX)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = text[..end].split(|byte| *byte == b'\n').filter_map(|line| {
        let line: Line = serde_json::from_slice(line).ok()?;
        is_ours(&line.file).then_some(line)
    });
    Ok((lines.collect(), end as u64))
}

/// Removes images that a killed process did not come to list.
fn remove_unlisted(folder: &Path, lines: &[Line]) -> io::Result<()> {
    let listed: HashSet<_> = lines.iter().map(|line| line.file.as_str()).collect();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if is_ours(name) && !listed.contains(name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether a name is one that we give.
fn is_ours(name: &str) -> bool {
    let stem = name.strip_suffix(".jpg").or_else(|| name.strip_suffix(".png"));
    stem.is_some_and(|stem| stem.len() == 9 && stem.bytes().all(|byte| byte.is_ascii_digit()))
}

/// By what the image is, whatever was agreed.
fn extension(payload: &[u8]) -> Option<&'static str> {
    match payload {
        [0xff, 0xd8, ..] => Some("jpg"),
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        _ => None,
    }
}
