//! Leases and their fence: only one node at a time runs a stream, the streams of a dead node become free, and a node
//! that wakes up after losing its lease can write nothing. Leases use the database's clock.

use super::database::{Bind, Connection, binds, row, transaction};
use super::rows::{self, StreamRow};
use super::streams::read_stream;
use super::{Claim, Store, StoreError, sql};
use crate::model::{AppName, AppRooms, NodeId, StreamId, StreamRecord};

/// A stream that has not ended and has no valid lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub stream_id: StreamId,
    pub app: AppName,
    /// Zoom has stopped it: only its end is left to record.
    pub is_stopped: bool,
}

row! {
    struct OrphanRow {
        stream_id: String,
        app: String,
        stop_seen_at_ms: Option<i64>,
    }
}

impl Store {
    /// Leases those of `streams` for `node`, for `lease_ms`, that are known, have not ended, and are not validly leased
    /// by another node. Each claim raises the stream's epoch. A stream that Zoom has stopped can be claimed, because
    /// some node has to finish it.
    pub async fn claim_streams(
        &self,
        node: NodeId,
        streams: &[StreamId],
        lease_ms: i64,
    ) -> Result<Vec<Claim>, StoreError> {
        let node = node.to_string();
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let until_ms = now_ms.saturating_add(lease_ms);
            let mut claims = Vec::with_capacity(streams.len());
            for stream in streams {
                let values = binds![stream.as_str(), node.as_str(), until_ms, now_ms];
                claims.extend(claim_one(&mut tx, stream, values).await?);
            }
            claims
        })
    }

    /// Up to `limit` streams that have not ended and have no valid lease, and of each app no more than `rooms` allows,
    /// in the order of their ids. Excludes those that `node` has already. A stream that only has to be ended needs no
    /// room of its app.
    pub async fn orphans(
        &self,
        node: NodeId,
        limit: u32,
        rooms: &AppRooms,
    ) -> Result<Vec<Orphan>, StoreError> {
        let node = node.to_string();
        let full = sql::between_commas(rooms.full().map(AppName::as_str));
        let rows: Vec<OrphanRow> = self
            .database
            .run(|| async {
                let mut reader = self.database.reader().await?;
                let mut connection = reader.connection();
                let now_ms = connection.now_ms().await?;
                let values = binds![&*node, now_ms, &*full, i64::from(limit)];
                connection.all(sql::ORPHANS, values).await
            })
            .await?;
        admitted(&rows, rooms)
    }

    /// Extends every lease of `node` to `lease_ms` from now and returns its streams that have not ended. A stream that
    /// is missing, or has another epoch, has ended or was claimed by another node.
    pub async fn renew_leases(
        &self,
        node: NodeId,
        lease_ms: i64,
    ) -> Result<Vec<StreamRecord>, StoreError> {
        let node = node.to_string();
        transaction!(self.database, |tx| {
            let until_ms = tx.now_ms().await?.saturating_add(lease_ms);
            let values = binds![&*node, until_ms];
            tx.execute(sql::RENEW_LEASES, values).await?;
        })?;
        // Two transactions, the second read-only: a stream lost in between is missing, as it should be.
        let rows: Vec<StreamRow> = self.database.all(sql::STREAMS_OF_NODE, binds![&*node]).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Releases one claim. For `quiet_ms` the stream is hidden from polls; a node that knows of it may claim it at
    /// once. Does nothing if the epoch has changed.
    pub async fn give_back(
        &self,
        stream: &StreamId,
        epoch: i64,
        quiet_ms: i64,
    ) -> Result<(), StoreError> {
        transaction!(self.database, |tx| {
            let until_ms = tx.now_ms().await?.saturating_add(quiet_ms);
            let values = binds![stream.as_str(), epoch, until_ms];
            tx.execute(sql::GIVE_BACK, values).await?;
        })
    }

    /// Releases one claim, so that another node takes the stream at once. Does nothing if the epoch has changed.
    pub async fn release_stream(&self, stream: &StreamId, epoch: i64) -> Result<(), StoreError> {
        let values = binds![stream.as_str(), epoch];
        self.database.execute(sql::RELEASE_STREAM, values).await.map(drop)
    }

    /// Releases every lease of `node`, so that the next start takes the streams at once.
    pub async fn release_leases(&self, node: NodeId) -> Result<u64, StoreError> {
        self.database.execute(sql::RELEASE_LEASES, binds![node.to_string()]).await
    }
}

async fn claim_one(
    tx: &mut Connection<'_>,
    stream: &StreamId,
    values: &[Bind<'_>],
) -> Result<Option<Claim>, StoreError> {
    match tx.execute(sql::CLAIM_STREAM, values).await? {
        0 => Ok(None),
        _ => read_claim(tx, stream).await,
    }
}

/// The streams that find room in their apps, in the same order.
fn admitted(rows: &[OrphanRow], rooms: &AppRooms) -> Result<Vec<Orphan>, StoreError> {
    let mut rooms = rooms.clone();
    let mut orphans = Vec::with_capacity(rows.len());
    for OrphanRow { stream_id, app, stop_seen_at_ms } in rows {
        let (app, is_stopped) = (rows::app_name(app)?, stop_seen_at_ms.is_some());
        if is_stopped || rooms.take(&app) {
            orphans.push(Orphan { stream_id: rows::stream_id(stream_id)?, app, is_stopped });
        }
    }
    Ok(orphans)
}

/// Reads a claimed stream. The statements come after the claim, which waits for the last owner's transaction, so that
/// they see what it wrote.
async fn read_claim(
    tx: &mut Connection<'_>,
    stream: &StreamId,
) -> Result<Option<Claim>, StoreError> {
    let Some(record) = read_stream(tx, stream).await? else { return Ok(None) };
    let (last_seq,): (i64,) = tx.one(sql::LAST_SEQ, binds![stream.as_str()]).await?;
    let (taken_over,): (i64,) = tx.one(sql::TAKEN_OVER, binds![stream.as_str()]).await?;
    Ok(Some(Claim {
        stream: record,
        last_seq: rows::read_number("seq", last_seq)?,
        is_taken_over: taken_over != 0,
    }))
}
