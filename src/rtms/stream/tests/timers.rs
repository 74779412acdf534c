//! Every duration of `Timings`.

use std::time::Duration;

use super::driver::Driver;
use super::{AUDIO, KEEP_ALIVE, SIGNALING, TRANSCRIPT, setup, state};
use crate::model::params::ConnectionMode;
use crate::model::{Medium, Outcome, StreamStatus};
use crate::rtms::stream::{Input, LinkId, Timings};

const MILLISECOND: Duration = Duration::from_millis(1);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn fresh() -> Driver {
    let mut driver = Driver::new(setup(&[Medium::Audio], ConnectionMode::Split), 7);
    driver.forget();
    driver
}

#[test]
fn the_defaults_are_zooms_windows() {
    let timings = Timings::default();
    assert_eq!((timings.signaling_window, timings.media_window), (secs(60), secs(65)));
    assert_eq!((timings.silence, timings.dial, timings.handshake), (secs(65), secs(10), secs(10)));
}

#[test]
fn a_dial_that_takes_too_long_is_dropped_and_tried_again() {
    let mut driver = fresh();
    driver.pass(secs(10) - MILLISECOND);
    assert!(driver.said().is_empty());
    driver.pass(MILLISECOND);
    let expected = ["drop signaling", "signaling is down", "dial signaling at signaling.zoom.us"];
    assert_eq!(driver.said(), expected);
}

#[test]
fn a_handshake_without_an_answer_is_dropped_and_tried_again() {
    let mut driver = fresh();
    driver.open(SIGNALING);
    driver.forget();
    driver.pass(secs(10) - MILLISECOND);
    assert!(driver.said().is_empty());
    driver.pass(MILLISECOND);
    let expected = ["drop signaling", "signaling is down", "dial signaling at signaling.zoom.us"];
    assert_eq!(driver.said(), expected);
}

#[test]
fn a_media_handshake_without_an_answer_is_tried_again_alone() {
    let mut driver = fresh();
    driver.join();
    driver.open(AUDIO);
    driver.forget();
    driver.pass(secs(10));
    assert_eq!(driver.said(), ["drop audio", "audio is down", "dial audio at audio.zoom.us"]);
}

#[test]
fn a_link_that_says_nothing_for_65_seconds_is_dropped() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.hear(SIGNALING, KEEP_ALIVE);
    driver.hear(AUDIO, KEEP_ALIVE);
    driver.pass(secs(30));
    driver.hear(SIGNALING, KEEP_ALIVE);
    driver.forget();
    driver.pass(secs(35) - MILLISECOND);
    assert!(driver.said().is_empty());
    driver.pass(MILLISECOND);
    assert_eq!(driver.said(), ["drop audio", "audio is down", "dial audio at audio.zoom.us"]);
}

#[test]
fn any_message_is_a_sign_of_life() {
    let mut driver = Driver::live(&[Medium::Audio]);
    for text in [super::AUDIO_FRAME, r#"{"msg_type":23}"#, super::LINE, super::MEDIA_JOINED] {
        driver.pass(secs(60));
        driver.hear(SIGNALING, KEEP_ALIVE);
        driver.hear(AUDIO, text);
    }
    assert!(!driver.said().iter().any(|word| word.contains("drop")));
}

#[test]
fn a_link_that_lived_for_10_seconds_has_no_past() {
    let mut driver = fresh();
    for _ in 0..20 {
        driver.join();
        driver.join_media(AUDIO);
        driver.pass(secs(10));
        driver.lose(SIGNALING);
        driver.forget();
        driver.catch_up();
        assert_eq!(
            driver.said(),
            ["dial signaling at signaling.zoom.us"],
            "the first redial is at once"
        );
    }
    assert!(driver.end().is_none(), "200 s are more than the window, but each link was stable");
}

#[test]
fn a_signaling_link_that_is_accepted_and_dropped_for_ever_runs_out_of_its_window() {
    let mut driver = fresh();
    let start = driver.now;
    while driver.end().is_none() {
        if driver.sockets.get(SIGNALING).is_some() {
            driver.join();
            driver.pass(secs(1));
            driver.lose(SIGNALING);
        }
        driver.pass(Duration::from_millis(100));
        assert!(driver.now - start <= secs(62), "the window has passed");
    }
    assert!(driver.now - start >= secs(50), "the window was used");
    assert_eq!(driver.end().unwrap().outcome, Outcome::WindowExpired);
}

#[test]
fn a_media_link_that_is_accepted_and_dropped_for_ever_runs_out_of_its_window() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    let start = driver.now;
    driver.lose(AUDIO);
    while driver.end().is_none() {
        if driver.sockets.get(AUDIO).is_some() {
            driver.join_media(AUDIO);
            driver.pass(secs(1));
            driver.lose(AUDIO);
        }
        driver.pass(Duration::from_millis(100));
        driver.hear(SIGNALING, KEEP_ALIVE);
        assert!(driver.now - start <= secs(67), "the window has passed");
    }
    assert!(driver.now - start >= secs(55), "the window was used");
    assert_eq!(driver.end().unwrap().outcome, Outcome::WindowExpired);
}

#[test]
fn a_signaling_link_that_cannot_be_made_ends_the_stream_inside_60_seconds() {
    let mut driver = fresh();
    let start = driver.now;
    while driver.end().is_none() {
        driver.lose(SIGNALING);
        driver.pass(Duration::from_millis(100));
        assert!(driver.now - start <= secs(60));
    }
    assert!(driver.now - start >= secs(50));
    let end = driver.end().unwrap();
    assert_eq!(end.outcome, Outcome::WindowExpired);
    assert!(end.detail.contains("signaling"), "{}", end.detail);
}

/// Windows in which a second dial, begun after the first took its 10 s, must be cut short.
fn short_windows(signaling_secs: u64, media_secs: u64) -> Driver {
    let mut setup = setup(&[Medium::Audio], ConnectionMode::Split);
    setup.timings.signaling_window = secs(signaling_secs);
    setup.timings.media_window = secs(media_secs);
    Driver::new(setup, 7)
}

fn assert_ends_in_exactly(driver: &mut Driver, time: Duration) {
    driver.pass(time - MILLISECOND);
    assert!(driver.end().is_none(), "{:?}", driver.end());
    driver.pass(MILLISECOND);
    assert_eq!(driver.end().map(|end| end.outcome), Some(Outcome::WindowExpired));
}

#[test]
fn the_first_window_begins_with_the_first_dial_and_cuts_the_last_one_short() {
    let mut driver = short_windows(12, 30);
    assert_ends_in_exactly(&mut driver, secs(12));
}

#[test]
fn a_media_window_begins_with_its_first_dial_and_cuts_the_last_one_short() {
    let mut driver = short_windows(30, 12);
    driver.join();
    assert_ends_in_exactly(&mut driver, secs(12));
}

#[test]
fn a_window_after_a_loss_begins_with_the_loss_and_cuts_the_last_dial_short() {
    let mut driver = short_windows(12, 30);
    driver.join();
    driver.join_media(AUDIO);
    driver.pass(secs(20));
    driver.lose(SIGNALING);
    assert_ends_in_exactly(&mut driver, secs(12));
}

#[test]
fn a_move_has_the_window_of_signaling() {
    let mut driver = short_windows(12, 30);
    driver.move_to("wss://other.zoom.us");
    assert_ends_in_exactly(&mut driver, secs(12));
}

/// Passes the time with everything but `lost` well and `lost` failing at every dial.
fn fail_alone(driver: &mut Driver, lost: LinkId, well: LinkId, time: Duration) {
    let until = driver.now + time;
    while driver.now < until && driver.end().is_none() {
        driver.lose(lost);
        driver.pass(Duration::from_millis(100));
        driver.hear(SIGNALING, KEEP_ALIVE);
        driver.hear(well, super::LINE);
    }
}

#[test]
fn a_medium_that_cannot_be_rebuilt_is_given_up_alone_when_its_window_is_over() {
    let mut driver = Driver::stable(&[Medium::Audio, Medium::Transcript]);
    fail_alone(&mut driver, AUDIO, TRANSCRIPT, secs(55));
    assert_eq!(driver.stream.status(), StreamStatus::Interrupted, "the window is used");
    fail_alone(&mut driver, AUDIO, TRANSCRIPT, secs(10));
    assert_eq!(driver.stream.status(), StreamStatus::Live, "without audio");
    let said = driver.said();
    let count = |word: &str| said.iter().filter(|it| *it == word).count();
    assert_eq!(count("entry transcript"), 650, "every line was taken");
    assert_eq!(count("audio is down"), 1);
    assert_eq!(
        said.iter().filter(|it| it.starts_with("close") || it.starts_with("drop")).count(),
        0
    );
    fail_alone(&mut driver, AUDIO, TRANSCRIPT, secs(300));
    assert!(driver.end().is_none());
    assert!(!driver.said().iter().any(|word| word.contains("audio")), "not dialled again");
}

#[test]
fn a_stream_ends_with_the_window_of_its_last_medium() {
    let mut driver = Driver::stable(&[Medium::Audio, Medium::Transcript]);
    fail_alone(&mut driver, AUDIO, TRANSCRIPT, secs(100));
    driver.forget();
    let start = driver.now;
    fail_alone(&mut driver, TRANSCRIPT, AUDIO, secs(100));
    let lasted = driver.now - start;
    assert!(lasted >= secs(55) && lasted <= secs(65), "{lasted:?}");
    let end = driver.end().unwrap();
    assert_eq!(end.outcome, Outcome::WindowExpired);
    assert!(end.detail.starts_with("transcript: "), "{}", end.detail);
    assert_eq!(driver.said()[..2], ["transcript is down", "dial transcript at transcript.zoom.us"]);
}

#[test]
fn a_medium_that_was_given_up_is_dialled_again_after_a_rejoin() {
    let mut driver = Driver::stable(&[Medium::Audio, Medium::Transcript]);
    fail_alone(&mut driver, AUDIO, TRANSCRIPT, secs(100));
    driver.lose(SIGNALING);
    driver.catch_up();
    driver.join();
    assert!(driver.said().contains(&"dial audio at audio.zoom.us".to_owned()));
    driver.join_media(AUDIO);
    driver.join_media(TRANSCRIPT);
    assert_eq!(driver.stream.status(), StreamStatus::Live);
}

#[test]
fn a_close_that_zoom_does_not_answer_ends_after_3_seconds() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.give(Input::Close);
    driver.pass(secs(3) - MILLISECOND);
    assert!(driver.end().is_none());
    driver.pass(MILLISECOND);
    assert_eq!(driver.end().unwrap().outcome, Outcome::Closed);
}

#[test]
fn an_ended_stream_is_read_for_1_more_second() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.hear(SIGNALING, &state(4, 6));
    driver.pass(secs(1) - MILLISECOND);
    assert!(driver.end().is_none());
    driver.pass(MILLISECOND);
    assert_eq!(driver.end().unwrap().outcome, Outcome::Stopped);
}

/// The process was stopped for longer than a window: what had been stable is lost, not given up.
#[test]
fn a_link_that_was_stable_before_a_long_pause_gets_its_window() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.pause(secs(300));
    assert!(driver.end().is_none(), "{:?}", driver.end());
    assert!(driver.said().contains(&"dial signaling at signaling.zoom.us".to_owned()));
}

#[test]
fn a_loss_that_is_seen_late_is_judged_by_how_long_the_link_lived() {
    let mut driver = Driver::live(&[Medium::Audio]);
    driver.now += secs(61);
    driver.lose(SIGNALING);
    driver.catch_up();
    assert!(driver.end().is_none(), "{:?}", driver.end());
}
