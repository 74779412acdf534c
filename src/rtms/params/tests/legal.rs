use super::*;

fn agrees(params: &Params, medium: Medium) -> bool {
    let is_accepted = is_accepted(params);
    let wire = params.media_params(medium.into());
    assert_eq!(is_accepted, zoom_takes(&wire).is_ok(), "we and section 8 differ on {wire}");
    is_accepted
}

#[test]
fn of_all_audio_exactly_what_section_8_2_lists_is_accepted() {
    let params = |audio| Params { audio, ..Params::default() };
    let accepted = all_audio().into_iter().filter(|audio| agrees(&params(*audio), Medium::Audio));
    // Per kind of streams: L16 at 4 rates, 2 channels, 50 send rates; the others rtp or raw, Opus mono or stereo.
    assert_eq!(accepted.count(), 2 * (4 * 2 * 50 + 2 * 2 + 2 + 2));
}

#[test]
fn of_all_video_exactly_what_section_8_3_lists_is_accepted() {
    let params = |video| Params { video, ..Params::default() };
    let accepted = all_video().into_iter().filter(|video| agrees(&params(*video), Medium::Video));
    assert_eq!(accepted.count(), 4 * VideoSelect::ALL.len() * (5 + 5 + 25));
}

#[test]
fn of_all_share_exactly_what_section_8_3_lists_is_accepted() {
    let params = |share| Params { share, ..Params::default() };
    let accepted = all_share().into_iter().filter(|share| agrees(&params(*share), Medium::Share));
    assert_eq!(accepted.count(), 4 * (1 + 1 + 29));
}

#[test]
fn a_refusal_names_every_field_that_does_not_go_with_the_codec_and_what_does() {
    let wrong = json!({ "audio": {
        "codec": "g711", "content_type": "rtp", "sample_rate": 48000, "channels": "stereo", "send_rate_ms": 40
    }});
    let mistakes: Vec<String> =
        resolve(wrong).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        mistakes,
        [
            "audio.sample_rate must be what goes with the codec: 8000, 16000, 32000 or 48000 with l16, \
             8000 with g711, 16000 with g722, 48000 with opus",
            "audio.channels must be what goes with the codec: mono or stereo with l16, mono with g711, \
             mono with g722, mono or stereo with opus",
            "audio.send_rate_ms must be what goes with the codec: 20 to 1000 in steps of 20 with l16, \
             20 with g711, 20 with g722, 20 with opus",
        ]
    );
    let wrong = json!({ "audio": { "content_type": "rtp" } });
    let mistakes = resolve(wrong).unwrap_err();
    assert_eq!(
        mistakes[0].to_string(),
        "audio.content_type must be what goes with the codec: raw with l16, rtp or raw with g711, \
         rtp or raw with g722, rtp or raw with opus"
    );
}

#[test]
fn pictures_that_are_too_fast_or_too_slow_for_the_codec_are_refused_with_the_ranges() {
    let wrong = json!({ "video": { "codec": "png" }, "share": { "codec": "h264" } });
    let mistakes: Vec<String> =
        resolve(wrong).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        mistakes,
        [
            "video.fps must be what goes with the codec: 1 to 5 with jpg, 1 to 5 with png, 6 to 30 with h264",
            "share.fps must be what goes with the codec: 1 with jpg, 1 with png, 2 to 30 with h264",
        ]
    );
}
