//! One MP4 file: pictures of one size, in fragments.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::boxes::{self, MAX_MOOF_BYTES, MAX_SAMPLES, ParameterSets, Sample};
use super::sps::{self, Picture};
use crate::sinks::record::track::{TrackFile, parts};

/// A fragment ends with the first picture after this time, and before a key frame after half of it.
const FRAGMENT_MS: u64 = 2_000;

/// A fragment ends when it reaches this size.
const FRAGMENT_BYTES: usize = 4 << 20;

/// The duration of the last picture of a file if there is no other to derive it from.
const LAST_PICTURE_MS: u32 = 40;
const MAX_LAST_PICTURE_MS: u32 = 1_000;

/// The longest beginning of a file, earlier versions included: 256 parameter sets of 64 KiB each.
const MAX_BEGINNING_BYTES: u64 = 17 << 20;

/// A file up to this size is read whole.
const SMALL_BYTES: u64 = 64 << 10;

/// The most that a killed process may leave of a fragment: a picture that fills one arrives in a message of 16 MiB.
pub(super) const MAX_FRAGMENT_BYTES: u64 = 24 << 20;

/// One MP4 file: pictures of one size.
pub(super) struct Part {
    pub path: PathBuf,
    pub sets: ParameterSets,
    pub picture: Picture,
    file: File,
    /// The offset of the next fragment.
    end: u64,
    sequence: u32,
    /// Whole pictures, and the newest, with an unknown duration.
    samples: Vec<Sample>,
    newest: Option<Sample>,
    bytes_waiting: usize,
    last_duration_ms: u32,
    /// The time since the origin.
    first_ms: Option<u64>,
    end_ms: u64,
    /// The bytes added by this writer.
    pub added: u64,
}

/// The length and the name of a box.
pub(super) const BOX_HEADER_BYTES: u64 = 8;

/// The result of reopening a file.
pub(super) enum Reopened {
    Part(Box<Part>),
    /// A file of this writer that was killed before its first fragment was written.
    Begun,
    Foreign,
}

impl Part {
    pub(super) fn create(path: &Path, sets: ParameterSets, picture: Picture) -> io::Result<Self> {
        let beginning = boxes::file_header(&sets, picture, 0);
        let file = parts::create_part(path, &beginning)?;
        let mut part = Self::new(path, file, sets, picture);
        part.end = beginning.len() as u64;
        part.added = part.end;
        Ok(part)
    }

    fn new(path: &Path, file: File, sets: ParameterSets, picture: Picture) -> Self {
        Self {
            path: path.to_owned(),
            sets,
            picture,
            file,
            end: 0,
            sequence: 0,
            samples: Vec::new(),
            newest: None,
            bytes_waiting: 0,
            last_duration_ms: LAST_PICTURE_MS,
            first_ms: None,
            end_ms: 0,
            added: 0,
        }
    }

    /// Reads a file up to the last whole fragment, and cuts off the rest.
    pub(super) fn reopen(path: &Path) -> io::Result<Reopened> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let mut there = vec![0; beginning_bytes(&file, length)? as usize];
        file.read_exact_at(&mut there, 0)?;
        let Some((sets, picture, end)) = read_beginning(&there) else {
            let is_all = there.len() as u64 == length;
            let is_cut = is_all && is_cut_beginning(&there);
            return Ok(if is_cut { Reopened::Begun } else { Reopened::Foreign });
        };
        let mut part = Self::new(path, file, sets, picture);
        part.end = end;
        while part.step_over_fragment(length)? {}
        parts::cut_after(&part.file, path, part.end, MAX_FRAGMENT_BYTES, b"moof")?;
        // The process may have been killed between a fragment and the header.
        part.say_duration()?;
        Ok(Reopened::Part(Box::new(part)))
    }

    /// Shifts all existing pictures to a later time.
    pub(super) fn shift(mut self, by_ms: u64) -> io::Result<()> {
        let mut at = boxes::file_header(&self.sets, self.picture, 0).len() as u64;
        while let Some(moof_bytes) = box_bytes(&self.file, at, self.end, b"moof")? {
            let mut time = [0; 8];
            self.file.read_exact_at(&mut time, at + boxes::TIME_AT as u64)?;
            let later = u64::from_be_bytes(time) + by_ms;
            self.file.write_all_at(&later.to_be_bytes(), at + boxes::TIME_AT as u64)?;
            let data_at = at + moof_bytes;
            at = data_at + box_bytes(&self.file, data_at, self.end, b"mdat")?.unwrap_or_default();
        }
        self.end_ms += by_ms;
        self.say_duration()
    }

    /// Skips the next fragment, if it is whole.
    fn step_over_fragment(&mut self, length: u64) -> io::Result<bool> {
        let Some(moof_bytes) = box_bytes(&self.file, self.end, length, b"moof")? else {
            return Ok(false);
        };
        // Not of this writer; reading it whole could take too much memory.
        if moof_bytes > MAX_MOOF_BYTES as u64 {
            return Ok(false);
        }
        let mut moof = vec![0; moof_bytes as usize];
        self.file.read_exact_at(&mut moof, self.end)?;
        let data_at = self.end + moof_bytes;
        let data_bytes = box_bytes(&self.file, data_at, length, b"mdat")?;
        match (boxes::read_moof(&moof), data_bytes) {
            (Some(info), Some(data_bytes)) if data_bytes == info.data_bytes + BOX_HEADER_BYTES => {
                self.end = data_at + data_bytes;
                self.sequence = info.sequence;
                self.first_ms.get_or_insert(info.at);
                self.end_ms = info.at + info.duration;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Adds a picture. Times increase: one that does not is moved behind its predecessor.
    pub(super) fn push(&mut self, mut sample: Sample) -> io::Result<()> {
        let previous_ms = self.newest.as_ref().map(|newest| newest.at);
        let earliest_ms = previous_ms.map_or(self.end_ms, |previous_ms| previous_ms + 1);
        sample.at = sample.at.max(earliest_ms);
        if let Some(mut newest) = self.newest.take() {
            // The cast fits: a file spans at most `MAX_SPAN_MS`.
            newest.duration = (sample.at - newest.at) as u32;
            self.last_duration_ms = newest.duration;
            self.samples.push(newest);
        }
        self.bytes_waiting += sample.data.len();
        let since_ms = self.samples.first().map_or(0, |first| sample.at - first.at);
        let is_full = since_ms >= FRAGMENT_MS
            || sample.is_key && since_ms >= FRAGMENT_MS / 2
            || self.bytes_waiting >= FRAGMENT_BYTES
            || self.samples.len() >= MAX_SAMPLES;
        self.newest = Some(sample);
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Writes whole pictures and the film's duration.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.say_duration()
    }

    /// Writes the rest.
    pub(super) fn close(mut self, origin_ms: i64) -> io::Result<(TrackFile, u64)> {
        if let Some(mut newest) = self.newest.take() {
            newest.duration = self.last_duration_ms.clamp(1, MAX_LAST_PICTURE_MS);
            self.samples.push(newest);
        }
        self.sync()?;
        // A failed write may have left bytes behind the last fragment.
        self.file.set_len(self.end)?;
        self.file.sync_all()?;
        let first_ms = origin_ms + self.first_ms.unwrap_or_default() as i64;
        let last_ms = origin_ms + self.end_ms as i64;
        let file = TrackFile { path: self.path, bytes: self.end, first_ms, last_ms };
        Ok((file, self.added))
    }

    /// Writes a fragment. After an error its pictures are lost, and those that depend on them.
    fn flush(&mut self) -> io::Result<()> {
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else {
            return Ok(());
        };
        let (first_ms, end_ms) = (first.at, last.at + u64::from(last.duration));
        let fragment = boxes::movie_fragment(boxes::TRACK, self.sequence + 1, &self.samples);
        // Before the write: after an error they are lost, and memory stays bounded.
        self.samples.clear();
        self.bytes_waiting = self.newest.as_ref().map_or(0, |newest| newest.data.len());
        if let Err(error) = write_fragment(&self.file, self.end, &fragment) {
            // It depends on the lost ones.
            self.newest = None;
            self.bytes_waiting = 0;
            // If this fails too, the next fragment overwrites what is there.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end += fragment.len() as u64;
        self.added += fragment.len() as u64;
        self.sequence += 1;
        self.first_ms.get_or_insert(first_ms);
        self.end_ms = end_ms;
        Ok(())
    }

    fn say_duration(&self) -> io::Result<()> {
        let beginning = boxes::file_header(&self.sets, self.picture, self.end_ms);
        let Some(at) = boxes::duration_at(&beginning) else { return Ok(()) };
        self.file.write_all_at(&beginning[at..at + 8], at as u64)
    }

    /// The bytes in memory after a `sync`.
    pub(super) fn held_bytes(&self) -> usize {
        self.newest.as_ref().map_or(0, |newest| newest.data.len())
    }
}

/// Writes the first bytes last: until then, players see a nameless box up to the end of the file and skip it. Many
/// reject the whole file because of a truncated `moof`.
pub(super) fn write_fragment(file: &File, at: u64, fragment: &[u8]) -> io::Result<()> {
    let (name, rest) = fragment.split_at(BOX_HEADER_BYTES as usize);
    file.write_all_at(rest, at + BOX_HEADER_BYTES)?;
    file.write_all_at(name, at)
}

/// How much of a file to read for its beginning: the length of its first two boxes; the whole file if it is small.
fn beginning_bytes(file: &File, length: u64) -> io::Result<u64> {
    let first = boxes::first_box().len() as u64;
    if length < first + BOX_HEADER_BYTES {
        return Ok(length);
    }
    let mut moov = [0; 4];
    file.read_exact_at(&mut moov, first)?;
    let said = first + u64::from(u32::from_be_bytes(moov));
    Ok(length.min(said.max(SMALL_BYTES)).min(MAX_BEGINNING_BYTES))
}

/// The parameter sets of a beginning that this writer wrote, and the offset of its end.
fn read_beginning(there: &[u8]) -> Option<(ParameterSets, Picture, u64)> {
    let sets = boxes::read_sets(there)?;
    let picture = sps::parse_sps(&sets.sps)?;
    let unknown = boxes::file_header(&sets, picture, 0);
    let duration_at = boxes::duration_at(&unknown)?;
    let duration = there.get(duration_at..duration_at + 8)?;
    let duration_ms = u64::from_be_bytes(duration.try_into().ok()?);
    // Compared as a whole: what differs from this writer's beginning is foreign.
    let expected = boxes::file_header(&sets, picture, duration_ms);
    there.starts_with(&expected).then_some((sets, picture, expected.len() as u64))
}

/// Whether a file has this writer's first box, or a piece of it, and no fragment.
fn is_cut_beginning(there: &[u8]) -> bool {
    let first = boxes::first_box();
    let length = first.len().min(there.len());
    let has_fragment = there.windows(4).any(|name| name == b"moof");
    there[..length] == first[..length] && !has_fragment
}

/// The length of the box at this offset, if it has this name and is whole.
pub(super) fn box_bytes(
    file: &File,
    at: u64,
    length: u64,
    name: &[u8; 4],
) -> io::Result<Option<u64>> {
    if length.saturating_sub(at) < BOX_HEADER_BYTES {
        return Ok(None);
    }
    let mut header = [0; 8];
    file.read_exact_at(&mut header, at)?;
    // This writer never uses 64-bit lengths.
    let bytes = u64::from(u32::from_be_bytes([header[0], header[1], header[2], header[3]]));
    let is_whole = header[4..] == *name && bytes >= BOX_HEADER_BYTES && bytes <= length - at;
    Ok(is_whole.then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: u64) -> Sample {
        Sample { at: at_ms, duration: 0, is_key: true, data: vec![0, 0, 0, 1, 0x65] }
    }

    #[test]
    fn a_failed_write_loses_its_fragment_but_not_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ana.mp4");
        let sets = ParameterSets { sps: vec![0x67, 66, 0, 30, 1], pps: vec![vec![0x68, 1]] };
        let picture =
            Picture { width: 16, height: 16, chroma_format: 1, luma_bits: 8, chroma_bits: 8 };
        let mut part = Part::create(&path, sets, picture).unwrap();
        (0..3).for_each(|n| part.push(sample(40 * n)).unwrap());
        let writable = std::mem::replace(&mut part.file, File::open(&path).unwrap());
        assert!(part.sync().is_err());
        part.file = writable;
        part.push(sample(5000)).unwrap();
        let (file, _) = part.close(0).unwrap();
        assert_eq!((file.first_ms, file.last_ms), (5000, 5040));
        assert_eq!(file.bytes, path.metadata().unwrap().len());
    }
}
