//! The file format of each medium's frames.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::mp4::meeting::{MeetingFormat, SoundFormat};
use super::wav::{Coding, WavFormat};
use crate::model::Medium;
use crate::model::params::{AudioCodec, AudioContent, Channels, VideoCodec};
use crate::rtms::params::{Effective, EffectiveAudio};

/// The format of a medium's files, as Zoom sends it: nothing is transcoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackKind {
    /// L16, G.711 or G.722 in one WAV file.
    Wav(WavFormat),
    /// Opus in one Ogg file.
    Ogg { channels: u8 },
    /// H.264 in fragmented MP4, with a further file for each change of resolution.
    Mp4,
    /// JPEG or PNG: a folder of images named by time, and `index.jsonl`.
    Pictures,
    /// One MP4 of all voices and one picture at a time.
    Meeting(MeetingFormat),
}

/// Why a medium cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unrecordable {
    #[error("{} is text, not media", .0.as_str())]
    Text(Medium),
    #[error("Zoom has not announced the format of {}", .0.as_str())]
    Unanswered(Medium),
    #[error("Zoom sends {} in a format that this version does not know", .0.as_str())]
    Unknown(Medium),
    #[error("RTP packets cannot be recorded: request raw audio")]
    Rtp,
}

impl TrackKind {
    /// The format for a medium with Zoom's parameters (sections 8.2 and 8.3).
    pub fn of(medium: Medium, effective: &Effective) -> Result<Self, Unrecordable> {
        match medium {
            Medium::Audio => audio_kind(effective.audio.ok_or(Unrecordable::Unanswered(medium))?),
            Medium::Video => {
                let video = effective.video.ok_or(Unrecordable::Unanswered(medium))?;
                Ok(video_kind(video.codec.ok_or(Unrecordable::Unknown(medium))?))
            }
            Medium::Share => {
                let share = effective.share.ok_or(Unrecordable::Unanswered(medium))?;
                Ok(video_kind(share.codec.ok_or(Unrecordable::Unknown(medium))?))
            }
            _ => Err(Unrecordable::Text(medium)),
        }
    }

    /// The most bytes that a millisecond of silence takes in a file.
    pub fn silence_bytes_per_ms(self) -> u64 {
        match self {
            Self::Wav(format) => format.bytes_per_ms(),
            // One byte per 5 ms, rounded up.
            Self::Ogg { .. } => 1,
            Self::Mp4 | Self::Pictures => 0,
            Self::Meeting(format) => match format.sound {
                // The voices in a file of their own. Silence in the film takes a twentieth of that.
                Some(SoundFormat::Flac(wav)) => wav.bytes_per_ms() * 2,
                Some(SoundFormat::Opus { .. }) => 1,
                None => 0,
            },
        }
    }

    /// The file extension; `None` for pictures, which are a folder.
    pub fn extension(self) -> Option<&'static str> {
        match self {
            Self::Wav(_) => Some("wav"),
            Self::Ogg { .. } => Some("ogg"),
            Self::Mp4 | Self::Meeting(_) => Some("mp4"),
            Self::Pictures => None,
        }
    }
}

fn audio_kind(audio: EffectiveAudio) -> Result<TrackKind, Unrecordable> {
    let unknown = Unrecordable::Unknown(Medium::Audio);
    match audio.content_type.ok_or(unknown)? {
        AudioContent::Rtp => return Err(Unrecordable::Rtp),
        AudioContent::Raw => {}
    }
    let channels = channel_count(audio.channels.ok_or(unknown)?);
    let coding = match audio.codec.ok_or(unknown)? {
        AudioCodec::Opus => return Ok(TrackKind::Ogg { channels }),
        AudioCodec::L16 => Coding::L16,
        AudioCodec::G711 => Coding::ALaw,
        AudioCodec::G722 => Coding::G722,
    };
    let rate_hz = audio.sample_rate.ok_or(unknown)?.hz();
    Ok(TrackKind::Wav(WavFormat { coding, rate_hz, channels: channels.into() }))
}

pub(super) fn channel_count(channels: Channels) -> u8 {
    match channels {
        Channels::Mono => 1,
        Channels::Stereo => 2,
    }
}

fn video_kind(codec: VideoCodec) -> TrackKind {
    match codec {
        VideoCodec::H264 => TrackKind::Mp4,
        VideoCodec::Jpg | VideoCodec::Png => TrackKind::Pictures,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::MediaSet;
    use crate::model::params::Params;

    fn of(medium: Medium, given: serde_json::Value) -> Result<TrackKind, Unrecordable> {
        TrackKind::of(medium, &Effective::read(&Params::default(), MediaSet::ALL, &given))
    }

    #[test]
    fn every_codec_of_raw_audio_has_a_file() {
        let audio = |codec: i64, rate: i64, channel: i64| {
            let audio =
                json!({"content_type": 2, "codec": codec, "sample_rate": rate, "channel": channel});
            of(Medium::Audio, json!({ "audio": audio }))
        };
        let wav =
            |coding, rate_hz, channels| Ok(TrackKind::Wav(WavFormat { coding, rate_hz, channels }));
        assert_eq!(audio(1, 1, 1), wav(Coding::L16, 16_000, 1));
        assert_eq!(audio(1, 3, 2), wav(Coding::L16, 48_000, 2));
        assert_eq!(audio(2, 0, 1), wav(Coding::ALaw, 8_000, 1));
        assert_eq!(audio(3, 1, 1), wav(Coding::G722, 16_000, 1));
        assert_eq!(audio(4, 3, 2), Ok(TrackKind::Ogg { channels: 2 }));
        assert_eq!(audio(9, 3, 2), Err(Unrecordable::Unknown(Medium::Audio)));
    }

    #[test]
    fn rtp_text_and_unannounced_formats_are_refused_each_with_its_reason() {
        let rtp = json!({"audio": {"content_type": 1}});
        assert_eq!(of(Medium::Audio, rtp), Err(Unrecordable::Rtp));
        assert_eq!(of(Medium::Chat, json!({})), Err(Unrecordable::Text(Medium::Chat)));
        let unanswered = TrackKind::of(Medium::Video, &Effective::default());
        assert_eq!(unanswered, Err(Unrecordable::Unanswered(Medium::Video)));
    }

    #[test]
    fn cameras_and_screens_become_mp4_or_pictures() {
        assert_eq!(of(Medium::Video, json!({"video": {"codec": 7}})), Ok(TrackKind::Mp4));
        assert_eq!(of(Medium::Share, json!({"deskshare": {"codec": 5}})), Ok(TrackKind::Pictures));
    }
}
