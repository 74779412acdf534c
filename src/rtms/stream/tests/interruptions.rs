//! Cases A to D of section 3.6 from every cause, on signaling, on one medium, on both, and on the one socket for all.

use super::driver::Driver;
use super::{ALL, AUDIO, SIGNALING, VIDEO, refusal, state};
use crate::model::{Medium, StopReason, StreamStatus};
use crate::rtms::stream::{Input, LinkId, LossReason};

const SILENCE: std::time::Duration = std::time::Duration::from_secs(65);

/// How a link that lives can end.
fn ends() -> Vec<LossReason> {
    let codes =
        [1000, 1001, 1002, 1003, 1006, 1007, 1008, 1009, 1011, 1012, 1015, 3000, 4000, 4999];
    let closed = codes.into_iter().map(|code| LossReason::Closed(Some(code)));
    let broken = ["end of stream", "connection reset by peer", "received fatal alert"];
    let broken = broken.into_iter().map(|cause| LossReason::Dropped(cause.into()));
    closed.chain([LossReason::Closed(None)]).chain(broken).collect()
}

/// How a dial can fail.
fn failed_dials() -> impl Iterator<Item = LossReason> {
    let causes = ["connection refused", "invalid peer certificate", "HTTP status 503", "timed out"];
    causes.into_iter().map(|cause| LossReason::Dial(cause.into()))
}

/// Refusals that may pass: of an old connection, of Zoom's own trouble, of a number that nobody knows.
const PASSING: [i64; 9] = [5, 6, 7, 8, 15, 16, 40, 45, 60];

fn split() -> Driver {
    Driver::stable(&[Medium::Audio, Medium::Video])
}

/// Dials what waits for its dial, later if not at once, and says which it was.
fn dials(driver: &mut Driver) -> Vec<String> {
    driver.forget();
    driver.pass(std::time::Duration::from_secs(8));
    driver.said().into_iter().filter(|word| word.starts_with("dial")).collect()
}

/// Signaling is dialled, and then everything is said again.
fn assert_rejoins(driver: &mut Driver, cause: &str) {
    driver.forget();
    driver.join();
    let said = driver.said();
    assert!(
        said.contains(&"send 5 to signaling".to_owned()),
        "{cause}: subscribed again: {said:?}"
    );
    for link in [AUDIO, VIDEO] {
        driver.join_media(link);
        let ready = driver.said().pop();
        assert_eq!(ready.as_deref(), Some("send 7 to signaling"), "{cause}");
    }
    assert_eq!(driver.stream.status(), StreamStatus::Live, "{cause}");
}

#[test]
fn signaling_that_ends_in_any_way_is_joined_again_with_everything() {
    for loss in ends() {
        let mut driver = split();
        let cause = loss.to_string();
        driver.give(Input::Lost(SIGNALING, loss));
        assert_eq!(driver.stream.status(), StreamStatus::Interrupted, "{cause}");
        driver.forget();
        driver.catch_up();
        assert_eq!(driver.said(), ["dial signaling at signaling.zoom.us"], "{cause}");
        assert_rejoins(&mut driver, &cause);
    }
}

#[test]
fn one_medium_that_ends_in_any_way_is_rebuilt_alone() {
    for loss in ends() {
        let mut driver = split();
        let cause = loss.to_string();
        driver.give(Input::Lost(VIDEO, loss));
        assert_eq!(driver.said(), ["video is down"], "{cause}");
        driver.catch_up();
        assert_eq!(driver.said(), ["dial video at video.zoom.us"], "{cause}");
        driver.join_media(VIDEO);
        assert_eq!(driver.said(), ["send 3 to video", "video is up", "send 7 to signaling"]);
        assert_eq!(driver.stream.status(), StreamStatus::Live, "{cause}");
    }
}

#[test]
fn both_at_once_in_either_order_are_joined_again_as_signaling_is() {
    for loss in ends() {
        for order in [[SIGNALING, VIDEO], [VIDEO, SIGNALING]] {
            let mut driver = split();
            let cause = format!("{order:?}: {loss}");
            for link in order {
                driver.give(Input::Lost(link, loss.clone()));
            }
            driver.forget();
            driver.catch_up();
            assert_eq!(driver.said(), ["dial signaling at signaling.zoom.us"], "{cause}");
            assert_rejoins(&mut driver, &cause);
        }
    }
}

#[test]
fn the_socket_for_everything_that_ends_in_any_way_is_rebuilt_alone() {
    for loss in ends() {
        let mut driver = Driver::unified(&[Medium::Audio, Medium::Video]);
        let cause = loss.to_string();
        driver.give(Input::Lost(ALL, loss));
        driver.forget();
        driver.catch_up();
        assert_eq!(driver.said(), ["dial all at all.zoom.us"], "{cause}");
        driver.join_media(ALL);
        assert_eq!(driver.stream.status(), StreamStatus::Live, "{cause}");
    }
}

#[test]
fn a_link_that_is_silent_is_dropped_and_dialled_like_one_that_was_cut() {
    for silent in [SIGNALING, VIDEO] {
        let mut driver = split();
        let step = std::time::Duration::from_secs(10);
        let mut dialled = Vec::new();
        for _ in 0..(SILENCE.as_secs() / step.as_secs() + 1) {
            for link in [SIGNALING, AUDIO, VIDEO].into_iter().filter(|link| *link != silent) {
                driver.hear(link, super::KEEP_ALIVE);
            }
            driver.pass(step);
            dialled.extend(driver.said().into_iter().filter(|word| word.starts_with("dial")));
        }
        let name = silent.as_str();
        assert_eq!(dialled[0], format!("dial {name} at {name}.zoom.us"));
    }
}

#[test]
fn a_dial_that_fails_in_any_way_is_followed_by_another() {
    for loss in failed_dials() {
        for link in [SIGNALING, VIDEO] {
            let mut driver = split();
            driver.lose(link);
            driver.catch_up();
            driver.give(Input::Lost(link, loss.clone()));
            let name = link.as_str();
            assert_eq!(dials(&mut driver)[0], format!("dial {name} at {name}.zoom.us"), "{loss}");
        }
    }
}

#[test]
fn a_refusal_that_may_pass_is_followed_by_another_dial() {
    for status in PASSING {
        for (link, message) in [(SIGNALING, 2), (VIDEO, 4)] {
            let mut driver = split();
            driver.lose(link);
            driver.catch_up();
            driver.open(link);
            driver.hear(link, &refusal(message, status));
            let name = link.as_str();
            assert_eq!(dials(&mut driver)[0], format!("dial {name} at {name}.zoom.us"), "{status}");
        }
    }
}

#[test]
fn a_failover_from_any_state_of_the_links_is_joined_at_the_new_server() {
    let before: [&[LinkId]; 4] = [&[], &[SIGNALING], &[VIDEO], &[AUDIO, VIDEO, SIGNALING]];
    for lost in before {
        let mut driver = split();
        lost.iter().for_each(|link| driver.lose(*link));
        driver.forget();
        driver.move_to("wss://second.zoom.us");
        let dials = driver.said().pop();
        assert_eq!(dials.as_deref(), Some("dial signaling at second.zoom.us"), "{lost:?}");
        assert_rejoins(&mut driver, &format!("{lost:?}"));
    }
}

#[test]
fn a_stream_that_ended_is_not_dialled_whatever_its_links_do() {
    for reason in (10..=19).chain([24]) {
        let mut driver = split();
        driver.hear(SIGNALING, &state(4, reason));
        driver.lose(VIDEO);
        driver.lose(AUDIO);
        driver.lose(SIGNALING);
        driver.pass(SILENCE);
        let said = driver.said();
        assert!(!said.iter().any(|word| word.starts_with("dial")), "{reason}: {said:?}");
        assert_eq!(driver.end().and_then(|end| end.stop_reason), Some(StopReason(reason)));
    }
}
