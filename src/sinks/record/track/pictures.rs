//! Still images as files, and an index of their times.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::order::MAX_SPAN_MS;
use super::{Counts, Finished, TrackFile, TrackWriter};

/// The most images of one track: more than 27 hours at one per second.
pub(super) const MAX_PICTURES: usize = 100_000;

/// A file takes whole blocks of the disk.
const BLOCK_BYTES: u64 = 4 << 10;

/// One JSON object per line, in the order of arrival.
const INDEX: &str = "index.jsonl";

/// An incomplete image. A killed process may leave it; the next image replaces it.
const UNFINISHED: &str = ".unfinished";

/// A folder of images named by their time since the origin.
pub(super) struct Pictures {
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
    /// The time since the origin, in milliseconds.
    offset_ms: i64,
    bytes: u64,
}

impl Pictures {
    pub(super) fn open(folder: &Path, origin_ms: i64) -> io::Result<Self> {
        if let Err(error) = fs::create_dir(folder)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let (lines, index_bytes) = read_index(folder)?;
        let path = folder.join(INDEX);
        // `append` writes at the end, which `set_len` moves to the last whole line.
        let index = OpenOptions::new().append(true).create(true).open(path)?;
        index.set_len(index_bytes)?;
        let mut pictures = Self {
            folder: folder.to_owned(),
            origin_ms,
            index,
            index_bytes,
            lines,
            counts: Counts::default(),
            bytes: 0,
        };
        for (file, bytes) in find_unlisted(folder, &pictures.lines)? {
            pictures.list(file, bytes)?;
        }
        Ok(pictures)
    }

    fn list(&mut self, file: String, bytes: u64) -> io::Result<()> {
        let offset_ms = offset_ms(&file).unwrap_or_default();
        let line = Line { file, at_ms: self.origin_ms + offset_ms, offset_ms, bytes };
        let mut text = serde_json::to_vec(&line).expect("plain fields always serialize");
        text.push(b'\n');
        if let Err(error) = self.index.write_all(&text) {
            // Half a line would run into the next one.
            self.index.set_len(self.index_bytes)?;
            return Err(error);
        }
        self.index_bytes += text.len() as u64;
        self.bytes += text.len() as u64;
        self.lines.push(line);
        Ok(())
    }
}

impl TrackWriter for Pictures {
    fn write(&mut self, at_ms: i64, payload: &Bytes) -> io::Result<()> {
        let offset_ms = at_ms.saturating_sub(self.origin_ms);
        let Some(extension) = image_extension(payload) else {
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
        let path = self.folder.join(&file);
        if path.exists() {
            self.counts.late += 1;
            return Ok(());
        }
        // It gets its name only when it is complete, and is indexed only when it exists.
        let unfinished = self.folder.join(UNFINISHED);
        fs::write(&unfinished, payload)?;
        fs::rename(unfinished, path)?;
        self.list(file, payload.len() as u64)?;
        self.bytes += (payload.len() as u64).next_multiple_of(BLOCK_BYTES);
        self.counts.written += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Finished> {
        self.index.sync_all()?;
        if let Err(error) = fs::remove_file(self.folder.join(UNFINISHED))
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
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

    fn counts(&self) -> Counts {
        self.counts
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Copies a folder to a path that must not exist, with all times `by_ms` later; its origin is `origin_ms`. The images
/// are linked, not copied.
pub(super) fn shift_folder(from: &Path, to: &Path, by_ms: u64, origin_ms: i64) -> io::Result<()> {
    fs::create_dir(to)?;
    // Without lines, every image counts as unlisted.
    for (name, _) in find_unlisted(from, &[])? {
        let (Some(offset_ms), Some((_, extension))) = (offset_ms(&name), name.rsplit_once('.'))
        else {
            continue;
        };
        let later = format!("{:09}.{extension}", offset_ms + by_ms as i64);
        fs::hard_link(from.join(&name), to.join(later))?;
    }
    Pictures::open(to, origin_ms).map(drop)
}

/// The lines of the index, and the end of the last whole one.
fn read_index(folder: &Path) -> io::Result<(Vec<Line>, u64)> {
    let text = match fs::read(folder.join(INDEX)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = text[..end].split(|byte| *byte == b'\n').filter_map(|line| {
        let line: Line = serde_json::from_slice(line).ok()?;
        offset_ms(&line.file).is_some().then_some(line)
    });
    Ok((lines.collect(), end as u64))
}

/// Images that a killed process did not index, with their sizes; in order of time.
fn find_unlisted(folder: &Path, lines: &[Line]) -> io::Result<Vec<(String, u64)>> {
    let listed: HashSet<_> = lines.iter().map(|line| line.file.as_str()).collect();
    let mut unlisted = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if offset_ms(&name).is_some() && !listed.contains(name.as_str()) {
            unlisted.push((name, entry.metadata()?.len()));
        }
    }
    // Nine digits each, so the order of names is that of time.
    unlisted.sort();
    Ok(unlisted)
}

/// The time in the name of an image.
fn offset_ms(name: &str) -> Option<i64> {
    let stem = name.strip_suffix(".jpg").or_else(|| name.strip_suffix(".png"))?;
    let is_ours = stem.len() == 9 && stem.bytes().all(|byte| byte.is_ascii_digit());
    if is_ours { stem.parse().ok() } else { None }
}

/// The extension for the image's actual format, whatever was agreed.
fn image_extension(payload: &[u8]) -> Option<&'static str> {
    match payload {
        [0xff, 0xd8, ..] => Some("jpg"),
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::record::track::{Track, TrackKind};

    const ORIGIN_MS: i64 = 1_763_600_000_000;
    const JPG: Bytes = Bytes::from_static(&[0xff, 0xd8, 1, 2, 3]);
    const PNG: Bytes = Bytes::from_static(b"\x89PNG 1234");

    fn desk() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("share");
        (folder, path)
    }

    #[test]
    fn images_are_named_by_time_and_listed_in_an_index() {
        let (_folder, path) = desk();
        let mut track = Track::create(&path, TrackKind::Pictures, ORIGIN_MS).unwrap();
        track.write(ORIGIN_MS, &JPG).unwrap();
        track.write(ORIGIN_MS + 3_600_000, &PNG).unwrap();
        track.write(ORIGIN_MS + 3_600_000, &PNG).unwrap();
        track.write(ORIGIN_MS + 4_000_000, &Bytes::from_static(b"text")).unwrap();
        track.write(ORIGIN_MS - 1, &JPG).unwrap();
        assert!(track.bytes() >= 2 * BLOCK_BYTES, "even small images count: {}", track.bytes());
        let finished = track.finish().unwrap();
        let expected =
            Counts { written: 2, late: 1, absurd: 1, unreadable: 1, ..Counts::default() };
        assert_eq!(finished.counts, expected);
        assert_eq!(fs::read(path.join("000000000.jpg")).unwrap(), JPG);
        assert_eq!(fs::read(path.join("003600000.png")).unwrap(), PNG);
        let index = fs::read_to_string(path.join(INDEX)).unwrap();
        let second = index.lines().nth(1).unwrap();
        assert_eq!(
            second,
            r#"{"file":"003600000.png","at_ms":1763603600000,"offset_ms":3600000,"bytes":9}"#
        );
        assert_eq!(finished.files.len(), 3);
        assert_eq!(finished.files[0].last_ms, ORIGIN_MS + 3_600_000);
    }

    #[test]
    fn an_index_cut_anywhere_lists_every_whole_image_again() {
        let (_folder, path) = desk();
        let mut track = Track::create(&path, TrackKind::Pictures, ORIGIN_MS).unwrap();
        track.write(ORIGIN_MS, &JPG).unwrap();
        track.write(ORIGIN_MS + 1000, &JPG).unwrap();
        let finished = track.finish().unwrap();
        let whole = fs::read(path.join(INDEX)).unwrap();
        fs::write(path.join("notes.txt"), "precious").unwrap();
        for length in 0..=whole.len() {
            fs::write(path.join(INDEX), &whole[..length]).unwrap();
            fs::write(path.join(UNFINISHED), "half").unwrap();
            let track = Track::resume(&path, TrackKind::Pictures, ORIGIN_MS).unwrap();
            assert_eq!(track.finish().unwrap().files, finished.files, "cut at {length}");
            assert_eq!(fs::read(path.join(INDEX)).unwrap(), whole);
            // The index, two images, the notes.
            assert_eq!(fs::read_dir(&path).unwrap().count(), 4);
        }
    }

    #[test]
    fn a_shifted_folder_has_the_same_images_with_their_times() {
        let (_folder, path) = desk();
        let mut track = Track::create(&path, TrackKind::Pictures, ORIGIN_MS).unwrap();
        track.write(ORIGIN_MS, &JPG).unwrap();
        track.write(ORIGIN_MS + 1000, &PNG).unwrap();
        track.finish().unwrap();
        let later = path.with_file_name("later");
        shift_folder(&path, &later, 30_000, ORIGIN_MS - 30_000).unwrap();
        let track = Track::resume(&later, TrackKind::Pictures, ORIGIN_MS - 30_000).unwrap();
        let times: Vec<i64> =
            track.finish().unwrap().files.iter().map(|file| file.first_ms).collect();
        assert_eq!(times, [ORIGIN_MS, ORIGIN_MS, ORIGIN_MS + 1000]);
        assert_eq!(fs::read(later.join("000030000.jpg")).unwrap(), JPG);
        assert_eq!(fs::read(later.join("000031000.png")).unwrap(), PNG);
    }
}
