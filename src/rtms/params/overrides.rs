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
    pub connection_mode: Option<Value>,
    pub buffer_data: Option<Value>,
    /// What to record. Not sent to Zoom; the recorder reads it.
    pub record: Option<Value>,
    pub audio: AudioOverrides,
    pub video: VideoOverrides,
    pub share: ShareOverrides,
    pub transcript: TranscriptOverrides,
}

/// See [`super::AudioParams`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioOverrides {
    pub content_type: Option<Value>,
    pub codec: Option<Value>,
    pub sample_rate: Option<Value>,
    pub channels: Option<Value>,
    pub streams: Option<Value>,
    pub send_rate_ms: Option<Value>,
}

/// See [`super::VideoParams`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VideoOverrides {
    pub codec: Option<Value>,
    pub resolution: Option<Value>,
    pub fps: Option<Value>,
    pub select: Option<Value>,
    pub dwell_s: Option<Value>,
}

/// See [`super::ShareParams`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShareOverrides {
    pub codec: Option<Value>,
    pub resolution: Option<Value>,
    pub fps: Option<Value>,
}

/// See [`super::TranscriptParams`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TranscriptOverrides {
    /// The language's name, Zoom's number for it (rtms-protocol.md section 10.15), or `none`.
    pub language: Option<Value>,
    pub identify_language: Option<Value>,
}
