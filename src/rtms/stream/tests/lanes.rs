//! Over which sockets which media come.

use std::time::Duration;

use serde_json::Value;

use super::driver::Driver;
use super::{ALL, AUDIO, AUDIO_FRAME, CHAT, LINE, SHARE, SIGNALING, TRANSCRIPT, offer, setup};
use crate::model::params::ConnectionMode::{self, Split, Unified};
use crate::model::{EntryBody, Lost, Medium, Outcome, Unreadable};

fn dialled(media: &[Medium], mode: ConnectionMode, urls: &[(&str, &str)]) -> Vec<String> {
    let mut driver = Driver::new(setup(media, mode), 7);
    driver.open(SIGNALING);
    driver.forget();
    driver.hear(SIGNALING, &offer(urls));
    driver.said().split_off(2)
}

fn handshake(driver: &mut Driver) -> Value {
    serde_json::from_str(&driver.sent().pop().unwrap()).unwrap()
}

#[test]
fn a_split_stream_has_a_link_per_medium() {
    let urls =
        [("audio", "wss://a.zoom.us"), ("video", "wss://v.zoom.us"), ("all", "wss://all.zoom.us")];
    assert_eq!(
        dialled(&[Medium::Audio, Medium::Video], Split, &urls),
        ["dial audio at a.zoom.us", "dial video at v.zoom.us"]
    );
}

#[test]
fn a_unified_stream_has_one_link_for_everything() {
    let urls = [("audio", "wss://a.zoom.us"), ("all", "wss://all.zoom.us")];
    assert_eq!(
        dialled(&[Medium::Audio, Medium::Video], Unified, &urls),
        ["dial all at all.zoom.us"]
    );
}

#[test]
fn a_unified_stream_is_split_where_no_url_for_everything_is_offered() {
    let urls = [("audio", "wss://a.zoom.us"), ("video", "wss://v.zoom.us"), ("all", "")];
    assert_eq!(
        dialled(&[Medium::Audio, Medium::Video], Unified, &urls),
        ["dial audio at a.zoom.us", "dial video at v.zoom.us"]
    );
}

#[test]
fn a_unified_handshake_asks_for_32_with_the_parameters_of_what_is_wanted() {
    let mut driver = Driver::new(setup(&[Medium::Audio, Medium::Share], Unified), 7);
    driver.join();
    driver.open(ALL);
    let handshake = handshake(&mut driver);
    assert_eq!(handshake["media_type"], 32);
    let keys: Vec<_> = handshake["media_params"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["audio", "deskshare"]);
}

#[test]
fn a_split_handshake_asks_for_one_bit_with_its_parameters() {
    for (medium, bit) in Medium::ALL.into_iter().zip([1, 2, 4, 8, 16]) {
        let mut driver = Driver::new(setup(&Medium::ALL, Split), 7);
        driver.join();
        driver.open(super::only(medium));
        let handshake = handshake(&mut driver);
        assert_eq!(handshake["media_type"], bit);
        assert_eq!(handshake["media_params"].as_object().unwrap().len(), 1);
    }
}

#[test]
fn the_share_url_is_found_under_any_of_its_names() {
    for key in ["deskshare", "sharescreen", "share", "screenshare"] {
        let urls = [(key, "wss://s.zoom.us"), ("all", "wss://all.zoom.us")];
        assert_eq!(dialled(&[Medium::Share], Split, &urls), ["dial share at s.zoom.us"], "{key}");
    }
}

#[test]
fn a_medium_without_a_url_of_its_own_uses_the_one_for_everything_alone() {
    let mut driver = Driver::new(setup(&[Medium::Share, Medium::Chat], Split), 7);
    driver.open(SIGNALING);
    driver.forget();
    driver.hear(SIGNALING, &offer(&[("audio", "wss://a.zoom.us"), ("all", "wss://all.zoom.us")]));
    assert_eq!(driver.said()[2..], ["dial share at all.zoom.us", "dial chat at all.zoom.us"]);
    driver.open(SHARE);
    assert_eq!(handshake(&mut driver)["media_type"], 4);
    driver.open(CHAT);
    assert_eq!(handshake(&mut driver)["media_type"], 16);
}

#[test]
fn two_media_may_share_a_url() {
    let urls = [("audio", "wss://m.zoom.us"), ("transcript", "wss://m.zoom.us")];
    assert_eq!(
        dialled(&[Medium::Audio, Medium::Transcript], Split, &urls),
        ["dial audio at m.zoom.us", "dial transcript at m.zoom.us"]
    );
}

#[test]
fn a_medium_that_is_not_offered_is_an_entry_and_the_others_go_on() {
    let urls = [("audio", "wss://a.zoom.us")];
    assert_eq!(
        dialled(&[Medium::Audio, Medium::Transcript], Split, &urls),
        ["dial audio at a.zoom.us", "transcript is down"]
    );
}

#[test]
fn a_media_url_that_the_policy_does_not_allow_is_not_dialled() {
    for url in ["wss://evil.example", "ws://a.zoom.us", "wss://u@a.zoom.us", "nonsense"] {
        let mut driver = Driver::new(setup(&[Medium::Audio, Medium::Transcript], Split), 7);
        driver.open(SIGNALING);
        driver.forget();
        driver.hear(SIGNALING, &offer(&[("audio", url), ("transcript", "wss://t.zoom.us")]));
        let (_, down) = driver.entries().remove(1);
        let EntryBody::LinkDown { link, cause } = down else { panic!("{down:?}") };
        assert_eq!(link, "audio");
        assert!(!cause.contains(url), "{cause}");
        assert!(driver.sockets.get(AUDIO).is_none() && driver.sockets.get(TRANSCRIPT).is_some());
    }
}

#[test]
fn a_stream_without_any_url_that_is_offered_and_allowed_ends() {
    for urls in [[("audio", "wss://evil.example")], [("video", "wss://v.zoom.us")]] {
        for mode in [Split, Unified] {
            let mut driver = Driver::new(setup(&[Medium::Audio], mode), 7);
            driver.open(SIGNALING);
            driver.hear(SIGNALING, &offer(&urls));
            assert_eq!(driver.end().unwrap().outcome, Outcome::Refused);
            assert_eq!(driver.said().last().unwrap(), "finished: refused");
        }
    }
}

#[test]
fn an_acceptance_without_a_readable_url_is_unreadable_and_another_dial_follows() {
    for server in [
        "{}",
        r#"{"media_server":null}"#,
        r#"{"media_server":{"server_urls":null}}"#,
        r#"{"media_server":{"server_urls":{}}}"#,
        r#"{"media_server":{"server_urls":{"audio":""}}}"#,
        r#"{"media_server":{"server_urls":{"transcript":5}}}"#,
    ] {
        let mut answer: serde_json::Value = serde_json::from_str(server).unwrap();
        answer["msg_type"] = 2.into();
        answer["status_code"] = 0.into();
        let mut driver = Driver::new(setup(&[Medium::Audio], Split), 7);
        driver.open(SIGNALING);
        driver.hear(SIGNALING, &answer.to_string());
        assert!(driver.end().is_none(), "{server}");
        let kind = Unreadable::new(2, Lost::Message, "server_urls");
        assert_eq!(driver.stream.take_unreadable().count(&kind), 1, "{server}");
        driver.forget();
        driver.catch_up();
        assert_eq!(driver.said(), ["dial signaling at signaling.zoom.us"], "{server}");
        driver.join();
        assert!(driver.said().contains(&"dial audio at audio.zoom.us".to_owned()), "{server}");
    }
}

#[test]
fn acceptances_without_a_readable_url_end_a_stream_when_its_window_does() {
    let mut driver = Driver::new(setup(&[Medium::Audio], Split), 7);
    let start = driver.now;
    while driver.end().is_none() {
        driver.open(SIGNALING);
        driver.hear(SIGNALING, r#"{"msg_type":2,"status_code":0}"#);
        driver.pass(Duration::from_millis(100));
    }
    assert_eq!(driver.end().unwrap().outcome, Outcome::WindowExpired);
    assert!(driver.now - start > Duration::from_secs(59));
}

#[test]
fn what_was_not_asked_for_is_not_delivered() {
    let mut driver = Driver::unified(&[Medium::Transcript]);
    driver.hear(ALL, AUDIO_FRAME);
    driver.hear(ALL, r#"{"msg_type":18,"content":{"data":"hi"}}"#);
    assert!(driver.said().is_empty());
    driver.hear(ALL, LINE);
    assert_eq!(driver.said(), ["entry transcript"]);
    let mut driver = Driver::unified(&[Medium::Audio]);
    driver.hear(ALL, LINE);
    driver.hear(ALL, AUDIO_FRAME);
    assert_eq!(driver.said(), ["audio frame"]);
}

#[test]
fn losing_the_link_for_everything_rebuilds_it() {
    let mut driver = Driver::unified(&[Medium::Audio]);
    driver.lose(ALL);
    driver.catch_up();
    assert_eq!(driver.said(), ["all is down", "dial all at all.zoom.us"]);
    driver.join_media(ALL);
    assert_eq!(driver.said(), ["send 3 to all", "all is up", "send 7 to signaling"]);
}
