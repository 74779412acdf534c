//! The media parameters of a stream by name, and what is recorded of it (pure; rtms-protocol.md sections 3.3 and 8).
//! Their numbers on the wire are in `rtms::params`.
//!
//! [`Params::resolve`] reads all parameters that people write, in settings and request bodies alike.

mod language;
mod legal;
mod names;
mod overrides;
mod plan;
mod preset;
mod resolve;

use serde::Serialize;

use super::{MediaSet, Medium, Product};

pub use language::Language;
pub use names::{
    AudioCodec, AudioContent, AudioStreams, Channels, ConnectionMode, Named, Resolution,
    SampleRate, VideoCodec, VideoSelect,
};
pub use overrides::{
    AudioOverrides, ParamsOverrides, ShareOverrides, TranscriptOverrides, VideoOverrides,
};
pub use plan::{FILMED_SOUND, MediaError, MediaPlan, RecordError, check_record};
pub use preset::Preset;
pub use resolve::ParamMistake;

/// The media to receive, their formats, and the number of sockets. In JSON it has the shape of
/// [`ParamsOverrides`] with every field present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Params {
    /// The media to receive; never empty.
    #[serde(rename = "types")]
    pub media: MediaSet,
    /// Whether each medium has its own socket.
    #[serde(rename = "connection_mode")]
    pub mode: ConnectionMode,
    /// Whether Zoom sends the audio that it buffered between its webhook and the handshake (rtms-protocol.md
    /// section 6.1).
    pub buffer_data: bool,
    /// The requested format of audio.
    pub audio: AudioParams,
    /// The requested format of camera video.
    pub video: VideoParams,
    /// The requested format of shared screens.
    pub share: ShareParams,
    /// The requested settings of the transcription.
    pub transcript: TranscriptParams,
}

/// The format of audio. Legal combinations: rtms-protocol.md section 8.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AudioParams {
    /// The packaging: RTP packets or raw audio.
    pub content_type: AudioContent,
    /// The codec; fixed for the session (section 8.1).
    pub codec: AudioCodec,
    /// The sample rate; in Hz in JSON and settings.
    pub sample_rate: SampleRate,
    /// The number of channels.
    pub channels: Channels,
    /// Whether participants are mixed; `data_opt` on the wire (section 10.9).
    pub streams: AudioStreams,
    /// Milliseconds of sound in one frame: a multiple of 20, at most 1000.
    pub send_rate_ms: u32,
}

/// The format of camera video. Legal combinations: rtms-protocol.md section 8.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VideoParams {
    /// The codec. Zoom sends JPG and PNG at up to 5 pictures a second, H.264 above that.
    pub codec: VideoCodec,
    /// The size of the pictures.
    pub resolution: Resolution,
    /// Pictures per second.
    pub fps: u32,
    /// Whose camera Zoom sends; `data_opt` on the wire (section 10.9).
    pub select: VideoSelect,
    /// How long each camera's turn lasts with [`VideoSelect::RoundRobin`], in seconds.
    pub dwell_s: u32,
}

/// The format of shared screens. Legal combinations: rtms-protocol.md section 8.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ShareParams {
    /// The codec. Zoom sends JPG and PNG at up to 1 picture a second, H.264 above that.
    pub codec: VideoCodec,
    /// The size of the pictures.
    pub resolution: Resolution,
    /// Pictures per second.
    pub fps: u32,
}

/// The settings of Zoom's transcription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TranscriptParams {
    /// The spoken language. With language identification it applies only to the first 30 s.
    pub language: Language,
    /// Whether Zoom identifies the spoken language.
    pub identify_language: bool,
}

impl Default for Params {
    fn default() -> Self {
        Preset::Transcription.params()
    }
}

impl Default for AudioParams {
    fn default() -> Self {
        Self {
            content_type: AudioContent::Raw,
            codec: AudioCodec::L16,
            sample_rate: SampleRate::Khz16,
            channels: Channels::Mono,
            streams: AudioStreams::PerParticipant,
            send_rate_ms: 20,
        }
    }
}

impl Default for VideoParams {
    fn default() -> Self {
        Self {
            codec: VideoCodec::H264,
            resolution: Resolution::Hd,
            fps: 25,
            select: VideoSelect::Active,
            dwell_s: 10,
        }
    }
}

impl Default for ShareParams {
    fn default() -> Self {
        // The strict limit for JPG shares is 1 picture a second (rtms-protocol.md conflict 19.17).
        Self { codec: VideoCodec::Jpg, resolution: Resolution::Fhd, fps: 1 }
    }
}

impl Default for TranscriptParams {
    fn default() -> Self {
        Self { language: Language::English, identify_language: true }
    }
}

impl Params {
    /// The parameters for a stream of this product: a call of Zoom Phone has audio and a transcript only (section 23.3).
    /// Where nothing of them is left, Zoom's answer decides.
    #[must_use]
    pub fn in_product(self, product: Product) -> Self {
        let of_calls = MediaSet::from([Medium::Audio, Medium::Transcript]);
        let media = self.media.without(self.media.without(of_calls));
        match product {
            Product::Phone if !media.is_empty() => Self { media, ..self },
            _ => self,
        }
    }

    /// Returns whether this medium is to be received.
    pub fn wants(&self, medium: Medium) -> bool {
        self.media.contains(medium)
    }
}
