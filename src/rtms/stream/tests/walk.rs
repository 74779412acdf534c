//! Seeded random walks: whatever comes, in whatever order, the promises of `Sockets` and `Driver` hold, and the
//! stream ends. A walk that failed is walked again with `WALK_SEED=<seed>`.

use std::ops::Range;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::driver::Driver;
use super::sockets::Socket;
use super::{ALL, AUDIO_FRAME, JOINED, KEEP_ALIVE, LINE, MEDIA_INTERRUPTED, MEDIA_JOINED};
use super::{SIGNALING, offer, only, refusal, setup, state};
use crate::model::params::ConnectionMode;
use crate::model::{Medium, StopReason};
use crate::rtms::stream::{Input, LinkId, LossReason, Timings};

const WALKS: u64 = 4_000;
const MAX_STEPS: u32 = 150;
/// With all that fails at the end, more losses than this are a loop.
const MAX_LOSSES: u32 = 2_000;

#[test]
fn every_walk_keeps_the_promises_and_comes_to_an_end() {
    for seed in seeds() {
        let _guard = Seed(seed);
        walk(seed);
    }
}

/// A walk that never gets anywhere would keep every promise.
#[test]
fn walks_come_to_every_kind_of_end_and_live_on_the_way() {
    let walks: Vec<Vec<String>> = (0..1_000).map(walk).collect();
    let among = |word: &str| walks.iter().filter(|said| said.iter().any(|it| it == word)).count();
    for word in [
        "finished: stopped",
        "finished: closed",
        "finished: gone",
        "finished: refused",
        "finished: window_expired",
        "send 21 to signaling",
        "send 7 to signaling",
        "all is up",
        "audio is down",
        "chat is up",
        "audio frame",
        "entry transcript",
        "entry moved",
    ] {
        assert!(among(word) >= 5, "{word} in {} of {} walks", among(word), walks.len());
    }
}

#[test]
fn the_same_seed_is_the_same_walk() {
    assert_eq!(walk(11), walk(11));
}

fn seeds() -> Range<u64> {
    match std::env::var("WALK_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("WALK_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..WALKS,
    }
}

/// Tells the seed of a walk that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("walk it again with WALK_SEED={}", self.0);
        }
    }
}

fn walk(seed: u64) -> Vec<String> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let media: Vec<Medium> = Medium::ALL.into_iter().filter(|_| rng.random_bool(0.5)).collect();
    let media = if media.is_empty() { vec![Medium::Transcript] } else { media };
    let mode = if rng.random_bool(0.3) { ConnectionMode::Unified } else { ConnectionMode::Split };
    let mut driver = Driver::new(setup(&media, mode), seed);
    for _ in 0..rng.random_range(1..MAX_STEPS) {
        step(&mut driver, &mut rng);
    }
    fail_until_the_end(&mut driver);
    for _ in 0..5 {
        step(&mut driver, &mut rng);
    }
    driver.said()
}

fn step(driver: &mut Driver, rng: &mut SmallRng) {
    match rng.random_range(0..100) {
        0..65 => a_socket_does_something(driver, rng),
        65..83 => driver.pass(Duration::from_millis(rng.random_range(0..1_000))),
        83..88 => driver.pass(Duration::from_millis(rng.random_range(0..15_000))),
        88 => driver.pause(Duration::from_secs(rng.random_range(0..120))),
        89..93 => something_impossible(driver, rng),
        93 => driver.move_to("wss://other.zoom.us"),
        94..98 => driver.give(Input::Interrupted),
        98 => driver.tick(),
        _ if rng.random_bool(0.5) => {
            driver.give(Input::Stopped { reason: some_reason(rng).map(StopReason) })
        }
        _ => driver.give(Input::Close),
    }
}

fn a_socket_does_something(driver: &mut Driver, rng: &mut SmallRng) {
    let sockets = driver.sockets.all();
    let Some((link, socket)) = sockets.choose(rng) else { return };
    match socket {
        Socket::Dialing if rng.random_bool(0.7) => a_link_comes_up(driver, *link),
        Socket::Dialing if rng.random_bool(0.4) => a_link_is_refused(driver, *link, rng),
        Socket::Dialing if rng.random_bool(0.5) => driver.open(*link),
        Socket::Dialing => driver.give(Input::Lost(*link, LossReason::Dial("refused".into()))),
        Socket::Open if rng.random_bool(0.04) => driver.give(Input::Lost(*link, some_loss(rng))),
        Socket::Open => driver.hear(*link, &some_text(*link, rng)),
    }
}

fn a_link_comes_up(driver: &mut Driver, link: LinkId) {
    driver.open(link);
    driver.hear(link, if link == SIGNALING { JOINED } else { MEDIA_JOINED });
}

fn a_link_is_refused(driver: &mut Driver, link: LinkId, rng: &mut SmallRng) {
    let status = *[2, 3, 8, 9, 12, 15, 16, 17, 45].choose(rng).expect("not empty");
    driver.open(link);
    driver.hear(link, &refusal(if link == SIGNALING { 2 } else { 4 }, status));
}

/// What a driver never says, or says of a socket that has just gone.
fn something_impossible(driver: &mut Driver, rng: &mut SmallRng) {
    let link = some_link(rng);
    match driver.sockets.get(link) {
        None if rng.random_bool(0.3) => driver.open(link),
        None if rng.random_bool(0.5) => driver.lose(link),
        None | Some(Socket::Dialing) => driver.hear(link, &some_text(link, rng)),
        Some(Socket::Open) => driver.open(link),
    }
}

fn some_link(rng: &mut SmallRng) -> LinkId {
    let links = Medium::ALL.map(only).into_iter().chain([SIGNALING, ALL]).collect::<Vec<_>>();
    *links.choose(rng).expect("not empty")
}

fn some_reason(rng: &mut SmallRng) -> Option<i64> {
    rng.random_bool(0.8).then(|| rng.random_range(0..30))
}

fn some_loss(rng: &mut SmallRng) -> LossReason {
    let losses = [
        LossReason::Closed(Some(1000)),
        LossReason::Closed(None),
        LossReason::Dropped("reset".into()),
    ];
    losses.choose(rng).expect("not empty").clone()
}

/// Mostly what helps the link along; else anything.
fn some_text(link: LinkId, rng: &mut SmallRng) -> String {
    let is_signaling = link == SIGNALING;
    match rng.random_range(0..100) {
        0..20 => if is_signaling { JOINED } else { MEDIA_JOINED }.into(),
        20..50 => KEEP_ALIVE.into(),
        50..65 => if is_signaling { MEDIA_INTERRUPTED } else { AUDIO_FRAME }.into(),
        65..72 => state(rng.random_range(0..8), rng.random_range(0..30)),
        72..83 => refusal(if is_signaling { 2 } else { 4 }, rng.random_range(0..50)),
        83..96 => LINE.into(),
        _ => some_oddity(rng),
    }
}

fn some_oddity(rng: &mut SmallRng) -> String {
    let odd = [
        String::new(),
        "{}".into(),
        r#"{"msg_type":17,"content":{}}"#.into(),
        r#"{"msg_type":12}"#.into(),
        r#"{"msg_type":2,"status_code":0}"#.into(),
        r#"{"msg_type":22,"status_code":0}"#.into(),
        r#"{"msg_type":23}"#.into(),
        r#"{"msg_type":4711,"content":7}"#.into(),
        offer(&[("all", "wss://all.zoom.us")]),
        offer(&[("audio", "wss://evil.example"), ("transcript", "wss://t.zoom.us")]),
        LINE[..LINE.len() / 2].into(),
    ];
    odd.choose(rng).expect("not empty").clone()
}

/// From now on every dial fails and no socket says anything: what lives must end within Zoom's windows.
fn fail_until_the_end(driver: &mut Driver) {
    let longest = longest_agony(&Timings::default());
    let start = driver.now;
    for _ in 0..MAX_LOSSES {
        driver.catch_up();
        let dialing =
            driver.sockets.all().into_iter().find(|(_, socket)| *socket == Socket::Dialing);
        match (dialing, driver.stream.deadline()) {
            (_, None) => return assert!(driver.sockets.is_finished()),
            (Some((link, _)), Some(_)) => {
                driver.give(Input::Lost(link, LossReason::Dial("refused".into())));
            }
            (None, Some(deadline)) => driver.pass(deadline - driver.now),
        }
        assert!(driver.now - start <= longest, "still alive after {:?}", driver.now - start);
    }
    panic!("still alive after {MAX_LOSSES} failures");
}

/// A live link is silent, and then its window passes.
fn longest_agony(timings: &Timings) -> Duration {
    timings.silence + timings.media_window.max(timings.signaling_window) + timings.handshake
}
