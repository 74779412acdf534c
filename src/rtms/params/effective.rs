//! The media parameters that Zoom grants in its answers (rtms-protocol.md section 6.4; pure).

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::wire::{self, Coded};
use crate::model::params::{
    AudioCodec, AudioContent, AudioStreams, Channels, Language, Params, Resolution, SampleRate,
    VideoCodec, VideoSelect,
};
use crate::model::{MediaSet, Medium};

/// The parameters that Zoom grants on one media link (rtms-protocol.md section 6.4). They override the
/// requested ones. A medium is `None` if it is not on the link; a field is `None` if Zoom's value is unknown to
/// this version. A field that Zoom does not mention is as requested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// The granted format of audio.
    pub audio: Option<EffectiveAudio>,
    /// The granted format of camera video.
    pub video: Option<EffectiveVideo>,
    /// The granted format of shared screens.
    pub share: Option<EffectiveShare>,
    /// The granted settings of the transcription.
    pub transcript: Option<EffectiveTranscript>,
}

/// See [`crate::model::params::AudioParams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EffectiveAudio {
    /// The packaging: RTP packets or raw audio.
    pub content_type: Option<AudioContent>,
    /// The codec of the audio frames.
    pub codec: Option<AudioCodec>,
    /// The sample rate; in Hz in JSON.
    pub sample_rate: Option<SampleRate>,
    /// The number of channels.
    pub channels: Option<Channels>,
    /// Whether participants are mixed.
    pub streams: Option<AudioStreams>,
    /// Milliseconds of sound in one frame.
    pub send_rate_ms: Option<u32>,
}

/// See [`crate::model::params::VideoParams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EffectiveVideo {
    /// The codec of the pictures.
    pub codec: Option<VideoCodec>,
    /// The size of the pictures.
    pub resolution: Option<Resolution>,
    /// Pictures per second.
    pub fps: Option<u32>,
    /// Whose camera Zoom sends. Individual selection and round robin have one number on the wire.
    pub select: Option<VideoSelect>,
}

/// See [`crate::model::params::ShareParams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EffectiveShare {
    /// The codec of the pictures.
    pub codec: Option<VideoCodec>,
    /// The size of the pictures.
    pub resolution: Option<Resolution>,
    /// Pictures per second.
    pub fps: Option<u32>,
}

/// See [`crate::model::params::TranscriptParams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EffectiveTranscript {
    /// The spoken language.
    pub language: Option<Language>,
    /// Whether Zoom identifies the spoken language.
    pub identify_language: Option<bool>,
}

/// A field that Zoom granted differently than requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field's name with its medium: `audio.codec`.
    pub field: String,
    /// The requested value, as JSON.
    pub asked: Value,
    /// Null if this version does not know Zoom's value.
    pub given: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, asked, given } = self;
        match given {
            Value::Null => write!(f, "{field} is unknown instead of {asked}"),
            given => write!(f, "{field} is {given} instead of {asked}"),
        }
    }
}

impl Effective {
    /// Reads the `media_params` of the answer on a link that carries these media. Never fails: unreadable
    /// values count as unknown.
    pub fn read(asked: &Params, media: MediaSet, media_params: &Value) -> Self {
        let echo = |medium| {
            media.contains(medium).then(|| Echo(media_params.get(wire::medium_key(medium))))
        };
        Self {
            audio: echo(Medium::Audio).map(|echo| echo.audio(asked)),
            video: echo(Medium::Video).map(|echo| echo.video(asked)),
            share: echo(Medium::Share).map(|echo| echo.share(asked)),
            transcript: echo(Medium::Transcript).map(|echo| echo.transcript(asked)),
        }
    }

    /// Whether the parameters of all these media are known. Chat has none.
    pub fn covers(&self, media: MediaSet) -> bool {
        media.iter().all(|medium| match medium {
            Medium::Audio => self.audio.is_some(),
            Medium::Video => self.video.is_some(),
            Medium::Share => self.share.is_some(),
            Medium::Transcript => self.transcript.is_some(),
            Medium::Chat => true,
        })
    }

    /// Combines the parameters with those of another link.
    pub fn with(self, other: &Self) -> Self {
        Self {
            audio: self.audio.or(other.audio),
            video: self.video.or(other.video),
            share: self.share.or(other.share),
            transcript: self.transcript.or(other.transcript),
        }
    }

    /// Returns the fields that differ from the requested ones.
    pub fn differences(&self, asked: &Params) -> Vec<Difference> {
        let (asked, given) = (to_json(asked), to_json(self));
        let mut differences = Vec::new();
        for (medium, fields) in given.as_object().into_iter().flatten() {
            for (field, given) in fields.as_object().into_iter().flatten() {
                let asked = &asked[medium][field];
                if given != asked {
                    let field = format!("{medium}.{field}");
                    let (asked, given) = (asked.clone(), given.clone());
                    differences.push(Difference { field, asked, given });
                }
            }
        }
        differences
    }
}

fn to_json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("string keys and plain values always serialize")
}

/// A medium's object in the answer, if there is one.
struct Echo<'a>(Option<&'a Value>);

impl Echo<'_> {
    fn audio(&self, asked: &Params) -> EffectiveAudio {
        let asked = asked.audio;
        EffectiveAudio {
            content_type: self.code("content_type", asked.content_type),
            codec: self.code("codec", asked.codec),
            sample_rate: self.code("sample_rate", asked.sample_rate),
            channels: self.code("channel", asked.channels),
            streams: self.code("data_opt", asked.streams),
            send_rate_ms: self.number("send_rate", asked.send_rate_ms),
        }
    }

    fn video(&self, asked: &Params) -> EffectiveVideo {
        let asked = asked.video;
        EffectiveVideo {
            codec: self.code("codec", asked.codec),
            resolution: self.code("resolution", asked.resolution),
            fps: self.number("fps", asked.fps),
            select: self.code("data_opt", asked.select),
        }
    }

    fn share(&self, asked: &Params) -> EffectiveShare {
        let asked = asked.share;
        EffectiveShare {
            codec: self.code("codec", asked.codec),
            resolution: self.code("resolution", asked.resolution),
            fps: self.number("fps", asked.fps),
        }
    }

    fn transcript(&self, asked: &Params) -> EffectiveTranscript {
        let asked = asked.transcript;
        EffectiveTranscript {
            language: self.code("src_language", asked.language),
            identify_language: self.field("enable_lid", asked.identify_language, lenient_boolean),
        }
    }

    fn code<T: Coded>(&self, key: &str, asked: T) -> Option<T> {
        // The requested value first: two values may share a code (individual video and turns).
        let read = |code| if code == asked.code() { Some(asked) } else { T::from_code(code) };
        self.field(key, asked, |value| read(lenient_integer(value)?))
    }

    fn number(&self, key: &str, asked: u32) -> Option<u32> {
        self.field(key, asked, |value| lenient_integer(value)?.try_into().ok())
    }

    fn field<T>(&self, key: &str, asked: T, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        match self.0.and_then(|object| object.get(key)) {
            None | Some(Value::Null) => Some(asked),
            Some(value) => read(value),
        }
    }
}

/// Reads an integer. Zoom's docs show some numbers as strings.
fn lenient_integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn lenient_boolean(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| match lenient_integer(value)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    })
}
