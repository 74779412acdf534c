//! The sound of a film: packets of Opus as Zoom sent them, or all voices together as FLAC. Voices are mixed in a file
//! beside the film, because some arrive late.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::boxes::Sample;
use super::flac::FlacFormat;
use super::format::{BLOCK_MS, SoundFormat};
use crate::model::{SpeakerKey, SpeakerUserId, UserId, from_a_law};
use crate::sinks::record::track::ogg::packet::{self, SAMPLES_PER_MS};
use crate::sinks::record::track::order::{self, ReorderBuffer, Timed, Turn};
use crate::sinks::record::track::wav::{Coding, WavFile, WavFormat};
use crate::sinks::record::track::{Counts, Mix};

/// How far the film's sound stays behind the newest sound: another voice may still be mixed in there.
const BEHIND_MS: u64 = 2_000;
/// How far it stays behind the newest picture, while nobody speaks.
const QUIET_MS: u64 = 5_000;
/// How long Opus is awaited before silence is written: Zoom buffers so much, and silence cannot be replaced later.
const BUFFERED_MS: u64 = 60_000;
/// The most packets of a fragment.
const MAX_PACKETS: u64 = 500;

/// The sound that is not in the film yet.
pub(super) enum Sound {
    Flac(Box<Voices>),
    Opus(OpusSound),
}

/// All voices together, and what of them is in the film.
pub(super) struct Voices {
    pub mix: Mix,
    coding: Coding,
    pub blocks: Blocks,
    /// The next block of the film.
    next: u64,
}

/// The sound in packets of equal length.
#[derive(Clone, Copy)]
pub(super) struct Blocks(pub WavFormat);

pub(super) struct OpusSound {
    origin_ms: i64,
    channels: u8,
    order: ReorderBuffer,
    samples: Vec<Sample>,
    /// The end of the sound, in samples since the origin.
    next: u64,
    /// The end of what was there when the film was opened, and of silence that was written because nothing came.
    floor: u64,
    counts: Counts,
}

impl Sound {
    /// Continues a film. Its sound ends at `end`, in ticks since the origin.
    pub(super) fn open(
        film: &Path,
        format: SoundFormat,
        origin_ms: i64,
        end: u64,
    ) -> io::Result<Self> {
        Ok(match format {
            SoundFormat::Flac(wav) => {
                let blocks = Blocks(WavFormat { coding: Coding::L16, ..wav });
                let mix = Mix::resume(&voices_path(film), blocks.0, origin_ms);
                let mix = mix.map_err(|error| error.source)?;
                let next = end / blocks.ticks();
                Self::Flac(Box::new(Voices { mix, coding: wav.coding, blocks, next }))
            }
            SoundFormat::Opus { channels } => Self::Opus(OpusSound {
                origin_ms,
                channels,
                order: ReorderBuffer::new(),
                samples: Vec::new(),
                next: end,
                floor: end,
                counts: Counts::default(),
            }),
        })
    }

    pub(super) fn take(
        &mut self,
        at_ms: i64,
        who: Option<&SpeakerKey>,
        payload: &Bytes,
    ) -> io::Result<()> {
        match self {
            Self::Flac(voices) => voices.take(at_ms, who, payload),
            Self::Opus(sound) => {
                sound.take(at_ms, payload);
                Ok(())
            }
        }
    }

    /// Takes the next packets for the film, at most a fragment's; `newest_ms`: the time of the newest frame of any
    /// medium, since the origin.
    pub(super) fn packets(&mut self, newest_ms: u64) -> io::Result<Vec<Sample>> {
        match self {
            Self::Flac(voices) => {
                let heard_ms = voices.len_ms().saturating_sub(BEHIND_MS);
                voices.packets(heard_ms.max(newest_ms.saturating_sub(QUIET_MS)))
            }
            Self::Opus(sound) => Ok(sound.packets(newest_ms.saturating_sub(BUFFERED_MS))),
        }
    }

    /// Takes the next packets up to the end of the film.
    pub(super) fn last_packets(&mut self, end_ms: u64) -> io::Result<Vec<Sample>> {
        match self {
            Self::Flac(voices) => {
                voices.packets(end_ms.max(voices.len_ms()).next_multiple_of(BLOCK_MS))
            }
            Self::Opus(sound) => {
                while let Some(frame) = sound.order.pop_any() {
                    sound.put(frame);
                }
                Ok(std::mem::take(&mut sound.samples))
            }
        }
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::Flac(voices) => voices.mix.sync().map_err(|error| error.source),
            Self::Opus(_) => Ok(()),
        }
    }

    /// The length of the sound, since the origin.
    pub(super) fn len_ms(&self) -> u64 {
        match self {
            Self::Flac(voices) => voices.len_ms(),
            Self::Opus(sound) => sound.next.div_ceil(SAMPLES_PER_MS),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        match self {
            Self::Flac(voices) => voices.mix.counts(),
            Self::Opus(sound) => sound.counts,
        }
    }

    /// The bytes that the file beside the film has grown.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Flac(voices) => voices.mix.bytes(),
            Self::Opus(_) => 0,
        }
    }

    pub(super) fn mix(&self) -> Option<&Mix> {
        match self {
            Self::Flac(voices) => Some(&voices.mix),
            Self::Opus(_) => None,
        }
    }

    pub(super) fn mix_mut(&mut self) -> Option<&mut Mix> {
        match self {
            Self::Flac(voices) => Some(&mut voices.mix),
            Self::Opus(_) => None,
        }
    }
}

/// The file of all voices beside a film. A file with a name that begins with a dot is not stored.
pub(in crate::sinks::record::track) fn voices_path(film: &Path) -> PathBuf {
    let name = film.file_name().unwrap_or_default().to_string_lossy();
    film.with_file_name(format!(".{name}.wav"))
}

impl Voices {
    fn take(&mut self, at_ms: i64, who: Option<&SpeakerKey>, payload: &Bytes) -> io::Result<()> {
        // Zoom mixes voices without a name.
        let all = SpeakerKey::User(SpeakerUserId::Number(UserId(0)));
        let linear = match self.coding {
            Coding::ALaw => {
                let samples = payload.iter().flat_map(|byte| from_a_law(*byte).to_le_bytes());
                samples.collect()
            }
            Coding::L16 | Coding::G722 => payload.clone(),
        };
        self.mix.write(at_ms, who.unwrap_or(&all), &linear).map_err(|error| error.source)
    }

    fn len_ms(&self) -> u64 {
        self.mix.len().div_ceil(self.blocks.0.bytes_per_ms())
    }

    fn packets(&mut self, until_ms: u64) -> io::Result<Vec<Sample>> {
        let until = (until_ms / BLOCK_MS).min(self.next + MAX_PACKETS);
        let mut samples = Vec::new();
        while self.next < until {
            let bytes = self.blocks.bytes();
            let sound = self.mix.sound(self.next * bytes as u64, bytes)?;
            samples.push(Sample {
                at: self.next * self.blocks.ticks(),
                duration: self.blocks.ticks() as u32,
                is_key: true,
                data: self.blocks.packet(self.next, sound),
            });
            self.next += 1;
        }
        Ok(samples)
    }
}

impl Blocks {
    /// The bytes of the samples of a packet.
    pub(super) fn bytes(self) -> usize {
        (BLOCK_MS * self.0.bytes_per_ms()) as usize
    }

    /// The length of a packet, in ticks.
    pub(super) fn ticks(self) -> u64 {
        u64::from(self.0.rate_hz) * BLOCK_MS / 1_000
    }

    /// A packet of these samples, with silence behind them if they are too few.
    pub(super) fn packet(self, number: u64, mut sound: Vec<u8>) -> Vec<u8> {
        sound.resize(self.bytes(), 0);
        let format = FlacFormat { rate_hz: self.0.rate_hz, channels: self.0.channels };
        // The cast fits: see `MAX_SPAN_MS`.
        format.frame(number as u32, &sound)
    }
}

impl OpusSound {
    fn take(&mut self, at_ms: i64, payload: &Bytes) {
        if packet::packet_samples(payload).is_none() {
            self.counts.unreadable += 1;
            return;
        }
        // Copied, because the newest packets wait until later ones come, which may be long, and the payload may share memory
        // with those of other streams.
        let payload = Bytes::copy_from_slice(payload);
        match self.order.push(Timed { at_ms, payload }) {
            Turn::Waits => {}
            Turn::Repeated => self.counts.repeated += 1,
            Turn::Clashes | Turn::Missed(_) => self.counts.late += 1,
        }
        while let Some(frame) = self.order.pop() {
            self.put(frame);
        }
    }

    fn put(&mut self, frame: Timed) {
        let Some(samples) = packet::packet_samples(&frame.payload) else { return };
        let exact = (frame.at_ms - self.origin_ms).max(0) as u64 * SAMPLES_PER_MS;
        if exact + order::drift_tolerance(samples, SAMPLES_PER_MS) <= self.floor {
            self.counts.late += 1;
            return;
        }
        match order::frame_position(exact, self.next, samples, SAMPLES_PER_MS) {
            Some(position) => {
                self.be_silent(position);
                self.push(frame.payload.into(), samples);
                self.counts.written += 1;
            }
            None => self.counts.overlapped += 1,
        }
    }

    fn push(&mut self, data: Vec<u8>, samples: u64) {
        // The cast fits: a packet has at most 120 ms.
        let duration = samples as u32;
        self.samples.push(Sample { at: self.next, duration, is_key: true, data });
        self.next += samples;
    }

    fn be_silent(&mut self, until: u64) {
        for silence in packet::silent_packets(until.saturating_sub(self.next), self.channels) {
            let samples = packet::packet_samples(&silence).unwrap_or_default();
            self.push(silence, samples);
        }
    }

    fn packets(&mut self, until_ms: u64) -> Vec<Sample> {
        if self.samples.is_empty() {
            let until = until_ms * SAMPLES_PER_MS;
            // A fragment of silence at a time.
            let most = self.next + MAX_PACKETS * BLOCK_MS * SAMPLES_PER_MS;
            if until > self.next {
                self.be_silent(until.min(most));
                self.floor = self.next;
            }
        }
        std::mem::take(&mut self.samples)
    }
}

/// The sound of all voices of a film that is complete, if it has a file of them.
pub(super) fn reopen_voices(film: &Path, format: WavFormat) -> io::Result<Option<WavFile>> {
    let path = voices_path(film);
    if !path.exists() {
        return Ok(None);
    }
    Ok(WavFile::reopen(&path)?.filter(|file| file.format == format))
}
