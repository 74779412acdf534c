//! Resolves overrides, as people write them, to complete and legal parameters (pure).

use std::borrow::Cow;

use serde_json::Value;
use thiserror::Error;

use super::legal::{self, DWELLS_S, FPS, SEND_RATE_STEP_MS, SEND_RATES_MS};
use super::names::Named;
use super::{
    AudioOverrides, AudioParams, Language, Params, ParamsOverrides, Preset, ShareOverrides,
    ShareParams, TranscriptOverrides, TranscriptParams, VideoOverrides, VideoParams,
};
use crate::model::MediaSet;

/// A field with an illegal value, by itself or with the other fields. Holds no value, which may be secret or
/// long.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{field} must be {legal}")]
pub struct ParamMistake {
    /// The field's name with its medium: `audio.codec`.
    pub field: &'static str,
    /// The legal values, worded to follow "must be".
    pub legal: String,
}

impl Params {
    /// Returns the parameters with these changes.
    ///
    /// Every malformed field and, for a medium with well-formed fields only, every field that does not fit the
    /// codec. Media that are not requested follow the same rules, because they may be requested later.
    pub fn resolve(
        base: &Params,
        overrides: &ParamsOverrides,
    ) -> Result<Params, Vec<ParamMistake>> {
        let mut read = Fields::default();
        let mut params = read.start(base, &overrides.preset);
        read.types(&overrides.types, &mut params.media);
        read.name("connection_mode", &overrides.connection_mode, &mut params.mode);
        read.flag("buffer_data", &overrides.buffer_data, &mut params.buffer_data);
        read.audio(&overrides.audio, &mut params.audio);
        read.video(&overrides.video, &mut params.video);
        read.share(&overrides.share, &mut params.share);
        read.transcript(&overrides.transcript, &mut params.transcript);
        if read.mistakes.is_empty() { Ok(params) } else { Err(read.mistakes) }
    }
}

/// Applies given fields to the parameters and collects the mistakes.
#[derive(Default)]
struct Fields {
    mistakes: Vec<ParamMistake>,
}

impl Fields {
    /// Returns the parameters that the other fields are applied to.
    fn start(&mut self, base: &Params, value: &Option<Value>) -> Params {
        let mut start = base.clone();
        let parse = |value: &Value| {
            // A preset chooses media and formats; how to connect stays the operator's choice.
            let Params { mode, buffer_data, .. } = *base;
            Some(Params { mode, buffer_data, ..parse_named::<Preset>(value)?.params() })
        };
        self.set("preset", value, &mut start, parse, || legal::one_of(Preset::ALL));
        start
    }

    fn types(&mut self, value: &Option<Value>, media: &mut MediaSet) {
        let legal = || format!("names of media, of {}", MediaSet::ALL);
        self.set("types", value, media, media_from_value, legal);
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
        // Rules of the codec only for well-formed fields: else one mistake would be reported twice.
        if self.mistakes.len() == mistakes {
            self.mistakes.extend(legal::check_audio(audio));
        }
    }

    fn video(&mut self, overrides: &VideoOverrides, video: &mut VideoParams) {
        let mistakes = self.mistakes.len();
        self.name("video.codec", &overrides.codec, &mut video.codec);
        self.name("video.resolution", &overrides.resolution, &mut video.resolution);
        self.fps("video.fps", &overrides.fps, &mut video.fps);
        self.name("video.select", &overrides.select, &mut video.select);
        let is_dwell = |dwell_s: &u32| DWELLS_S.contains(dwell_s);
        let legal = || legal::from_to(&DWELLS_S);
        self.number("video.dwell_s", &overrides.dwell_s, &mut video.dwell_s, is_dwell, legal);
        if self.mistakes.len() == mistakes {
            self.mistakes.extend(legal::check_video(video));
        }
    }

    fn share(&mut self, overrides: &ShareOverrides, share: &mut ShareParams) {
        let mistakes = self.mistakes.len();
        self.name("share.codec", &overrides.codec, &mut share.codec);
        self.name("share.resolution", &overrides.resolution, &mut share.resolution);
        self.fps("share.fps", &overrides.fps, &mut share.fps);
        if self.mistakes.len() == mistakes {
            self.mistakes.extend(legal::check_share(share));
        }
    }

    fn transcript(&mut self, overrides: &TranscriptOverrides, transcript: &mut TranscriptParams) {
        let legal = || format!("{}, or Zoom's number of it", legal::one_of(Language::ALL));
        let language = &mut transcript.language;
        self.set("transcript.language", &overrides.language, language, language_of, legal);
        let identify_language = &mut transcript.identify_language;
        self.flag("transcript.identify_language", &overrides.identify_language, identify_language);
    }

    fn name<T: Named>(&mut self, field: &'static str, value: &Option<Value>, into: &mut T) {
        self.set(field, value, into, parse_named, || legal::one_of(T::ALL));
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
        let parse = |value: &Value| setting_text(value)?.parse().ok().filter(&is_legal);
        self.set(field, value, into, parse, legal);
    }

    fn flag(&mut self, field: &'static str, value: &Option<Value>, into: &mut bool) {
        self.set(field, value, into, Value::as_bool, || "true or false".to_owned());
    }

    /// Sets a field to a given legal value. An absent or illegal value leaves it unchanged.
    fn set<T>(
        &mut self,
        field: &'static str,
        value: &Option<Value>,
        into: &mut T,
        parse: impl Fn(&Value) -> Option<T>,
        legal: impl Fn() -> String,
    ) {
        let Some(value) = value else { return };
        match parse(value) {
            Some(value) => *into = value,
            None => self.mistakes.push(ParamMistake { field, legal: legal() }),
        }
    }
}

/// Reads a text or a number: settings are text, and JSON has numbers.
fn setting_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.trim().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

fn parse_named<T: Named>(value: &Value) -> Option<T> {
    T::parse(&setting_text(value)?)
}

fn language_of(value: &Value) -> Option<Language> {
    parse_named(value).or_else(|| Language::from_number(setting_text(value)?.parse().ok()?))
}

/// Reads names separated by commas, or a list of names; at least one.
fn media_from_value(value: &Value) -> Option<MediaSet> {
    media_from_json(value).filter(|media| !media.is_empty())
}

/// Names separated by commas, or a list of names.
fn media_from_json(value: &Value) -> Option<MediaSet> {
    match value {
        Value::String(names) => MediaSet::parse(names),
        Value::Array(names) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            MediaSet::from_names(names?)
        }
        _ => None,
    }
}
