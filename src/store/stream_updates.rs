//! What the daemon writes to the rows of streams while they run.

use std::collections::HashSet;

use serde::Serialize;

use super::database::{Connection, transaction};
use super::leases::LOCK_STREAMS;
use super::rows::json_text;
use super::sessions::refresh_session;
use super::status_events::emit_stream;
use super::streams::lock_stream;
use super::{Store, StoreError, StreamUpdate, sql};
use crate::model::{StreamId, StreamStatus};

type Update = (StreamId, StreamUpdate);

impl Store {
    /// Writes changes of streams, and their sessions' status with them. Returns the streams that were not written: they
    /// have ended, are unknown, or have another epoch than the update. After an error some may be written; writing them
    /// again changes nothing.
    pub async fn update_streams(
        &self,
        updates: &[Update],
        now_ms: i64,
    ) -> Result<Vec<StreamId>, StoreError> {
        // In the order in which every transaction with several streams locks them.
        let mut updates: Vec<&Update> = updates.iter().collect();
        updates.sort_by(|(one, _), (other, _)| one.cmp(other));
        let has_status = |(_, update): &&Update| status_of(update).is_some();
        let (with_status, without): (Vec<_>, Vec<_>) = updates.into_iter().partition(has_status);
        let mut refused = self.write_without_status(&without).await?;
        refused.extend(self.write_with_status(&with_status, now_ms).await?);
        Ok(refused)
    }

    /// Writes updates that leave the status as it is. They are frequent, and need no lock on the sessions.
    async fn write_without_status(&self, updates: &[&Update]) -> Result<Vec<StreamId>, StoreError> {
        if updates.is_empty() {
            return Ok(Vec::new());
        }
        let written = transaction!(self.database, |tx| {
            lock_rows(&mut tx, updates).await?;
            write_rows(&mut tx, updates).await?
        })?;
        let ids = updates.iter().map(|(stream, _)| stream);
        Ok(ids.filter(|id| !written.contains(id.as_str())).cloned().collect())
    }

    async fn write_with_status(
        &self,
        updates: &[&Update],
        now_ms: i64,
    ) -> Result<Vec<StreamId>, StoreError> {
        if updates.is_empty() {
            return Ok(Vec::new());
        }
        transaction!(self.database, |tx| {
            let mut records = Vec::with_capacity(updates.len());
            for (stream, _) in updates {
                records.push(lock_stream(&mut tx, stream).await?);
            }
            lock_rows(&mut tx, updates).await?;
            let (written, mut refused) = (write_rows(&mut tx, updates).await?, Vec::new());
            for ((stream, update), record) in updates.iter().zip(records) {
                match (record, status_of(update)) {
                    (Some(record), Some(status)) if written.contains(stream.as_str()) => {
                        emit_stream(&mut tx, &record, status, None, now_ms).await?;
                        refresh_session(&mut tx, record.session_id, now_ms).await?;
                    }
                    _ => refused.push(stream.clone()),
                }
            }
            refused
        })
    }
}

/// The status to write. `Ended` is left out: only `finish_stream` writes it.
fn status_of(update: &StreamUpdate) -> Option<StreamStatus> {
    update.status.filter(|status| *status != StreamStatus::Ended)
}

/// Locks the streams in the order of their ids. See [`sql::lock_streams`].
async fn lock_rows(tx: &mut Connection<'_>, updates: &[&Update]) -> Result<(), StoreError> {
    let ids: Vec<&StreamId> = updates.iter().map(|(stream, _)| stream).collect();
    for ids in sql::padded_ids(&ids) {
        tx.lock(&LOCK_STREAMS, &ids).await?;
    }
    Ok(())
}

/// Returns the streams that were written.
async fn write_rows(
    tx: &mut Connection<'_>,
    updates: &[&Update],
) -> Result<HashSet<String>, StoreError> {
    let rows: Vec<UpdateRow<'_>> = updates.iter().map(|update| UpdateRow::of(update)).collect();
    let written: Vec<(String,)> = tx.all_bulk(sql::UPDATE_STREAMS, &rows, &[]).await?;
    Ok(written.into_iter().map(|(id,)| id).collect())
}

/// A row of `UPDATE_STREAMS`.
#[derive(Serialize)]
struct UpdateRow<'a> {
    stream_id: &'a str,
    epoch: i64,
    status: Option<&'static str>,
    first_packet_ms: Option<i64>,
    tally: Option<String>,
    unknown_messages: Option<String>,
    unreadable_messages: Option<String>,
    effective: Option<String>,
    ledger: Option<String>,
}

impl<'a> UpdateRow<'a> {
    fn of((stream, update): &'a Update) -> Self {
        Self {
            stream_id: stream.as_str(),
            epoch: update.epoch,
            status: status_of(update).map(StreamStatus::as_str),
            first_packet_ms: update.first_packet_ms,
            tally: update.tally.as_ref().map(json_text),
            unknown_messages: update.unknown_messages.as_ref().map(json_text),
            unreadable_messages: update.unreadable_messages.as_ref().map(json_text),
            effective: update.effective.as_ref().map(json_text),
            ledger: update.ledger.as_ref().map(json_text),
        }
    }
}
