//! Handles streams that another daemon claimed while they ran here, and entries that other daemons offered.

use std::collections::HashSet;
use std::time::Instant;

use super::Supervisor;
use crate::model::{StreamId, StreamRecord, ms};
use crate::sessions::driver::Command;
use crate::store::{Claim, Offer, StoreError};
use crate::telemetry::stream_span;

/// How many offered entries are passed to a stream at a time.
const OFFERS_AT_ONCE: u32 = 500;
/// After a claim is given back, no daemon claims the stream for this fraction (one third) of a lease.
const QUIET_IN_LEASE: u32 = 3;
/// Another daemon may keep a claim for this fraction (one third) of a lease before the stream is left to it. Long enough for
/// a busy daemon to dial Zoom, be refused and give the claim back.
const LEAVE_AFTER_IN_LEASE: u32 = 3;

impl Supervisor {
    /// Handles a write that the store refused because the stream was claimed since. If this daemon made the claim, the
    /// writer does not know the new epoch yet.
    pub(super) async fn fenced(&mut self, stream_id: StreamId, epoch: i64) {
        if self.running.get(&stream_id).is_none_or(|running| running.epoch() != epoch) {
            return;
        }
        let settled = self.settle(vec![stream_id]).await;
        self.note_answer(settled);
    }

    /// Settles streams that run here under a lost claim. Unclaimed streams are claimed again and continue with
    /// everything they received meanwhile. A stream that another node claimed must not have two runners: it is left,
    /// but not at once, because that node may learn from Zoom that this one is still connected and give the claim back.
    pub(super) async fn settle(&mut self, streams: Vec<StreamId>) -> Result<(), StoreError> {
        if streams.is_empty() {
            return Ok(());
        }
        let (node, lease_ms, until) = (self.settings.node, self.lease_ms(), self.lease_until());
        let claims = self.store.claim_streams(node, &streams, lease_ms).await?;
        let mut taken: HashSet<StreamId> = streams.into_iter().collect();
        for Claim { stream, last_seq, .. } in claims {
            taken.remove(&stream.stream_id);
            self.claimed_again(&stream, last_seq, until);
        }
        taken.iter().for_each(|stream_id| self.taken(stream_id));
        Ok(())
    }

    fn taken(&mut self, stream_id: &StreamId) {
        let leave_after = self.settings.leases.lease / LEAVE_AFTER_IN_LEASE;
        let Some(running) = self.running.get_mut(stream_id) else { return };
        let since = *running.lost_since.get_or_insert_with(Instant::now);
        if since.elapsed() < leave_after {
            return;
        }
        self.hub.metrics().leases.inc(["lost"]);
        running.context.in_scope(|| {
            tracing::info!("another daemon has the stream, or it has ended; leaving it");
        });
        self.hub.taken(stream_id);
        // An error means that the task has ended, or that its queue is full; then the next poll sends the
        // command again.
        let _ = running.commands.try_send(Command::Leave);
    }

    /// Gives a claim back, so that no daemon claims the stream for a third of a lease. Used when another daemon is still
    /// connected to Zoom (it is alive and only lost the store), and when this daemon does not have the stream's app. The stream
    /// must have no task here, because [`Self::settle`] would claim it again.
    pub(super) async fn give_back(
        &self,
        stream_id: &StreamId,
        epoch: i64,
    ) -> Result<(), StoreError> {
        let quiet = self.settings.leases.lease / QUIET_IN_LEASE;
        self.store.give_back(stream_id, epoch, ms(quiet)).await
    }

    /// Passes entries that other daemons offered to their streams.
    pub(super) async fn take_offers(&mut self) -> Result<(), StoreError> {
        for stream_id in self.store.offered_streams(self.settings.node).await? {
            self.steps.take();
            let Some(running) = self.running.get_mut(&stream_id) else { continue };
            let offers = self.store.offers(&stream_id, running.offered, OFFERS_AT_ONCE).await?;
            let Some(last) = offers.last().map(Offer::key) else { continue };
            if running.commands.try_send(Command::HandedOver(offers)).is_ok() {
                // Only if the command was queued: otherwise the next poll reads the same page again.
                running.offered = last;
            }
        }
        Ok(())
    }

    fn claimed_again(&mut self, stream: &StreamRecord, last_seq: u64, until: Instant) {
        let stream_id = &stream.stream_id;
        let Some(running) = self.running.get_mut(stream_id) else { return };
        self.hub.metrics().leases.inc(["claimed_again"]);
        stream_span(stream).in_scope(|| tracing::info!("claimed the stream again; it continues"));
        if stream.is_revoked() {
            self.hub.revoked(stream_id);
        }
        // Before the stream learns of its new lease: the writer must write under the new epoch first.
        self.hub.claimed(stream_id, stream.epoch, last_seq);
        running.lost_since = None;
        running.prolong(stream.epoch, until);
        self.send_changes(stream);
    }
}
