//! What each status of a handshake's answer leads to (section 10.3).

use std::time::Duration;

use super::driver::Driver;
use super::{ALL, AUDIO, KEEP_ALIVE, SIGNALING, TRANSCRIPT, refusal, setup};
use crate::model::params::ConnectionMode;
use crate::model::{EntryBody, Medium, Outcome, StreamStatus};

const MEDIA: [Medium; 2] = [Medium::Audio, Medium::Transcript];

/// Signaling opens and is refused.
fn refused_signaling(status: i64) -> Driver {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.open(SIGNALING);
    driver.forget();
    driver.hear(SIGNALING, &refusal(2, status));
    driver
}

/// Transcript is live, audio opens and is refused.
fn refused_audio(status: i64) -> Driver {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.join();
    driver.join_media(TRANSCRIPT);
    driver.open(AUDIO);
    driver.forget();
    driver.hear(AUDIO, &refusal(4, status));
    driver
}

fn parameter_refusals() -> impl Iterator<Item = i64> {
    (9..=14).chain(17..=39).chain([43, 46, 47])
}

#[test]
fn an_unknown_stream_is_gone() {
    for mut driver in [refused_signaling(2), refused_audio(2)] {
        assert_eq!(driver.end().unwrap().outcome, Outcome::Gone);
        assert_eq!(driver.said().last().unwrap(), "finished: gone");
    }
}

/// Live until its server fails, and then unknown at it.
fn forgotten() -> Driver {
    let mut driver = Driver::live(&MEDIA);
    driver.lose(SIGNALING);
    driver.catch_up();
    driver.open(SIGNALING);
    driver.hear(SIGNALING, &refusal(2, 2));
    driver
}

#[test]
fn a_live_stream_that_its_server_forgot_is_moved_by_the_webhook_that_comes_next() {
    let mut driver = forgotten();
    assert!(driver.end().is_none());
    driver.forget();
    driver.move_to("wss://other.zoom.us/");
    assert_eq!(driver.said(), ["entry moved", "dial signaling at other.zoom.us"]);
}

#[test]
fn a_live_stream_that_its_server_forgot_is_gone_when_no_webhook_comes() {
    let mut driver = forgotten();
    for _ in 0..150 {
        driver.pass(Duration::from_millis(100));
        driver.open(SIGNALING);
        driver.hear(SIGNALING, &refusal(2, 2));
        if let Some(end) = driver.end() {
            assert_eq!(end.outcome, Outcome::Gone);
            return;
        }
    }
    panic!("still there after 15 seconds");
}

#[test]
fn a_live_stream_that_a_media_server_forgot_is_moved_by_the_webhook_that_comes_next() {
    let mut driver = Driver::live(&MEDIA);
    driver.lose(AUDIO);
    driver.catch_up();
    driver.open(AUDIO);
    driver.hear(AUDIO, &refusal(4, 2));
    assert!(driver.end().is_none());
    driver.forget();
    driver.move_to("wss://other.zoom.us/");
    assert_eq!(driver.said().last().unwrap(), "dial signaling at other.zoom.us");
}

#[test]
fn a_bad_signature_or_message_is_refused_for_good() {
    for status in [1, 3, 4] {
        for driver in [refused_signaling(status), refused_audio(status)] {
            let end = driver.end().unwrap();
            assert_eq!(end.outcome, Outcome::Refused, "status {status}");
            assert!(end.detail.contains(&format!("status {status}: no")), "{}", end.detail);
            let names_secret = end.detail.contains("check ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET");
            assert_eq!(names_secret, status == 3, "{}", end.detail);
        }
    }
}

#[test]
fn a_refused_scope_or_parameter_on_signaling_is_final() {
    for status in parameter_refusals() {
        let driver = refused_signaling(status);
        assert_eq!(driver.end().unwrap().outcome, Outcome::Refused, "status {status}");
    }
}

#[test]
fn a_refused_scope_or_parameter_on_media_costs_that_medium_only() {
    for status in parameter_refusals() {
        let mut driver = refused_audio(status);
        assert_eq!(driver.said(), ["close audio", "audio is down"], "status {status}");
        assert_eq!(driver.stream.status(), StreamStatus::Live);
        for _ in 0..10 {
            driver.pass(Duration::from_secs(30));
            driver.hear(SIGNALING, KEEP_ALIVE);
            driver.hear(TRANSCRIPT, KEEP_ALIVE);
        }
        assert!(!driver.said().iter().any(|word| word.contains("audio")), "not dialled again");
    }
}

#[test]
fn a_medium_that_was_refused_is_not_revived_by_the_end_of_its_socket() {
    let mut driver = refused_audio(9);
    driver.forget();
    driver.lose(AUDIO);
    driver.pass(Duration::from_secs(20));
    assert!(driver.said().is_empty());
}

#[test]
fn a_stream_that_lived_without_a_refused_medium_was_live() {
    let mut driver = refused_audio(9);
    driver.lose(TRANSCRIPT);
    assert_eq!(driver.stream.status(), StreamStatus::Interrupted);
}

#[test]
fn a_medium_that_was_refused_says_why() {
    let body = EntryBody::LinkDown {
        link: "audio".into(),
        cause: "handshake refused with status 9".into(),
    };
    assert_eq!(refused_audio(9).entries(), [(None, body)]);
}

#[test]
fn a_stream_whose_every_medium_is_refused_ends() {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.join();
    for link in [AUDIO, TRANSCRIPT] {
        driver.open(link);
        driver.forget();
        driver.hear(link, &refusal(4, 17));
    }
    let expected =
        ["close transcript", "transcript is down", "close signaling", "finished: refused"];
    assert_eq!(driver.said(), expected);
}

#[test]
fn a_refused_unified_link_ends_the_stream() {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Unified), 7);
    driver.join();
    driver.open(ALL);
    driver.hear(ALL, &refusal(4, 14));
    assert_eq!(driver.end().unwrap().outcome, Outcome::Refused);
}

#[test]
fn a_media_refusal_may_come_as_a_message_2() {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.join();
    driver.join_media(TRANSCRIPT);
    driver.open(AUDIO);
    driver.forget();
    driver.hear(AUDIO, &refusal(2, 22));
    assert_eq!(driver.said(), ["close audio", "audio is down"]);
}

#[test]
fn an_internal_exception_or_an_unknown_status_is_tried_again_at_once() {
    for status in [-1, 5, 7, 40, 42, 44, 45, 48, 99] {
        let mut driver = refused_signaling(status);
        driver.catch_up();
        let expected =
            ["drop signaling", "signaling is down", "dial signaling at signaling.zoom.us"];
        assert_eq!(driver.said(), expected, "status {status}");
        let mut driver = refused_audio(status);
        driver.catch_up();
        let expected = ["drop audio", "audio is down", "dial audio at audio.zoom.us"];
        assert_eq!(driver.said(), expected, "status {status}");
    }
}

fn assert_waits_before_the_next_dial(driver: &mut Driver, link: &str) {
    assert_eq!(driver.said(), [format!("drop {link}"), format!("{link} is down")]);
    let wait = driver.stream.deadline().unwrap() - driver.now;
    assert!(wait >= Duration::from_millis(750) && wait <= Duration::from_millis(1500), "{wait:?}");
    driver.pass(Duration::from_millis(1500));
    assert_eq!(driver.said(), [format!("dial {link} at {link}.zoom.us")]);
}

#[test]
fn a_duplicate_gives_the_old_connection_time_to_go() {
    for status in [8, 15, 16] {
        assert_waits_before_the_next_dial(&mut refused_signaling(status), "signaling");
        assert_waits_before_the_next_dial(&mut refused_audio(status), "audio");
    }
}

/// The beta's number for a duplicate means bad parameters today (section 10.3).
#[test]
fn a_duplicate_by_its_text_gives_the_old_connection_time_to_go() {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.open(SIGNALING);
    driver.forget();
    driver
        .hear(SIGNALING, r#"{"msg_type":2,"status_code":17,"reason":"Duplicate signal request"}"#);
    assert_waits_before_the_next_dial(&mut driver, "signaling");
}

#[test]
fn a_duplicate_that_never_goes_ends_the_stream_inside_its_window() {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    let start = driver.now;
    let mut refusals = 0;
    while driver.end().is_none() {
        if driver.sockets.get(SIGNALING).is_some() {
            driver.open(SIGNALING);
            driver.hear(SIGNALING, &refusal(2, 8));
            refusals += 1;
        }
        driver.pass(Duration::from_millis(100));
        assert!(driver.now - start <= Duration::from_secs(61));
    }
    assert_eq!(driver.end().unwrap().outcome, Outcome::WindowExpired);
    assert!((8..=30).contains(&refusals), "{refusals} tries");
}

#[test]
fn an_unreadable_answer_counts_as_none_and_the_handshake_is_retried() {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.open(SIGNALING);
    driver.forget();
    driver.hear(SIGNALING, r#"{"msg_type":2,"reason":"Missing required fields"}"#);
    assert!(driver.said().is_empty());
    driver.pass(Duration::from_secs(15));
    let expected = ["drop signaling", "signaling is down", "dial signaling at signaling.zoom.us"];
    assert_eq!(driver.said(), expected);
}

#[test]
fn the_reason_of_a_refusal_is_one_short_line_of_a_log() {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.open(SIGNALING);
    let reason = r"\nFATAL\u001b[31m".to_owned() + &"ü".repeat(1_000_000);
    driver.hear(SIGNALING, &format!(r#"{{"msg_type":2,"status_code":3,"reason":"{reason}"}}"#));
    let detail = &driver.end().unwrap().detail;
    assert!(detail.len() < 1_000 && detail.contains("FATAL[31mü"), "{detail}");
}

/// A stream claimed from a daemon that did not release it; signaling opens and is refused.
fn contested(status: i64) -> Driver {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.stream.contested();
    driver.open(SIGNALING);
    driver.forget();
    driver.hear(SIGNALING, &refusal(2, status));
    driver
}

#[test]
fn a_stream_that_was_taken_over_is_left_to_the_daemon_that_is_still_connected_to_it() {
    for status in [8, 15, 16] {
        let mut driver = contested(status);
        // No entry: consumers do not see the attempt.
        assert_eq!(driver.said(), ["drop signaling", "left to its owner"], "status {status}");
        assert!(driver.end().is_none());
    }
}

#[test]
fn a_contested_stream_ends_for_every_other_reason_like_any_stream() {
    assert_eq!(contested(2).end().unwrap().outcome, Outcome::Gone);
    assert_eq!(contested(3).end().unwrap().outcome, Outcome::Refused);
    let mut driver = contested(45);
    driver.pass(Duration::from_secs(65));
    assert_eq!(driver.end().unwrap().outcome, Outcome::WindowExpired);
}

#[test]
fn a_stream_that_was_taken_over_and_joined_is_left_and_not_ended_when_another_stays_connected() {
    let mut driver = Driver::new(setup(&MEDIA, ConnectionMode::Split), 7);
    driver.stream.contested();
    driver.join();
    driver.join_media(TRANSCRIPT);
    driver.lose(SIGNALING);
    while let Some(due) = driver.stream.deadline() {
        driver.now = driver.now.max(due);
        driver.catch_up();
        if driver.said().iter().any(|word| word.starts_with("dial signaling")) {
            driver.open(SIGNALING);
            driver.hear(SIGNALING, &refusal(2, 8));
        }
    }
    assert!(driver.end().is_none() && driver.sockets.is_finished());
}
