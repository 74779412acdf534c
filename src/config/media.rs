//! The settings of media parameters.

use serde_json::{Value, json};

use super::read::Reader;
use crate::model::params::{Params, ParamsOverrides};
use crate::model::{MediaSet, Medium};
use crate::rtms::params::media_from_mask;

/// The fields of [`ParamsOverrides`] and their variables.
const FIELDS: [(&str, &str); 18] = [
    ("preset", "MEDIA_PRESET"),
    ("types", "MEDIA_TYPES"),
    ("connection_mode", "MEDIA_SOCKET_CONNECTION_MODE"),
    ("audio.content_type", "AUDIO_CONTENT_TYPE"),
    ("audio.codec", "AUDIO_CODEC"),
    ("audio.sample_rate", "AUDIO_SAMPLE_RATE"),
    ("audio.channels", "AUDIO_CHANNELS"),
    ("audio.streams", "AUDIO_STREAMS"),
    ("audio.send_rate_ms", "AUDIO_SEND_RATE_MS"),
    ("video.codec", "VIDEO_CODEC"),
    ("video.resolution", "VIDEO_RESOLUTION"),
    ("video.fps", "VIDEO_FPS"),
    ("video.select", "VIDEO_SELECT"),
    ("video.dwell_s", "VIDEO_DWELL_SECONDS"),
    ("share.codec", "SHARE_CODEC"),
    ("share.resolution", "SHARE_RESOLUTION"),
    ("share.fps", "SHARE_FPS"),
    ("transcript.language", "TRANSCRIPT_LANGUAGE"),
];

/// The fields that are true or false.
const FLAGS: [(&str, &str); 2] = [
    ("buffer_data", "RTMS_BUFFER_DATA"),
    ("transcript.identify_language", "TRANSCRIPT_IDENTIFY_LANGUAGE"),
];

/// Reads the media parameters of streams in sessions without their own.
pub(super) fn read_params(read: &mut Reader<'_>) -> Option<Params> {
    let mut overrides = read_overrides(read);
    if overrides.types.is_none() {
        overrides.types = types_of_flag(read);
    } else {
        types_agree(read);
    }
    let mistakes = match Params::resolve(&Params::default(), &overrides) {
        Ok(params) => return Some(params),
        Err(mistakes) => mistakes,
    };
    for mistake in mistakes {
        read.wrong::<()>(variable_of(mistake.field), mistake.legal);
    }
    None
}

fn read_overrides(read: &mut Reader<'_>) -> ParamsOverrides {
    let mut media = json!({});
    for (field, name) in FIELDS {
        if let Some(text) = read.optional(name) {
            *field_at(&mut media, field) = text.into();
        }
    }
    for (field, name) in FLAGS {
        // Only if it is set, because the preset provides the default.
        let flag = read.optional(name).and_then(|_| read.flag(name));
        if let Some(flag) = flag {
            *field_at(&mut media, field) = flag.into();
        }
    }
    serde_json::from_value(media).expect("the tables name fields of ParamsOverrides")
}

fn field_at<'a>(media: &'a mut Value, field: &str) -> &'a mut Value {
    match field.split_once('.') {
        Some((medium, field)) => &mut media[medium][field],
        None => &mut media[field],
    }
}

fn variable_of(field: &str) -> &'static str {
    let mut tables = FIELDS.iter().chain(&FLAGS);
    tables.find(|(name, _)| *name == field).expect("the tables name every field").1
}

/// Reads the bit mask that Zoom's samples use for the media.
fn read_mask(read: &mut Reader<'_>) -> Option<MediaSet> {
    let flag = read.optional("MEDIA_TYPES_FLAG")?;
    flag.parse().ok().and_then(media_from_mask).or_else(|| {
        let form = "a sum of 1 (audio), 2 (video), 4 (share), 8 (transcript) and 16 (chat), or 32 for all of them";
        read.wrong("MEDIA_TYPES_FLAG", form)
    })
}

fn types_of_flag(read: &mut Reader<'_>) -> Option<Value> {
    let media = read_mask(read)?;
    Some(media.iter().map(Medium::as_str).collect())
}

fn types_agree(read: &mut Reader<'_>) {
    let names = read.optional("MEDIA_TYPES").as_deref().and_then(MediaSet::parse);
    let flag = read_mask(read);
    if names.is_some() && flag.is_some() && names != flag {
        let form = "left out, or the same media as in MEDIA_TYPES: keep one of them";
        read.wrong::<()>("MEDIA_TYPES_FLAG", form);
    }
}
