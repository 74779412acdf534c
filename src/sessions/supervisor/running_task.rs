//! A running stream as the supervisor sees it: what it knows of its row, and the commands for what it does not.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tracing::Span;

use crate::model::{StopReason, StreamRecord, UserId};
use crate::sessions::driver::{Command, CommandSender, Lease, Reach};
use crate::sessions::stream_task::Controls;
use crate::store::{LeasedStream, OfferKey};
use crate::telemetry::stream_span;
use crate::zoom::app::{App, Place};

/// A running stream, and the state of its row that it was last notified of.
pub(super) struct RunningTask {
    /// The app as it was when the stream started here; `None` for a stream that only ends here.
    app: Option<Arc<App>>,
    pub commands: CommandSender,
    lease: watch::Sender<Lease>,
    pub reach: Reach,
    generation: i64,
    interrupts: i64,
    stop_sent: bool,
    revocation_sent: bool,
    video_user_id: Option<UserId>,
    /// The key of the last offer from another daemon that was passed to the stream.
    pub offered: OfferKey,
    /// When another daemon was first seen to have the stream.
    pub lost_since: Option<Instant>,
    /// What log lines about the stream carry.
    pub context: Span,
    /// Counts the stream for its app's quota.
    _place: Place,
}

impl RunningTask {
    /// `place` counts the stream for its app's quota until the task ends.
    pub(super) fn new(
        stream: &StreamRecord,
        app: Option<Arc<App>>,
        place: Place,
        Controls { context, commands, lease, reach }: Controls,
    ) -> Self {
        Self {
            app,
            commands,
            lease,
            reach,
            generation: stream.generation,
            interrupts: stream.interrupts,
            stop_sent: false,
            revocation_sent: false,
            video_user_id: None,
            offered: OfferKey::default(),
            lost_since: None,
            context,
            _place: place,
        }
    }

    pub(super) fn epoch(&self) -> i64 {
        self.lease.borrow().epoch
    }

    /// Whether [`Self::send_changes`] has nothing to send for this row.
    pub(super) fn is_up_to_date(&self, row: &LeasedStream) -> bool {
        row.generation <= self.generation
            && row.interrupts <= self.interrupts
            && self.new_video(row.video_user_id).is_none()
            && !(row.is_stopped && self.needs_stop(row.stop_reason))
    }

    /// The participant of the requested video, unless the stream knows it.
    fn new_video(&self, requested: Option<UserId>) -> Option<UserId> {
        requested.filter(|id| self.video_user_id != Some(*id))
    }

    /// Whether the stream does not know of its stop. One that is ending already ends at once when it is revoked.
    fn needs_stop(&self, reason: Option<StopReason>) -> bool {
        let is_revoked = reason.is_some_and(StopReason::is_revoked);
        !self.stop_sent || (is_revoked && !self.revocation_sent)
    }

    /// Records a renewed lease and notifies a stream that waits for one.
    pub(super) fn prolong(&mut self, epoch: i64, until: Instant) {
        let before = self.lease.send_replace(Lease { epoch, until });
        if before.epoch != epoch || before.until <= Instant::now() {
            // If the queue is full, the stream sees the lease after the next command.
            let _ = self.commands.try_send(Command::Leased);
        }
    }

    /// Sends the stream the changes of its row that it does not know yet. A change that finds the stream's queue full is
    /// sent at the next poll.
    pub(super) fn send_changes(&mut self, record: &StreamRecord) {
        if record.generation > self.generation && self.send_server(record) {
            self.generation = record.generation;
        }
        if record.interrupts > self.interrupts
            && self.commands.try_send(Command::Interrupted).is_ok()
        {
            self.interrupts = record.interrupts;
        }
        if let Some(user_id) = self.new_video(record.video_user_id)
            && self.commands.try_send(Command::PinVideo(user_id)).is_ok()
        {
            self.video_user_id = Some(user_id);
        }
        if record.stop_seen_at_ms.is_some() && self.needs_stop(record.stop_reason) {
            let stopped = Command::Stopped { reason: record.stop_reason };
            self.stop_sent = self.commands.try_send(stopped).is_ok();
            self.revocation_sent = self.stop_sent && record.is_revoked();
        }
    }

    /// Sends the server of a new announcement. Returns whether it need not be sent again: also true for a refused server,
    /// which would be refused, and logged, at every poll.
    fn send_server(&mut self, record: &StreamRecord) -> bool {
        let Some(app) = &self.app else { return false };
        match app.rtms_hosts.first_allowed(&record.server_urls) {
            Ok(endpoint) => {
                let moved = Command::Moved { endpoint, generation: record.generation };
                self.commands.try_send(moved).is_ok()
            }
            Err(error) => {
                stream_span(record).in_scope(|| tracing::warn!("the new server_urls {error}"));
                true
            }
        }
    }
}
