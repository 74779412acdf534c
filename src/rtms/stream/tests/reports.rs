//! What Zoom says about links: event 7, stream state 2, the interruption webhook.

use std::time::Duration;

use super::driver::Driver;
use super::{AUDIO, MEDIA_INTERRUPTED, SIGNALING, TRANSCRIPT, state};
use crate::model::{Medium, StopReason};
use crate::rtms::stream::Input;

const MEDIA: [Medium; 2] = [Medium::Audio, Medium::Transcript];
const REBUILT: [&str; 2] = ["dial audio at audio.zoom.us", "dial transcript at transcript.zoom.us"];

/// The words about sockets only.
fn socket_words(driver: &mut Driver) -> Vec<String> {
    driver.catch_up();
    let mut said = driver.said();
    said.retain(|word| word.starts_with("dial") || word.starts_with("drop"));
    said
}

#[test]
fn an_interruption_webhook_rejoins_a_stable_signaling_link() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.give(Input::Interrupted);
    let expected = ["drop signaling", "drop audio", "dial signaling at signaling.zoom.us"];
    assert_eq!(socket_words(&mut driver), expected);
}

#[test]
fn an_interruption_webhook_about_a_new_signaling_link_is_about_the_old_one() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.pass(Duration::from_secs(9));
    driver.give(Input::Interrupted);
    assert!(socket_words(&mut driver).is_empty());
}

#[test]
fn an_interruption_webhook_while_signaling_is_being_rebuilt_changes_nothing() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.lose(SIGNALING);
    driver.forget();
    driver.give(Input::Interrupted);
    assert!(driver.said().is_empty(), "waiting");
    driver.catch_up();
    driver.forget();
    driver.give(Input::Interrupted);
    assert!(driver.said().is_empty(), "dialling");
    driver.open(SIGNALING);
    driver.forget();
    driver.give(Input::Interrupted);
    assert!(driver.said().is_empty(), "handshaking");
}

#[test]
fn state_2_for_signaling_is_like_the_webhook() {
    for reason in [13, 15] {
        let mut driver = Driver::stable(&[Medium::Audio]);
        driver.hear(SIGNALING, &state(2, reason));
        let expected = ["drop signaling", "drop audio", "dial signaling at signaling.zoom.us"];
        assert_eq!(socket_words(&mut driver), expected, "reason {reason}");
        let mut driver = Driver::live(&[Medium::Audio]);
        driver.hear(SIGNALING, &state(2, reason));
        assert!(socket_words(&mut driver).is_empty(), "reason {reason}, new");
    }
}

fn media_reports() -> Vec<String> {
    vec![MEDIA_INTERRUPTED.to_owned(), state(2, 14), state(2, 16)]
}

/// Zoom may be in trouble of its own: our sockets may be well.
#[test]
fn state_2_for_another_reason_or_none_is_an_entry_and_drops_nothing() {
    let without_reason = r#"{"msg_type":8,"state":2,"timestamp":1}"#.to_owned();
    let others = (0..30).filter(|reason| !(13..=16).contains(reason)).map(|it| state(2, it));
    for report in others.chain([without_reason]) {
        let mut driver = Driver::stable(&MEDIA);
        driver.hear(SIGNALING, &report);
        driver.catch_up();
        assert_eq!(driver.said(), ["entry stream_state"], "{report}");
    }
}

#[test]
fn a_report_about_media_rebuilds_every_stable_medium_when_none_is_known_to_be_lost() {
    for report in media_reports() {
        let mut driver = Driver::stable(&MEDIA);
        driver.hear(SIGNALING, &report);
        assert!(socket_words(&mut driver).is_empty(), "at once: {report}");
        driver.pass(Duration::from_secs(1));
        let said = socket_words(&mut driver);
        assert_eq!(said[..2], ["drop audio", "drop transcript"], "{report}");
        assert_eq!(said[2..], REBUILT, "{report}");
    }
}

#[test]
fn a_report_about_media_that_comes_before_the_loss_leaves_the_other_media_alone() {
    for report in media_reports() {
        let mut driver = Driver::stable(&MEDIA);
        driver.hear(SIGNALING, &report);
        driver.pass(Duration::from_millis(500));
        driver.lose(AUDIO);
        driver.pass(Duration::from_secs(5));
        assert_eq!(socket_words(&mut driver), REBUILT[..1], "{report}");
    }
}

#[test]
fn a_report_about_media_is_about_the_medium_that_is_being_rebuilt() {
    for report in media_reports() {
        let mut driver = Driver::stable(&MEDIA);
        driver.lose(AUDIO);
        driver.forget();
        driver.hear(SIGNALING, &report);
        assert_eq!(socket_words(&mut driver), REBUILT[..1], "waiting: {report}");
        driver.hear(SIGNALING, &report);
        assert!(socket_words(&mut driver).is_empty(), "dialling: {report}");
        driver.open(AUDIO);
        driver.hear(SIGNALING, &report);
        assert!(socket_words(&mut driver).is_empty(), "handshaking: {report}");
    }
}

#[test]
fn a_report_about_media_is_about_the_predecessor_of_a_new_link() {
    for report in media_reports() {
        let mut driver = Driver::stable(&MEDIA);
        driver.lose(TRANSCRIPT);
        driver.catch_up();
        driver.join_media(TRANSCRIPT);
        driver.forget();
        driver.hear(SIGNALING, &report);
        assert!(socket_words(&mut driver).is_empty(), "{report}");
    }
}

#[test]
fn a_report_about_media_ignores_media_that_were_refused() {
    let mut driver = Driver::live(&MEDIA);
    driver.lose(TRANSCRIPT);
    driver.catch_up();
    driver.open(TRANSCRIPT);
    driver.hear(TRANSCRIPT, &super::refusal(4, 12));
    driver.pass(Duration::from_secs(10));
    driver.forget();
    driver.hear(SIGNALING, MEDIA_INTERRUPTED);
    driver.pass(Duration::from_secs(1));
    assert_eq!(socket_words(&mut driver), ["drop audio", "dial audio at audio.zoom.us"]);
}

#[test]
fn a_report_after_the_end_changes_nothing() {
    for report in media_reports().into_iter().chain([state(2, 13)]) {
        let mut driver = Driver::stable(&MEDIA);
        driver.give(Input::Stopped { reason: Some(StopReason(6)) });
        driver.hear(SIGNALING, &report);
        driver.give(Input::Interrupted);
        assert!(socket_words(&mut driver).is_empty(), "late frames may still come: {report}");
    }
}
