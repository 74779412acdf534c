//! What a meeting and its streams have in common.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::control::{HandshakeFault, LinkName};
use super::event::{Event, MeetingIdentity};
use super::handshake::HandshakeKind;
use super::lock;
use super::quirk::{Quirk, Quirks};
use super::settings::Settings;
use super::state::SimulatorState;
use super::webhook::Mailbox;

/// Kinds of handshake faults that may be planned at one time: bounds a script's list.
const MAX_PLANNED: usize = 100;

/// Script time: milliseconds since the meeting began, faster or slower than real ones.
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
        (now.saturating_duration_since(self.began).as_secs_f64() * 1000.0 * self.speed) as i64
    }

    /// The first moment at which `ms` is at least `script_ms`.
    pub(super) fn at(&self, script_ms: i64) -> Instant {
        let real_us = script_ms.max(0) as f64 * 1000.0 / self.speed;
        self.began + Duration::from_micros(real_us.ceil() as u64 + 1)
    }

    /// What a message says that is sent at this script time: Unix milliseconds.
    pub(super) fn wire_ms(&self, script_ms: i64) -> i64 {
        self.began_unix_ms + script_ms
    }
}

/// What a meeting and its streams are, and how they behave.
pub(super) struct Shared {
    pub state: Arc<SimulatorState>,
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

    /// Sends a webhook, as the quirks have it.
    pub(super) fn send_webhook(&self, event: Event) {
        let event = Event { body: self.quirks.alter_webhook(event.body), ..event };
        if self.quirks.has(Quirk::DuplicateWebhooks) {
            self.mailbox.push(event.clone());
        }
        self.mailbox.push(event);
    }

    pub(super) fn wire_now(&self, now: Instant) -> i64 {
        self.clock.wire_ms(self.clock.ms(now))
    }
}

/// Who is there and what they do; numbers are indexes into the script's people.
#[derive(Debug, Default)]
pub(super) struct MeetingState {
    pub present: BTreeSet<usize>,
    pub speaker: Option<usize>,
    pub sharer: Option<usize>,
    pub cameras: BTreeSet<usize>,
}

/// Handshakes that are to go wrong, in order for each link.
#[derive(Default)]
pub(super) struct HandshakeFaults(Mutex<VecDeque<(LinkName, u32, HandshakeFault)>>);

impl HandshakeFaults {
    /// The next `count` handshakes of this link, after those that are planned already.
    pub(super) fn plan(&self, link: LinkName, count: u32, fault: HandshakeFault) {
        let mut planned = lock(&self.0);
        if count > 0 && planned.len() < MAX_PLANNED {
            planned.push_back((link, count, fault));
        }
    }

    pub(super) fn next(&self, kind: &HandshakeKind) -> Option<HandshakeFault> {
        let mut planned = lock(&self.0);
        let index = planned.iter().position(|(link, ..)| kind.is_for(*link))?;
        let (_, left, fault) = &mut planned[index];
        let fault = *fault;
        *left -= 1;
        if *left == 0 {
            planned.remove(index);
        }
        Some(fault)
    }
}
