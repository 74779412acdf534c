//! Folders and names of recordings.

use uuid::Uuid;

use super::names::{MAX_CHARS, short_hash};
use super::*;
use crate::model::{AppName, ChannelId, IdKey, Product, UserId};

fn folder(layout: &str, stream: &str, part: u32) -> String {
    folder_of("default", layout, stream, part)
}

fn folder_of(app: &str, layout: &str, stream: &str, part: u32) -> String {
    let instance = Instance::new(Product::Meeting, IdKey::MeetingUuid, "/ab+c==").unwrap();
    let subject = Subject {
        app: &AppName::parse(app).unwrap(),
        session_id: SessionId(Uuid::nil()),
        stream_id: &StreamId::parse(stream).unwrap(),
        ordinal: 2,
        instance: &instance,
        started_at_ms: 1_732_313_171_881,
    };
    Layout::parse(layout).unwrap().folder(&subject, part)
}

#[test]
fn a_template_becomes_a_folder() {
    assert_eq!(
        folder("{date}/{session}/{ordinal}", "s", 1),
        "2024-11-22/00000000-0000-0000-0000-000000000000/2"
    );
    assert_eq!(
        folder("/zoom/{product}/{time}_{meeting}/{stream}/", "../../etc", 1),
        "zoom/meeting/22-06-11_ab_c-c6a497362a89/etc-74ccf3c5b4c1"
    );
    assert_eq!(folder("{stream}", "s", 3), "s-part3");
}

#[test]
fn each_app_has_folders_of_its_own() {
    let layout = "{app}/{date}/{session}/{ordinal}";
    let day = "2024-11-22/00000000-0000-0000-0000-000000000000/2";
    assert_eq!(folder_of("default", layout, "s", 1), format!("default/{day}"));
    assert_eq!(folder_of("acme", layout, "s", 1), format!("acme/{day}"));
    // Without a folder of its own, where the name ends is ambiguous, and the stream's hash decides.
    let joined = |app, stream| folder_of(app, "{app}-{stream}", stream, 1);
    assert_ne!(joined("a-b", "c"), joined("a", "b-c"));
    assert_eq!(Layout::parse("{app}/{session}"), Err(LayoutError::NotUnique));
}

#[test]
fn the_sample_librarys_folders_are_kept() {
    assert_eq!(folder("rtms-samples", "ab", 1), "_ab_c__/ab");
    assert_eq!(folder("rtms-samples", "a/b=", 1), "_ab_c__/a_b_-4fbf969b0eb0");
    let layout = Layout::RtmsSamples;
    let ana = Speaker::participant(UserId(7), Some("Ana".into()));
    let ana = Voice::One(&ana);
    assert_eq!(layout.track(Medium::Video, ana, TrackKind::Mp4), "7.mp4");
    assert_eq!(layout.track(Medium::Video, Voice::All, TrackKind::Mp4), "mixed_video.mp4");
    assert_eq!(layout.place("7/000.jpg", ana, 1234), "7_1234.jpg");
    assert_eq!(layout.place("7_share/000.jpg", ana, 1234), "7_share_1234.jpg");
    assert_eq!(layout.place("7.mp4", ana, 1234), "7.mp4");
}

#[test]
fn a_layout_with_shared_or_escaping_folders_is_refused() {
    let refused = |text: &str| Layout::parse(text).unwrap_err();
    assert_eq!(refused("{date}/{session}"), LayoutError::NotUnique);
    assert_eq!(refused(""), LayoutError::Literal);
    for out in ["../{stream}", "a//{stream}", ".x/{stream}", "a b/{stream}", "é/{stream}"] {
        assert_eq!(refused(out), LayoutError::Literal, "{out}");
    }
    for odd in ["{sesion}/{stream}", "{stream", "}{stream}", "{{stream}}"] {
        assert_eq!(refused(odd), LayoutError::Placeholder, "{odd}");
    }
}

#[test]
fn a_track_of_an_engagement_is_named_after_its_channel() {
    let track = |layout: &Layout, channel: &str, name: Option<&str>| {
        let channel_id = ChannelId::new(channel);
        let speaker = Speaker { channel_id, name: name.map(Into::into), user_id: None };
        layout.track(Medium::Audio, Voice::One(&speaker), TrackKind::Mp4)
    };
    let template = Layout::Template("{stream}".to_owned());
    assert_eq!(track(&template, "123abc", Some("Jane Doe")), "audio-channel-123abc-Jane_Doe.mp4");
    assert_eq!(track(&template, "../7", None), "audio-channel-7.mp4");
    assert_eq!(track(&template, "//", None), "audio-channel.mp4");
    assert_eq!(track(&Layout::RtmsSamples, "123abc", Some("Jane")), "channel-123abc.mp4");
}

/// Ids that differ in unsafe characters or in what is cut off, and ids that look like generated names.
fn alike() -> Vec<String> {
    let long = "x".repeat(MAX_CHARS);
    let hash = short_hash("a+b");
    let mut ids: Vec<String> =
        ["a/b", "a+b", "a_b", "a=b", "a/b=", "=a/b", "a", "a-part2", "a-part", "a-part3", "b-c"]
            .map(str::to_owned)
            .to_vec();
    ids.extend([format!("{long}1"), format!("{long}2"), long.clone(), "/".into(), "+".into()]);
    ids.extend([format!("a_b-{hash}"), format!("a-{hash}"), "x".repeat(240), "x".repeat(250)]);
    ids
}

#[test]
fn two_streams_never_share_a_folder() {
    let layouts = [
        "{stream}",
        "rtms-samples",
        "{date}/{meeting}/{stream}",
        "{meeting}-{stream}",
        "{meeting}{stream}",
        "x{stream}-part2",
        &format!("{}{{stream}}", "l".repeat(300)),
    ];
    let ids = alike();
    for layout in layouts {
        let mut folders = std::collections::HashSet::new();
        for (stream, part) in ids.iter().flat_map(|id| (1..4).map(move |part| (id, part))) {
            let folder = folder(layout, stream, part);
            assert!(folders.insert(folder.clone()), "{layout}: {folder} is another stream's");
            assert!(folder.split('/').all(|name| (1..=255 - 40).contains(&name.len())));
        }
        assert_eq!(folders.len(), 3 * ids.len());
    }
}

#[test]
fn two_ids_in_one_name_stay_distinct() {
    let folder = |meeting: &str, stream: &str| {
        let instance = Instance::new(Product::Meeting, IdKey::MeetingUuid, meeting).unwrap();
        let subject = Subject {
            app: &AppName::default(),
            session_id: SessionId(Uuid::nil()),
            stream_id: &StreamId::parse(stream).unwrap(),
            ordinal: 1,
            instance: &instance,
            started_at_ms: 0,
        };
        Layout::parse("{meeting}-{stream}").unwrap().folder(&subject, 1)
    };
    assert_ne!(folder("a-b", "c"), folder("a", "b-c"));
}

#[test]
fn every_name_leaves_room_for_its_prefixes_and_suffixes() {
    let channel_id = ChannelId::new(&"王".repeat(60));
    let speaker = Speaker { channel_id, name: Some("李".repeat(400)), user_id: None };
    let layout = Layout::Template("{stream}".to_owned());
    let name = layout.track(Medium::Transcript, Voice::One(&speaker), TrackKind::Mp4);
    let around = ".1763600000000.-speaker4000_100.tail.99.damaged.part".len();
    assert!(name.len() + around <= 255, "{} bytes", name.len());
    let other = Speaker { name: Some(format!("{}y", "李".repeat(30))), ..speaker.clone() };
    assert_ne!(name, layout.track(Medium::Transcript, Voice::One(&other), TrackKind::Mp4));
}

#[test]
fn a_hostile_name_is_one_component_of_a_path() {
    let layout = Layout::Template("{stream}".to_owned());
    let audio = |name: &str| {
        let speaker = Speaker::participant(UserId(7), Some(name.to_owned()));
        layout.track(Medium::Share, Voice::One(&speaker), TrackKind::Pictures)
    };
    assert_eq!(audio("Ana Núñez (she/her)"), "share-7-Ana_Núñez_she_her");
    assert_eq!(audio("../../../etc/passwd\0"), "share-7-etc_passwd");
    assert_eq!(audio("王伟"), "share-7-王伟");
    assert_eq!(audio("..."), "share-7");
    assert_eq!(audio("\u{202e}"), "share-7");
    assert_eq!(audio("Ana\u{202e}gpj.exe"), "share-7-Anagpj_exe");
    assert_eq!(audio("نی\u{200c}ما\u{200c}"), "share-7-نی\u{200c}ما");
    assert_eq!(audio("\u{200d}\u{200d}"), "share-7");
    let long = audio(&"x".repeat(5_000));
    assert!(long.len() < 100, "{long}");
    assert!(audio(&"王".repeat(5_000)).len() < 200);
}
