//! What a meeting shares with its streams: identity, clock, quirks, planned faults and the meeting's state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::app::App;
use super::control::{HandshakeFault, LinkName};
use super::event::{Event, MeetingIdentity};
use super::planned::Planned;
use super::quirk::{Quirk, Quirks};
use super::settings::Settings;
use super::state::SimulatorState;
use super::webhook::Mailbox;

/// The most planned handshake faults, each with its count.
const MAX_PLANNED: usize = 100;

/// Planned handshake faults, in order for each link.
pub(super) type HandshakeFaults = Planned<LinkName, HandshakeFault, MAX_PLANNED>;

/// Converts between real time and script time: milliseconds since the meeting began, scaled by the speed.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScriptClock {
    began: Instant,
    began_unix_ms: i64,
    speed: f64,
}

impl ScriptClock {
    pub(super) fn new(began: Instant, began_unix_ms: i64, speed: f64) -> Self {
        Self { began, began_unix_ms, speed }
    }

    pub(super) fn ms(&self, now: Instant) -> i64 {
        // Truncates: script time must not run ahead, or a cue would be played before it is due.
        (now.saturating_duration_since(self.began).as_secs_f64() * 1000.0 * self.speed) as i64
    }

    /// The earliest instant at which `ms` returns at least `script_ms`.
    pub(super) fn at(&self, script_ms: i64) -> Instant {
        let real_us = script_ms.max(0) as f64 * 1000.0 / self.speed;
        // One microsecond more than the ceiling: a wake-up that is just too early would find nothing due, and spin.
        self.began + Duration::from_micros(real_us.ceil() as u64 + 1)
    }

    /// The timestamp of a message sent at this script time, in Unix milliseconds.
    pub(super) fn wire_ms(&self, script_ms: i64) -> i64 {
        self.began_unix_ms + script_ms
    }
}

/// What a meeting and its streams share.
pub(super) struct Shared {
    pub state: Arc<SimulatorState>,
    /// The app that receives the streams.
    pub app: Arc<App>,
    /// The user who brings the app to the meeting.
    pub operator_id: String,
    /// Whether this is the app's first operator, with whom the app receives the meeting's own webhooks.
    pub is_first_operator: bool,
    pub identity: MeetingIdentity,
    pub clock: ScriptClock,
    pub mailbox: Mailbox,
    pub quirks: Arc<Quirks>,
    pub handshake_faults: HandshakeFaults,
}

impl Shared {
    pub(super) fn settings(&self) -> &Settings {
        &self.state.settings
    }

    /// Whether actions that concern the whole simulation are performed here, and so only once.
    pub(super) fn is_first(&self) -> bool {
        self.app.index == 0 && self.is_first_operator
    }

    /// Queues a webhook, with the quirks applied.
    pub(super) fn send_webhook(&self, event: Event) {
        let event = Event { body: self.quirks.alter_webhook(event.body), ..event };
        if self.quirks.has(Quirk::DuplicateWebhooks) {
            self.mailbox.push(event.clone());
        }
        self.mailbox.push(event);
    }

    /// The timestamp of a message sent now, in Unix milliseconds.
    pub(super) fn wire_now(&self, now: Instant) -> i64 {
        self.clock.wire_ms(self.clock.ms(now))
    }
}

/// Who is in the meeting and what they are doing. Numbers are indexes into the script's people.
#[derive(Debug, Default)]
pub(super) struct MeetingState {
    pub present: BTreeSet<usize>,
    pub speaker: Option<usize>,
    pub sharer: Option<usize>,
    pub cameras: BTreeSet<usize>,
}
