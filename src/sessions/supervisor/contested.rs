//! Streams that another daemon has claimed while they ran here, or that this one has taken from another.

use std::collections::HashSet;
use std::time::Instant;

use super::Supervisor;
use crate::model::{StreamId, StreamRecord};
use crate::rtms::driver::Command;
use crate::store::{Claim, Offer, StoreError};

/// How much of what other daemons heard a stream is told at a time.
const OFFERS_AT_ONCE: u32 = 500;

impl Supervisor {
    /// The store refused what a stream wrote under this epoch: somebody has claimed it since. If that was us, the writer
    /// does not know it yet.
    pub(super) async fn fenced(&mut self, stream_id: StreamId, epoch: i64) {
        if self.running.get(&stream_id).is_none_or(|running| running.epoch() != epoch) {
            return;
        }
        let settled = self.settle(vec![stream_id]).await;
        self.note_answer(settled);
    }

    /// Streams that run here and whose claim is not ours any longer: those that nobody has are claimed again and go
    /// on as they are, with everything that they heard meanwhile; the others must not have two runners. Those are left
    /// when they are found so twice: a node that took one finds out whether Zoom has it connected, and may give it
    /// back in a moment.
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
        let a_moment = self.settings.leases.look_every / 2;
        let Some(running) = self.running.get_mut(stream_id) else { return };
        let since = *running.lost_since.get_or_insert_with(Instant::now);
        if since.elapsed() < a_moment {
            return;
        }
        tracing::info!(%stream_id, "another daemon has the stream, or it has ended; it is left");
        self.ender.hub.taken(stream_id);
        // A task that ended already takes no commands.
        let _ = running.commands.try_send(Command::Leave);
    }

    /// Tells streams what other daemons heard of them while they had them.
    pub(super) async fn take_offers(&mut self) -> Result<(), StoreError> {
        for stream_id in self.store.offered_streams(self.settings.node).await? {
            let Some(running) = self.running.get_mut(&stream_id) else { continue };
            let offers = self.store.offers(&stream_id, running.offered, OFFERS_AT_ONCE).await?;
            let Some(last) = offers.last().map(Offer::key) else { continue };
            if running.commands.try_send(Command::HandedOver(offers)).is_ok() {
                running.offered = last;
            }
        }
        Ok(())
    }

    fn claimed_again(&mut self, stream: &StreamRecord, last_seq: u64, until: Instant) {
        let stream_id = &stream.stream_id;
        let Some(running) = self.running.get_mut(stream_id) else { return };
        tracing::info!(%stream_id, "stream claimed again; it goes on");
        self.ender.hub.claimed(stream_id, stream.epoch, last_seq);
        running.lost_since = None;
        running.prolong(stream.epoch, until);
        self.tell(stream);
    }
}
