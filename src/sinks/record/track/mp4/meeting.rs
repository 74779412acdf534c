//! Writes a whole meeting as one film that people play: one picture at a time, everybody's sound, and the transcript.
//!
//! While the meeting lasts, the film grows by fragments: a killed process leaves a file that plays. When it is over,
//! [`complete`] adds voices that came late, the text, and an index. Only sound in a format that players do not support
//! is transcoded.

mod black;
mod complete;
mod cut;
mod film;
mod flac;
mod format;
mod fragments;
mod movie;
mod sound;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub use self::complete::complete;
use self::cut::Source;
use self::film::Film;
pub use self::film::NowShown;
pub use self::format::{MeetingFormat, SoundFormat};
use self::fragments::{Fragments, Reopened};
use self::movie::{SOUND, VIDEO};
use self::sound::Sound;
pub(in crate::sinks::record::track) use self::sound::voices_path;
pub use self::text::Cue;
use super::boxes::{MAX_SAMPLES, Sample};
use crate::model::{Medium, SpeakerKey};
use crate::sinks::record::track::order::fits_origin;
use crate::sinks::record::track::{Counts, Finished, Mix, TrackError, TrackFile, parts};

/// How far the black of a film is behind the newest frame: a picture may come later than the sound of its time.
const PICTURES_BEHIND_MS: u64 = 5_000;
/// How much is kept in memory before a fragment is written.
const FRAGMENT_BYTES: usize = 4 << 20;

/// One film of everything.
pub struct Meeting {
    path: PathBuf,
    origin_ms: i64,
    earlier: Vec<TrackFile>,
    file: Fragments,
    film: Option<Film>,
    sound: Option<Sound>,
    /// The time of the newest frame, since the origin.
    newest_ms: u64,
    /// Frames that are neither shown nor heard.
    counts: Counts,
}

impl Meeting {
    /// Continues the film of a killed or finished process; starts anew if there is none. A film of another format stays
    /// as it is, and a further one starts at `now_ms`, in Unix milliseconds. `shows_screen`: whether a shared screen
    /// comes before cameras.
    pub fn resume(
        path: &Path,
        format: MeetingFormat,
        origin_ms: i64,
        now_ms: i64,
        shows_screen: bool,
    ) -> Result<Self, TrackError> {
        let opened = open_files(path, format, origin_ms, now_ms);
        let (earlier, file) = opened.map_err(TrackError::at(path))?;
        let start_ms = file.start_ms;
        let film =
            format.has_picture.then(|| Film::new(shows_screen, start_ms, file.end_of(VIDEO)));
        let start = start_ms * u64::from(format.sound_scale()) / 1_000;
        let end = file.end_of(SOUND).unwrap_or(start);
        let sound = format.sound.map(|sound| Sound::open(&file.path, sound, origin_ms, end));
        let sound = sound.transpose().map_err(TrackError::at(path))?;
        let (path, counts) = (path.to_owned(), Counts::default());
        Ok(Self { path, origin_ms, earlier, file, film, sound, newest_ms: start_ms, counts })
    }

    /// Writes a frame, if it is its turn. `at_ms`: its time, Unix milliseconds.
    pub fn write(
        &mut self,
        medium: Medium,
        at_ms: i64,
        who: Option<SpeakerKey>,
        payload: &Bytes,
    ) -> Result<(), TrackError> {
        self.take(medium, at_ms, who, payload).map_err(TrackError::at(&self.path))
    }

    /// Like [`super::super::Track::sync`]: what people said within the last two seconds is held back, because more may
    /// be heard of that time.
    pub fn sync(&mut self) -> Result<(), TrackError> {
        self.write_due().map_err(TrackError::at(&self.path))
    }

    /// Like [`super::super::Track::finish`]. The film is not complete yet.
    pub fn finish(mut self) -> Result<Finished, TrackError> {
        self.write_rest().map_err(TrackError::at(&self.path))?;
        let counts = self.counts();
        let closed = close_file(&self.file, self.origin_ms).map_err(TrackError::at(&self.path))?;
        let mut files = self.earlier;
        files.extend(closed);
        Ok(Finished { files, counts })
    }

    /// The counts of the frames so far. Pictures of somebody who is not shown are not counted.
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts;
        if let Some(film) = &self.film {
            counts.add(&film.counts);
        }
        if let Some(sound) = &self.sound {
            counts.add(&sound.counts());
        }
        counts
    }

    /// How many bytes the files have grown.
    pub fn bytes(&self) -> u64 {
        self.file.added + self.sound.as_ref().map_or(0, Sound::bytes)
    }

    /// The bytes in memory after a [`Meeting::sync`].
    pub fn held_bytes(&self) -> usize {
        self.film.as_ref().map_or(0, Film::held_bytes)
    }

    /// What is shown, for [`Meeting::go_on`]; none if the film is black when it is closed.
    pub fn shown(&self) -> Option<NowShown> {
        self.film.as_ref()?.shown(self.end_ms())
    }

    /// Goes on with what was shown when the film was closed a moment ago.
    pub fn go_on(&mut self, shown: NowShown) {
        if let Some(film) = &mut self.film {
            film.go_on(shown);
        }
    }

    /// All voices together, if they are added up here.
    pub fn mix(&self) -> Option<&Mix> {
        self.sound.as_ref().and_then(Sound::mix)
    }

    /// Like [`Meeting::mix`].
    pub fn mix_mut(&mut self) -> Option<&mut Mix> {
        self.sound.as_mut().and_then(Sound::mix_mut)
    }

    fn take(
        &mut self,
        medium: Medium,
        at_ms: i64,
        who: Option<SpeakerKey>,
        payload: &Bytes,
    ) -> io::Result<()> {
        if !fits_origin(self.origin_ms, at_ms) {
            self.counts.absurd += 1;
            return Ok(());
        }
        // The cast fits: `fits_origin` has checked it.
        let since_ms = (at_ms - self.origin_ms) as u64;
        self.newest_ms = self.newest_ms.max(since_ms);
        let source = match medium {
            Medium::Audio => return self.hear(at_ms, who.as_ref(), payload),
            Medium::Video => Source::Camera(who),
            Medium::Share => Source::Screen(who),
            Medium::Transcript | Medium::Chat => return Ok(()),
        };
        let Some(film) = &mut self.film else { return Ok(()) };
        film.take(since_ms, &source, payload);
        if film.held_bytes() >= FRAGMENT_BYTES { self.write_pictures(false) } else { Ok(()) }
    }

    fn hear(&mut self, at_ms: i64, who: Option<&SpeakerKey>, payload: &Bytes) -> io::Result<()> {
        if let (Some(film), Some(who)) = (&mut self.film, who) {
            film.cut.hear(who);
        }
        let Some(sound) = &mut self.sound else { return Ok(()) };
        sound.take(at_ms, who, payload)
    }

    fn write_due(&mut self) -> io::Result<()> {
        if let Some(film) = &mut self.film {
            film.fill(self.newest_ms.saturating_sub(PICTURES_BEHIND_MS));
        }
        self.write_pictures(false)?;
        let Some(sound) = &mut self.sound else { return Ok(()) };
        sound.sync()?;
        loop {
            let packets = sound.packets(self.newest_ms)?;
            if packets.is_empty() {
                return Ok(());
            }
            append(&mut self.file, SOUND, &packets)?;
        }
    }

    fn write_rest(&mut self) -> io::Result<()> {
        let end_ms = self.end_ms();
        if let Some(film) = &mut self.film {
            film.fill(end_ms);
        }
        self.write_pictures(true)?;
        let Some(sound) = &mut self.sound else { return Ok(()) };
        sound.sync()?;
        loop {
            let packets = sound.last_packets(end_ms)?;
            if packets.is_empty() {
                return Ok(());
            }
            append(&mut self.file, SOUND, &packets)?;
        }
    }

    /// The end of everything, in milliseconds since the origin.
    fn end_ms(&self) -> u64 {
        self.newest_ms.max(self.sound.as_ref().map_or(0, Sound::len_ms))
    }

    fn write_pictures(&mut self, and_newest: bool) -> io::Result<()> {
        let Some(film) = &mut self.film else { return Ok(()) };
        let pictures = if and_newest { film.take_all() } else { film.take_whole() };
        append(&mut self.file, VIDEO, &pictures).inspect_err(|_| film.lose())
    }
}

fn append(file: &mut Fragments, track: u32, samples: &[Sample]) -> io::Result<()> {
    samples.chunks(MAX_SAMPLES).try_for_each(|samples| file.append(track, samples))
}

/// Returns the film to continue, and those before it.
fn open_files(
    base: &Path,
    format: MeetingFormat,
    origin_ms: i64,
    now_ms: i64,
) -> io::Result<(Vec<TrackFile>, Fragments)> {
    let mut earlier = Vec::new();
    let there = parts::existing_parts(base);
    let mut number = there.numbers + 1;
    for (index, path) in there.paths.iter().enumerate() {
        let is_last = index + 1 == there.paths.len();
        match Fragments::reopen(path)? {
            Reopened::Film(file) if is_last && file.format == format => {
                return Ok((earlier, *file));
            }
            Reopened::Film(file) => earlier.extend(close_file(&file, origin_ms)?),
            Reopened::Begun if is_last => {
                fs::remove_file(path)?;
                number = there.numbers;
            }
            Reopened::Begun | Reopened::Foreign => {}
        }
    }
    // The first film starts at the origin. The sound of others starts with a whole packet.
    let start_ms = if number == 1 { 0 } else { (now_ms - origin_ms).max(0) as u64 };
    let start_ms = start_ms / format::BLOCK_MS * format::BLOCK_MS;
    Ok((earlier, Fragments::create(&parts::part_path(base, number), format, start_ms)?))
}

/// Describes a file; none if there is nothing in it, and then the file is removed.
fn close_file(file: &Fragments, origin_ms: i64) -> io::Result<Option<TrackFile>> {
    let picture_ms = file.end_of(VIDEO);
    let scale = u64::from(file.format.sound_scale());
    let sound_ms = file.end_of(SOUND).map(|end| (end * 1_000).div_ceil(scale));
    let Some(end_ms) = picture_ms.max(sound_ms) else {
        fs::remove_file(&file.path)?;
        return Ok(None);
    };
    file.file.sync_all()?;
    // The casts fit: see `MAX_SPAN_MS`.
    let (first_ms, last_ms) = (origin_ms + file.start_ms as i64, origin_ms + end_ms as i64);
    Ok(Some(TrackFile { path: file.path.clone(), bytes: file.end, first_ms, last_ms }))
}

/// Copies a film to a path that must not exist, with all times `by_ms` later. A foreign file is copied unchanged.
pub(in crate::sinks::record::track) fn shift_file(
    from: &Path,
    to: &Path,
    by_ms: u64,
) -> io::Result<()> {
    // Damaged data is found and kept beside the film itself.
    drop(Fragments::reopen(from)?);
    fs::copy(from, to)?;
    match Fragments::reopen(to)? {
        Reopened::Film(film) => film.shift(by_ms),
        Reopened::Begun | Reopened::Foreign => Ok(()),
    }
}
