//! The media of a session's streams: what Zoom is asked for, and what is recorded.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{
    AudioCodec, AudioContent, AudioParams, AudioStreams, Params, ParamsOverrides, VideoSelect,
};
use crate::model::{CaptureMode, MediaParams, MediaSet, Medium, RecordSet};

/// The most characters of an unknown field's name that an error quotes.
const MAX_NAME_CHARS: usize = 64;

/// Complete media parameters, with what to record and to capture. In JSON, as the API shows it and the store keeps it,
/// `record` and `capture` stand beside the fields of [`Params`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MediaPlan {
    /// The parameters to request from Zoom.
    #[serde(flatten)]
    pub params: Params,
    /// The media to record; none for the configured ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordSet>,
    /// What to capture; none for what is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureMode>,
}

/// Every mistake in media parameters, as sentences for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.join("; "))]
pub struct MediaError(pub Vec<String>);

/// Why media cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// No media are kept.
    NothingKept,
    /// These media are not received.
    NotReceived(MediaSet),
    /// Nothing that a film could show or play is received.
    NothingToFilm,
    /// The sound is in a format that cannot be in a film.
    SilentFilm,
}

/// What to do about [`RecordError::SilentFilm`].
pub const FILMED_SOUND: &str =
    "the film of a meeting has sound only with raw audio as L16, as G.711, or as mixed Opus";

/// Rejects recording where no media are kept, recording of a medium that is not received, and a film that would be empty
/// or silent. `params`: what is received; `None` if that is not known.
pub fn check_record(
    record: RecordSet,
    params: Option<&Params>,
    keeps_media: bool,
) -> Result<(), RecordError> {
    // Where it is not known, any medium may be received.
    let received = params.map_or(MediaSet::ALL, |params| params.media);
    let is_silent = params.is_some_and(|it| it.wants(Medium::Audio) && !it.audio.can_be_filmed());
    let missing = record.media.without(received);
    let is_filmed = !record.meeting || !received.framed().is_empty();
    match (keeps_media, record.is_empty(), missing.is_empty(), is_filmed) {
        (false, false, ..) => Err(RecordError::NothingKept),
        (_, _, false, _) => Err(RecordError::NotReceived(missing)),
        (_, _, _, false) => Err(RecordError::NothingToFilm),
        _ if record.meeting && is_silent => Err(RecordError::SilentFilm),
        _ => Ok(()),
    }
}

impl MediaPlan {
    /// Completes a program's parameters with the configured ones.
    ///
    /// # Errors
    /// Lists every mistake in the parameters.
    pub fn resolve(
        configured: &Params,
        wanted: &MediaParams,
        keeps_media: bool,
    ) -> Result<Self, MediaError> {
        let plan = Self::parse(configured, wanted)?;
        if !keeps_media && plan.capture.is_some_and(|mode| mode != CaptureMode::Off) {
            let problem = "media.capture must be off: no media of this app are kept (RETENTION_MEDIA, or its \
                           retention_media)";
            return Err(MediaError(vec![problem.to_owned()]));
        }
        let record = plan.record.unwrap_or_default();
        check_record(record, Some(&plan.params), keeps_media).map_err(|error| {
            MediaError(vec![match error {
                RecordError::NothingKept => {
                    "media.record must be off: no media of this app are kept (RETENTION_MEDIA, or \
                     its retention_media)"
                        .to_owned()
                }
                RecordError::NotReceived(missing) => format!(
                    "media.types lacks {missing}: add it there, or remove it from media.record"
                ),
                RecordError::NothingToFilm => {
                    "media.types lacks audio and video: add one of them there, or remove meeting \
                     from media.record"
                        .to_owned()
                }
                RecordError::SilentFilm => {
                    format!(
                        "media.record cannot have meeting with this media.audio: {FILMED_SOUND}"
                    )
                }
            }])
        })?;
        Ok(plan)
    }

    fn parse(configured: &Params, wanted: &MediaParams) -> Result<Self, MediaError> {
        // Before serde, which would stop at the first mistake.
        let unknown = unknown_fields(wanted, &known_fields(), "media");
        if !unknown.is_empty() {
            return Err(MediaError(unknown));
        }
        let overrides: ParamsOverrides = serde_json::from_value(Value::Object(wanted.clone()))
            .map_err(|_| MediaError(vec!["media must be an object of media parameters".into()]))?;
        let record = overrides.record.as_ref().map(parse_record).transpose();
        let capture = overrides.capture.as_ref().map(parse_capture).transpose();
        let params = Params::resolve(configured, &overrides).map_err(|mistakes| {
            mistakes.iter().map(|mistake| format!("media.{mistake}")).collect::<Vec<_>>()
        });
        match (params, record, capture) {
            (Ok(params), Ok(record), Ok(capture)) => Ok(Self { params, record, capture }),
            (params, record, capture) => {
                let mut mistakes = params.err().unwrap_or_default();
                mistakes.extend(record.err());
                mistakes.extend(capture.err());
                Err(MediaError(mistakes))
            }
        }
    }
}

/// Reads what [`MediaPlan`] serializes. A field that an older version did not store has its default.
impl<'de> Deserialize<'de> for MediaPlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = MediaParams::deserialize(deserializer)?;
        Self::parse(&Params::default(), &stored).map_err(serde::de::Error::custom)
    }
}

impl AudioParams {
    /// Whether this sound can be in a film of everything: voices that are packets cannot be added up.
    pub fn can_be_filmed(&self) -> bool {
        let is_packets = match self.codec {
            AudioCodec::Opus => self.streams == AudioStreams::PerParticipant,
            AudioCodec::G722 => true,
            AudioCodec::L16 | AudioCodec::G711 => false,
        };
        self.content_type == AudioContent::Raw && !is_packets
    }
}

impl Params {
    /// Whether a program may choose the participant for video.
    pub fn lets_choose_video(&self) -> bool {
        self.wants(Medium::Video) && self.video.select == VideoSelect::Individual
    }
}

/// Reads the value of `record`; an empty set records nothing.
fn parse_record(value: &Value) -> Result<RecordSet, String> {
    if value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("off")) {
        return Ok(RecordSet::default());
    }
    RecordSet::from_json(value)
        .ok_or_else(|| format!("media.record must be off, or a list of {}", RecordSet::all_names()))
}

/// Reads the value of `capture`.
fn parse_capture(value: &Value) -> Result<CaptureMode, String> {
    let mode = value.as_str().and_then(|text| CaptureMode::parse(&text.to_ascii_lowercase()));
    mode.ok_or_else(|| {
        format!("media.capture must be {}", CaptureMode::ALL.map(CaptureMode::as_str).join(", "))
    })
}

/// Lists unknown fields, and values that must be objects and are not.
fn unknown_fields(wanted: &MediaParams, known: &MediaParams, place: &str) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (name, value) in wanted {
        let short: String = name.chars().take(MAX_NAME_CHARS).collect();
        match (known.get(name), value) {
            (None, _) => {
                let names: Vec<&str> = known.keys().map(String::as_str).collect();
                mistakes.push(format!("{place} has no field {short:?}, only {}", names.join(", ")));
            }
            (Some(Value::Object(known)), Value::Object(value)) => {
                mistakes.extend(unknown_fields(value, known, &format!("{place}.{name}")));
            }
            (Some(Value::Object(_)), _) => {
                mistakes.push(format!("{place}.{name} must be an object"))
            }
            (Some(_), _) => {}
        }
    }
    mistakes
}

fn known_fields() -> MediaParams {
    match serde_json::to_value(ParamsOverrides::default()) {
        Ok(Value::Object(fields)) => fields,
        _ => unreachable!("a struct with named fields becomes an object"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::params::Preset;

    fn resolve(configured: &Params, wanted: Value) -> Result<MediaPlan, MediaError> {
        MediaPlan::resolve(configured, wanted.as_object().unwrap(), true)
    }

    fn stored(plan: &MediaPlan) -> Value {
        serde_json::to_value(plan).unwrap()
    }

    #[test]
    fn a_programs_parameters_override_the_configured_ones_and_read_back_the_same() {
        let configured = Preset::Full.params();
        for json in
            [json!({}), json!({"types": "audio", "audio": {"codec": "opus", "sample_rate": 48000}})]
        {
            let plan = resolve(&configured, json).unwrap();
            let text = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<MediaPlan>(&text).unwrap(), plan, "{text}");
            assert_eq!(
                resolve(&Params::default(), stored(&plan)).unwrap(),
                plan,
                "complete in itself"
            );
        }
        let plan = resolve(&configured, json!({"types": ["chat"]})).unwrap();
        assert_eq!(stored(&plan)["types"], json!(["chat"]));
        assert_eq!(plan.params.audio, configured.audio);
    }

    #[test]
    fn a_row_of_an_older_version_reads_with_the_defaults_of_what_it_lacks() {
        let plan: MediaPlan = serde_json::from_value(json!({"types": ["audio"]})).unwrap();
        let params = Params { media: Medium::Audio.into(), ..Params::default() };
        assert_eq!(plan, MediaPlan { params, record: None, capture: None });
        for odd in [json!({"types": ["smell"]}), json!({"new": 1}), json!([]), json!("audio")] {
            assert!(serde_json::from_value::<MediaPlan>(odd.clone()).is_err(), "{odd}");
        }
    }

    #[test]
    fn recording_is_rejected_where_no_media_are_kept() {
        let resolve = |record: Value, keeps_media| {
            let wanted = json!({ "types": "audio", "record": record });
            MediaPlan::resolve(&Params::default(), wanted.as_object().unwrap(), keeps_media)
        };
        assert!(resolve(json!("audio"), true).is_ok());
        let refused = resolve(json!("audio"), false).unwrap_err();
        assert!(refused.0[0].starts_with("media.record must be off"), "{refused}");
        assert!(resolve(json!("off"), false).is_ok());
        assert!(MediaPlan::resolve(&Params::default(), &MediaParams::new(), false).is_ok());
    }

    #[test]
    fn what_is_not_received_cannot_be_recorded() {
        let check =
            |json| resolve(&Params::default(), json).map(drop).map_err(|error| error.to_string());
        let all_said = json!({"types": ["chat"], "record": "audio,chat,video"});
        assert_eq!(
            check(all_said),
            Err("media.types lacks audio, video: add it there, or remove it from media.record"
                .into())
        );
        assert!(check(json!({"record": "audio"})).is_err(), "only transcripts are configured");
        assert!(check(json!({"record": "transcript"})).is_ok());
        assert!(check(json!({"types": "chat,audio", "record": ["audio"]})).is_ok());
        assert!(check(json!({"types": "chat"})).is_ok());
    }

    #[test]
    fn the_recorded_media_are_stored_beside_the_requested_ones() {
        let plan = |json| resolve(&Preset::Full.params(), json).unwrap();
        assert_eq!(stored(&plan(json!({"types": "audio"}))).get("record"), None);
        for (said, kept) in [
            (json!("audio, Chat"), json!(["audio", "chat"])),
            (json!(["video"]), json!(["video"])),
            (json!("off"), json!([])),
            (json!([]), json!([])),
        ] {
            let plan = plan(json!({ "record": said }));
            assert_eq!(stored(&plan)["record"], kept);
            assert_eq!(serde_json::from_value::<MediaPlan>(stored(&plan)).unwrap(), plan);
        }
        for odd in [json!("sound"), json!(1), json!([1]), json!(true)] {
            let refused = resolve(&Params::default(), json!({ "record": odd }));
            assert!(refused.unwrap_err().0[0].starts_with("media.record must"), "{odd}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let refused = |json| resolve(&Params::default(), json).unwrap_err().0;
        let values =
            refused(json!({"audio": {"codec": "mp3"}, "video": {"fps": 1000}, "types": []}));
        assert_eq!(values.len(), 3, "{values:?}");
        assert!(values.iter().any(|mistake| mistake.starts_with("media.video.fps must be")));
        let fields = refused(json!({"codec": 1, "audio": {"codek": 2}, "video": 7}));
        assert_eq!(fields.len(), 3, "{fields:?}");
        assert!(fields.contains(&"media.video must be an object".to_owned()));
        let long = refused(json!({ "x".repeat(5_000): 1 }));
        assert!(long[0].len() < 300);
    }
}
