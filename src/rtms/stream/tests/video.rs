//! Whose camera is asked for, and when again.

use std::time::Duration;

use serde_json::{Value, json};

use super::driver::Driver;
use super::{SIGNALING, VIDEO, setup};
use crate::model::params::{ConnectionMode, VideoSelect};
use crate::model::{Medium, UserId};
use crate::rtms::stream::Input;

const DWELL: Duration = Duration::from_secs(10);

fn joining(select: VideoSelect) -> Driver {
    let mut setup = setup(&[Medium::Video], ConnectionMode::Split);
    setup.params.video.select = select;
    let mut driver = Driver::new(setup, 7);
    driver.join();
    driver
}

/// A stream of video that is live.
fn watching(select: VideoSelect) -> Driver {
    let mut driver = joining(select);
    driver.join_media(VIDEO);
    driver.forget();
    driver
}

fn pin(driver: &mut Driver, user_id: u64) {
    driver.give(Input::PinVideo(UserId(user_id)));
}

fn event(driver: &mut Driver, number: u16, user_ids: &[u64]) {
    let people: Vec<Value> = user_ids.iter().map(|id| json!({ "user_id": id })).collect();
    let event = json!({ "event_type": number, "timestamp": 5, "participants": people });
    driver.hear(SIGNALING, &json!({ "msg_type": 6, "event": event }).to_string());
}

fn on(driver: &mut Driver, user_ids: &[u64]) {
    event(driver, 8, user_ids);
}

fn off(driver: &mut Driver, user_ids: &[u64]) {
    event(driver, 9, user_ids);
}

/// Whose video was asked for since the last look.
fn asked(driver: &mut Driver) -> Vec<u64> {
    let sent = driver.sent().into_iter().map(|text| serde_json::from_str(&text).unwrap());
    let asked = sent.filter(|message: &Value| message["msg_type"] == 28);
    asked.map(|message| message["user_id"].as_u64().unwrap()).collect()
}

#[test]
fn nobody_is_asked_for_while_zoom_chooses_or_nobody_has_chosen() {
    let mut driver = watching(VideoSelect::Active);
    on(&mut driver, &[7, 8]);
    pin(&mut driver, 7);
    assert!(asked(&mut driver).is_empty());
    let mut driver = watching(VideoSelect::Individual);
    on(&mut driver, &[7, 8]);
    assert!(asked(&mut driver).is_empty());
}

#[test]
fn the_chosen_one_is_asked_for_as_soon_as_video_stands_and_a_new_choice_replaces_the_old() {
    let mut driver = joining(VideoSelect::Individual);
    pin(&mut driver, 7);
    assert!(asked(&mut driver).is_empty());
    driver.join_media(VIDEO);
    let said = driver.said();
    assert_eq!(said.last().unwrap(), "send 28 to signaling", "after readiness: {said:?}");
    assert_eq!(asked(&mut driver), [7]);
    pin(&mut driver, 8);
    assert_eq!(asked(&mut driver), [8]);
}

#[test]
fn the_chosen_one_is_asked_for_again_after_every_rejoin() {
    let mut driver = watching(VideoSelect::Individual);
    pin(&mut driver, 7);
    driver.pass(DWELL);
    driver.forget();
    driver.lose(VIDEO);
    driver.catch_up();
    assert!(asked(&mut driver).is_empty());
    driver.join_media(VIDEO);
    assert_eq!(asked(&mut driver), [7], "after the loss of video");
    driver.pass(DWELL);
    driver.lose(SIGNALING);
    driver.catch_up();
    driver.join();
    driver.join_media(VIDEO);
    assert_eq!(asked(&mut driver), [7], "after the loss of signaling");
    driver.move_to("wss://other.zoom.us");
    driver.join();
    driver.join_media(VIDEO);
    assert_eq!(asked(&mut driver), [7], "after a move");
}

#[test]
fn the_chosen_one_is_asked_for_again_when_their_camera_returns() {
    let mut driver = watching(VideoSelect::Individual);
    pin(&mut driver, 7);
    off(&mut driver, &[7]);
    on(&mut driver, &[8]);
    assert_eq!(asked(&mut driver), [7], "nobody else, and not while it is off");
    on(&mut driver, &[7]);
    assert_eq!(asked(&mut driver), [7]);
}

#[test]
fn every_camera_that_is_on_has_its_turn() {
    let mut driver = watching(VideoSelect::RoundRobin);
    on(&mut driver, &[7]);
    assert_eq!(asked(&mut driver), [7], "the first at once");
    on(&mut driver, &[8, 9]);
    assert!(asked(&mut driver).is_empty());
    driver.pass(DWELL - Duration::from_millis(1));
    assert!(asked(&mut driver).is_empty());
    driver.pass(Duration::from_millis(1));
    assert_eq!(asked(&mut driver), [8]);
    driver.pass(DWELL * 3);
    assert_eq!(asked(&mut driver), [9, 7, 8]);
}

#[test]
fn a_camera_alone_is_asked_for_once() {
    let mut driver = watching(VideoSelect::RoundRobin);
    on(&mut driver, &[7]);
    driver.pass(DWELL * 4);
    assert_eq!(asked(&mut driver), [7]);
}

#[test]
fn a_camera_that_goes_off_or_leaves_gives_its_turn_away_at_once() {
    let mut driver = watching(VideoSelect::RoundRobin);
    on(&mut driver, &[7, 8, 9]);
    off(&mut driver, &[7]);
    assert_eq!(asked(&mut driver), [7, 8]);
    event(&mut driver, 4, &[8]);
    assert_eq!(asked(&mut driver), [9]);
    off(&mut driver, &[9]);
    driver.pass(DWELL);
    assert!(asked(&mut driver).is_empty(), "there is none");
    on(&mut driver, &[7]);
    assert_eq!(asked(&mut driver), [7]);
}

#[test]
fn turns_wait_for_the_video_link_and_go_on_where_they_were() {
    let mut driver = watching(VideoSelect::RoundRobin);
    on(&mut driver, &[7, 8]);
    driver.pass(DWELL);
    assert_eq!(asked(&mut driver), [7, 8]);
    driver.lose(VIDEO);
    driver.catch_up();
    driver.pass(Duration::from_secs(5));
    assert!(asked(&mut driver).is_empty());
    driver.open(VIDEO);
    driver.hear(VIDEO, super::MEDIA_JOINED);
    assert_eq!(asked(&mut driver), [8]);
    driver.pass(DWELL);
    assert_eq!(asked(&mut driver), [7]);
}

#[test]
fn a_stream_that_ends_asks_for_nobody() {
    let mut driver = watching(VideoSelect::RoundRobin);
    on(&mut driver, &[7, 8]);
    driver.forget();
    driver.give(Input::Close);
    driver.pass(Duration::from_secs(2));
    pin(&mut driver, 8);
    assert!(asked(&mut driver).is_empty());
}

#[test]
fn zooms_answer_becomes_an_entry_and_already_so_is_so() {
    for (status, is_subscribed) in [(0, true), (44, true), (4, false), (29, false)] {
        let mut driver = watching(VideoSelect::Individual);
        let answer = json!({ "msg_type": 29, "user_id": "7", "status_code": status, "reason": "" });
        driver.hear(SIGNALING, &answer.to_string());
        let entry = serde_json::to_value(driver.entries().remove(0).1).unwrap();
        let expected = json!({ "kind": "video_subscription", "user_id": 7, "user_name": null,
            "is_subscribed": is_subscribed, "status_code": status });
        assert_eq!(entry, expected);
    }
}
