//! Streams that Zoom's server does not answer here: a daemon on another machine may reach it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Supervisor;
use crate::model::StreamId;
use crate::sessions::driver::Command;

/// For how long a stream that was given up here is left to the others.
const LEFT_FOR: Duration = Duration::from_secs(30);
/// How long after that a stream is not given up again: if no daemon reaches Zoom, it ends with Zoom's window.
const ONCE_WITHIN: Duration = Duration::from_secs(120);

/// The streams that were given up here, and when.
#[derive(Default)]
pub(super) struct GivenUp(HashMap<StreamId, Instant>);

impl GivenUp {
    /// Whether another daemon is to take the stream.
    pub(super) fn is_left(&self, stream_id: &StreamId) -> bool {
        self.0.get(stream_id).is_some_and(|since| since.elapsed() < LEFT_FOR)
    }

    /// Whether a stream was given up lately: Zoom may not be reached for others either.
    pub(super) fn is_cut_off(&self) -> bool {
        self.0.values().any(|since| since.elapsed() < LEFT_FOR)
    }
}

impl Supervisor {
    /// Gives up the streams that have not reached Zoom for a while, as far as another daemon has room for them.
    pub(super) fn give_up_unreachable(&mut self) {
        self.given_up.0.retain(|_, since| since.elapsed() < ONCE_WITHIN);
        let limit = self.settings.leases.unreachable_after;
        let mut cluster = self.cluster();
        for (stream_id, running) in &mut self.running {
            let is_reached = running.reach.unanswered_for() < limit;
            if is_reached || self.given_up.0.contains_key(stream_id) {
                continue;
            }
            if !cluster.place_elsewhere() {
                return;
            }
            if running.commands.try_send(Command::GiveUp).is_ok() {
                running.context.in_scope(|| {
                    tracing::warn!(
                        "Zoom's server does not answer here; giving the stream to another daemon"
                    );
                });
                self.given_up.0.insert(stream_id.clone(), Instant::now());
            }
        }
    }
}
