//! Joining a stream: signaling handshake, media handshakes, requested parameters.

use std::time::Duration;

use serde_json::Value;

use super::driver::Driver;
use super::{AUDIO, JOINED, MEDIA_JOINED, SIGNALING, TRANSCRIPT, setup};
use crate::model::params::ConnectionMode;
use crate::model::{IdKey, Instance, Medium, Product, StreamStatus};

#[test]
fn a_stream_dials_signaling_at_once() {
    let mut driver = Driver::new(setup(&[Medium::Audio], ConnectionMode::Split), 1);
    assert_eq!(driver.said(), ["dial signaling at signaling.zoom.us"]);
    assert_eq!(driver.stream.status(), StreamStatus::Announced);
}

#[test]
fn the_happy_path_is_spoken_in_zooms_order() {
    let mut driver =
        Driver::new(setup(&[Medium::Audio, Medium::Transcript], ConnectionMode::Split), 1);
    driver.forget();
    driver.open(SIGNALING);
    assert_eq!(driver.said(), ["send 1 to signaling"]);
    driver.hear(SIGNALING, JOINED);
    let expected = [
        "signaling is up",
        "send 5 to signaling",
        "dial audio at audio.zoom.us",
        "dial transcript at transcript.zoom.us",
    ];
    assert_eq!(driver.said(), expected);
    driver.open(AUDIO);
    assert_eq!(driver.said(), ["send 3 to audio"]);
    driver.hear(AUDIO, MEDIA_JOINED);
    assert_eq!(driver.said(), ["audio is up", "send 7 to signaling"]);
    assert_eq!(driver.stream.status(), StreamStatus::Announced);
    driver.join_media(TRANSCRIPT);
    assert_eq!(driver.said(), ["send 3 to transcript", "transcript is up", "send 7 to signaling"]);
    assert_eq!(driver.stream.status(), StreamStatus::Live);
}

#[test]
fn handshakes_carry_the_stream_and_its_signature() {
    let mut driver = Driver::new(setup(&[Medium::Audio], ConnectionMode::Split), 1);
    driver.join();
    driver.join_media(AUDIO);
    let sent: Vec<Value> =
        driver.sent().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let numbers: Vec<_> =
        sent.iter().map(|message| message["msg_type"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 5, 3, 7]);
    for handshake in [&sent[0], &sent[2]] {
        assert_eq!(handshake["meeting_uuid"], "4444AAA==");
        assert_eq!(handshake["rtms_stream_id"], "e1f2a3b4");
        assert_eq!(handshake["signature"], "19302915");
    }
    assert_eq!(sent[0]["buffer_data"], true);
    assert_eq!(sent[2]["media_type"], 1);
    assert_eq!(sent[3]["rtms_stream_id"], "e1f2a3b4");
}

fn subscribed(product: Product) -> Vec<u64> {
    let mut setup = setup(&[Medium::Audio], ConnectionMode::Split);
    setup.instance = Instance::new(product, IdKey::EngagementId, "e1").unwrap();
    let mut driver = Driver::new(setup, 1);
    driver.join();
    let subscription: Value = serde_json::from_str(&driver.sent()[1]).unwrap();
    let events = subscription["events"].as_array().unwrap();
    events.iter().map(|event| event["event_type"].as_u64().unwrap()).collect()
}

#[test]
fn every_event_of_a_meeting_is_subscribed_to_but_the_automatic_ones() {
    assert_eq!(subscribed(Product::Meeting), [2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]);
}

#[test]
fn an_engagement_is_subscribed_to_the_common_events_and_to_its_own() {
    let expected: Vec<u64> = (2..=6).chain(8..=34).collect();
    assert_eq!(subscribed(Product::ContactCenter), expected);
}

#[test]
fn a_second_answer_to_a_handshake_changes_nothing() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.hear(SIGNALING, JOINED);
    driver.hear(AUDIO, MEDIA_JOINED);
    assert!(driver.said().is_empty());
}

#[test]
fn media_that_comes_before_the_answer_is_not_lost() {
    let mut driver = Driver::new(setup(&[Medium::Audio], ConnectionMode::Split), 1);
    driver.join();
    driver.open(AUDIO);
    driver.forget();
    driver.hear(AUDIO, super::AUDIO_FRAME);
    assert_eq!(driver.said(), ["audio frame"]);
}

#[test]
fn what_comes_from_a_socket_that_is_not_there_is_ignored() {
    let mut driver = Driver::new(setup(&[Medium::Audio], ConnectionMode::Split), 1);
    driver.forget();
    for text in
        [super::KEEP_ALIVE, JOINED, super::MEDIA_INTERRUPTED, "nonsense", &super::state(4, 6)]
    {
        driver.hear(SIGNALING, text);
        driver.hear(AUDIO, text);
    }
    driver.open(AUDIO);
    driver.lose(AUDIO);
    assert!(driver.said().is_empty());
}

#[test]
fn a_timeout_before_anything_is_due_is_harmless() {
    let mut driver = Driver::live(&[Medium::Audio]);
    let deadline = driver.stream.deadline();
    driver.now += Duration::from_secs(1);
    driver.tick();
    assert!(driver.said().is_empty());
    assert_eq!(driver.stream.deadline(), deadline);
}
