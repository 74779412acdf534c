//! The audio of all participants of a recording, mixed in one file.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use foldhash::fast::FixedState;

use super::order::{ReorderBuffer, Timed, Turn, fits_origin};
use super::wav::{self, Over, WavFile, WavFormat, WritePosition};
use super::{Counts, Finished, TrackError, TrackFile};
use crate::model::SpeakerKey;

/// How much of the mix stays in memory, where adding is cheap. Later audio is added in the file.
const WINDOW_MS: u64 = 2_000;

/// The most voices known at a time; Zoom lets three speak at once (section 8.1).
const MAX_VOICES: usize = 1_000;

/// Where there are too many voices, one that was silent this long is forgotten, and starts anew.
const FORGOTTEN_AFTER_MS: i64 = 10_000;

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
    // A fixed hash seed is safe: there are at most `MAX_VOICES` entries.
    voices: HashMap<SpeakerKey, MixedVoice, FixedState>,
    /// The latest end of a forgotten voice, in Unix milliseconds.
    forgotten_ms: i64,
    /// The end of the audio, including queued frames.
    reach: u64,
    counts: Counts,
}

/// One participant's frames, sorted before they are added.
struct MixedVoice {
    position: WritePosition,
    /// The end of audio of this voice that the mix may already contain, in bytes.
    earlier: u64,
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
            wav::open_file(path, format, origin_ms).map_err(TrackError::at(path))?;
        file.keep_ms(WINDOW_MS);
        Ok(Self {
            path: path.to_owned(),
            origin_ms,
            resumed: origin_ms..origin_ms + file.len_ms(),
            ends: None,
            earlier,
            file,
            voices: HashMap::default(),
            forgotten_ms: i64::MIN,
            reach: 0,
            counts: Counts::default(),
        })
    }

    /// The end of each voice, in Unix milliseconds.
    pub fn ends(&self) -> HashMap<SpeakerKey, i64> {
        let mut ends = self.ends.clone().unwrap_or_default();
        let end_ms = |voice: &MixedVoice| self.origin_ms + voice.position.end_ms();
        ends.extend(self.voices.iter().map(|(who, voice)| (who.clone(), end_ms(voice))));
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
        let closed =
            wav::close_file(self.file, self.origin_ms).map_err(TrackError::at(&self.path))?;
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

    /// The length of the audio so far, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.file.len()
    }

    /// The audio so far at a position, in bytes; less where it ends.
    pub(super) fn sound(&self, position: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.file.there(position, bytes)
    }

    fn add(&mut self, at_ms: i64, who: &SpeakerKey, payload: &Bytes) -> io::Result<()> {
        if wav::whole_samples(self.file.format, payload).is_empty() {
            self.counts.unreadable += 1;
            return Ok(());
        }
        if !fits_origin(self.origin_ms, at_ms) {
            self.counts.absurd += 1;
            return Ok(());
        }
        let end_ms = match &self.ends {
            Some(ends) => ends.get(who).copied().unwrap_or(i64::MIN),
            None => self.resumed.end,
        };
        let is_known = self.voices.contains_key(who);
        // The end of a forgotten voice is not known exactly. Adding audio twice would double it.
        let may_be_there = !is_known && at_ms < self.forgotten_ms;
        if may_be_there || (self.resumed.start..end_ms).contains(&at_ms) {
            self.counts.late += 1;
            return Ok(());
        }
        if !is_known && !self.make_room()? {
            self.counts.beyond_limit += 1;
            return Ok(());
        }
        let earlier_ms = end_ms.max(self.forgotten_ms).saturating_sub(self.origin_ms);
        let earlier = earlier_ms.max(0) as u64 * self.file.format.bytes_per_ms();
        let voice = self.voices.entry(who.clone()).or_insert_with(|| MixedVoice {
            position: WritePosition::new(self.file.format, 0),
            earlier,
            order: ReorderBuffer::new(),
        });
        match voice.order.push(Timed { at_ms, payload: payload.clone() }) {
            Turn::Waits => {
                let since_ms = (at_ms - self.origin_ms) as u64;
                self.reach = self.reach.max(voice.position.end(since_ms, payload.len()));
            }
            Turn::Repeated => self.counts.repeated += 1,
            // Adding a repeated frame would double it.
            Turn::Clashes | Turn::Missed(_) => self.counts.late += 1,
        }
        while let Some(frame) = voice.order.pop() {
            let since_ms = (frame.at_ms - self.origin_ms) as u64;
            lay_frame(&mut self.file, voice, since_ms, &frame.payload, &mut self.counts)?;
        }
        Ok(())
    }

    /// Whether one more voice can be added, after silent ones are forgotten.
    fn make_room(&mut self) -> io::Result<bool> {
        if self.voices.len() >= MAX_VOICES {
            // Queued frames first, so that `forget` sees where each voice ends.
            self.write_all()?;
            self.forget();
        }
        Ok(self.voices.len() < MAX_VOICES)
    }

    fn write_all(&mut self) -> io::Result<()> {
        for voice in self.voices.values_mut() {
            while let Some(frame) = voice.order.pop_any() {
                let since_ms = (frame.at_ms - self.origin_ms) as u64;
                lay_frame(&mut self.file, voice, since_ms, &frame.payload, &mut self.counts)?;
            }
        }
        self.file.sync()
    }

    /// Forgets the voices that were silent for long. Later frames from before their ends are dropped: the mix may
    /// contain them.
    fn forget(&mut self) {
        let end_ms = |voice: &MixedVoice| self.origin_ms + voice.position.end_ms();
        let silent_since_ms = self.origin_ms + self.file.len_ms() - FORGOTTEN_AFTER_MS;
        self.voices.retain(|_, voice| {
            let is_silent = end_ms(voice) < silent_since_ms;
            if is_silent {
                self.forgotten_ms = self.forgotten_ms.max(end_ms(voice));
            }
            !is_silent
        });
    }
}

/// Adds the next frame of a voice, behind its previous one. `since_ms`: since the origin.
fn lay_frame(
    file: &mut WavFile,
    voice: &mut MixedVoice,
    since_ms: u64,
    payload: &Bytes,
    counts: &mut Counts,
) -> io::Result<()> {
    let sound = wav::whole_samples(file.format, payload);
    voice.position.follow(voice.earlier, since_ms, sound.len());
    let Some(position) = voice.position.take(since_ms, sound.len()) else {
        counts.overlapped += 1;
        return Ok(());
    };
    file.put(position, sound, Over::Add)?;
    counts.count_written(sound.len() == payload.len());
    Ok(())
}
