//! Media parameters as people write them, before they are checked.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Parameters as people write them in JSON or settings: names, and numbers for rates. Each field is optional,
/// and an absent field stays unchanged. Any JSON value is accepted here, so that [`super::Params::resolve`] can
/// report all mistakes at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParamsOverrides {
    /// The preset that the other fields are applied to, instead of the current parameters: see
    /// [`super::Preset`].
    pub preset: Option<Value>,
    /// The media: a list of names, or names separated by commas.
    pub types: Option<Value>,
    /// The name of a [`super::ConnectionMode`].
    pub connection_mode: Option<Value>,
    /// Whether Zoom sends the audio that it buffered before the handshake: a boolean.
    pub buffer_data: Option<Value>,
    /// What to record. Not sent to Zoom; the recorder reads it.
    pub record: Option<Value>,
    /// What to capture: the name of a [`crate::model::CaptureMode`]. Not sent to Zoom; the recorder reads it.
    pub capture: Option<Value>,
    /// Changes to the format of audio.
    pub audio: AudioOverrides,
    /// Changes to the format of camera video.
    pub video: VideoOverrides,
    /// Changes to the format of shared screens.
    pub share: ShareOverrides,
    /// Changes to the settings of the transcription.
    pub transcript: TranscriptOverrides,
}

/// See [`super::AudioParams`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioOverrides {
    /// The name of a [`super::AudioContent`].
    pub content_type: Option<Value>,
    /// The name of an [`super::AudioCodec`].
    pub codec: Option<Value>,
    /// The rate in Hz, as a number or text, or another name of a [`super::SampleRate`].
    pub sample_rate: Option<Value>,
    /// The name of a [`super::Channels`].
    pub channels: Option<Value>,
    /// The name of an [`super::AudioStreams`].
    pub streams: Option<Value>,
    /// Milliseconds of sound in one frame: a multiple of 20, at most 1000.
    pub send_rate_ms: Option<Value>,
}

/// See [`super::VideoParams`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VideoOverrides {
    /// The name of a [`super::VideoCodec`].
    pub codec: Option<Value>,
    /// The name of a [`super::Resolution`].
    pub resolution: Option<Value>,
    /// Pictures per second.
    pub fps: Option<Value>,
    /// The name of a [`super::VideoSelect`].
    pub select: Option<Value>,
    /// Seconds that each camera's turn lasts in round robin.
    pub dwell_s: Option<Value>,
}

/// See [`super::ShareParams`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShareOverrides {
    /// The name of a [`super::VideoCodec`].
    pub codec: Option<Value>,
    /// The name of a [`super::Resolution`].
    pub resolution: Option<Value>,
    /// Pictures per second.
    pub fps: Option<Value>,
}

/// See [`super::TranscriptParams`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TranscriptOverrides {
    /// The language's name, Zoom's number for it (rtms-protocol.md section 10.15), or `none`.
    pub language: Option<Value>,
    /// Whether Zoom identifies the spoken language: a boolean.
    pub identify_language: Option<Value>,
}
