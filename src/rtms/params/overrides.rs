use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::legal::{self, FPS, SEND_RATE_STEP_MS, SEND_RATES_MS};
use super::names::Named;
use super::wire::Coded;
use super::{AudioParams, Language, Params, Preset, ShareParams, TranscriptParams, VideoParams};
use crate::rtms::message::Medium;

/// Parameters as people write them, in JSON or in settings: names (numbers are for rates), each field for itself.
/// What is left out stays as it was. Any JSON value is taken here, so that [`Params::resolve`] can name every
/// mistake and not only the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParamsOverrides {
    /// What the other fields start from, instead of what was: see [`Preset`].
    pub preset: Option<Value>,
    /// The media: a list of names, or names separated by commas.
    pub types: Option<Value>,
    pub connection_mode: Option<Value>,
    pub buffer_data: Option<Value>,
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

/// A field that cannot be so, alone or beside the others. Holds no value.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{field} must be {legal}")]
pub struct ParamMistake {
    /// With its medium: `audio.codec`.
    pub field: &'static str,
    /// What it must be; follows "must be".
    pub legal: String,
}

impl Params {
    /// The parameters with these changes.
    ///
    /// # Errors
    /// Every field that is not of its form and, of the media whose fields are, every field that does not go with
    /// the codec. Media that are not asked for are held to the same rules: they may be asked for later.
    pub fn resolve(
        base: &Params,
        overrides: &ParamsOverrides,
    ) -> Result<Params, Vec<ParamMistake>> {
        let mut read = Fields::default();
        let mut params = read.start(base, overrides.preset.as_ref());
        read.types(overrides.types.as_ref(), &mut params.media);
        read.name("connection_mode", &overrides.connection_mode, &mut params.mode);
        read.flag("buffer_data", &overrides.buffer_data, &mut params.buffer_data);
        read.audio(&overrides.audio, &mut params.audio);
        read.video(&overrides.video, &mut params.video);
        read.share(&overrides.share, &mut params.share);
        read.transcript(&overrides.transcript, &mut params.transcript);
        if read.mistakes.is_empty() { Ok(params) } else { Err(read.mistakes) }
    }
}

/// The media of names separated by commas, each once; `None` if one is not a medium's.
pub fn media_from_names(text: &str) -> Option<Vec<Medium>> {
    media(text.split(','))
}

fn media<'a>(names: impl Iterator<Item = &'a str>) -> Option<Vec<Medium>> {
    let mut media = Vec::new();
    for name in names {
        let medium = Medium::parse(&name.trim().to_ascii_lowercase())?;
        if !media.contains(&medium) {
            media.push(medium);
        }
    }
    (!media.is_empty()).then_some(media)
}

/// Writes what is given over what was, and collects what is wrong.
#[derive(Default)]
struct Fields {
    mistakes: Vec<ParamMistake>,
}

impl Fields {
    fn start(&mut self, base: &Params, preset: Option<&Value>) -> Params {
        let preset = self.given("preset", preset, named, || legal::one_of(Preset::ALL));
        preset.map_or_else(
            || base.clone(),
            |preset: Preset| Params {
                mode: base.mode,
                buffer_data: base.buffer_data,
                ..preset.params()
            },
        )
    }

    fn types(&mut self, value: Option<&Value>, media: &mut Vec<Medium>) {
        let legal = || format!("names of media, of {}", Medium::ALL.map(Medium::as_str).join(", "));
        if let Some(types) = self.given("types", value, media_from_value, legal) {
            *media = types;
        }
    }

    fn audio(&mut self, overrides: &AudioOverrides, audio: &mut AudioParams) {
        let mistakes = self.mistakes.len();
        self.name("audio.content_type", &overrides.content_type, &mut audio.content_type);
        self.name("audio.codec", &overrides.codec, &mut audio.codec);
        self.name("audio.sample_rate", &overrides.sample_rate, &mut audio.sample_rate);
        self.name("audio.channels", &overrides.channels, &mut audio.channels);
        self.name("audio.streams", &overrides.streams, &mut audio.streams);
        let is_send_rate =
            |ms: &u32| SEND_RATES_MS.contains(ms) && ms.is_multiple_of(SEND_RATE_STEP_MS);
        let legal = || legal::send_rates(&SEND_RATES_MS);
        let value = &overrides.send_rate_ms;
        self.number("audio.send_rate_ms", value, &mut audio.send_rate_ms, is_send_rate, legal);
        if self.mistakes.len() == mistakes {
            self.mistakes.extend(legal::audio(audio));
        }
    }

    fn video(&mut self, overrides: &VideoOverrides, video: &mut VideoParams) {
        let mistakes = self.mistakes.len();
        self.name("video.codec", &overrides.codec, &mut video.codec);
        self.name("video.resolution", &overrides.resolution, &mut video.resolution);
        self.fps("video.fps", &overrides.fps, &mut video.fps);
        self.name("video.select", &overrides.select, &mut video.select);
        if self.mistakes.len() == mistakes {
            self.mistakes.extend(legal::video(video));
        }
    }

    fn share(&mut self, overrides: &ShareOverrides, share: &mut ShareParams) {
        let mistakes = self.mistakes.len();
        self.name("share.codec", &overrides.codec, &mut share.codec);
        self.name("share.resolution", &overrides.resolution, &mut share.resolution);
        self.fps("share.fps", &overrides.fps, &mut share.fps);
        if self.mistakes.len() == mistakes {
            self.mistakes.extend(legal::share(share));
        }
    }

    fn transcript(&mut self, overrides: &TranscriptOverrides, transcript: &mut TranscriptParams) {
        let language = overrides.language.as_ref();
        let legal = || format!("{}, or Zoom's number of it", legal::one_of(Language::ALL));
        if let Some(language) = self.given("transcript.language", language, language_of, legal) {
            transcript.language = language;
        }
        let identify_language = &mut transcript.identify_language;
        self.flag("transcript.identify_language", &overrides.identify_language, identify_language);
    }

    fn name<T: Named>(&mut self, field: &'static str, value: &Option<Value>, into: &mut T) {
        if let Some(value) = self.given(field, value.as_ref(), named, || legal::one_of(T::ALL)) {
            *into = value;
        }
    }

    fn fps(&mut self, field: &'static str, value: &Option<Value>, into: &mut u32) {
        self.number(field, value, into, |fps| FPS.contains(fps), || legal::from_to(&FPS));
    }

    fn number(
        &mut self,
        field: &'static str,
        value: &Option<Value>,
        into: &mut u32,
        is_legal: impl Fn(&u32) -> bool,
        legal: impl Fn() -> String,
    ) {
        let parse = |value: &Value| text(value)?.parse().ok().filter(&is_legal);
        if let Some(number) = self.given(field, value.as_ref(), parse, legal) {
            *into = number;
        }
    }

    fn flag(&mut self, field: &'static str, value: &Option<Value>, into: &mut bool) {
        let legal = || "true or false".to_owned();
        if let Some(flag) = self.given(field, value.as_ref(), Value::as_bool, legal) {
            *into = flag;
        }
    }

    /// What the value says. `None` if there is none, and, with a mistake noted, if it says nothing legal.
    fn given<T>(
        &mut self,
        field: &'static str,
        value: Option<&Value>,
        parse: impl Fn(&Value) -> Option<T>,
        legal: impl Fn() -> String,
    ) -> Option<T> {
        let parsed = parse(value?);
        if parsed.is_none() {
            self.mistakes.push(ParamMistake { field, legal: legal() });
        }
        parsed
    }
}

/// Settings are text, JSON has numbers: both are read.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.trim().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

fn named<T: Named>(value: &Value) -> Option<T> {
    T::parse(&text(value)?)
}

fn language_of(value: &Value) -> Option<Language> {
    named(value).or_else(|| Language::from_code(text(value)?.parse().ok()?))
}

fn media_from_value(value: &Value) -> Option<Vec<Medium>> {
    match value {
        Value::String(names) => media_from_names(names),
        Value::Array(names) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            media(names?.into_iter())
        }
        _ => None,
    }
}
