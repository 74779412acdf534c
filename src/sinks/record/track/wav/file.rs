//! One WAV file in which audio can be written at any position.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::format::{MAX_HEADER_BYTES, WavFormat};
use crate::sinks::record::track::parts;

/// Longer silence becomes a hole in the file.
const MAX_BUFFERED_SILENCE_BYTES: u64 = 64 << 10;

/// How much audio the file of a voice keeps in memory: up to 32 kHz mono, all that comes between two syncs.
const TAIL_BYTES: usize = 64 << 10;
/// The most empty tails that a thread keeps: for a voice, for the mix, and two more.
const MAX_SPARE_TAILS: usize = 4;

const SILENCE_CHUNK_BYTES: u64 = 64 << 10;

thread_local! {
    /// Empty tails. A thread syncs its files one after the other, so that a file can reuse memory that another has just
    /// emptied and that is still in the CPU's cache.
    static SPARE_TAILS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// One WAV file. Audio may be written anywhere; the end of the file is kept in memory for a while.
pub(crate) struct WavFile {
    pub path: PathBuf,
    pub format: WavFormat,
    file: File,
    /// The offset of the audio in the file.
    data_at: u64,
    /// The newest audio; positions count bytes of audio, from 0.
    tail: Vec<u8>,
    tail_at: u64,
    /// How much of the tail stays in memory when the rest is written.
    keep_bytes: usize,
    max_tail_bytes: usize,
    /// The length of the audio in the header.
    declared_bytes: Option<u64>,
    /// Whether the file ends where the written audio ends. False after a hole or an error.
    is_end_exact: bool,
    /// The bytes added by this writer. A hole counts as silence, because it is hashed, copied and uploaded as such.
    pub added: u64,
}

/// What happens to audio that is already at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Replace,
    /// L16 samples are added and clipped.
    Add,
}

impl WavFile {
    /// Creates a file; fails if it exists.
    pub(crate) fn create(path: &Path, format: WavFormat) -> io::Result<Self> {
        let file = parts::create_part(path, &format.header(0))?;
        Ok(Self::new(path, file, format, 0))
    }

    /// Reopens an existing file, whatever size its header has. `None` if it is foreign.
    pub(crate) fn reopen(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let mut header = vec![0; length.min(MAX_HEADER_BYTES as u64) as usize];
        file.read_exact_at(&mut header, 0)?;
        let Some((format, declared_bytes)) = WavFormat::parse(&header) else { return Ok(None) };
        let there = length - format.header_bytes();
        // A closed file may have RIFF's padding byte, which is no audio; a killed process may leave half a sample.
        let is_padded = declared_bytes % 2 == 1 && there == declared_bytes + 1;
        let data_bytes =
            if is_padded { declared_bytes } else { there - there % format.block_bytes() };
        file.set_len(format.header_bytes() + data_bytes)?;
        let mut reopened = Self::new(path, file, format, data_bytes);
        reopened.sync()?;
        Ok(Some(reopened))
    }

    fn new(path: &Path, file: File, format: WavFormat, data_bytes: u64) -> Self {
        Self {
            path: path.to_owned(),
            format,
            file,
            data_at: format.header_bytes(),
            tail: Vec::new(),
            tail_at: data_bytes,
            keep_bytes: 0,
            max_tail_bytes: TAIL_BYTES,
            declared_bytes: None,
            is_end_exact: true,
            added: 0,
        }
    }

    /// Keeps this much audio in memory, and writes when there is twice as much.
    pub(crate) fn keep_ms(&mut self, keep_ms: u64) {
        self.keep_bytes = (keep_ms * self.format.bytes_per_ms()) as usize;
        self.max_tail_bytes = 2 * self.keep_bytes;
    }

    /// The length of the audio in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.tail_at + self.tail.len() as u64
    }

    /// The length of the audio in time.
    pub(crate) fn len_ms(&self) -> i64 {
        self.len().div_ceil(self.format.bytes_per_ms()) as i64
    }

    /// Writes audio at a position and fills the space before it with silence. After an error the audio in memory is
    /// lost and replaced by silence.
    pub(crate) fn put(&mut self, position: u64, sound: &[u8], over: Over) -> io::Result<()> {
        self.take_spare_tail();
        self.reach(position)?;
        let in_file = self.tail_at.saturating_sub(position).min(sound.len() as u64) as usize;
        let (in_file, in_tail) = sound.split_at(in_file);
        if !in_file.is_empty() {
            self.put_in_file(position, in_file, over)?;
        }
        let at = position.saturating_sub(self.tail_at) as usize;
        let overlap = self.tail.len().saturating_sub(at).min(in_tail.len());
        let (over_tail, beyond) = in_tail.split_at(overlap);
        lay_samples(&mut self.tail[at..at + overlap], over_tail, over);
        self.tail.extend_from_slice(beyond);
        self.added += beyond.len() as u64;
        if self.tail.len() >= self.max_tail_bytes { self.spill(self.keep_bytes) } else { Ok(()) }
    }

    /// Whether there is only silence at a position.
    pub(crate) fn is_silent(&self, position: u64, bytes: usize) -> io::Result<bool> {
        let silence = self.format.silence();
        Ok(self.there(position, bytes)?.iter().all(|byte| *byte == silence))
    }

    /// Whether the file has this audio at a position.
    pub(crate) fn holds(&self, position: u64, sound: &[u8]) -> io::Result<bool> {
        Ok(self.there(position, sound.len())? == sound)
    }

    /// Copies the file to a path that must not exist, with this much silence in front. Long silence stays a hole.
    pub(crate) fn shifted(&self, to: &Path, by_ms: u64) -> io::Result<()> {
        let mut copy = Self::create(to, self.format)?;
        let by = by_ms * self.format.bytes_per_ms();
        let mut at = 0;
        while at < self.len() {
            let bytes = (self.len() - at).min(SILENCE_CHUNK_BYTES);
            let sound = self.read(at, bytes as usize)?;
            // Silence is not written: `reach` leaves a hole for it.
            if sound.iter().any(|byte| *byte != self.format.silence()) {
                copy.put(by + at, &sound, Over::Replace)?;
            }
            at += bytes;
        }
        copy.reach(by + self.len())?;
        copy.sync()
    }

    /// Writes everything, and the correct sizes into the header.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.spill(0)?;
        self.recycle_tail();
        self.write_header()
    }

    fn write_header(&mut self) -> io::Result<()> {
        if self.declared_bytes == Some(self.len()) {
            return Ok(());
        }
        if !self.is_end_exact {
            self.file.set_len(self.data_at + self.len())?;
            self.is_end_exact = true;
        }
        self.file.write_all_at(&self.format.header(self.len()), 0)?;
        self.declared_bytes = Some(self.len());
        Ok(())
    }

    /// [`WavFile::sync`], padded to an even length as RIFF requires, and synced to the disk.
    pub(crate) fn close(&mut self) -> io::Result<u64> {
        self.spill(0)?;
        // Not kept by a thread that may close no other file.
        self.tail = Vec::new();
        self.write_header()?;
        if self.len() % 2 == 1 {
            self.file.write_all_at(&[self.format.silence()], self.data_at + self.len())?;
        }
        self.file.sync_all()?;
        Ok(self.file.metadata()?.len())
    }

    /// Reuses a tail that another file has emptied, if there is one.
    fn take_spare_tail(&mut self) {
        if self.tail.capacity() == 0 {
            self.tail = SPARE_TAILS.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
    }

    /// Leaves the empty tail to other files.
    fn recycle_tail(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        SPARE_TAILS.with_borrow_mut(|spare| {
            // Larger ones than a mix of 16 kHz needs are freed.
            if spare.len() < MAX_SPARE_TAILS && (1..=2 * TAIL_BYTES).contains(&tail.capacity()) {
                spare.push(tail);
            }
        });
    }

    fn reach(&mut self, position: u64) -> io::Result<()> {
        let Some(missing) = position.checked_sub(self.len()) else { return Ok(()) };
        if missing <= MAX_BUFFERED_SILENCE_BYTES {
            self.tail.resize(self.tail.len() + missing as usize, self.format.silence());
            self.added += missing;
            return Ok(());
        }
        // The tail has no holes, so it must be written before one begins.
        self.spill(0)?;
        self.is_end_exact = false;
        // A hole reads as zeros.
        if self.format.silence() != 0 {
            self.write_silence(missing)?;
        }
        self.added += missing;
        self.tail_at = position;
        Ok(())
    }

    /// Silence that is not zero cannot be a hole.
    fn write_silence(&self, mut bytes: u64) -> io::Result<()> {
        let chunk = vec![self.format.silence(); SILENCE_CHUNK_BYTES as usize];
        let mut at = self.data_at + self.len();
        while bytes > 0 {
            let now = bytes.min(SILENCE_CHUNK_BYTES);
            self.file.write_all_at(&chunk[..now as usize], at)?;
            at += now;
            bytes -= now;
        }
        Ok(())
    }

    fn put_in_file(&self, position: u64, sound: &[u8], over: Over) -> io::Result<()> {
        let mut there = self.read(position, sound.len())?;
        lay_samples(&mut there, sound, over);
        self.file.write_all_at(&there, self.data_at + position)
    }

    /// Reads audio from disk and memory; less where the file ends.
    pub(crate) fn there(&self, position: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let in_file = self.tail_at.saturating_sub(position).min(bytes as u64) as usize;
        let mut there = self.read(position, in_file)?;
        let from = position.saturating_sub(self.tail_at).min(self.tail.len() as u64) as usize;
        let to = (from + bytes - in_file).min(self.tail.len());
        there.extend_from_slice(&self.tail[from..to]);
        Ok(there)
    }

    /// Reads audio; silence where the file has none.
    fn read(&self, position: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut there = vec![self.format.silence(); bytes];
        let mut filled = 0;
        while filled < bytes {
            let at = self.data_at + position + filled as u64;
            match self.file.read_at(&mut there[filled..], at) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(there)
    }

    /// Writes the tail except its newest bytes.
    fn spill(&mut self, keep_bytes: usize) -> io::Result<()> {
        // A sample must not be split between file and memory.
        let keep_bytes = keep_bytes - keep_bytes % self.format.block_bytes() as usize;
        let spilled = self.tail.len().saturating_sub(keep_bytes);
        if spilled == 0 {
            return Ok(());
        }
        let written = self.file.write_all_at(&self.tail[..spilled], self.data_at + self.tail_at);
        match written {
            Ok(()) => {
                self.tail.drain(..spilled);
                self.tail_at += spilled as u64;
            }
            // Memory is bounded also while the disk is full.
            Err(_) => {
                self.tail.clear();
                // The audio is shorter now, so the header must be written again.
                (self.declared_bytes, self.is_end_exact) = (None, false);
            }
        }
        written
    }
}

/// Writes or adds audio over existing audio of the same length.
fn lay_samples(there: &mut [u8], sound: &[u8], over: Over) {
    if over == Over::Replace {
        return there.copy_from_slice(sound);
    }
    for (there, sound) in there.chunks_exact_mut(2).zip(sound.chunks_exact(2)) {
        let sum = i16::from_le_bytes([there[0], there[1]])
            .saturating_add(i16::from_le_bytes([sound[0], sound[1]]));
        there.copy_from_slice(&sum.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::record::track::wav::Coding;

    #[test]
    fn sound_that_cannot_be_written_becomes_silence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ana.wav");
        let format = WavFormat { coding: Coding::L16, rate_hz: 16_000, channels: 1 };
        let mut wav = WavFile::create(&path, format).unwrap();
        wav.put(0, &[1; 4], Over::Replace).unwrap();
        wav.sync().unwrap();
        wav.put(4, &[2; 4], Over::Replace).unwrap();
        let writable = std::mem::replace(&mut wav.file, File::open(&path).unwrap());
        assert!(wav.sync().is_err());
        wav.file = writable;
        wav.put(8, &[3; 4], Over::Replace).unwrap();
        wav.close().unwrap();
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file, [&format.header(12)[..], &[1; 4], &[0; 4], &[3; 4]].concat());
    }

    #[test]
    fn a_file_that_ends_in_silence_is_as_long_as_its_header_says() {
        let folder = tempfile::tempdir().unwrap();
        let format = WavFormat { coding: Coding::L16, rate_hz: 16_000, channels: 1 };
        let mut wav = WavFile::create(&folder.path().join("ana.wav"), format).unwrap();
        let hour = 3_600_000 * format.bytes_per_ms();
        for silent in [hour, 2 * hour] {
            wav.put(wav.len(), &[1; 4], Over::Replace).unwrap();
            wav.reach(silent).unwrap();
            wav.sync().unwrap();
            assert_eq!(wav.file.metadata().unwrap().len(), format.header_bytes() + silent);
        }
    }

    #[test]
    fn bytes_left_by_a_failed_write_are_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ana.wav");
        let format = WavFormat { coding: Coding::L16, rate_hz: 16_000, channels: 1 };
        let mut wav = WavFile::create(&path, format).unwrap();
        wav.put(0, &[1; 400], Over::Replace).unwrap();
        let writable = std::mem::replace(&mut wav.file, File::open(&path).unwrap());
        assert!(wav.sync().is_err());
        // A full disk takes a part of it.
        writable.write_all_at(&[1; 200], format.header_bytes()).unwrap();
        wav.file = writable;
        wav.put(0, &[2; 4], Over::Replace).unwrap();
        wav.sync().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [&format.header(4)[..], &[2; 4]].concat());
    }
}
