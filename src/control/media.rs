//! Validates the media parameters that a program sets for a session (pure).

use serde_json::{Map, Value};
use thiserror::Error;

use crate::model::{MediaParams, MediaSet, Medium};
use crate::rtms::params::{Params, ParamsOverrides, media_from_json};

/// The field that is about recordings and not part of the request to Zoom.
const RECORD: &str = "record";
/// The most characters of an unknown field's name that an error quotes.
const MAX_NAME_CHARS: usize = 64;

/// Every mistake in media parameters, as sentences for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.join("; "))]
pub struct MediaError(pub Vec<String>);

/// Merges a program's parameters with the configured ones. The result names every parameter.
pub(super) fn resolve_params(
    configured: &Params,
    wanted: &MediaParams,
) -> Result<MediaParams, MediaError> {
    // Before serde, which would stop at the first mistake.
    let unknown = unknown_fields(wanted, &to_object(&ParamsOverrides::default()), "media");
    if !unknown.is_empty() {
        return Err(MediaError(unknown));
    }
    let overrides: ParamsOverrides = serde_json::from_value(Value::Object(wanted.clone()))
        .map_err(|_| MediaError(vec!["media must be an object of media parameters".into()]))?;
    let record = overrides.record.as_ref().map(parse_record).transpose();
    let resolved = Params::resolve(configured, &overrides).map_err(|mistakes| {
        mistakes.iter().map(|mistake| format!("media.{mistake}")).collect::<Vec<_>>()
    });
    let (params, record) = match (resolved, record) {
        (Ok(params), Ok(record)) => (params, record),
        (resolved, record) => {
            let mut mistakes = resolved.err().unwrap_or_default();
            mistakes.extend(record.err());
            return Err(MediaError(mistakes));
        }
    };
    let mut media = to_object(&params);
    if let Some(record) = record {
        media.insert(RECORD.to_owned(), record);
    }
    Ok(media)
}

/// Rejects recording if it is not permitted, and recording of a medium that is not received. `media` must be resolved.
pub(super) fn check_recording(media: &MediaParams, may_record: bool) -> Result<(), MediaError> {
    let names = |field| media.get(field).and_then(Value::as_array).into_iter().flatten();
    if !may_record && names(RECORD).next().is_some() {
        let mistake = "media.record must be off: no media are kept here (RETENTION_MEDIA)";
        return Err(MediaError(vec![mistake.to_owned()]));
    }
    let not_received = names(RECORD).filter(|name| names("types").all(|medium| medium != *name));
    let missing: Vec<&str> = not_received.filter_map(Value::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    let mistake =
        format!("media.types lacks {names}: add it there, or remove it from media.record");
    Err(MediaError(vec![mistake]))
}

/// Normalizes the value of `record` to a list of names; an empty list records nothing.
fn parse_record(value: &Value) -> Result<Value, String> {
    if value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("off")) {
        return Ok(Value::Array(Vec::new()));
    }
    let media = media_from_json(value).ok_or_else(not_media)?;
    Ok(media.iter().map(Medium::as_str).collect())
}

fn not_media() -> String {
    format!("media.record must be off, or a list of {}", MediaSet::ALL)
}

/// Whether the parameters let a program choose the participant for video. `own` are the complete parameters of the
/// session or stream.
pub(super) fn is_individual(configured: &Params, own: Option<&MediaParams>) -> bool {
    let own = own.map_or_else(|| to_object(configured), Clone::clone);
    let types = own.get("types").and_then(Value::as_array);
    let has_video = types.is_some_and(|types| types.iter().any(|name| name == "video"));
    has_video && own.get("video").is_some_and(|video| video["select"] == "individual")
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

fn to_object(value: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => unreachable!("structs with named fields become objects"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rtms::params::Preset;

    fn wanted(value: Value) -> MediaParams {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn a_programs_parameters_override_the_configured_ones_and_read_back_the_same() {
        let configured = Preset::Full.params();
        for json in
            [json!({}), json!({"types": "audio", "audio": {"codec": "opus", "sample_rate": 48000}})]
        {
            let media = resolve_params(&configured, &wanted(json)).unwrap();
            assert_eq!(
                resolve_params(&Params::default(), &media).unwrap(),
                media,
                "complete in itself"
            );
        }
        let media = resolve_params(&configured, &wanted(json!({"types": ["chat"]}))).unwrap();
        assert_eq!(media["types"], json!(["chat"]));
        assert_eq!(media["audio"], to_object(&configured)["audio"]);
    }

    #[test]
    fn recording_is_rejected_where_no_media_are_kept() {
        let media = |record| {
            resolve_params(
                &Params::default(),
                &wanted(json!({ "types": "audio", "record": record })),
            )
        };
        assert!(check_recording(&media("audio").unwrap(), true).is_ok());
        let refused = check_recording(&media("audio").unwrap(), false).unwrap_err();
        assert!(refused.0[0].starts_with("media.record must be off"), "{refused}");
        assert!(check_recording(&media("off").unwrap(), false).is_ok());
        let silent = resolve_params(&Params::default(), &wanted(json!({}))).unwrap();
        assert!(check_recording(&silent, false).is_ok());
    }

    #[test]
    fn what_is_not_received_cannot_be_recorded() {
        let check = |json| {
            let media = resolve_params(&Params::default(), &wanted(json)).unwrap();
            check_recording(&media, true).map_err(|error| error.to_string())
        };
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
        let media = |json| resolve_params(&Params::default(), &wanted(json)).unwrap();
        assert_eq!(media(json!({"types": "audio"})).get("record"), None);
        for (said, kept) in [
            (json!("audio, Chat"), json!(["audio", "chat"])),
            (json!(["video"]), json!(["video"])),
            (json!("off"), json!([])),
            (json!([]), json!([])),
        ] {
            let resolved = media(json!({ "record": said }));
            assert_eq!(resolved["record"], kept);
            assert_eq!(resolve_params(&Params::default(), &resolved).unwrap(), resolved);
        }
        for odd in [json!("sound"), json!(1), json!([1]), json!(true)] {
            let refused = resolve_params(&Params::default(), &wanted(json!({ "record": odd })));
            assert!(refused.unwrap_err().0[0].starts_with("media.record must"), "{odd}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let refused = |json| resolve_params(&Params::default(), &wanted(json)).unwrap_err().0;
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
