//! Presets: complete parameters for a purpose (pure).

use super::names::setting_values;
use super::{
    AudioParams, ConnectionMode, Params, SampleRate, ShareParams, TranscriptParams, VideoCodec,
    VideoParams,
};
use crate::model::{MediaSet, Medium};

setting_values! {
    /// Parameters for a purpose, to start from.
    Preset {
        Transcription: "transcription",
        AudioOnly: "audio-only",
        Recording: "recording",
        Full: "full",
    }
}

impl Preset {
    /// Returns the preset's parameters. Fields that a preset does not set have their defaults.
    pub fn params(self) -> Params {
        match self {
            Preset::Transcription => with_defaults(Medium::Transcript.into()),
            Preset::AudioOnly => with_defaults(Medium::Audio.into()),
            Preset::Recording => recording_params(),
            Preset::Full => with_defaults(MediaSet::ALL),
        }
    }
}

fn with_defaults(media: MediaSet) -> Params {
    Params {
        media,
        mode: ConnectionMode::Split,
        buffer_data: true,
        audio: AudioParams::default(),
        video: VideoParams::default(),
        share: ShareParams::default(),
        transcript: TranscriptParams::default(),
    }
}

/// Parameters that play back well: full-band sound, and screen sharing as video instead of single pictures.
fn recording_params() -> Params {
    let media = [Medium::Audio, Medium::Video, Medium::Share, Medium::Transcript];
    let audio = AudioParams { sample_rate: SampleRate::Khz48, ..AudioParams::default() };
    let share = ShareParams { codec: VideoCodec::H264, fps: 5, ..ShareParams::default() };
    Params { audio, share, ..with_defaults(media.into()) }
}
