//! Writes frames of one medium to files that common tools play, on one clock: time 0 of every file is the stream's
//! origin.
//!
//! All functions block (`std::fs`), read no clock and start no thread. A [`Track`] holds one participant or one mixed
//! stream; a [`Mix`] adds participants up; a [`Meeting`] is one film of everything. All can be killed at any moment and resumed: nothing written before the
//! last `sync` is lost, and the files play as they are.
//!
//! Only the header of a file is synced to the disk before `finish`: a killed process loses nothing, and a power cut the
//! newest frames. Data that cannot be continued after one is kept: see [`parts::cut_after`] and [`parts::set_aside`].

mod kind;
mod mix;
mod mp4;
mod ogg;
mod order;
pub mod parts;
mod pictures;
pub mod shift;
mod wav;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use kind::{TrackKind, Unrecordable};
pub use mix::Mix;
pub use mp4::meeting::{
    Cue, Meeting, MeetingFormat, NowShown, SoundFormat, complete as complete_meeting,
};
pub use wav::{Coding, WavFormat};

use mp4::Mp4Track;
use ogg::OggTrack;
use pictures::Pictures;
use wav::WavTrack;

/// Writes the frames of one medium of one participant, or of one mixed stream.
pub struct Track {
    path: PathBuf,
    writer: Box<dyn TrackWriter>,
}

/// Writes a track's frames in one file format. [`Track`] documents the methods and adds the path to errors.
trait TrackWriter: Send {
    fn write(&mut self, at_ms: i64, payload: &Bytes) -> io::Result<()>;

    /// A format that writes every frame at once has nothing to do.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Finished>;

    fn counts(&self) -> Counts;

    fn bytes(&self) -> u64;

    fn held_bytes(&self) -> usize {
        0
    }
}

/// Counts of the frames since the track was created or resumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// In the files, or in memory until the next `sync`.
    pub written: u64,
    /// In the files up to the last whole sample; the bytes behind it are dropped.
    pub truncated: u64,
    /// Not written: a repetition of a frame that is in the files.
    pub repeated: u64,
    /// Not written: its place holds other audio, or it is too late for a file that only grows.
    pub late: u64,
    /// Not written: more audio arrived than time passed, and the file is too far ahead of the clock.
    pub overlapped: u64,
    /// Not written: from before the origin, or from an impossible time.
    pub absurd: u64,
    /// Not written: pictures before the first key frame, and data that its codec does not allow.
    pub unreadable: u64,
    /// Not written: the track has reached its limit of files, or the recording its limit of tracks.
    pub beyond_limit: u64,
    /// Taken but lost, because the disk failed.
    pub lost: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        // A copy, because `each` borrows mutably.
        for (own, other) in self.each().into_iter().zip({ *other }.each()) {
            *own += *other;
        }
    }

    /// The difference from earlier counts.
    pub fn since(mut self, mut earlier: Self) -> Self {
        for (own, earlier) in self.each().into_iter().zip(earlier.each()) {
            *own = own.saturating_sub(*earlier);
        }
        self
    }

    /// The frames that were received but are not in the files, or not whole.
    pub fn left_out(&self) -> u64 {
        let not_written = self.late + self.overlapped + self.absurd + self.unreadable;
        self.truncated + not_written + self.beyond_limit + self.lost
    }

    /// Counts a frame that is in the files, whole or without its last bytes.
    fn count_written(&mut self, is_whole: bool) {
        *(if is_whole { &mut self.written } else { &mut self.truncated }) += 1;
    }

    fn each(&mut self) -> [&mut u64; 9] {
        let Self { written, truncated, repeated, late, overlapped, .. } = self;
        let Self { absurd, unreadable, beyond_limit, lost, .. } = self;
        [written, truncated, repeated, late, overlapped, absurd, unreadable, beyond_limit, lost]
    }
}

/// A finished track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Every file of the track, including those from before a restart. Empty if there was nothing to write.
    pub files: Vec<TrackFile>,
    pub counts: Counts,
}

/// A file and the time span that it covers. Audio begins at the origin (with silence until the first voice), video with
/// its first picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFile {
    pub path: PathBuf,
    /// The length. Silence may be a hole in the file that takes no space.
    pub bytes: u64,
    /// Unix milliseconds.
    pub first_ms: i64,
    /// The end of the last frame (for a still image: when it was made). Unix milliseconds.
    pub last_ms: i64,
}

/// A file could not be read or written. Frames that were not synced are lost; a later `write` may succeed again.
#[derive(Debug, Error)]
#[error("cannot write {}", path.display())]
pub struct TrackError {
    pub path: PathBuf,
    pub source: io::Error,
}

impl TrackError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self { path, source }
    }
}

impl Track {
    /// Creates a track. `path` is its file, or its folder of pictures; further files are created beside it
    /// (`ana_2.mp4`). Fails if one exists already: use [`Track::resume`]. The parent folder must exist.
    ///
    /// `origin_ms` (Unix milliseconds) is the same for all tracks of a stream.
    pub fn create(path: &Path, kind: TrackKind, origin_ms: i64) -> Result<Self, TrackError> {
        if path.exists() {
            let exists = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(TrackError { path: path.to_owned(), source: exists });
        }
        Self::resume(path, kind, origin_ms)
    }

    /// Continues the files of a finished track or a killed process, cutting off incomplete data; starts anew if there
    /// are none. A file of another format stays as it is, and a further one begins.
    pub fn resume(path: &Path, kind: TrackKind, origin_ms: i64) -> Result<Self, TrackError> {
        let writer = open_writer(path, kind, origin_ms).map_err(TrackError::at(path))?;
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Writes a frame. `at_ms`: its time, Unix milliseconds. Slightly late frames are sorted; repeated ones and
    /// impossible times are dropped and counted.
    pub fn write(&mut self, at_ms: i64, payload: &Bytes) -> Result<(), TrackError> {
        self.writer.write(at_ms, payload).map_err(TrackError::at(&self.path))
    }

    /// After this, written frames are in files that play: sizes in headers are correct. For video, the newest picture
    /// is held back, because its duration is not known yet.
    pub fn sync(&mut self) -> Result<(), TrackError> {
        self.writer.sync().map_err(TrackError::at(&self.path))
    }

    /// Writes the rest and describes the files. After an error the files are as a killed process leaves them: resume
    /// and finish again.
    pub fn finish(self) -> Result<Finished, TrackError> {
        self.writer.finish().map_err(TrackError::at(&self.path))
    }

    /// The counts of the frames so far.
    pub fn counts(&self) -> Counts {
        self.writer.counts()
    }

    /// The bytes in memory after a [`Track::sync`].
    pub fn held_bytes(&self) -> usize {
        self.writer.held_bytes()
    }

    /// How many bytes the files have grown since the track was created or resumed, including silence as holes.
    pub fn bytes(&self) -> u64 {
        self.writer.bytes()
    }
}

fn open_writer(path: &Path, kind: TrackKind, origin_ms: i64) -> io::Result<Box<dyn TrackWriter>> {
    Ok(match kind {
        TrackKind::Wav(format) => Box::new(WavTrack::open(path, format, origin_ms)?),
        TrackKind::Ogg { channels } => Box::new(OggTrack::open(path, channels, origin_ms)?),
        TrackKind::Mp4 => Box::new(Mp4Track::open(path, origin_ms)?),
        TrackKind::Pictures => Box::new(Pictures::open(path, origin_ms)?),
        // A film is more than one medium of one participant: see `Meeting`.
        TrackKind::Meeting(_) => return Err(io::ErrorKind::InvalidInput.into()),
    })
}
