//! Leases and their fence: only one node at a time runs a stream, the streams of a dead node become free, and a node
//! that wakes up after losing its lease can write nothing. Leases use the database's clock.

use std::sync::LazyLock;

use super::database::{Bind, Connection, binds, row, transaction};
use super::rows::{self, StreamRow};
use super::{Claim, Store, StoreError, sql};
use crate::model::{
    AppName, AppRooms, NodeId, StopReason, StreamId, StreamRecord, StreamStatus, UserId,
};

/// How long a renewed lease lasts in a store that only one daemon can open (SQLite). The next start releases all leases.
const SINGLE_DAEMON_LEASE_MS: i64 = 3_600_000;

pub(super) static LOCK_STREAMS: LazyLock<String> = LazyLock::new(sql::lock_streams);
static CLAIM_STREAMS: LazyLock<String> = LazyLock::new(sql::claim_streams);
static STREAMS_BY_ID: LazyLock<String> = LazyLock::new(sql::streams_by_id);
static CLAIMS_OF_STREAMS: LazyLock<String> = LazyLock::new(sql::claims_of_streams);
static RELEASE_STREAMS: LazyLock<String> = LazyLock::new(sql::release_streams);
static FREE_STREAMS: LazyLock<String> = LazyLock::new(sql::free_streams);

/// A stream that has not ended and has no valid lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub stream_id: StreamId,
    pub app: AppName,
    /// Zoom has stopped it: its end is left to record, and a gap if a daemon had run it.
    pub is_stopped: bool,
    /// A daemon has run it, and Zoom waits for its return.
    pub has_run: bool,
}

row! {
    struct OrphanRow {
        stream_id: String,
        app: String,
        stop_seen_at_ms: Option<i64>,
        status: String,
    }
}

/// A stream that a node holds and that has not ended, with what the supervisor passes on to its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedStream {
    pub stream_id: StreamId,
    pub epoch: i64,
    /// The number of the newest announcement.
    pub generation: i64,
    /// How many interruptions Zoom has announced.
    pub interrupts: i64,
    /// Whether Zoom has announced its stop.
    pub is_stopped: bool,
    pub stop_reason: Option<StopReason>,
    /// The participant of the requested video.
    pub video_user_id: Option<UserId>,
}

row! {
    struct LeasedStreamRow {
        stream_id: String,
        epoch: i64,
        generation: i64,
        interrupts: i64,
        stop_seen_at_ms: Option<i64>,
        stop_reason: Option<i64>,
        video_user_id: Option<i64>,
    }
}

impl TryFrom<LeasedStreamRow> for LeasedStream {
    type Error = StoreError;

    fn try_from(row: LeasedStreamRow) -> Result<Self, StoreError> {
        Ok(Self {
            stream_id: rows::stream_id(&row.stream_id)?,
            epoch: row.epoch,
            generation: row.generation,
            interrupts: row.interrupts,
            is_stopped: row.stop_seen_at_ms.is_some(),
            stop_reason: row.stop_reason.map(StopReason),
            video_user_id: rows::video_user_id(row.video_user_id)?,
        })
    }
}

row! {
    struct ClaimRow {
        taken_over: i64,
        last_seq: i64,
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
        let (node, streams) = (node.to_string(), sorted(streams));
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let until_ms = now_ms.saturating_add(lease_ms);
            let mut claims = Vec::with_capacity(streams.len());
            for ids in sql::padded_ids(&streams) {
                tx.lock(&LOCK_STREAMS, &ids).await?;
                let mut values = binds![node.as_str(), until_ms, now_ms].to_vec();
                values.extend(ids);
                claims.extend(claim_some(&mut tx, &values).await?);
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

    /// Extends every lease of `node` to at least `lease_ms` from now, and returns its streams that have not ended. A stream
    /// that is missing, or has another epoch, has ended or was claimed by another node.
    pub async fn renew_leases(
        &self,
        node: NodeId,
        lease_ms: i64,
    ) -> Result<Vec<LeasedStream>, StoreError> {
        let node = node.to_string();
        // Without another daemon, the rows are written once an hour instead of at every poll.
        let renewed_ms =
            if self.is_shared() { lease_ms } else { lease_ms.max(SINGLE_DAEMON_LEASE_MS) };
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let from_now = |lease_ms: i64| now_ms.saturating_add(lease_ms);
            let values = binds![&*node, from_now(renewed_ms), from_now(lease_ms)];
            tx.lock(sql::LOCK_STREAMS_OF_NODE, binds![&*node]).await?;
            tx.execute(sql::RENEW_LEASES, values).await?;
        })?;
        // Two transactions, the second read-only: a stream lost in between is missing, as it should be.
        let rows: Vec<LeasedStreamRow> =
            self.database.all(sql::STREAMS_OF_NODE, binds![&*node]).await?;
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

    /// Releases those of `streams` that `node` has, so that another node takes them at once.
    pub async fn release_streams(
        &self,
        node: NodeId,
        streams: &[StreamId],
    ) -> Result<(), StoreError> {
        let (node, streams) = (node.to_string(), sorted(streams));
        transaction!(self.database, |tx| {
            for ids in sql::padded_ids(&streams) {
                tx.lock(&LOCK_STREAMS, &ids).await?;
                let mut values = binds![node.as_str()].to_vec();
                values.extend(ids);
                tx.execute(&RELEASE_STREAMS, &values).await?;
            }
        })
    }

    /// Those of `streams` that no node has claimed and that have not ended.
    pub async fn free_streams(&self, streams: &[StreamId]) -> Result<Vec<StreamId>, StoreError> {
        let mut free = Vec::new();
        for ids in sql::padded_ids(streams) {
            let rows: Vec<(String,)> = self.database.all(&FREE_STREAMS, &ids).await?;
            for (stream_id,) in rows {
                free.push(rows::stream_id(&stream_id)?);
            }
        }
        Ok(free)
    }

    /// Releases one claim, so that another node takes the stream at once. Does nothing if the epoch has changed.
    pub async fn release_stream(&self, stream: &StreamId, epoch: i64) -> Result<(), StoreError> {
        let values = binds![stream.as_str(), epoch];
        self.database.execute(sql::RELEASE_STREAM, values).await.map(drop)
    }

    /// Releases every lease of `node`, so that the next start takes the streams at once.
    pub async fn release_leases(&self, node: NodeId) -> Result<u64, StoreError> {
        let node = node.to_string();
        transaction!(self.database, |tx| {
            tx.lock(sql::LOCK_STREAMS_OF_NODE, binds![&*node]).await?;
            tx.execute(sql::RELEASE_LEASES, binds![&*node]).await?
        })
    }
}

/// In the order in which every transaction with several streams locks them.
fn sorted(streams: &[StreamId]) -> Vec<StreamId> {
    let mut sorted = streams.to_vec();
    sorted.sort();
    sorted
}

/// Claims streams and reads them. The reading comes in later statements: a claim waits for the last owner's
/// transaction, and they see what it wrote.
async fn claim_some(
    tx: &mut Connection<'_>,
    values: &[Bind<'_>],
) -> Result<Vec<Claim>, StoreError> {
    let claimed: Vec<(String,)> = tx.all(&CLAIM_STREAMS, values).await?;
    let claimed: Vec<String> = claimed.into_iter().map(|(id,)| id).collect();
    let Some(ids) = sql::padded_ids(&claimed).next() else { return Ok(Vec::new()) };
    let records: Vec<StreamRow> = tx.all(&STREAMS_BY_ID, &ids).await?;
    let rows: Vec<ClaimRow> = tx.all(&CLAIMS_OF_STREAMS, &ids).await?;
    // Both are sorted by the id, and no row can be missing: the claim has locked them.
    let claims = records.into_iter().zip(rows).map(|(record, row)| {
        Ok(Claim {
            stream: StreamRecord::try_from(record)?,
            last_seq: rows::read_number("seq", row.last_seq)?,
            is_taken_over: row.taken_over != 0,
        })
    });
    claims.collect()
}

/// The streams that find room in their apps, in the same order.
fn admitted(rows: &[OrphanRow], rooms: &AppRooms) -> Result<Vec<Orphan>, StoreError> {
    let mut rooms = rooms.clone();
    let mut orphans = Vec::with_capacity(rows.len());
    for OrphanRow { stream_id, app, stop_seen_at_ms, status } in rows {
        let (app, is_stopped) = (rows::app_name(app)?, stop_seen_at_ms.is_some());
        if is_stopped || rooms.take(&app) {
            let stream_id = rows::stream_id(stream_id)?;
            let has_run = status != StreamStatus::Announced.as_str();
            orphans.push(Orphan { stream_id, app, is_stopped, has_run });
        }
    }
    Ok(orphans)
}
