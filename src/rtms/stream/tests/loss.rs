//! Which links a loss takes with it, and what is said again afterwards.

use std::time::Duration;

use super::driver::Driver;
use super::{AUDIO, SIGNALING, TRANSCRIPT, VIDEO, offer, setup};
use crate::model::params::ConnectionMode;
use crate::model::{EntryBody, Medium, StreamStatus};
use crate::rtms::stream::{Input, LinkId, LossReason};

fn dial_failed(link: LinkId) -> Input {
    Input::Lost(link, LossReason::Dial("connection refused".into()))
}

#[test]
fn losing_signaling_hangs_up_every_medium_and_dials_signaling_at_once() {
    let mut driver = Driver::stable(&[Medium::Audio, Medium::Transcript]);
    driver.lose(SIGNALING);
    let expected = [
        "signaling is down",
        "audio is down",
        "transcript is down",
        "drop audio",
        "drop transcript",
    ];
    assert_eq!(driver.said(), expected);
    assert_eq!(driver.stream.status(), StreamStatus::Interrupted);
    driver.catch_up();
    assert_eq!(driver.said(), ["dial signaling at signaling.zoom.us"]);
}

#[test]
fn all_is_said_again_after_a_rejoin_of_signaling() {
    let mut driver = Driver::stable(&[Medium::Audio, Medium::Transcript]);
    driver.lose(SIGNALING);
    driver.catch_up();
    driver.forget();
    driver.join();
    let expected = [
        "send 1 to signaling",
        "signaling is up",
        "send 5 to signaling",
        "dial audio at audio.zoom.us",
        "dial transcript at transcript.zoom.us",
    ];
    assert_eq!(driver.said(), expected);
    driver.join_media(TRANSCRIPT);
    driver.join_media(AUDIO);
    let expected = [
        "send 3 to transcript",
        "transcript is up",
        "send 7 to signaling",
        "send 3 to audio",
        "audio is up",
        "send 7 to signaling",
    ];
    assert_eq!(driver.said(), expected);
    assert_eq!(driver.stream.status(), StreamStatus::Live);
}

#[test]
fn media_urls_are_those_of_the_latest_answer() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.lose(SIGNALING);
    driver.catch_up();
    driver.open(SIGNALING);
    driver.forget();
    driver.hear(SIGNALING, &offer(&[("audio", "wss://elsewhere.zoom.us")]));
    assert_eq!(driver.said()[2], "dial audio at elsewhere.zoom.us");
}

#[test]
fn losing_one_medium_rebuilds_only_it_and_says_ready_again() {
    let mut driver = Driver::stable(&[Medium::Audio, Medium::Video, Medium::Transcript]);
    driver.lose(VIDEO);
    assert_eq!(driver.said(), ["video is down"]);
    assert_eq!(driver.stream.status(), StreamStatus::Interrupted);
    driver.catch_up();
    assert_eq!(driver.said(), ["dial video at video.zoom.us"]);
    driver.hear(AUDIO, super::AUDIO_FRAME);
    driver.hear(TRANSCRIPT, super::LINE);
    assert_eq!(driver.said(), ["audio frame", "entry transcript"]);
    driver.join_media(VIDEO);
    assert_eq!(driver.said(), ["send 3 to video", "video is up", "send 7 to signaling"]);
    assert_eq!(driver.stream.status(), StreamStatus::Live);
}

#[test]
fn a_medium_that_is_being_dialled_goes_with_signaling_too() {
    let mut driver = Driver::stable(&[Medium::Audio, Medium::Video]);
    driver.lose(VIDEO);
    driver.catch_up();
    driver.forget();
    driver.lose(SIGNALING);
    assert_eq!(driver.said(), ["signaling is down", "audio is down", "drop audio", "drop video"]);
}

#[test]
fn the_entry_of_a_loss_says_what_was_seen() {
    for (loss, cause) in [
        (LossReason::Closed(Some(1006)), "closed by Zoom with code 1006"),
        (LossReason::Closed(None), "closed by Zoom"),
        (LossReason::Dropped("reset".into()), "connection lost: reset"),
    ] {
        let mut driver = Driver::stable(&[Medium::Audio]);
        driver.give(Input::Lost(AUDIO, loss));
        let body = EntryBody::LinkDown { link: "audio".into(), cause: cause.into() };
        assert_eq!(driver.entries(), [(None, body)]);
    }
}

#[test]
fn the_first_failed_dial_of_a_link_that_never_lived_is_an_entry_with_its_cause() {
    let mut driver = Driver::new(setup(&[Medium::Audio], ConnectionMode::Split), 7);
    let down = |link: &str, cause: &str| {
        (None, EntryBody::LinkDown { link: link.to_owned().into(), cause: cause.into() })
    };
    driver.give(dial_failed(SIGNALING));
    assert_eq!(driver.entries(), [down("signaling", "cannot connect: connection refused")]);
    driver.catch_up();
    driver.join();
    driver.forget();
    driver.open(AUDIO);
    driver.hear(AUDIO, &super::refusal(4, 7));
    assert_eq!(driver.entries(), [down("audio", "handshake refused with status 7")]);
}

#[test]
fn further_failures_in_the_same_window_are_no_entries() {
    let mut driver = Driver::new(setup(&[Medium::Audio], ConnectionMode::Split), 7);
    driver.give(dial_failed(SIGNALING));
    driver.forget();
    for _ in 0..4 {
        driver.pass(Duration::from_secs(2));
        driver.give(dial_failed(SIGNALING));
        driver.pass(Duration::from_secs(2));
        driver.open(SIGNALING);
        driver.hear(SIGNALING, &super::refusal(2, 7));
    }
    assert_eq!(driver.entries(), []);
}

#[test]
fn a_link_that_was_up_goes_down_in_an_entry_even_if_it_was_never_stable() {
    let mut driver = Driver::new(setup(&[Medium::Audio], ConnectionMode::Split), 7);
    driver.give(dial_failed(SIGNALING));
    for _ in 0..3 {
        driver.pass(Duration::from_secs(5));
        driver.join();
        driver.forget();
        driver.lose(SIGNALING);
        assert_eq!(driver.said()[0], "signaling is down");
    }
}

#[test]
fn the_first_failure_after_a_stable_life_or_a_rejoin_is_an_entry_again() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.lose(AUDIO);
    driver.catch_up();
    driver.join_media(AUDIO);
    driver.pass(Duration::from_secs(10));
    driver.forget();
    driver.lose(AUDIO);
    assert_eq!(driver.said(), ["audio is down"]);
    driver.lose(SIGNALING);
    driver.catch_up();
    driver.join();
    driver.forget();
    driver.give(dial_failed(AUDIO));
    assert_eq!(driver.said(), ["audio is down"]);
}

#[test]
fn a_dial_that_fails_after_a_loss_is_not_an_entry_and_waits_before_the_next() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.lose(AUDIO);
    driver.catch_up();
    driver.forget();
    driver.give(dial_failed(AUDIO));
    assert!(driver.said().is_empty());
    let due = driver.stream.deadline().unwrap();
    assert!(due <= driver.now + Duration::from_millis(500), "the second wait is short");
    driver.pass(Duration::from_millis(500));
    assert_eq!(driver.said(), ["dial audio at audio.zoom.us"]);
}

#[test]
fn a_second_loss_of_what_is_lost_changes_nothing() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.lose(AUDIO);
    driver.catch_up();
    driver.lose(AUDIO);
    driver.forget();
    let deadline = driver.stream.deadline();
    for _ in 0..5 {
        driver.lose(AUDIO);
    }
    assert!(driver.said().is_empty());
    assert_eq!(driver.stream.deadline(), deadline);
}

#[test]
fn a_move_drops_every_old_socket_and_dials_the_new_server_at_once() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.move_to("wss://other.zoom.us");
    let expected =
        ["entry moved", "drop audio", "drop signaling", "dial signaling at other.zoom.us"];
    assert_eq!(driver.said(), expected);
    driver.join();
    assert_eq!(driver.said()[2], "send 5 to signaling");
    driver.lose(SIGNALING);
    driver.catch_up();
    assert_eq!(driver.said().last().unwrap(), "dial signaling at other.zoom.us");
}

#[test]
fn a_move_in_the_middle_of_a_dial_or_a_wait_leaves_one_dial() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.lose(SIGNALING);
    driver.forget();
    driver.move_to("wss://other.zoom.us");
    assert_eq!(driver.said(), ["entry moved", "dial signaling at other.zoom.us"]);
    driver.move_to("wss://third.zoom.us");
    let expected = ["entry moved", "drop signaling", "dial signaling at third.zoom.us"];
    assert_eq!(driver.said(), expected);
}

#[test]
fn a_move_opens_a_new_window() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.lose(SIGNALING);
    driver.pass(Duration::from_secs(40));
    driver.move_to("wss://other.zoom.us");
    driver.pass(Duration::from_secs(30));
    assert!(driver.end().is_none());
}
