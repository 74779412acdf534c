//! What a program wants a session's streams to ask for (pure).

use serde_json::{Map, Value};
use thiserror::Error;

use crate::model::{MediaParams, MediaSet, Medium};
use crate::rtms::params::{Params, ParamsOverrides, media_from_json};

/// The field that is not about what Zoom is asked for.
const RECORD: &str = "record";
/// The longest name of a field that is repeated in an error.
const MAX_NAME_CHARS: usize = 64;

/// Why media parameters cannot be so: every mistake, for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.join("; "))]
pub struct MediaError(pub Vec<String>);

/// Every parameter, from the ones that are wanted and the ones that are configured.
pub(super) fn resolve(
    configured: &Params,
    wanted: &MediaParams,
) -> Result<MediaParams, MediaError> {
    let unknown = unknown_fields(wanted, &object(&ParamsOverrides::default()), "media");
    if !unknown.is_empty() {
        return Err(MediaError(unknown));
    }
    let overrides: ParamsOverrides = serde_json::from_value(Value::Object(wanted.clone()))
        .map_err(|_| MediaError(vec!["media must be an object of media parameters".into()]))?;
    let record = overrides.record.as_ref().map(record).transpose();
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
    let mut media = object(&params);
    if let Some(record) = record {
        media.insert(RECORD.to_owned(), record);
    }
    Ok(media)
}

/// Refuses what would be recorded where nothing may be, and what would be recorded and is not received. `media` is
/// resolved.
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

/// What is recorded of a session, as a list of names; an empty one for nothing.
fn record(value: &Value) -> Result<Value, String> {
    if value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("off")) {
        return Ok(Value::Array(Vec::new()));
    }
    let media = media_from_json(value).ok_or_else(not_media)?;
    Ok(media.iter().map(Medium::as_str).collect())
}

fn not_media() -> String {
    format!("media.record must be off, or a list of {}", MediaSet::ALL)
}

/// Whether a program may choose whose video comes. `own` are the session's or stream's, complete.
pub(super) fn is_individual(configured: &Params, own: Option<&MediaParams>) -> bool {
    let own = own.map_or_else(|| object(configured), Clone::clone);
    let types = own.get("types").and_then(Value::as_array);
    let has_video = types.is_some_and(|types| types.iter().any(|name| name == "video"));
    has_video && own.get("video").is_some_and(|video| video["select"] == "individual")
}

/// What is no field, and what is no object although its fields are.
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

fn object(value: &impl serde::Serialize) -> Map<String, Value> {
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
    fn what_is_wanted_is_written_over_what_is_configured_and_reads_back_the_same() {
        let configured = Preset::Full.params();
        for json in
            [json!({}), json!({"types": "audio", "audio": {"codec": "opus", "sample_rate": 48000}})]
        {
            let media = resolve(&configured, &wanted(json)).unwrap();
            assert_eq!(resolve(&Params::default(), &media).unwrap(), media, "complete in itself");
        }
        let media = resolve(&configured, &wanted(json!({"types": ["chat"]}))).unwrap();
        assert_eq!(media["types"], json!(["chat"]));
        assert_eq!(media["audio"], object(&configured)["audio"]);
    }

    #[test]
    fn where_nothing_may_be_recorded_nothing_can_be_asked_to_be() {
        let media = |record| {
            resolve(&Params::default(), &wanted(json!({ "types": "audio", "record": record })))
        };
        assert!(check_recording(&media("audio").unwrap(), true).is_ok());
        let refused = check_recording(&media("audio").unwrap(), false).unwrap_err();
        assert!(refused.0[0].starts_with("media.record must be off"), "{refused}");
        assert!(check_recording(&media("off").unwrap(), false).is_ok());
        let silent = resolve(&Params::default(), &wanted(json!({}))).unwrap();
        assert!(check_recording(&silent, false).is_ok());
    }

    #[test]
    fn what_is_not_received_cannot_be_recorded() {
        let check = |json| {
            let media = resolve(&Params::default(), &wanted(json)).unwrap();
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
    fn what_is_recorded_is_kept_beside_what_is_asked_for() {
        let media = |json| resolve(&Params::default(), &wanted(json)).unwrap();
        assert_eq!(media(json!({"types": "audio"})).get("record"), None);
        for (said, kept) in [
            (json!("audio, Chat"), json!(["audio", "chat"])),
            (json!(["video"]), json!(["video"])),
            (json!("off"), json!([])),
            (json!([]), json!([])),
        ] {
            let resolved = media(json!({ "record": said }));
            assert_eq!(resolved["record"], kept);
            assert_eq!(resolve(&Params::default(), &resolved).unwrap(), resolved);
        }
        for odd in [json!("sound"), json!(1), json!([1]), json!(true)] {
            let refused = resolve(&Params::default(), &wanted(json!({ "record": odd })));
            assert!(refused.unwrap_err().0[0].starts_with("media.record must"), "{odd}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let refused = |json| resolve(&Params::default(), &wanted(json)).unwrap_err().0;
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
