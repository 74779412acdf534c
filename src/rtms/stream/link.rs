//! One link of a stream: its states from dial to loss, its keep-alive deadline and its retries.

use std::fmt;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;

use super::Timings;
use crate::named::named;
use crate::rtms::backoff::Backoff;

/// The shortest time in which a dial is worth a try.
const SHORTEST_TRY: Duration = Duration::from_millis(250);

/// Why a link was lost or could not be established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LossReason {
    /// The dial failed or took too long, with the system's error.
    Dial(String),
    /// A Close frame, with its code.
    Closed(Option<u16>),
    /// The connection ended without a Close frame.
    Dropped(String),
    /// No readable message arrived for longer than [`Timings::silence`].
    Silent,
    /// Zoom did not answer the handshake.
    Unanswered,
    /// Zoom accepted the handshake, but the answer lacks something required.
    UnreadableAnswer,
    /// Zoom refused the handshake with this status. A retry may succeed.
    Refused(i64),
    /// Zoom refused the handshake with this status because it still holds the old connection (rtms-protocol.md
    /// section 3.4).
    Duplicate(i64),
    /// Zoom reported the link as interrupted.
    Reported,
    /// Signaling was lost, and media with it.
    WithSignaling,
}

named! {
    /// A [`LossReason`] without its details.
    pub enum LossKind {
        /// [`LossReason::Dial`]
        Dial: "dial",
        /// [`LossReason::Closed`]
        Closed: "closed",
        /// [`LossReason::Dropped`]
        Dropped: "dropped",
        /// [`LossReason::Silent`]
        Silent: "silent",
        /// [`LossReason::Unanswered`]
        Unanswered: "unanswered",
        /// [`LossReason::UnreadableAnswer`]
        UnreadableAnswer: "unreadable_answer",
        /// [`LossReason::Refused`]
        Refused: "refused",
        /// [`LossReason::Duplicate`]
        Duplicate: "duplicate",
        /// [`LossReason::Reported`]
        Reported: "reported",
        /// [`LossReason::WithSignaling`]
        WithSignaling: "with_signaling",
    }
}

impl LossReason {
    /// The reason without its details.
    pub fn kind(&self) -> LossKind {
        match self {
            LossReason::Dial(_) => LossKind::Dial,
            LossReason::Closed(_) => LossKind::Closed,
            LossReason::Dropped(_) => LossKind::Dropped,
            LossReason::Silent => LossKind::Silent,
            LossReason::Unanswered => LossKind::Unanswered,
            LossReason::UnreadableAnswer => LossKind::UnreadableAnswer,
            LossReason::Refused(_) => LossKind::Refused,
            LossReason::Duplicate(_) => LossKind::Duplicate,
            LossReason::Reported => LossKind::Reported,
            LossReason::WithSignaling => LossKind::WithSignaling,
        }
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LossReason::Dial(cause) => write!(f, "cannot connect: {cause}"),
            LossReason::Closed(Some(code)) => write!(f, "closed by Zoom with code {code}"),
            LossReason::Closed(None) => f.write_str("closed by Zoom"),
            LossReason::Dropped(cause) => write!(f, "connection lost: {cause}"),
            LossReason::Silent => f.write_str("silent for too long"),
            LossReason::Unanswered => f.write_str("no answer to the handshake"),
            LossReason::UnreadableAnswer => {
                f.write_str("the answer to the handshake cannot be read")
            }
            LossReason::Refused(status) | LossReason::Duplicate(status) => {
                write!(f, "handshake refused with status {status}")
            }
            LossReason::Reported => f.write_str("reported as interrupted by Zoom"),
            LossReason::WithSignaling => f.write_str("signaling was lost"),
        }
    }
}

/// One link: its state, and the window in which it must come back.
#[derive(Debug)]
pub(super) struct Link {
    state: State,
    /// When Zoom gives the stream up, counted from the first loss (rtms-protocol.md section 3.6). Cleared when
    /// the link has been stable, not when it connects: otherwise a peer that accepts and drops would be
    /// redialled without end.
    window_ends_at: Option<Instant>,
    window: Duration,
    backoff: Backoff,
    /// A loss that is recorded only if the link turns out to be wanted still.
    deferred_loss: Option<LossReason>,
}

/// Each state holds its own deadline, so that none can be stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Dialing {
        give_up_at: Instant,
    },
    Handshaking {
        give_up_at: Instant,
    },
    Live {
        silent_at: Instant,
        stable_at: Option<Instant>,
    },
    Waiting {
        redial_at: Instant,
    },
    /// Not connected and not wanted: refused for good, not offered, or the stream is ending.
    Down,
}

/// What is due for a link.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// The link is lost for this reason.
    Lost(LossReason),
    Redial,
    /// The link could not be rebuilt in time.
    WindowExpired,
}

impl Link {
    pub(super) fn dialing(now: Instant, window: Duration, timings: &Timings) -> Self {
        Self {
            state: State::Dialing { give_up_at: now + timings.dial },
            window_ends_at: Some(now + window),
            window,
            backoff: Backoff::default(),
            deferred_loss: None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, State::Live { .. })
    }

    /// Whether the link has been live long enough for its earlier losses to be forgotten.
    pub(super) fn is_stable(&self) -> bool {
        matches!(self.state, State::Live { stable_at: None, .. })
    }

    pub(super) fn is_down(&self) -> bool {
        self.state == State::Down
    }

    /// Whether a socket exists or is being dialled.
    pub(super) fn has_socket(&self) -> bool {
        !matches!(self.state, State::Down | State::Waiting { .. })
    }

    /// Whether a socket is open.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Handshaking { .. } | State::Live { .. })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Handshaking { .. })
    }

    /// Records that the socket is open. Returns false when no dial was running.
    pub(super) fn opened(&mut self, now: Instant, timings: &Timings) -> bool {
        let was_dialing = matches!(self.state, State::Dialing { .. });
        if was_dialing {
            self.state = State::Handshaking { give_up_at: now + timings.handshake };
        }
        was_dialing
    }

    /// Records an accepted handshake.
    pub(super) fn accepted(&mut self, now: Instant, timings: &Timings) {
        let stable_at = Some(now + timings.stable);
        self.state = State::Live { silent_at: now + timings.silence, stable_at };
    }

    /// Postpones the silence deadline: every readable message is a sign of life, not only a keep-alive
    /// (rtms-protocol.md conflict 19.5).
    pub(super) fn heard(&mut self, now: Instant, timings: &Timings) {
        if let State::Live { silent_at, .. } = &mut self.state {
            *silent_at = now + timings.silence;
        }
    }

    /// Whether a loss now would be the first since the link was stable, or since it was wanted.
    pub(super) fn is_first_loss(&self) -> bool {
        self.backoff.is_clear()
    }

    /// Records a loss. Schedules the next dial within the window, or gives the link up when the window is over.
    pub(super) fn lost(&mut self, now: Instant, loss: &LossReason, rng: &mut SmallRng) -> Due {
        self.settle(now);
        let ends_at = *self.window_ends_at.get_or_insert(now + self.window);
        let left = ends_at.saturating_duration_since(now);
        let wait = match loss {
            // Zoom notices the loss of the old connection only after a while (rtms-protocol.md section 3.4).
            LossReason::Duplicate(_) => self.backoff.after_duplicate(rng),
            _ => self.backoff.after_loss(rng),
        };
        if left < SHORTEST_TRY {
            self.state = State::Down;
            return Due::WindowExpired;
        }
        // Half of what is left, so that a try always remains, however little time there is.
        self.state = State::Waiting { redial_at: now + wait.min(left / 2) };
        Due::Nothing
    }

    /// Delays the next dial until `until` at least, and the record of the loss until that dial: the loss may be
    /// the end itself.
    pub(super) fn postpone(&mut self, until: Instant, deferred_loss: Option<LossReason>) {
        if let State::Waiting { redial_at } = &mut self.state {
            *redial_at = until.max(*redial_at);
            self.deferred_loss = deferred_loss;
        }
    }

    pub(super) fn take_deferred_loss(&mut self) -> Option<LossReason> {
        self.deferred_loss.take()
    }

    pub(super) fn redial(&mut self, now: Instant, timings: &Timings) {
        let give_up_at = self
            .window_ends_at
            .map_or(now + timings.dial, |ends_at| (now + timings.dial).min(ends_at));
        self.state = State::Dialing { give_up_at };
    }

    pub(super) fn take_down(&mut self) {
        self.state = State::Down;
    }

    /// Forgets the losses of a link that has become stable. Called before any other decision: after a pause of
    /// the process a link may be due to become stable and to be lost.
    fn settle(&mut self, now: Instant) {
        if let State::Live { stable_at, .. } = &mut self.state
            && stable_at.is_some_and(|at| now >= at)
        {
            *stable_at = None;
            self.window_ends_at = None;
            self.backoff.clear();
        }
    }

    /// Returns what is due now.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        self.settle(now);
        match &self.state {
            State::Dialing { give_up_at } if now >= *give_up_at => {
                Due::Lost(LossReason::Dial("timed out".into()))
            }
            State::Handshaking { give_up_at } if now >= *give_up_at => {
                Due::Lost(LossReason::Unanswered)
            }
            State::Live { silent_at, .. } if now >= *silent_at => Due::Lost(LossReason::Silent),
            State::Waiting { redial_at } if now >= *redial_at => Due::Redial,
            _ => Due::Nothing,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Dialing { give_up_at } | State::Handshaking { give_up_at } => Some(give_up_at),
            State::Live { silent_at, stable_at } => {
                Some(stable_at.map_or(silent_at, |stable_at| stable_at.min(silent_at)))
            }
            State::Waiting { redial_at } => Some(redial_at),
            State::Down => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::rtms::backoff;

    const WINDOW: Duration = Duration::from_secs(60);

    /// Loses a link again and again, each time a while after its dial, until it is given up; checks every
    /// wait against the window. Returns how long it was tried for.
    fn lose_until_given_up(seed: u64, loss: &LossReason) -> Duration {
        let (start, timings) = (Instant::now(), Timings::default());
        let mut rng = backoff::stream_rng(seed);
        let mut link = Link::dialing(start, WINDOW, &timings);
        let mut now = start;
        loop {
            now += Duration::from_millis(rng.random_range(0..3_000));
            let left = (start + WINDOW).saturating_duration_since(now);
            if link.lost(now, loss, &mut rng) == Due::WindowExpired {
                assert!(left < SHORTEST_TRY && link.is_down(), "seed {seed}: {left:?} left");
                return now - start;
            }
            let redial_at = link.deadline().unwrap();
            assert!(left >= SHORTEST_TRY, "seed {seed}: {left:?} left");
            assert!(redial_at - now <= left / 2, "seed {seed}: half of {left:?}");
            now = redial_at;
            assert_eq!(link.due(now), Due::Redial);
            link.redial(now, &timings);
            assert!(link.deadline().unwrap() <= start + WINDOW, "seed {seed}");
        }
    }

    #[test]
    fn a_redial_comes_in_the_first_half_of_what_is_left_of_the_window() {
        for seed in 0..500 {
            for loss in [LossReason::Closed(None), LossReason::Duplicate(8)] {
                let tried = lose_until_given_up(seed, &loss);
                assert!(tried >= WINDOW - SHORTEST_TRY, "seed {seed}: {tried:?}");
            }
        }
    }

    #[test]
    fn a_link_is_given_up_when_less_than_250_ms_are_left() {
        let (start, timings) = (Instant::now(), Timings::default());
        for (left_ms, due) in [(249, Due::WindowExpired), (250, Due::Nothing)] {
            let mut link = Link::dialing(start, WINDOW, &timings);
            let now = start + WINDOW - Duration::from_millis(left_ms);
            assert_eq!(
                link.lost(now, &LossReason::Silent, &mut backoff::stream_rng(7)),
                due,
                "{left_ms} ms"
            );
        }
    }
}
