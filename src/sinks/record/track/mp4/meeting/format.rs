//! What a film holds, and the beginning of its file (pure).

use serde::{Deserialize, Serialize};

use super::super::sps::parse_sps;
use super::black::black_sets;
use super::flac::FlacFormat;
use super::movie::{self, Content};
use crate::model::params::{AudioCodec, AudioContent, AudioStreams, VideoCodec};
use crate::rtms::params::{Effective, EffectiveAudio};
use crate::sinks::record::track::kind::channel_count;
use crate::sinks::record::track::wav::{Coding, WavFormat};

/// The length of all packets of sound that this writer encodes.
pub(super) const BLOCK_MS: u64 = 20;

/// The size of a film before its first picture.
pub(super) const FIRST_SIZE: (u16, u16) = (640, 360);

/// The bytes of a format in a file.
pub(super) const FORMAT_BYTES: usize = 8;

/// What a film holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeetingFormat {
    /// Whether there are pictures: H.264 as it came.
    pub has_picture: bool,
    pub sound: Option<SoundFormat>,
}

/// The sound of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SoundFormat {
    /// Mixed Opus, as it came.
    Opus { channels: u8 },
    /// FLAC of all voices together: L16 or G.711.
    Flac(WavFormat),
}

impl MeetingFormat {
    /// The film of a stream with Zoom's parameters (sections 8.2 and 8.3). `shows_screen`: whether screens are in it.
    pub fn of(effective: &Effective, shows_screen: bool) -> Self {
        let has_camera = effective.video.is_some_and(|it| it.codec == Some(VideoCodec::H264));
        let has_screen = effective.share.is_some_and(|it| it.codec == Some(VideoCodec::H264));
        Self {
            has_picture: has_camera || has_screen && shows_screen,
            sound: effective.audio.and_then(sound_format),
        }
    }

    /// This format, with what only the other one has.
    pub fn or(self, other: Self) -> Self {
        Self {
            has_picture: self.has_picture || other.has_picture,
            sound: self.sound.or(other.sound),
        }
    }

    /// Whether there is anything in it.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// The beginning of the file of a film that starts at this time.
    pub(super) fn header(self, start_ms: u64) -> Vec<u8> {
        // Until the film is complete nobody knows its largest picture.
        let sets = black_sets(FIRST_SIZE.0, FIRST_SIZE.1);
        let picture = parse_sps(&sets.sps).filter(|_| self.has_picture);
        let video = picture.map(|picture| Content::Video(&sets, picture));
        let tracks: Vec<_> = video.into_iter().chain(self.sound_content()).collect();
        movie::growing_header(&tracks, start_ms, &self.bytes())
    }

    pub(super) fn sound_content(self) -> Option<Content<'static>> {
        Some(match self.sound? {
            SoundFormat::Opus { channels } => Content::Opus { channels },
            SoundFormat::Flac(wav) => {
                let format = FlacFormat { rate_hz: wav.rate_hz, channels: wav.channels };
                // The cast fits: 960 samples at 48 kHz.
                Content::Flac(format, (u64::from(wav.rate_hz) * BLOCK_MS / 1_000) as u16)
            }
        })
    }

    /// The ticks of the sound in a second.
    pub(super) fn sound_scale(self) -> u32 {
        self.sound_content().map_or(1_000, |content| content.scale())
    }

    fn bytes(self) -> [u8; FORMAT_BYTES] {
        let (kind, channels, rate_hz) = match self.sound {
            None => (0, 0, 0),
            Some(SoundFormat::Opus { channels }) => (1, channels, 0),
            Some(SoundFormat::Flac(wav)) => {
                let kind = if wav.coding == Coding::ALaw { 3 } else { 2 };
                // The cast fits: 1 or 2.
                (kind, wav.channels as u8, wav.rate_hz)
            }
        };
        let rate = rate_hz.to_be_bytes();
        [u8::from(self.has_picture), kind, channels, 0, rate[0], rate[1], rate[2], rate[3]]
    }

    /// Reads what [`MeetingFormat::header`] writes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [has_picture, kind, channels, _, rate @ ..] = bytes else { return None };
        let rate_hz = u32::from_be_bytes(rate.try_into().ok()?);
        let wav = |coding| {
            let format = WavFormat { coding, rate_hz, channels: (*channels).into() };
            let is_right = (1..=2).contains(channels) && (8_000..=48_000).contains(&rate_hz);
            is_right.then_some(Some(SoundFormat::Flac(format)))
        };
        let sound = match kind {
            0 => None,
            1 => Some(SoundFormat::Opus { channels: *channels }),
            2 => wav(Coding::L16)?,
            3 => wav(Coding::ALaw)?,
            _ => return None,
        };
        Some(Self { has_picture: *has_picture == 1, sound })
    }
}

fn sound_format(audio: EffectiveAudio) -> Option<SoundFormat> {
    let channels = channel_count(audio.channels?);
    if audio.content_type? != AudioContent::Raw {
        return None;
    }
    let wav = |coding| {
        let rate_hz = audio.sample_rate?.hz();
        Some(SoundFormat::Flac(WavFormat { coding, rate_hz, channels: channels.into() }))
    };
    match (audio.codec?, audio.streams?) {
        (AudioCodec::Opus, AudioStreams::Mixed) => Some(SoundFormat::Opus { channels }),
        // Voices that are packets cannot be added up.
        (AudioCodec::Opus, AudioStreams::PerParticipant) | (AudioCodec::G722, _) => None,
        (AudioCodec::L16, _) => wav(Coding::L16),
        (AudioCodec::G711, _) => wav(Coding::ALaw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_its_format() {
        let wav = |coding, rate_hz, channels| WavFormat { coding, rate_hz, channels };
        let sounds = [
            None,
            Some(SoundFormat::Opus { channels: 2 }),
            Some(SoundFormat::Flac(wav(Coding::L16, 48_000, 2))),
            Some(SoundFormat::Flac(wav(Coding::ALaw, 8_000, 1))),
        ];
        for (sound, has_picture) in sounds.into_iter().zip([true, false, true, false]) {
            let format = MeetingFormat { has_picture, sound };
            assert_eq!(MeetingFormat::read(&format.bytes()), Some(format));
        }
        assert_eq!(MeetingFormat::read(&[1, 9, 1, 0, 0, 0, 0, 0]), None);
        assert_eq!(MeetingFormat::read(&[1, 2, 0, 0, 0, 0, 62, 128]), None);
    }
}
