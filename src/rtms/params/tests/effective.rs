use proptest::prelude::*;

use super::*;

fn read(media_params: &Value) -> Effective {
    Effective::read(&Params::default(), MediaSet::ALL, media_params)
}

fn differences(media_params: &Value) -> Vec<String> {
    let differences = read(media_params).differences(&Params::default());
    differences.iter().map(ToString::to_string).collect()
}

#[test]
fn what_zoom_says_wins_over_what_was_asked() {
    let effective = read(&json!({
        "audio": { "codec": 4, "sample_rate": 3, "channel": 2, "data_opt": 1, "send_rate": 1000 },
        "video": { "codec": 5, "fps": 5, "resolution": 4, "data_opt": 4 },
        "deskshare": { "codec": 7 },
        "transcript": { "src_language": 14, "enable_lid": false },
    }));
    let audio = effective.audio.unwrap();
    assert_eq!(audio.codec, Some(AudioCodec::Opus));
    assert_eq!(audio.sample_rate, Some(SampleRate::Khz48));
    assert_eq!(audio.streams, Some(AudioStreams::Mixed));
    assert_eq!(audio.send_rate_ms, Some(1000));
    let video = effective.video.unwrap();
    assert_eq!((video.codec, video.fps), (Some(VideoCodec::Jpg), Some(5)));
    assert_eq!(video.select, Some(VideoSelect::Individual));
    assert_eq!(effective.share.unwrap().codec, Some(VideoCodec::H264));
    let transcript = effective.transcript.unwrap();
    assert_eq!(transcript.language, Some(Language::German));
    assert_eq!(transcript.identify_language, Some(false));
}

#[test]
fn a_difference_is_told_by_name() {
    let echo = json!({ "audio": { "codec": 4, "sample_rate": 1 }, "video": { "fps": 5 } });
    assert_eq!(
        differences(&echo),
        [r#"audio.codec is "opus" instead of "l16""#, "video.fps is 5 instead of 25"]
    );
}

#[test]
fn what_zoom_does_not_mention_is_as_asked() {
    for echo in [json!({}), Value::Null, json!({ "audio": {} }), json!({ "audio": null })] {
        let effective = read(&echo);
        assert_eq!(effective.audio.unwrap().codec, Some(AudioCodec::L16));
        assert_eq!(effective.differences(&Params::default()), []);
    }
}

#[test]
fn what_zoom_says_and_we_do_not_know_is_unknown_and_not_as_asked() {
    let echo = json!({ "audio": { "codec": 8, "sample_rate": "s3cret", "send_rate": -20 } });
    let audio = read(&echo).audio.unwrap();
    assert_eq!((audio.codec, audio.sample_rate, audio.send_rate_ms), (None, None, None));
    assert_eq!(audio.channels, Some(Channels::Mono));
    assert_eq!(
        differences(&echo),
        [
            r#"audio.codec is unknown instead of "l16""#,
            "audio.sample_rate is unknown instead of 16000",
            "audio.send_rate_ms is unknown instead of 20",
        ]
    );
}

#[test]
fn numbers_may_be_strings_and_flags_numbers() {
    let effective = read(&json!({
        "audio": { "sample_rate": "0" }, "transcript": { "enable_lid": 0, "src_language": "-1" },
    }));
    assert_eq!(effective.audio.unwrap().sample_rate, Some(SampleRate::Khz8));
    let transcript = effective.transcript.unwrap();
    assert_eq!(transcript.identify_language, Some(false));
    assert_eq!(transcript.language, Some(Language::None));
}

#[test]
fn a_medium_that_is_not_on_the_link_is_not_told_of() {
    let echo = Params::default().media_params(MediaSet::ALL);
    let effective = Effective::read(&Params::default(), Medium::Share.into(), &echo);
    assert!(effective.share.is_some());
    assert_eq!((effective.audio, effective.video, effective.transcript), (None, None, None));
}

fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let key =
        prop_oneof!["audio", "video", "deskshare", "transcript", "codec", "fps", "enable_lid"];
    leaf.prop_recursive(3, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_answer_of_zooms_is_too_odd_to_read(echo in junk()) {
        let effective = read(&echo);
        prop_assert!(effective.audio.is_some());
        effective.differences(&Params::default());
    }
}
