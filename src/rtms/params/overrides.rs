use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Parameters as people write them, in JSON or in settings: names (numbers are for rates), each field for itself.
/// What is left out stays as it was. Any JSON value is taken here, so that [`super::Params::resolve`] can name every
/// mistake and not only the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParamsOverrides {
    /// What the other fields start from, instead of what was: see [`super::Preset`].
    pub preset: Option<Value>,
    /// The media: a list of names, or names separated by commas.
    pub types: Option<Value>,
    pub connection_mode: Option<Value>,
    pub buffer_data: Option<Value>,
    /// What is recorded: nothing that Zoom is asked for, and read by whoever records.
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
    /// A name, Zoom's number of it (section 10.15), or `none`.
    pub language: Option<Value>,
    pub identify_language: Option<Value>,
}
