//! Which streams this daemon may start: as many as it may run, and of each app as many as its quota allows.

use super::Supervisor;
use crate::model::{AppRooms, StreamId, StreamRecord};
use crate::store::{LeasedStream, StoreError};
use crate::telemetry::stream_span;

impl Supervisor {
    /// How many more streams of each app with a quota may run here.
    pub(super) fn rooms(&self) -> AppRooms {
        self.settings.occupancy.rooms(&self.settings.apps)
    }

    /// Those of `streams` that may start now. The others wait in the store, as the rows that they are: a later poll of
    /// this daemon or of another one finds them.
    pub(super) async fn admitted(&self, streams: &[StreamId]) -> Result<Vec<StreamId>, StoreError> {
        let mut admitted = self.within_quotas(streams).await?;
        let room = self.settings.occupancy.room();
        if admitted.len() > room {
            let limit = self.settings.occupancy.max_streams();
            tracing::warn!(
                limit,
                "MAX_STREAMS is reached; streams wait in the store until one ends or another daemon has room"
            );
            admitted.truncate(room);
        }
        Ok(admitted)
    }

    async fn within_quotas(&self, streams: &[StreamId]) -> Result<Vec<StreamId>, StoreError> {
        let mut rooms = self.rooms();
        if rooms.is_unlimited() {
            return Ok(streams.to_vec());
        }
        let mut admitted = Vec::with_capacity(streams.len());
        for stream_id in streams {
            let Some(stream) = self.store.stream(stream_id).await? else { continue };
            if is_only_to_be_ended(&stream) || rooms.take(&stream.app) {
                admitted.push(stream.stream_id);
            } else {
                stream_span(&stream).in_scope(|| {
                    tracing::warn!("the app is at its quota (MAX_STREAMS_PER_APP); the stream waits in the store until one of its streams ends or another daemon has room");
                });
            }
        }
        Ok(admitted)
    }

    /// Gives back those of this node's claims that found no place, because a claim is renewed as long as it is this
    /// node's: no other daemon could run the stream.
    pub(super) async fn give_back_idle(&self, claimed: &[LeasedStream]) -> Result<(), StoreError> {
        for stream in claimed.iter().filter(|it| !self.running.contains_key(&it.stream_id)) {
            self.steps.take();
            self.store.give_back(&stream.stream_id, stream.epoch, self.lease_ms()).await?;
        }
        Ok(())
    }
}

/// Whether nothing is left to do but to record the stream's end, which takes no place for long.
fn is_only_to_be_ended(stream: &StreamRecord) -> bool {
    stream.stop_seen_at_ms.is_some() || stream.ended_at_ms.is_some()
}
