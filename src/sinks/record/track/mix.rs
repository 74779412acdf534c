//! The audio of all participants of a recording, mixed in one file.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::order::{ReorderBuffer, Timed, Turn, fits};
use super::wav::{self, Over, Place, WavFile, WavFormat};
use super::{Counts, Finished, TrackError, TrackFile};
use crate::model::SpeakerKey;

/// How much of the mix stays in memory, where adding is cheap. Later audio is added in the file.
const WINDOW_MS: u64 = 2_000;

/// The most voices known at a time; Zoom lets three speak at once (section 8.1).
const MAX_VOICES: usize = 1_000;

/// A voice that was silent this long is forgotten, and starts anew.
const FORGOTTEN_AFTER_MS: u64 = 10_000;

/// The L16 audio of all participants, added up in one WAV file. Sums are clipped at the limit.
pub struct Mix {
    path: PathBuf,
    origin_ms: i64,
    /// The time span in which a resumed file may hold audio already.
    resumed: Range<i64>,
    /// The end of each voice at that time, if known.
    ends: Option<HashMap<SpeakerKey, i64>>,
    earlier: Vec<TrackFile>,
    file: WavFile,
    voices: HashMap<SpeakerKey, Voice>,
    /// The end of the audio, including queued frames.
    reach: u64,
    counts: Counts,
}

/// One participant's frames, sorted before they are added.
struct Voice {
    place: Place,
    order: ReorderBuffer,
}

impl Mix {
    /// Creates a mix; like [`super::Track::create`]. Only L16 can be mixed: see [`WavFormat::is_mixable`].
    pub fn create(path: &Path, format: WavFormat, origin_ms: i64) -> Result<Self, TrackError> {
        if path.exists() {
            return Err(TrackError::at(path)(io::ErrorKind::AlreadyExists.into()));
        }
        Self::resume(path, format, origin_ms)
    }

    /// Continues an existing mix; like [`super::Track::resume`].
    pub fn resume(path: &Path, format: WavFormat, origin_ms: i64) -> Result<Self, TrackError> {
        if !format.is_mixable() {
            return Err(TrackError::at(path)(io::ErrorKind::InvalidInput.into()));
        }
        let (earlier, mut file) =
            wav::open(path, format, origin_ms).map_err(TrackError::at(path))?;
        file.keep_ms(WINDOW_MS);
        Ok(Self {
            path: path.to_owned(),
            origin_ms,
            resumed: origin_ms..origin_ms + file.len_ms(),
            ends: None,
            earlier,
            file,
            voices: HashMap::new(),
            reach: 0,
            counts: Counts::default(),
        })
    }

    /// The end of each voice, in Unix milliseconds.
    pub fn ends(&self) -> HashMap<SpeakerKey, i64> {
        let bytes_per_ms = self.file.format.bytes_per_ms();
        let end = |voice: &Voice| self.origin_ms + (voice.place.next / bytes_per_ms) as i64;
        let mut ends = self.ends.clone().unwrap_or_default();
        ends.extend(self.voices.iter().map(|(who, voice)| (who.clone(), end(voice))));
        ends
    }

    /// Sets what a resumed and shifted mix holds: for each voice, the span from the earlier origin to its end.
    pub fn remember(&mut self, had_origin_ms: i64, ends: HashMap<SpeakerKey, i64>) {
        self.resumed.start = had_origin_ms;
        self.ends = Some(ends);
    }

    /// Adds a frame of a participant; like [`super::Track::write`].
    pub fn write(
        &mut self,
        at_ms: i64,
        who: &SpeakerKey,
        payload: &Bytes,
    ) -> Result<(), TrackError> {
        self.add(at_ms, who, payload).map_err(TrackError::at(&self.path))
    }

    /// Like [`super::Track::sync`].
    pub fn sync(&mut self) -> Result<(), TrackError> {
        self.write_all().map_err(TrackError::at(&self.path))
    }

    /// Like [`super::Track::finish`].
    pub fn finish(mut self) -> Result<Finished, TrackError> {
        self.sync()?;
        let closed = wav::close(self.file, self.origin_ms).map_err(TrackError::at(&self.path))?;
        let mut files = self.earlier;
        files.push(closed);
        Ok(Finished { files, counts: self.counts })
    }

    /// The counts of the frames so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Like [`super::Track::bytes`].
    pub fn bytes(&self) -> u64 {
        self.file.added + self.reach.saturating_sub(self.file.len())
    }

    fn add(&mut self, at_ms: i64, who: &SpeakerKey, payload: &Bytes) -> io::Result<()> {
        if !fits(self.origin_ms, at_ms) {
            self.counts.absurd += 1;
            return Ok(());
        }
        let end_ms = match &self.ends {
            Some(ends) => ends.get(who).copied().unwrap_or(i64::MIN),
            None => self.resumed.end,
        };
        if (self.resumed.start..end_ms).contains(&at_ms) {
            self.counts.late += 1;
            return Ok(());
        }
        if !self.voices.contains_key(who) && !self.make_room()? {
            self.counts.beyond_limit += 1;
            return Ok(());
        }
        let voice = self.voices.entry(who.clone()).or_insert_with(|| Voice {
            place: Place::new(self.file.format, 0),
            order: ReorderBuffer::new(),
        });
        match voice.order.push(Timed { at_ms, payload: payload.clone() }) {
            Turn::Waits => {
                let since_ms = (at_ms - self.origin_ms) as u64;
                self.reach = self.reach.max(voice.place.end(since_ms, payload.len()));
            }
            Turn::Repeated => self.counts.repeated += 1,
            // Adding a repeated frame would double it.
            Turn::Clashes | Turn::Missed(_) => self.counts.late += 1,
        }
        while let Some(frame) = voice.order.pop() {
            lay(&mut self.file, &mut voice.place, self.origin_ms, &frame)?;
            self.counts.written += 1;
        }
        Ok(())
    }

    /// Whether one more voice can be added, after silent ones are forgotten.
    fn make_room(&mut self) -> io::Result<bool> {
        if self.voices.len() >= MAX_VOICES {
            self.write_all()?;
        }
        Ok(self.voices.len() < MAX_VOICES)
    }

    fn write_all(&mut self) -> io::Result<()> {
        for voice in self.voices.values_mut() {
            while let Some(frame) = voice.order.pop_any() {
                lay(&mut self.file, &mut voice.place, self.origin_ms, &frame)?;
                self.counts.written += 1;
            }
        }
        let forgotten = FORGOTTEN_AFTER_MS * self.file.format.bytes_per_ms();
        let end = self.file.len();
        self.voices.retain(|_, voice| voice.place.next + forgotten >= end);
        self.file.sync()
    }
}

fn lay(file: &mut WavFile, place: &mut Place, origin_ms: i64, frame: &Timed) -> io::Result<()> {
    let sound = wav::whole(file.format, &frame.payload);
    let position = place.take((frame.at_ms - origin_ms) as u64, sound.len());
    file.put(position, sound, Over::Add)
}
