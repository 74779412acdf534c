//! One film file that grows: fragments of its tracks, behind a beginning that says what is in it. A complete film has the
//! same bytes, inside one `mdat`, and an index behind it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::boxes::{self, FragmentInfo, MAX_MOOF_BYTES, Sample};
use super::super::part::{BOX_HEADER_BYTES, MAX_FRAGMENT_BYTES, box_bytes, write_fragment};
use super::format::{FORMAT_BYTES, MeetingFormat};
use super::movie::{self, FILM_SCALE, PLACEHOLDER_BYTES, SOUND, VIDEO};
use crate::sinks::record::track::parts;

/// The place of the start and of the format in the placeholder.
const START_AT: usize = 16;
const FORMAT_AT: usize = 24;

/// Longer than any beginning, which has a few hundred bytes.
const MAX_BEGINNING_BYTES: u64 = 16 << 10;

/// One film file that grows.
pub(super) struct Fragments {
    pub path: PathBuf,
    pub format: MeetingFormat,
    /// When the film starts, in milliseconds since the origin.
    pub start_ms: u64,
    pub file: File,
    /// The offset of the next fragment.
    pub end: u64,
    sequence: u32,
    /// The ends of picture and sound, in ticks since the origin; none before their first sample.
    ends: [Option<u64>; 2],
    /// The bytes added by this writer.
    pub added: u64,
}

/// A whole fragment.
pub(super) struct Fragment {
    pub info: FragmentInfo,
    pub moof: Vec<u8>,
    /// The offset of its samples.
    pub data_at: u64,
}

/// The result of reopening a file.
pub(super) enum Reopened {
    Film(Box<Fragments>),
    /// A file of this writer that was killed while its beginning was written.
    Begun,
    Foreign,
}

impl Fragments {
    pub(super) fn create(path: &Path, format: MeetingFormat, start_ms: u64) -> io::Result<Self> {
        let header = format.header(start_ms);
        let file = parts::create_part(path, &header)?;
        let mut created = Self::new(path, file, format, start_ms);
        created.added = header.len() as u64;
        Ok(created)
    }

    fn new(path: &Path, file: File, format: MeetingFormat, start_ms: u64) -> Self {
        Self {
            path: path.to_owned(),
            format,
            start_ms,
            file,
            end: format.header(start_ms).len() as u64,
            sequence: 0,
            ends: [None; 2],
            added: 0,
        }
    }

    /// Reads a file up to the last whole fragment, and cuts off the rest. A complete film grows again.
    pub(super) fn reopen(path: &Path) -> io::Result<Reopened> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let Some((format, start_ms, is_complete)) = read_beginning(&file, length)? else {
            let is_cut = is_cut_beginning(&file, length)?;
            return Ok(if is_cut { Reopened::Begun } else { Reopened::Foreign });
        };
        let mut film = Self::new(path, file, format, start_ms);
        if is_complete {
            let header = format.header(start_ms);
            let at = placeholder_at();
            film.file.write_all_at(&header[at..at + START_AT], at as u64)?;
        }
        while let Some(fragment) = film.fragment(film.end, length)? {
            film.pass(&fragment.info);
            film.end = fragment.data_at + fragment.info.data_bytes;
        }
        // What completes a film begins with a `mdat`, and is made anew.
        match is_complete || film.has_tail(length)? {
            true => film.file.set_len(film.end)?,
            false => {
                parts::cut_after(&film.file, path, film.end, MAX_FRAGMENT_BYTES, b"moof")?;
            }
        }
        Ok(Reopened::Film(Box::new(film)))
    }

    fn has_tail(&self, length: u64) -> io::Result<bool> {
        let mut header = [0; 8];
        if length < self.end + BOX_HEADER_BYTES {
            return Ok(false);
        }
        self.file.read_exact_at(&mut header, self.end)?;
        Ok(header[4..] == *b"mdat")
    }

    /// The whole fragment at this offset.
    pub(super) fn fragment(&self, at: u64, length: u64) -> io::Result<Option<Fragment>> {
        let Some(moof_bytes) = box_bytes(&self.file, at, length, b"moof")? else {
            return Ok(None);
        };
        // Not of this writer; reading it whole could take too much memory.
        if moof_bytes > MAX_MOOF_BYTES as u64 {
            return Ok(None);
        }
        let mut moof = vec![0; moof_bytes as usize];
        self.file.read_exact_at(&mut moof, at)?;
        let data_bytes = box_bytes(&self.file, at + moof_bytes, length, b"mdat")?;
        let info = boxes::read_moof(&moof).filter(|info| [VIDEO, SOUND].contains(&info.track));
        Ok(match (info, data_bytes) {
            (Some(info), Some(data_bytes)) if data_bytes == info.data_bytes + BOX_HEADER_BYTES => {
                Some(Fragment { info, data_at: at + moof_bytes + BOX_HEADER_BYTES, moof })
            }
            _ => None,
        })
    }

    /// The offset of the first fragment.
    pub(super) fn first_at(&self) -> u64 {
        self.format.header(self.start_ms).len() as u64
    }

    /// The end of a track, in ticks since the origin.
    pub(super) fn end_of(&self, track: u32) -> Option<u64> {
        self.ends[(track - VIDEO) as usize]
    }

    fn pass(&mut self, info: &FragmentInfo) {
        self.sequence = info.sequence;
        let end = &mut self.ends[(info.track - VIDEO) as usize];
        *end = (*end).max(Some(info.at + info.duration));
    }

    /// Writes a fragment. After an error its samples are lost.
    pub(super) fn append(&mut self, track: u32, samples: &[Sample]) -> io::Result<()> {
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(()) };
        let fragment = boxes::movie_fragment(track, self.sequence + 1, samples);
        if let Err(error) = write_fragment(&self.file, self.end, &fragment) {
            // If this fails too, the next fragment overwrites what is there.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end += fragment.len() as u64;
        self.added += fragment.len() as u64;
        self.sequence += 1;
        let end = &mut self.ends[(track - VIDEO) as usize];
        *end = (*end).max(Some(last.at.max(first.at) + u64::from(last.duration)));
        Ok(())
    }

    /// Moves everything in the film to a later time. A film that starts at the origin still does.
    pub(super) fn shift(mut self, by_ms: u64) -> io::Result<()> {
        let mut at = self.first_at();
        while let Some(fragment) = self.fragment(at, self.end)? {
            let scale = match fragment.info.track {
                VIDEO => FILM_SCALE,
                _ => self.format.sound_scale(),
            };
            let later = fragment.info.at + by_ms * u64::from(scale) / u64::from(FILM_SCALE);
            self.file.write_all_at(&later.to_be_bytes(), at + boxes::TIME_AT as u64)?;
            at = fragment.data_at + fragment.info.data_bytes;
        }
        if self.start_ms > 0 {
            self.start_ms += by_ms;
            let at = placeholder_at() + START_AT;
            self.file.write_all_at(&self.start_ms.to_be_bytes(), at as u64)?;
        }
        Ok(())
    }

    /// Makes the film a complete one: everything behind the first box becomes one `mdat`, up to the index at
    /// `index_at`, which must be on the disk.
    pub(super) fn complete(&self, index_at: u64) -> io::Result<()> {
        let at = placeholder_at() as u64;
        self.file.write_all_at(&movie::large_mdat(index_at - at), at)?;
        self.file.sync_all()
    }
}

fn placeholder_at() -> usize {
    boxes::first_box().len()
}

/// The format, the start, and whether the film is complete; `None` if the beginning is not one of this writer.
fn read_beginning(file: &File, length: u64) -> io::Result<Option<(MeetingFormat, u64, bool)>> {
    let at = placeholder_at();
    if length < (at + PLACEHOLDER_BYTES) as u64 {
        return Ok(None);
    }
    let mut there = vec![0; at + PLACEHOLDER_BYTES];
    file.read_exact_at(&mut there, 0)?;
    let Some((format, start_ms)) = read_placeholder(&there) else { return Ok(None) };
    let expected = format.header(start_ms);
    if length < expected.len() as u64 {
        return Ok(None);
    }
    let mut there = vec![0; expected.len()];
    file.read_exact_at(&mut there, 0)?;
    let is_complete = &there[at + 4..at + 8] == b"mdat";
    // Compared as a whole, except what completing changes: what differs is foreign.
    there[at..at + START_AT].copy_from_slice(&expected[at..at + START_AT]);
    Ok((there == expected).then_some((format, start_ms, is_complete)))
}

/// The format and the start, at the beginning of a file.
fn read_placeholder(there: &[u8]) -> Option<(MeetingFormat, u64)> {
    let placeholder = there.get(placeholder_at()..)?;
    let start = placeholder.get(START_AT..FORMAT_AT)?.try_into().ok()?;
    let format = MeetingFormat::read(placeholder.get(FORMAT_AT..FORMAT_AT + FORMAT_BYTES)?)?;
    Some((format, u64::from_be_bytes(start)))
}

/// Whether a file is a piece of a beginning.
fn is_cut_beginning(file: &File, length: u64) -> io::Result<bool> {
    let at = placeholder_at();
    let mut there = vec![0; length.min(MAX_BEGINNING_BYTES) as usize];
    file.read_exact_at(&mut there, 0)?;
    let found = read_placeholder(&there);
    let beginning = match found {
        Some((format, start_ms)) => format.header(start_ms),
        // Up to the placeholder all are alike.
        None => boxes::first_box(),
    };
    let begun = there.len().min(beginning.len());
    // What completing changes does not matter.
    let changed = begun.min(at)..begun.min(at + START_AT);
    there[changed.clone()].copy_from_slice(&beginning[changed]);
    let is_piece = found.is_some() || length < (at + PLACEHOLDER_BYTES) as u64;
    Ok(is_piece && length < MAX_BEGINNING_BYTES && there[..begun] == beginning[..begun])
}
