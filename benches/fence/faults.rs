//! What goes wrong with one daemon; the same seed plans the same.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Before a fault begins.
const PAUSE_MS: std::ops::Range<u64> = 0..15_000;
/// The default lease is 9 s: some faults are shorter, most are longer.
const LENGTH_MS: std::ops::Range<u64> = 3_000..40_000;
/// A suspension after which Zoom has given up the daemon's connections: it does so after 65 s of silence.
const LONG_MS: std::ops::Range<u64> = 66_000..80_000;
const BYTES_PER_S: std::ops::Range<usize> = 1_000..40_000;

/// What happens between a daemon and its database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wire {
    /// Connections are closed, and new ones refused.
    Cut,
    /// Nothing passes, and what was sent meanwhile passes at the end.
    Stall,
    /// Nothing passes, and every connection is closed at the end.
    StallAndCut,
    Slow(usize),
}

/// What happens to the process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Halt {
    /// SIGSTOP, and SIGCONT at the end.
    Suspend,
    /// SIGKILL, and a new start at the end.
    Kill,
}

/// At least one of the two, from the same moment on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub pause: Duration,
    pub wire: Option<(Wire, Duration)>,
    pub halt: Option<(Halt, Duration)>,
}

pub(crate) struct Faults(StdRng);

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A round's faults for each of two daemons: at least one has some.
    pub(crate) fn round(&mut self) -> [Vec<Fault>; 2] {
        let (first, second) = match self.0.random_range(0..4) {
            0 => (1, 0),
            1 => (0, 1),
            2 => (1, 1),
            _ => (2, 1),
        };
        [first, second].map(|count| (0..count).map(|_| self.next()).collect())
    }

    fn next(&mut self) -> Fault {
        let (wire, halt) = match self.0.random_range(0..10) {
            0..5 => (Some(self.wire()), None),
            5..8 => (None, Some(self.halt())),
            _ => (Some(self.wire()), Some(self.halt())),
        };
        Fault { pause: self.millis(PAUSE_MS), wire, halt }
    }

    fn wire(&mut self) -> (Wire, Duration) {
        let wire = match self.0.random_range(0..4) {
            0 => Wire::Cut,
            1 => Wire::Stall,
            2 => Wire::StallAndCut,
            _ => Wire::Slow(self.0.random_range(BYTES_PER_S)),
        };
        (wire, self.millis(LENGTH_MS))
    }

    fn halt(&mut self) -> (Halt, Duration) {
        match self.0.random_range(0..8) {
            0 | 1 => (Halt::Kill, self.millis(LENGTH_MS)),
            2 => (Halt::Suspend, self.millis(LONG_MS)),
            _ => (Halt::Suspend, self.millis(LENGTH_MS)),
        }
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.0.random_range(range))
    }
}

impl Fault {
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let wire = self.wire.map(|(wire, _)| match wire {
            Wire::Cut => "cut",
            Wire::Stall => "stall",
            Wire::StallAndCut => "stall and cut",
            Wire::Slow(_) => "slow",
        });
        let halt = self.halt.map(|(halt, _)| match halt {
            Halt::Suspend => "suspend",
            Halt::Kill => "kill",
        });
        wire.into_iter().chain(halt)
    }
}
