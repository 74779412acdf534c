//! The legal combinations of parameters and codecs; Zoom refuses others (rtms-protocol.md sections 8.2 and 8.3;
//! the strict side of conflict 19.17).

use std::ops::RangeInclusive;

use super::names::Named;
use super::{
    AudioCodec, AudioContent, AudioParams, Channels, ParamMistake, SampleRate, ShareParams,
    VideoCodec, VideoParams,
};

/// Milliseconds of sound in one frame, whatever the codec (section 8.1).
pub(super) const SEND_RATES_MS: RangeInclusive<u32> = 20..=1000;
/// The step between legal send rates.
pub(super) const SEND_RATE_STEP_MS: u32 = 20;
/// Pictures per second, whatever the codec (section 8.1).
pub(super) const FPS: RangeInclusive<u32> = 1..=30;

/// The legal lengths of a camera's turn, in seconds.
pub(super) const DWELLS_S: RangeInclusive<u32> = 1..=3600;

/// A row of section 8.2.
struct AudioRule {
    codec: AudioCodec,
    content_types: &'static [AudioContent],
    sample_rates: &'static [SampleRate],
    channels: &'static [Channels],
    send_rates_ms: RangeInclusive<u32>,
}

static AUDIO: [AudioRule; 4] = [
    AudioRule {
        codec: AudioCodec::L16,
        content_types: &[AudioContent::Raw],
        sample_rates: SampleRate::ALL,
        channels: Channels::ALL,
        send_rates_ms: SEND_RATES_MS,
    },
    AudioRule {
        codec: AudioCodec::G711,
        content_types: AudioContent::ALL,
        sample_rates: &[SampleRate::Khz8],
        channels: &[Channels::Mono],
        send_rates_ms: 20..=20,
    },
    AudioRule {
        codec: AudioCodec::G722,
        content_types: AudioContent::ALL,
        sample_rates: &[SampleRate::Khz16],
        channels: &[Channels::Mono],
        send_rates_ms: 20..=20,
    },
    AudioRule {
        codec: AudioCodec::Opus,
        content_types: AudioContent::ALL,
        sample_rates: &[SampleRate::Khz48],
        channels: Channels::ALL,
        send_rates_ms: 20..=20,
    },
];

/// A row of section 8.3; the resolution is free.
struct PictureRule {
    codec: VideoCodec,
    fps: RangeInclusive<u32>,
}

const VIDEO: [PictureRule; 3] = [
    PictureRule { codec: VideoCodec::Jpg, fps: 1..=5 },
    PictureRule { codec: VideoCodec::Png, fps: 1..=5 },
    PictureRule { codec: VideoCodec::H264, fps: 6..=30 },
];

const SHARE: [PictureRule; 3] = [
    PictureRule { codec: VideoCodec::Jpg, fps: 1..=1 },
    PictureRule { codec: VideoCodec::Png, fps: 1..=1 },
    PictureRule { codec: VideoCodec::H264, fps: 2..=30 },
];

/// Lists the values that a row allows for one field.
type List = fn(&AudioRule) -> String;

/// Returns the fields that do not fit the codec.
pub(super) fn check_audio(params: &AudioParams) -> Vec<ParamMistake> {
    let rule = audio_rule(params.codec);
    let is_send_rate = params.send_rate_ms.is_multiple_of(SEND_RATE_STEP_MS)
        && rule.send_rates_ms.contains(&params.send_rate_ms);
    let checks: [(bool, &'static str, List); 4] = [
        (rule.content_types.contains(&params.content_type), "audio.content_type", |rule| {
            one_of(rule.content_types)
        }),
        (rule.sample_rates.contains(&params.sample_rate), "audio.sample_rate", |rule| {
            one_of(rule.sample_rates)
        }),
        (rule.channels.contains(&params.channels), "audio.channels", |rule| one_of(rule.channels)),
        (is_send_rate, "audio.send_rate_ms", |rule| send_rates(&rule.send_rates_ms)),
    ];
    let wrong = checks.into_iter().filter(|(is_legal, ..)| !is_legal);
    wrong.map(|(_, field, list)| audio_mistake(field, list)).collect()
}

fn audio_rule(codec: AudioCodec) -> &'static AudioRule {
    AUDIO.iter().find(|rule| rule.codec == codec).expect("every codec has a row")
}

fn audio_mistake(field: &'static str, list: List) -> ParamMistake {
    let rows = AUDIO.iter().map(|rule| (rule.codec.as_str(), list(rule)));
    ParamMistake { field, legal: by_codec(rows) }
}

pub(super) fn check_video(params: &VideoParams) -> Option<ParamMistake> {
    check_picture("video.fps", &VIDEO, params.codec, params.fps)
}

pub(super) fn check_share(params: &ShareParams) -> Option<ParamMistake> {
    check_picture("share.fps", &SHARE, params.codec, params.fps)
}

fn check_picture(
    field: &'static str,
    rules: &[PictureRule],
    codec: VideoCodec,
    fps: u32,
) -> Option<ParamMistake> {
    if rules.iter().any(|rule| rule.codec == codec && rule.fps.contains(&fps)) {
        return None;
    }
    let rows = rules.iter().map(|rule| (rule.codec.as_str(), from_to(&rule.fps)));
    Some(ParamMistake { field, legal: by_codec(rows) })
}

fn by_codec<'a>(rows: impl Iterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<String> = rows.map(|(codec, values)| format!("{values} with {codec}")).collect();
    format!("what goes with the codec: {}", rows.join(", "))
}

/// `a, b or c`
pub(super) fn one_of<T: Named>(values: &[T]) -> String {
    let names: Vec<&str> = values.iter().map(|value| value.as_str()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

pub(super) fn send_rates(range: &RangeInclusive<u32>) -> String {
    if range.start() == range.end() {
        return range.start().to_string();
    }
    format!("{} in steps of {SEND_RATE_STEP_MS}", from_to(range))
}

pub(super) fn from_to(range: &RangeInclusive<u32>) -> String {
    if range.start() == range.end() {
        return range.start().to_string();
    }
    format!("{} to {}", range.start(), range.end())
}
