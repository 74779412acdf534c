//! Messages for any broker.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::hub::{FrameSource, Person, StreamInfo, stream_info};
use crate::model::params::{AudioCodec, Channels, SampleRate};
use crate::model::{
    AppName, ChannelId, Entry, EntryBody, IdKey, Instance, Product, SessionId, Speaker,
    SpeakerUserId, StreamId, TranscriptLine, UserId,
};
use crate::rtms::params::EffectiveAudio;

const SESSION: SessionId = SessionId(Uuid::nil());

fn spoken(account_id: Option<&str>) -> Relayed {
    let line = TranscriptLine {
        speaker: Speaker::participant(UserId(7), Some("Ana".into())),
        text: "hello\r\nRtms-Kind: forged".into(),
        start_ms: 1,
        end_ms: 2,
        language: None,
        attribute: None,
    };
    let entry = Entry {
        session_id: SESSION,
        stream_id: StreamId::parse("/a.b>*:c==").unwrap(),
        stream_ordinal: 2,
        seq: 3,
        at_ms: 1_732_313_171_881,
        body: EntryBody::Transcript(line),
    };
    Relayed {
        entry,
        app: AppName::default(),
        product: Product::Meeting,
        account_id: account_id.map(ToOwned::to_owned),
    }
}

fn heard(speaker: Option<Speaker>) -> Frame {
    let audio = EffectiveAudio {
        content_type: None,
        codec: Some(AudioCodec::L16),
        sample_rate: Some(SampleRate::Khz16),
        channels: Some(Channels::Mono),
        streams: None,
        send_rate_ms: Some(20),
    };
    let stream = StreamInfo {
        stream_id: StreamId::parse("s").unwrap(),
        instance: Instance::new(Product::Webinar, IdKey::WebinarUuid, "w").unwrap(),
        effective: Effective { audio: Some(audio), ..Effective::default() },
        ..stream_info()
    };
    let source = FrameSource {
        stream: Arc::new(stream),
        speaker: speaker.map(|speaker| Arc::new(Person::of(speaker))),
        active_speaker: None,
    };
    Frame {
        source: Arc::new(source),
        medium: Medium::Audio,
        seq: 9,
        at_ms: 10,
        payload: Bytes::from_static(&[0, 1, 2]),
        encoded: None,
    }
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

#[test]
fn an_entry_is_what_the_api_shows_under_its_id() {
    let relayed = spoken(Some("acc-1"));
    let message = Message::of_entry(&relayed);
    assert_eq!(message.id.as_deref(), Some("/a.b>*:c==:3"));
    assert_eq!(message.path, ["acc-1", &SESSION.to_string(), "entries", "transcript"]);
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!(body, serde_json::to_value(EntryView::of(&relayed.entry)).unwrap());
    assert_eq!((&body["seq"], &body["user_name"]), (&3.into(), &"Ana".into()));
    for (name, value) in [
        ("Rtms-App", "default"),
        ("Rtms-Stream", "/a.b>*:c=="),
        ("Rtms-Ordinal", "2"),
        ("Rtms-Seq", "3"),
        ("Rtms-At-Ms", "1732313171881"),
        ("Rtms-Kind", "transcript"),
        ("Rtms-Product", "meeting"),
    ] {
        assert_eq!(header(&message, name), Some(value), "{name}");
    }
}

#[test]
fn a_frames_message_has_its_payload_and_format() {
    let message = Message::of_frame(&heard(Some(Speaker::participant(UserId(7), None))), None);
    assert_eq!(message.id, None);
    assert_eq!(message.path, ["_", &SESSION.to_string(), "audio", "7"]);
    assert_eq!(message.body, [0, 1, 2].as_slice());
    for (name, value) in [
        ("Rtms-Medium", "audio"),
        ("Rtms-Seq", "9"),
        ("Rtms-User", "7"),
        ("Rtms-Codec", "l16"),
        ("Rtms-Sample-Rate", "16000"),
        ("Rtms-Channels", "mono"),
    ] {
        assert_eq!(header(&message, name), Some(value), "{name}");
    }
    assert_eq!(Message::of_frame(&heard(None), None).path[3], NOBODY);
}

#[test]
fn every_message_names_its_app() {
    let acme = AppName::parse("acme").unwrap();
    let entry = Message::of_entry(&Relayed { app: acme.clone(), ..spoken(None) });
    let mut frame = heard(None);
    let source = Arc::get_mut(&mut frame.source).unwrap();
    Arc::get_mut(&mut source.stream).unwrap().app = acme.clone();
    let deleted = Deleted {
        id: "d".into(),
        at_ms: 5,
        scope: "user".into(),
        subject: "u1".into(),
        app: Some(acme.clone()),
    };
    let deletion = Message::of_deletion(&deleted);
    assert_eq!(serde_json::from_slice::<Value>(&deletion.body).unwrap()["app"], "acme");
    for message in [&entry, &Message::of_frame(&frame, None), &deletion] {
        assert_eq!((&message.app, header(message, "Rtms-App")), (&acme, Some("acme")));
    }
    // The path is the same as without apps: a broker decides where the app goes.
    assert_eq!(entry.path, Message::of_entry(&spoken(None)).path);
    let ids = [None, Some(AppName::default()), Some(acme)]
        .map(|app| Message::of_deletion(&Deleted { app, ..deleted.clone() }).id.unwrap());
    assert_eq!(
        ids,
        ["data.deleted:user:u1:5", "data.deleted:user:u1:5", "data.deleted:user:u1:5:acme"]
    );
}

#[test]
fn a_party_of_an_engagement_has_its_channel_in_the_path() {
    let user_id = SpeakerUserId::text("KDcu.x\r\n");
    let party = Speaker { user_id, channel_id: ChannelId::new("c.1"), name: Some("Ana".into()) };
    let message = Message::of_frame(&heard(Some(party)), None);
    assert_eq!(message.path, ["_", &SESSION.to_string(), "audio", "c%2E1"]);
    assert_eq!(header(&message, "Rtms-Channel"), Some("c%2E1"));
    assert_eq!(header(&message, "Rtms-User"), Some("KDcu%2Ex%0D%0A"));
    let meeting = Message::of_frame(&heard(None), None);
    assert_eq!(
        (header(&meeting, "Rtms-Channel"), header(&meeting, "Rtms-User")),
        (None, Some("_"))
    );
}

#[test]
fn a_message_without_its_body_says_how_much_is_missing() {
    let message = Message::of_entry(&spoken(None));
    let bytes = message.body.len().to_string();
    let small = message.without_body();
    assert!(small.body.is_empty());
    assert_eq!(header(&small, "Rtms-Omitted-Bytes"), Some(bytes.as_str()));
    assert_eq!(small.id.as_deref(), Some("/a.b>*:c==:3"));
}

#[test]
fn an_unknown_account_differs_from_every_known_one() {
    assert_eq!(path_part(None), "_");
    assert_eq!(path_part(Some("")), "_");
    assert_eq!(path_part(Some("_")), "%5F");
    assert_eq!(path_part(Some("a.b *>\r\n%$é")), "a%2Eb%20%2A%3E%0D%0A%25%24%C3%A9");
}

proptest! {
    #[test]
    fn no_name_escapes_its_part_of_a_path_and_no_two_are_equal(a in ".*", b in ".*") {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_%".contains(&byte);
        prop_assert!(!path_part(Some(&a)).is_empty() && path_part(Some(&a)).bytes().all(is_plain));
        prop_assert_eq!(a == b, path_part(Some(&a)) == path_part(Some(&b)));
    }
}
