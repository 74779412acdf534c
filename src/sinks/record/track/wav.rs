//! Writes audio as WAV, where the time determines the byte position: L16, G.711, G.722.

mod file;
mod format;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use bytes::Bytes;

pub(super) use self::file::{Over, WavFile};
pub use self::format::{Coding, WavFormat};
use super::order::{self, ReorderBuffer, Timed, Turn, fits_origin};
use super::{Counts, Finished, TrackFile, TrackWriter, parts};

/// The audio of one voice or of one mixed stream.
pub(super) struct WavTrack {
    origin_ms: i64,
    earlier: Vec<TrackFile>,
    file: WavFile,
    position: WritePosition,
    /// The end of the audio when the file was opened, in bytes. Older frames fill silence.
    resumed: u64,
    order: ReorderBuffer,
    /// The end of the audio, including queued frames.
    reach: u64,
    counts: Counts,
}

/// The position of a voice's next frame, so that jitter of timestamps neither drops nor doubles a sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct WritePosition {
    bytes_per_ms: u64,
    /// The end of the last frame.
    pub next: u64,
}

impl WritePosition {
    pub(super) fn new(format: WavFormat, next: u64) -> Self {
        Self { bytes_per_ms: format.bytes_per_ms(), next }
    }

    /// The end of the last frame, in milliseconds since the origin.
    pub(super) fn end_ms(&self) -> i64 {
        self.next.div_ceil(self.bytes_per_ms) as i64
    }

    /// The end of a frame.
    pub(super) fn end(&self, since_ms: u64, bytes: usize) -> u64 {
        self.next.max(since_ms * self.bytes_per_ms) + bytes as u64
    }

    /// The position of the next frame in order; as [`order::frame_position`]. `since_ms`: since the origin.
    pub(super) fn take(&mut self, since_ms: u64, bytes: usize) -> Option<u64> {
        let (exact, bytes) = (since_ms * self.bytes_per_ms, bytes as u64);
        let position = order::frame_position(exact, self.next, bytes, self.bytes_per_ms)?;
        self.next = position + bytes;
        Some(position)
    }

    /// Lets a frame that starts at `end` or later, up to the tolerance, follow without a seam.
    pub(super) fn follow(&mut self, end: u64, since_ms: u64, bytes: usize) {
        let exact = since_ms * self.bytes_per_ms;
        if exact + order::drift_tolerance(bytes as u64, self.bytes_per_ms) > end {
            self.next = self.next.max(end);
        }
    }
}

/// The payload without an incomplete sample.
pub(super) fn whole_samples(format: WavFormat, payload: &Bytes) -> &[u8] {
    &payload[..payload.len() - payload.len() % format.block_bytes() as usize]
}

/// Returns the file to continue, and those before it: closes earlier parts, and a file of another format.
pub(super) fn open_file(
    base: &Path,
    format: WavFormat,
    origin_ms: i64,
) -> io::Result<(Vec<TrackFile>, WavFile)> {
    let mut earlier = Vec::new();
    let there = parts::existing_parts(base);
    for (index, path) in there.paths.iter().enumerate() {
        let is_last = index + 1 == there.paths.len();
        match WavFile::reopen(path)? {
            Some(file) if is_last && file.format == format => return Ok((earlier, file)),
            Some(file) => earlier.push(close_file(file, origin_ms)?),
            // Killed while the header was written: the file holds nothing else.
            None if is_last && is_cut_header(path, format)? => {
                std::fs::remove_file(path)?;
                return Ok((earlier, WavFile::create(path, format)?));
            }
            None => {}
        }
    }
    let file = WavFile::create(&parts::part_path(base, there.numbers + 1), format)?;
    Ok((earlier, file))
}

/// Whether a file holds only a piece of such a header, whatever sizes it has.
fn is_cut_header(path: &Path, format: WavFormat) -> io::Result<bool> {
    let header = format.header(0);
    if path.metadata()?.len() >= header.len() as u64 {
        return Ok(false);
    }
    let there = std::fs::read(path)?;
    // The sizes: of RIFF at 4, of the audio at the end.
    let is_size = |at: usize| (4..8).contains(&at) || at >= header.len() - 4;
    let fits = |(at, byte): (usize, &u8)| is_size(at) || header[at] == *byte;
    Ok(there.iter().enumerate().all(fits))
}

/// Copies a file with all times `by_ms` later. A foreign file is copied unchanged.
pub(super) fn shift_file(from: &Path, to: &Path, by_ms: u64) -> io::Result<()> {
    match WavFile::reopen(from)? {
        Some(file) => file.shifted(to, by_ms),
        None => std::fs::copy(from, to).map(drop),
    }
}

/// Closes a file and describes it.
pub(super) fn close_file(mut file: WavFile, origin_ms: i64) -> io::Result<TrackFile> {
    let bytes = file.close()?;
    let last_ms = origin_ms + file.len_ms();
    Ok(TrackFile { path: file.path, bytes, first_ms: origin_ms, last_ms })
}

impl WavTrack {
    pub(super) fn open(path: &Path, format: WavFormat, origin_ms: i64) -> io::Result<Self> {
        let (earlier, file) = open_file(path, format, origin_ms)?;
        Ok(Self {
            origin_ms,
            earlier,
            position: WritePosition::new(format, 0),
            resumed: file.len(),
            file,
            order: ReorderBuffer::new(),
            reach: 0,
            counts: Counts::default(),
        })
    }

    fn put(&mut self, frame: &Timed) -> io::Result<()> {
        let since_ms = (frame.at_ms - self.origin_ms) as u64;
        let bytes = whole_samples(self.file.format, &frame.payload).len();
        self.position.follow(self.resumed, since_ms, bytes);
        match self.position.take(since_ms, bytes) {
            // The file may hold audio there from before it was resumed.
            Some(position) if position < self.resumed => self.fill_in(position, &frame.payload),
            Some(position) => self.lay(position, &frame.payload),
            None => {
                self.counts.overlapped += 1;
                Ok(())
            }
        }
    }

    /// Fills silence with a frame from before the newest; where there is audio, the frame is dropped.
    fn fill_in(&mut self, position: u64, payload: &Bytes) -> io::Result<()> {
        let sound = whole_samples(self.file.format, payload);
        if self.file.is_silent(position, sound.len())? {
            self.position.next = self.position.next.max(position + sound.len() as u64);
            return self.lay(position, payload);
        }
        match self.file.holds(position, sound)? {
            true => self.counts.repeated += 1,
            false => self.counts.late += 1,
        }
        Ok(())
    }

    /// Writes a frame where there is only silence.
    fn lay(&mut self, position: u64, payload: &Bytes) -> io::Result<()> {
        let sound = whole_samples(self.file.format, payload);
        self.file.put(position, sound, Over::Replace)?;
        self.counts.count_written(sound.len() == payload.len());
        Ok(())
    }
}

impl TrackWriter for WavTrack {
    fn write(&mut self, at_ms: i64, payload: &Bytes) -> io::Result<()> {
        if whole_samples(self.file.format, payload).is_empty() {
            self.counts.unreadable += 1;
            return Ok(());
        }
        if !fits_origin(self.origin_ms, at_ms) {
            self.counts.absurd += 1;
            return Ok(());
        }
        let since_ms = (at_ms - self.origin_ms) as u64;
        match self.order.push(Timed { at_ms, payload: payload.clone() }) {
            Turn::Waits => self.reach = self.reach.max(self.position.end(since_ms, payload.len())),
            Turn::Repeated => self.counts.repeated += 1,
            Turn::Clashes => self.counts.late += 1,
            Turn::Missed(frame) => {
                self.fill_in(since_ms * self.position.bytes_per_ms, &frame.payload)?;
            }
        }
        while let Some(frame) = self.order.pop() {
            self.put(&frame)?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        while let Some(frame) = self.order.pop_any() {
            self.put(&frame)?;
        }
        self.file.sync()
    }

    fn finish(mut self: Box<Self>) -> io::Result<Finished> {
        self.sync()?;
        let mut files = self.earlier;
        files.push(close_file(self.file, self.origin_ms)?);
        Ok(Finished { files, counts: self.counts })
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn bytes(&self) -> u64 {
        self.file.added + self.reach.saturating_sub(self.file.len())
    }
}
