//! The faults of one stream, planned from a seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Between two faults of one stream.
const PAUSE_MS: std::ops::Range<u64> = 2_000..6_000;

/// What goes wrong with one stream, without end; the same seed plans the same.
pub(super) struct Faults {
    rng: StdRng,
    /// Whether there is time for a link to be given up because nothing comes on it (65 s).
    may_fall_silent: bool,
}

/// Calls of the simulator's control API, by verb and body.
pub(super) struct Fault {
    pub name: &'static str,
    pub calls: Vec<(&'static str, Value)>,
    /// What ends it, and after how long.
    pub relief: Option<(Duration, &'static str, Value)>,
}

impl Faults {
    pub(super) fn new(seed: u64, may_fall_silent: bool) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), may_fall_silent }
    }

    pub(super) fn pause(&mut self) -> Duration {
        Duration::from_millis(self.rng.random_range(PAUSE_MS))
    }

    pub(super) fn next(&mut self) -> Fault {
        let silence = u32::from(self.may_fall_silent);
        match self.rng.random_range(0..15 + silence) {
            0..3 => self.cut("signaling"),
            3..6 => {
                let link = self.medium();
                self.cut(link)
            }
            6 => self.cut("media"),
            7 => self.stall(),
            8 => once("fail_over", json!({})),
            9 => once("interrupt", json!({})),
            10 => once("repeat_announcement", json!({})),
            11 => self.pause_and_resume(),
            12 => self.bad_handshakes("signaling", 8),
            13 => {
                let link = self.medium();
                self.bad_handshakes(link, 16)
            }
            14 => self.webhooks_twice(),
            _ => once("stop_keep_alives", json!({"link": "signaling"})),
        }
    }

    fn medium(&mut self) -> &'static str {
        self.pick(&["audio", "video", "transcript", "chat"])
    }

    fn pick(&mut self, of: &[&'static str]) -> &'static str {
        of.choose(&mut self.rng).expect("there is one")
    }

    fn cut(&mut self, link: &'static str) -> Fault {
        let how = self.pick(&["drop", "reset", "close"]);
        once("cut", json!({"link": link, "how": how}))
    }

    fn stall(&mut self) -> Fault {
        let link = self.pick(&["signaling", "media", "audio", "transcript"]);
        once("stall", json!({"link": link, "for_ms": self.rng.random_range(500..4_000)}))
    }

    fn pause_and_resume(&mut self) -> Fault {
        let wait = Duration::from_millis(self.rng.random_range(200..3_000));
        Fault { relief: Some((wait, "resume", json!({}))), ..once("pause", json!({})) }
    }

    /// The next handshakes go wrong, and are needed at once. One that is not answered costs 10 s.
    fn bad_handshakes(&mut self, link: &'static str, status: u16) -> Fault {
        let (how, count) = match self.rng.random_range(0..4) {
            0 => (json!("silent"), 1),
            1 => (json!("drop"), self.rng.random_range(1..4)),
            2 => (json!({"slow": {"for_ms": 1_500}}), 1),
            _ => (json!({"refuse": {"status": status}}), self.rng.random_range(1..3)),
        };
        let plan = json!({"link": link, "count": count, "how": how});
        let calls = vec![("fail_handshakes", plan), ("cut", json!({"link": link}))];
        Fault { name: "fail_handshakes", calls, relief: None }
    }

    fn webhooks_twice(&mut self) -> Fault {
        let twice = |on: bool| json!({"name": "duplicate_webhooks", "on": on});
        let calls = vec![("quirk", twice(true)), ("fail_over", json!({}))];
        let relief = Some((Duration::from_secs(1), "quirk", twice(false)));
        Fault { name: "duplicate_webhooks", calls, relief }
    }
}

fn once(verb: &'static str, body: Value) -> Fault {
    Fault { name: verb, calls: vec![(verb, body)], relief: None }
}
