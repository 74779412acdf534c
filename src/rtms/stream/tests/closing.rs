//! How a stream ends: by Zoom, by us, by both.

use std::time::Duration;

use super::driver::Driver;
use super::{AUDIO, AUDIO_FRAME, KEEP_ALIVE, LINE, SIGNALING, TRANSCRIPT, refusal, setup, state};
use crate::model::params::ConnectionMode;
use crate::model::{Medium, Outcome, StopReason, StreamStatus};
use crate::rtms::stream::{End, Input};

const MEDIA: [Medium; 2] = [Medium::Audio, Medium::Transcript];
const CLOSE_ANSWER: &str = r#"{"msg_type":22,"status_code":0,"reason":"OK","timestamp":1}"#;

fn stopped(reason: Option<i64>) -> Input {
    Input::Stopped { reason: reason.map(StopReason) }
}

fn end(outcome: Outcome, stop_reason: Option<StopReason>) -> End {
    End { outcome, stop_reason, detail: String::new() }
}

#[test]
fn state_4_drains_late_frames_and_then_ends_once() {
    let mut driver = Driver::stable(&MEDIA);
    driver.hear(SIGNALING, &state(4, 6));
    assert_eq!(driver.said(), ["entry stream_state"]);
    driver.hear(AUDIO, AUDIO_FRAME);
    driver.hear(TRANSCRIPT, LINE);
    driver.hear(AUDIO, KEEP_ALIVE);
    assert_eq!(driver.said(), ["audio frame", "entry transcript", "send 13 to audio"]);
    driver.pass(Duration::from_secs(1));
    let expected = ["close audio", "close transcript", "close signaling", "finished: stopped"];
    assert_eq!(driver.said(), expected);
    assert_eq!(driver.end(), Some(&end(Outcome::Stopped, Some(StopReason(6)))));
    assert_eq!(driver.stream.status(), StreamStatus::Ended);
}

#[test]
fn a_stream_is_drained_while_frames_keep_coming_and_not_without_end() {
    let mut driver = Driver::stable(&MEDIA);
    driver.hear(SIGNALING, &state(4, 6));
    for _ in 0..5 {
        driver.pass(Duration::from_millis(900));
        driver.hear(AUDIO, AUDIO_FRAME);
    }
    driver.hear(AUDIO, KEEP_ALIVE);
    assert!(driver.end().is_none(), "a backlog is still on its way");
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.end(), Some(&end(Outcome::Stopped, Some(StopReason(6)))));

    let mut driver = Driver::stable(&MEDIA);
    driver.give(stopped(Some(6)));
    for _ in 0..9 {
        driver.pass(Duration::from_millis(990));
        driver.hear(AUDIO, AUDIO_FRAME);
    }
    assert!(driver.end().is_none());
    driver.pass(Duration::from_millis(990));
    driver.hear(AUDIO, AUDIO_FRAME);
    driver.pass(Duration::from_millis(100));
    assert_eq!(
        driver.end(),
        Some(&end(Outcome::Stopped, Some(StopReason(6)))),
        "ten times a drain is enough"
    );
}

#[test]
fn the_stop_webhook_drains_late_frames_and_then_ends_once() {
    let mut driver = Driver::stable(&MEDIA);
    driver.give(stopped(Some(3)));
    driver.hear(TRANSCRIPT, LINE);
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.said()[0], "entry transcript");
    assert_eq!(driver.end(), Some(&end(Outcome::Stopped, Some(StopReason(3)))));
}

/// The entry `ended` is written where the stream's end is stored, in one transaction with it.
#[test]
fn the_end_is_said_once_and_is_not_an_entry() {
    let mut driver = Driver::stable(&MEDIA);
    driver.give(stopped(Some(8)));
    driver.pass(Duration::from_secs(1));
    driver.pass(Duration::from_secs(1));
    let ends = driver.said().iter().filter(|word| word.starts_with("finished")).count();
    assert_eq!(ends, 1);
    assert_eq!(driver.end(), Some(&end(Outcome::Stopped, Some(StopReason(8)))));

    let mut driver = Driver::stable(&MEDIA);
    driver.give(stopped(Some(8)));
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.entries(), []);
}

#[test]
fn webhook_and_state_4_together_are_one_end_with_the_first_reason_known() {
    for (first, second, reason) in
        [(Some(6), Some(3), Some(6)), (None, Some(8), Some(8)), (Some(8), None, Some(8))]
    {
        let mut driver = Driver::stable(&MEDIA);
        driver.give(stopped(first));
        driver.pass(Duration::from_millis(500));
        driver.give(stopped(second));
        driver.pass(Duration::from_millis(500));
        assert_eq!(
            driver.end(),
            Some(&end(Outcome::Stopped, reason.map(StopReason))),
            "not drained for longer"
        );
    }
}

#[test]
fn a_revoked_stream_ends_at_once_and_reads_nothing_more() {
    for revocation in [true, false] {
        let mut driver = Driver::stable(&MEDIA);
        match revocation {
            true => driver.give(stopped(Some(8))),
            false => driver.hear(SIGNALING, &state(4, 8)),
        }
        assert_eq!(driver.end(), Some(&end(Outcome::Stopped, Some(StopReason(8)))));
        driver.forget();
        driver.hear(TRANSCRIPT, LINE);
        driver.hear(AUDIO, AUDIO_FRAME);
        driver.pass(Duration::from_secs(20));
        assert_eq!(driver.said(), [""; 0]);
    }
}

#[test]
fn a_revocation_ends_what_is_draining_or_closing() {
    let mut driver = Driver::stable(&MEDIA);
    driver.give(stopped(Some(6)));
    driver.hear(TRANSCRIPT, LINE);
    assert!(driver.end().is_none());
    driver.give(stopped(Some(8)));
    assert_eq!(driver.end(), Some(&end(Outcome::Stopped, Some(StopReason(8)))));

    let mut driver = Driver::stable(&MEDIA);
    driver.give(Input::Close);
    assert!(driver.end().is_none());
    driver.hear(SIGNALING, &state(4, 8));
    assert_eq!(driver.end(), Some(&end(Outcome::Closed, Some(StopReason(8)))));
}

#[test]
fn a_draining_stream_ends_as_soon_as_zoom_has_closed_every_socket() {
    let mut driver = Driver::stable(&MEDIA);
    driver.hear(SIGNALING, &state(4, 6));
    driver.lose(AUDIO);
    driver.lose(SIGNALING);
    assert!(driver.end().is_none(), "transcript may still say something");
    driver.hear(TRANSCRIPT, LINE);
    driver.lose(TRANSCRIPT);
    assert_eq!(driver.end(), Some(&end(Outcome::Stopped, Some(StopReason(6)))));
}

#[test]
fn a_draining_stream_dials_nothing() {
    let mut driver = Driver::stable(&MEDIA);
    driver.lose(AUDIO);
    driver.give(stopped(Some(6)));
    driver.lose(TRANSCRIPT);
    driver.forget();
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.said(), ["close signaling", "finished: stopped"]);
}

#[test]
fn a_stop_while_signaling_waits_for_its_next_dial_ends_at_once() {
    let mut driver = Driver::stable(&MEDIA);
    driver.lose(SIGNALING);
    driver.forget();
    driver.give(stopped(Some(19)));
    assert_eq!(driver.said(), ["finished: stopped"]);
}

#[test]
fn a_stop_before_the_stream_was_joined_ends_it() {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.give(stopped(Some(6)));
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.end(), Some(&end(Outcome::Stopped, Some(StopReason(6)))));
}

/// Zoom does not know a stream any more once it has ended: that answer must not hide why it ended.
#[test]
fn a_refusal_after_the_stop_does_not_hide_the_stop() {
    for status in [2, 3, 8, 9] {
        let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
        driver.open(SIGNALING);
        driver.give(stopped(Some(6)));
        driver.hear(SIGNALING, &refusal(2, status));
        let expected = end(Outcome::Stopped, Some(StopReason(6)));
        assert_eq!(driver.end(), Some(&expected), "status {status}");

        let mut driver = Driver::new(setup(&[Medium::Audio], ConnectionMode::Split), 7);
        driver.join();
        driver.open(AUDIO);
        driver.hear(SIGNALING, &state(4, 6));
        driver.hear(AUDIO, &refusal(4, status));
        driver.pass(Duration::from_secs(1));
        assert_eq!(driver.end(), Some(&expected), "media, status {status}");
    }
}

#[test]
fn an_answer_after_the_stop_is_taken_but_nothing_is_asked_for() {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.open(SIGNALING);
    driver.give(stopped(Some(6)));
    driver.forget();
    driver.hear(SIGNALING, super::JOINED);
    assert_eq!(driver.said(), ["signaling is up"]);
}

#[test]
fn state_3_warns_and_state_5_of_a_session_ends_nothing() {
    let mut driver = Driver::stable(&MEDIA);
    driver.hear(SIGNALING, &state(3, 6));
    driver.hear(SIGNALING, r#"{"msg_type":9,"state":5,"stop_reason":6,"rtms_session_id":"s-1"}"#);
    driver.pass(Duration::from_secs(5));
    assert_eq!(driver.said(), ["entry stream_state", "entry session_state"]);
}

#[test]
fn a_graceful_close_is_asked_for_answered_and_ended_by_zoom() {
    let mut driver = Driver::stable(&MEDIA);
    driver.give(Input::Close);
    assert_eq!(driver.said(), ["send 21 to signaling"]);
    driver.hear(SIGNALING, CLOSE_ANSWER);
    driver.hear(AUDIO, AUDIO_FRAME);
    assert_eq!(driver.said(), ["audio frame"]);
    driver.hear(SIGNALING, &state(4, 20));
    driver.hear(TRANSCRIPT, LINE);
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.end(), Some(&end(Outcome::Closed, Some(StopReason(20)))));
    assert_eq!(driver.said().last().unwrap(), "finished: closed");
}

#[test]
fn a_graceful_close_may_be_ended_by_the_webhook_or_by_the_sockets() {
    let mut driver = Driver::stable(&MEDIA);
    driver.give(Input::Close);
    driver.give(stopped(Some(20)));
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.end(), Some(&end(Outcome::Closed, Some(StopReason(20)))));

    let mut driver = Driver::stable(&MEDIA);
    driver.give(Input::Close);
    [SIGNALING, AUDIO, TRANSCRIPT].into_iter().for_each(|link| driver.lose(link));
    assert_eq!(driver.end(), Some(&end(Outcome::Closed, None)));
}

#[test]
fn a_closing_stream_redials_nothing_and_asks_once() {
    let mut driver = Driver::stable(&MEDIA);
    driver.lose(AUDIO);
    driver.forget();
    driver.give(Input::Close);
    driver.give(Input::Close);
    driver.lose(TRANSCRIPT);
    driver.move_to("wss://other.zoom.us");
    driver.pass(Duration::from_secs(2));
    assert_eq!(driver.said(), ["send 21 to signaling"]);
}

#[test]
fn an_announcement_while_draining_revives_the_stream_at_the_new_server() {
    let mut driver = Driver::stable(&MEDIA);
    driver.lose(AUDIO);
    driver.give(stopped(Some(19)));
    driver.forget();
    driver.move_to("wss://other.zoom.us");
    let expected =
        ["entry moved", "drop transcript", "drop signaling", "dial signaling at other.zoom.us"];
    assert_eq!(driver.said(), expected);
    driver.join();
    driver.join_media(AUDIO);
    driver.join_media(TRANSCRIPT);
    assert_eq!(driver.stream.status(), StreamStatus::Live);
    driver.pass(Duration::from_secs(30));
    assert!(driver.end().is_none(), "the old end is forgotten");
    driver.lose(SIGNALING);
    driver.catch_up();
    assert_eq!(driver.said().last().unwrap(), "dial signaling at other.zoom.us");
}

#[test]
fn an_announcement_does_not_revive_a_stream_that_we_asked_to_end() {
    let close_then_stop = [Input::Close, stopped(Some(20))];
    let stop_then_close = [stopped(Some(6)), Input::Close];
    for inputs in [close_then_stop, stop_then_close] {
        let mut driver = Driver::stable(&MEDIA);
        inputs.into_iter().for_each(|input| driver.give(input));
        driver.forget();
        driver.move_to("wss://other.zoom.us");
        assert_eq!(driver.said(), [""; 0]);
        driver.pass(Duration::from_secs(1));
        assert!(driver.end().is_some());
    }
}

#[test]
fn a_refusal_while_closing_does_not_hide_the_close() {
    let mut driver = Driver::stable(&MEDIA);
    driver.lose(AUDIO);
    driver.catch_up();
    driver.open(AUDIO);
    driver.give(Input::Close);
    driver.hear(AUDIO, &refusal(4, 2));
    assert!(driver.end().is_none(), "Zoom's answer is still to come");
    driver.hear(SIGNALING, &state(4, 20));
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.end(), Some(&end(Outcome::Closed, Some(StopReason(20)))));
}

#[test]
fn a_close_without_signaling_ends_at_once() {
    let mut driver = Driver::stable(&MEDIA);
    driver.lose(SIGNALING);
    driver.forget();
    driver.give(Input::Close);
    assert_eq!(driver.said(), ["finished: closed"]);
}

#[test]
fn nothing_comes_after_the_end() {
    let mut driver = Driver::stable(&MEDIA);
    driver.give(stopped(None));
    driver.pass(Duration::from_secs(1));
    driver.forget();
    driver.give(stopped(Some(6)));
    driver.give(Input::Close);
    driver.give(Input::Interrupted);
    driver.move_to("wss://other.zoom.us");
    driver.hear(SIGNALING, KEEP_ALIVE);
    driver.hear(AUDIO, AUDIO_FRAME);
    driver.lose(SIGNALING);
    driver.pass(Duration::from_secs(600));
    driver.tick();
    assert!(driver.said().is_empty());
    assert_eq!(driver.stream.deadline(), None);
}

#[test]
fn a_link_that_closes_after_state_3_is_no_loss_and_waits_for_the_end() {
    let mut driver = Driver::stable(&[Medium::Audio]);
    driver.hear(SIGNALING, r#"{"msg_type":8,"state":3,"timestamp":1732313271881}"#);
    driver.forget();
    driver.lose(AUDIO);
    driver.pass(Duration::from_millis(1999));
    assert!(driver.said().is_empty(), "{:?}", driver.said());
    driver.pass(Duration::from_millis(1));
    let told = ["audio is down", "dial audio at audio.zoom.us"];
    assert_eq!(driver.said(), told, "the end did not come");
}
