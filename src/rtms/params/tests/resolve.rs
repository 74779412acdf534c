use proptest::prelude::*;
use serde::Serialize;

use super::*;

#[test]
fn nothing_said_changes_nothing() {
    assert_eq!(resolve(json!({})), Ok(Params::default()));
    let full = Preset::Full.params();
    assert_eq!(Params::resolve(&full, &ParamsOverrides::default()), Ok(full));
}

#[test]
fn every_preset_is_accepted_by_its_name() {
    for &preset in Preset::ALL {
        let params = resolve(json!({ "preset": preset.as_str() })).unwrap();
        assert_eq!(params, preset.params());
        assert_eq!(zoom_takes(&params.media_params(MediaSet::ALL)), Ok(()));
    }
    assert_eq!(Preset::Transcription.params().media, Medium::Transcript.into());
    assert_eq!(Preset::AudioOnly.params().media, Medium::Audio.into());
    assert_eq!(Preset::Full.params().media, MediaSet::ALL);
}

#[test]
fn single_fields_win_over_the_preset() {
    let overrides = json!({
        "preset": "recording", "types": ["audio", "chat"], "audio": { "channels": "stereo" },
    });
    let params = resolve(overrides).unwrap();
    let recording = Preset::Recording.params();
    assert_eq!(params.media, [Medium::Audio, Medium::Chat].into());
    assert_eq!(params.audio, AudioParams { channels: Channels::Stereo, ..recording.audio });
    assert_eq!(params.share, recording.share);
}

#[test]
fn a_preset_leaves_sockets_and_buffering_as_they_were() {
    let base =
        Params { mode: ConnectionMode::Unified, buffer_data: false, ..Preset::Full.params() };
    let overrides = serde_json::from_value(json!({ "preset": "audio_only" })).unwrap();
    let params = Params::resolve(&base, &overrides).unwrap();
    assert_eq!(params.media, Medium::Audio.into());
    assert_eq!((params.mode, params.buffer_data), (ConnectionMode::Unified, false));
}

#[test]
fn every_mistake_is_named_at_once() {
    let overrides = json!({
        "preset": "best",
        "types": ["audio", "smell"],
        "connection_mode": "both",
        "buffer_data": "perhaps",
        "audio": {
            "content_type": 2, "codec": "mp3", "sample_rate": 1, "channels": 2, "streams": [], "send_rate_ms": 30,
        },
        "video": { "codec": 7, "resolution": "4k", "fps": 31, "select": "gallery" },
        "share": { "codec": {}, "resolution": 3, "fps": -1 },
        "transcript": { "language": 37, "identify_language": 1 },
    });
    assert_eq!(
        wrong_fields(overrides),
        [
            "preset",
            "types",
            "connection_mode",
            "buffer_data",
            "audio.content_type",
            "audio.codec",
            "audio.sample_rate",
            "audio.channels",
            "audio.streams",
            "audio.send_rate_ms",
            "video.codec",
            "video.resolution",
            "video.fps",
            "video.select",
            "share.codec",
            "share.resolution",
            "share.fps",
            "transcript.language",
            "transcript.identify_language",
        ]
    );
}

#[test]
fn a_mistake_lists_what_is_legal_and_not_what_came() {
    let wrong = json!({
        "types": "s3cret", "audio": { "codec": "s3cret", "send_rate_ms": "s3cret" }, "video": { "fps": 1.5 },
        "transcript": { "language": "s3cret" },
    });
    let mistakes: Vec<String> =
        resolve(wrong).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        mistakes[0],
        "types must be names of media, of audio, video, share, transcript, chat"
    );
    assert_eq!(mistakes[1], "audio.codec must be l16, g711, g722 or opus");
    assert_eq!(mistakes[2], "audio.send_rate_ms must be 20 to 1000 in steps of 20");
    assert_eq!(mistakes[3], "video.fps must be 1 to 30");
    assert!(mistakes[4].ends_with("ukrainian or vietnamese, or Zoom's number of it"));
    assert!(!mistakes.concat().contains("s3cret"));
}

#[test]
fn what_goes_with_a_codec_is_not_judged_while_the_codec_is_not_known() {
    let wrong =
        json!({ "audio": { "codec": "opsu", "content_type": "rtp", "sample_rate": 48000 } });
    assert_eq!(wrong_fields(wrong), ["audio.codec"]);
}

#[test]
fn media_that_are_not_asked_for_are_held_to_the_rules_too() {
    assert_eq!(wrong_fields(json!({ "types": ["chat"], "video": { "fps": 5 } })), ["video.fps"]);
}

#[test]
fn a_field_that_does_not_exist_is_refused_by_name() {
    for wrong in [json!({ "codec": "l16" }), json!({ "audio": { "bitrate": 1 } })] {
        let error = serde_json::from_value::<ParamsOverrides>(wrong).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `"), "{error}");
    }
}

#[test]
fn null_is_as_if_it_was_left_out() {
    let nulls = serde_json::to_value(ParamsOverrides::default()).unwrap();
    assert!(nulls["audio"]["codec"].is_null());
    assert_eq!(resolve(nulls), Ok(Params::default()));
}

#[test]
fn media_are_a_list_or_text_and_each_is_taken_once() {
    let media = MediaSet::from([Medium::Chat, Medium::Audio]);
    assert_eq!(resolve(json!({ "types": ["chat", "Audio", "chat"] })).unwrap().media, media);
    assert_eq!(resolve(json!({ "types": " Chat,,audio,chat" })).unwrap().media, media);
    for wrong in [json!([]), json!(""), json!(["audio", 2]), json!(","), json!(3)] {
        assert_eq!(wrong_fields(json!({ "types": wrong })), ["types"]);
    }
}

#[test]
fn a_language_has_a_name_and_a_number() {
    let language =
        |value: Value| resolve(json!({ "transcript": { "language": value } })).unwrap().transcript;
    for (name, number) in [("none", -1), ("english", 9), ("German", 14), ("vietnamese", 36)] {
        assert_eq!(language(json!(name)), language(json!(number)));
        assert_eq!(language(json!(name)), language(json!(number.to_string())));
    }
    assert_eq!(language(json!("french-canada")).language, Language::FrenchCanada);
}

/// Section 10.15.
const LANGUAGES: &str = "-1 none, 0 Arabic, 1 Bengali, 2 Cantonese, 3 Catalan, 4 Chinese simplified, \
    5 Chinese traditional, 6 Czech, 7 Danish, 8 Dutch, 9 English, 10 Estonian, 11 Finnish, 12 French Canada, \
    13 French France, 14 German, 15 Hebrew, 16 Hindi, 17 Hungarian, 18 Indonesian, 19 Italian, 20 Japanese, \
    21 Korean, 22 Malay, 23 Persian, 24 Polish, 25 Portuguese, 26 Romanian, 27 Russian, 28 Spanish, 29 Swedish, \
    30 Tagalog, 31 Tamil, 32 Telugu, 33 Thai, 34 Turkish, 35 Ukrainian, 36 Vietnamese";

#[test]
fn every_language_has_its_number_of_section_10_15() {
    let mut count = 0;
    for (number, name) in LANGUAGES.split(", ").map(|language| language.split_once(' ').unwrap()) {
        let name = name.replace(' ', "_");
        let params = resolve(json!({ "transcript": { "language": name } })).unwrap();
        let wire = params.media_params(Medium::Transcript.into());
        assert_eq!(wire["transcript"]["src_language"].to_string(), number, "{name}");
        count += 1;
    }
    assert_eq!(count, Language::ALL.len());
}

#[test]
fn every_value_is_found_under_each_of_its_names_and_under_no_others() {
    fn check<T: Named + std::fmt::Debug + Serialize>() {
        let mut names: Vec<&str> = T::ALL.iter().flat_map(|value| value.names()).copied().collect();
        for value in T::ALL {
            for name in value.names() {
                assert_eq!(T::parse(&name.to_uppercase().replace('_', "-")), Some(*value));
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "two values share a name");
        assert_eq!(T::parse(""), None);
        assert_eq!(T::parse("other"), None);
    }
    check::<Preset>();
    check::<ConnectionMode>();
    check::<AudioContent>();
    check::<AudioCodec>();
    check::<SampleRate>();
    check::<Channels>();
    check::<AudioStreams>();
    check::<VideoCodec>();
    check::<Resolution>();
    check::<VideoSelect>();
    check::<Language>();
}

const NAMES: [&str; 11] =
    ["opus", "l16", "h264", "jpg", "hd", "raw", "rtp", "stereo", "48000", "none", ""];

/// A value of a field: one that is often right, or anything.
fn said() -> impl Strategy<Value = Value> {
    prop_oneof![
        proptest::sample::select(&NAMES[..]).prop_map(Value::from),
        proptest::sample::select(&[0, 1, 5, 20, 30, 40, 16_000, 48_000, i64::MIN][..])
            .prop_map(Value::from),
        Just(Value::Null),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        Just(json!([{}])),
    ]
}

proptest! {
    #[test]
    fn whatever_a_request_says_is_refused_with_reasons_or_good_for_zoom(
        said in prop::collection::vec(prop::option::weighted(0.3, said()), 10)
    ) {
        let overrides = json!({
            "types": ["chat"],
            "audio": {
                "content_type": said[0], "codec": said[1], "sample_rate": said[2], "channels": said[3],
                "send_rate_ms": said[4],
            },
            "video": { "codec": said[5], "fps": said[6] },
            "share": { "codec": said[7], "fps": said[8] },
            "transcript": { "language": said[9] },
        });
        match resolve(overrides) {
            Ok(params) => prop_assert_eq!(zoom_takes(&params.media_params(MediaSet::ALL)), Ok(())),
            Err(mistakes) => prop_assert!(!mistakes.is_empty()),
        }
    }
}
