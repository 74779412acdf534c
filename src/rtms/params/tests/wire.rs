use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

#[test]
fn only_what_is_asked_for_is_in_the_parameters() {
    let params = Params::default();
    let wire = params.media_params(Medium::Transcript.into());
    assert_eq!(wire.as_object().unwrap().keys().collect::<Vec<_>>(), ["transcript"]);
    let wire = params.media_params(MediaSet::ALL);
    let keys: Vec<_> = wire.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["audio", "chat", "deskshare", "transcript", "video"]);
}

#[test]
fn names_become_the_numbers_of_section_10() {
    let params = resolve(json!({
        "audio": {
            "content_type": "rtp", "codec": "opus", "sample_rate": 48000, "channels": "stereo", "streams": "mixed",
        },
        "video": { "codec": "jpg", "resolution": "sd", "fps": 5, "select": "individual" },
        "share": { "codec": "h264", "resolution": "qhd", "fps": 30 },
        "transcript": { "language": "none", "identify_language": false },
    }))
    .unwrap();
    assert_eq!(
        params.media_params(MediaSet::ALL),
        json!({
            "audio": {
                "content_type": 1, "codec": 4, "sample_rate": 3, "channel": 2, "data_opt": 1, "send_rate": 20,
            },
            "video": { "content_type": 3, "codec": 5, "resolution": 1, "fps": 5, "data_opt": 4 },
            "deskshare": { "content_type": 3, "codec": 7, "resolution": 4, "fps": 30 },
            "transcript": { "content_type": 5, "src_language": -1, "enable_lid": false },
            "chat": { "content_type": 5 },
        })
    );
}

#[test]
fn the_defaults_are_good_for_each_medium() {
    assert_eq!(
        Params::default().media_params(MediaSet::ALL),
        json!({
            "audio": {
                "content_type": 2, "codec": 1, "sample_rate": 1, "channel": 1, "data_opt": 2, "send_rate": 20,
            },
            "video": { "content_type": 3, "codec": 7, "resolution": 2, "fps": 25, "data_opt": 3 },
            "deskshare": { "content_type": 3, "codec": 5, "resolution": 3, "fps": 1 },
            "transcript": { "content_type": 5, "src_language": 9, "enable_lid": true },
            "chat": { "content_type": 5 },
        })
    );
}

#[test]
fn a_mask_names_its_media() {
    assert_eq!(media_from_mask(32), Some(MediaSet::ALL));
    assert_eq!(media_from_mask(31), Some(MediaSet::ALL));
    assert_eq!(
        media_from_mask(11),
        Some(MediaSet::from([Medium::Audio, Medium::Video, Medium::Transcript]))
    );
    for wrong in [0, 33, 63, 64, u32::MAX] {
        assert_eq!(media_from_mask(wrong), None);
    }
}

fn accepted() -> impl Strategy<Value = Params> {
    let base = Params::default();
    let legal_audio = |audio: &AudioParams| is_accepted(&Params { audio: *audio, ..base.clone() });
    let audio: Vec<_> = all_audio().into_iter().filter(legal_audio).collect();
    let legal_video = |video: &VideoParams| is_accepted(&Params { video: *video, ..base.clone() });
    let video: Vec<_> = all_video().into_iter().filter(legal_video).collect();
    let legal_share = |share: &ShareParams| is_accepted(&Params { share: *share, ..base.clone() });
    let share: Vec<_> = all_share().into_iter().filter(legal_share).collect();
    let how = (select(ConnectionMode::ALL), any::<bool>());
    let transcript = (select(Language::ALL), any::<bool>())
        .prop_map(|(language, identify_language)| TranscriptParams { language, identify_language });
    let media = subsequence(Medium::ALL.to_vec(), 1..=5);
    (media, how, select(audio), select(video), select(share), transcript).prop_map(
        |(media, (mode, buffer_data), audio, video, share, transcript)| Params {
            media: media.into_iter().collect(),
            mode,
            buffer_data,
            audio,
            video,
            share,
            transcript,
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_accepted_zoom_takes(params in accepted()) {
        prop_assert!(is_accepted(&params));
        let wire = params.media_params(params.media);
        prop_assert_eq!(zoom_takes(&wire), Ok(()));
        prop_assert_eq!(wire.as_object().map(|media| media.len()), Some(params.media.len()));
    }

    #[test]
    fn what_is_shown_can_be_sent_back(params in accepted(), base in accepted()) {
        let shown = serde_json::to_string(&params).unwrap();
        let overrides: ParamsOverrides = serde_json::from_str(&shown).unwrap();
        prop_assert_eq!(Params::resolve(&base, &overrides), Ok(params));
    }

    #[test]
    fn zooms_echo_of_what_was_asked_differs_in_nothing(params in accepted()) {
        let echo = params.media_params(params.media);
        let effective = Effective::read(&params, params.media, &echo);
        prop_assert_eq!(effective.differences(&params), vec![]);
    }
}
