//! The spools in use. Recordings of a lost spool are ended by any daemon that finds it lost.

use super::database::binds;
use super::{Store, StoreError, sql};
use crate::model::{RecordingId, SpoolId};

/// A spool unseen for this long is lost.
pub(super) const SPOOL_LOST_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

impl Store {
    /// Records that a daemon uses this spool now.
    pub async fn see_spool(&self, spool: SpoolId, now_ms: i64) -> Result<(), StoreError> {
        self.database.execute(sql::SEE_SPOOL, binds![spool.to_string(), now_ms]).await.map(drop)
    }

    /// Fails the unfinished recordings of spools unseen for a day, if the stream is over. Returns how many there were.
    pub async fn fail_lost_recordings(&self, now_ms: i64) -> Result<u64, StoreError> {
        // First: a spool without a row would never count as lost.
        self.database.execute(sql::NOTE_SPOOLS, binds![now_ms]).await?;
        let seen_before_ms = now_ms - SPOOL_LOST_AFTER_MS;
        self.database.execute(sql::FAIL_LOST_RECORDINGS, binds![seen_before_ms]).await
    }

    /// Assigns all recordings of one spool to the other.
    pub async fn merge_spools(&self, from: SpoolId, into: SpoolId) -> Result<(), StoreError> {
        let values = binds![from.to_string(), into.to_string()];
        // Without a transaction, because both statements are idempotent in this order.
        self.database.execute(sql::MERGE_SPOOLS, values).await?;
        self.database.execute(sql::FORGET_SPOOL, binds![from.to_string()]).await.map(drop)
    }

    /// Records that the files of a lost spool's recording outside of the spool are deleted. The row stays, so that the
    /// spool deletes its files if it returns.
    pub async fn sweep_recording(&self, id: RecordingId, now_ms: i64) -> Result<(), StoreError> {
        let values = binds![id.to_string(), now_ms];
        self.database.execute(sql::SWEEP_RECORDING, values).await.map(drop)
    }
}
