use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use super::client::Client;
use super::zoom::{Happens, Zoom};
use crate::rtms::stream::{Input, LossReason};

/// What goes wrong, and when.
pub(super) struct Faults {
    next_ms: i64,
    /// When a pause or Zoom's trouble ends.
    relief_ms: Option<i64>,
    /// Nothing can be dialled at first.
    late_ms: i64,
}

impl Faults {
    pub(super) fn new(rng: &mut SmallRng) -> Self {
        let late_ms = if rng.random_bool(0.15) { rng.random_range(1_000..20_000) } else { 0 };
        Self { next_ms: rng.random_range(1_000..20_000), relief_ms: None, late_ms }
    }

    pub(super) fn pass(
        &mut self,
        now_ms: i64,
        zoom: &mut Zoom,
        client: &mut Client,
        rng: &mut SmallRng,
    ) {
        let late_ms = std::mem::take(&mut self.late_ms);
        zoom.dials_fail_until_ms = zoom.dials_fail_until_ms.max(late_ms);
        if self.relief_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.relieve(zoom);
        }
        // What fails while Zoom is in trouble cannot be told from it.
        if now_ms >= self.next_ms && !zoom.is_in_trouble && client.is_running() {
            self.next_ms = now_ms + rng.random_range(2_000..25_000);
            self.strike(now_ms, zoom, client, rng);
        }
    }

    /// The end of the meeting, or ours.
    pub(super) fn end(&mut self, zoom: &mut Zoom, client: &mut Client, rng: &mut SmallRng) {
        self.relieve(zoom);
        match rng.random_bool(0.7) {
            true => zoom.stop(6),
            false => client.input(Input::Close, zoom),
        }
    }

    fn relieve(&mut self, zoom: &mut Zoom) {
        if self.relief_ms.take().is_some() {
            zoom.is_paused = false;
            zoom.is_in_trouble = false;
            zoom.say_state(6);
        }
    }

    fn strike(&mut self, now_ms: i64, zoom: &mut Zoom, client: &mut Client, rng: &mut SmallRng) {
        let links = zoom.links();
        let Some(link) = links.choose(rng).copied() else { return };
        match rng.random_range(0..12) {
            0 | 1 => zoom.cut(link, LossReason::Dropped("reset".into())),
            2 => zoom.cut(link, LossReason::Closed(Some(1006))),
            3 | 4 => zoom.silence(link),
            5 => {
                zoom.dials_fail_until_ms = now_ms + rng.random_range(500..20_000);
                zoom.cut(link, LossReason::Dropped("reset".into()));
            }
            6 => {
                zoom.refuse_next = Some(45);
                zoom.cut(link, LossReason::Dropped("reset".into()));
            }
            7 => zoom.fail_over(),
            8 => {
                zoom.cut(super::super::SIGNALING, LossReason::Dropped("reset".into()));
                zoom.webhook(Happens::Input(Input::Interrupted));
            }
            9 => zoom.webhook(Happens::Input(Input::Interrupted)),
            10 => client.restart(rng.random_range(500..20_000), zoom),
            _ => self.hold(now_ms, zoom, rng),
        }
    }

    /// A pause, or Zoom is in trouble: both are said on links that stand.
    fn hold(&mut self, now_ms: i64, zoom: &mut Zoom, rng: &mut SmallRng) {
        if !zoom.is_well() || self.relief_ms.is_some() {
            return;
        }
        let length_ms = rng.random_range(1_000..15_000);
        self.relief_ms = Some(now_ms + length_ms);
        if rng.random_bool(0.5) {
            zoom.is_paused = true;
            zoom.say_state(5);
        } else {
            zoom.is_in_trouble = true;
            zoom.say_state(2);
            self.next_ms = now_ms + length_ms + 2_000;
        }
    }
}
