//! Leases and their fence: at any time one node runs a stream, a dead node's streams become free, and a node that
//! comes back from the dead can write nothing more. Leases begin and end by the database's clock.

use super::database::{Bind, Connection, binds};
use super::rows::{self, StreamRow};
use super::streams::read_stream;
use super::{Claim, Store, StoreError, sql};
use crate::model::{NodeId, StreamId, StreamRecord};

impl Store {
    /// Leases those of `streams` for `node`, for `lease_ms`, that are known, have not ended, and of which no other node
    /// has a good lease. Each claim raises the stream's epoch. A stream that Zoom has stopped can be claimed: somebody
    /// has to finish it.
    pub async fn claim_streams(
        &self,
        node: NodeId,
        streams: &[StreamId],
        lease_ms: i64,
    ) -> Result<Vec<Claim>, StoreError> {
        let node = node.to_string();
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                let now_ms = tx.connection().now_ms().await?;
                let until_ms = now_ms.saturating_add(lease_ms);
                let mut claims = Vec::with_capacity(streams.len());
                for stream in streams {
                    let values = binds![stream.as_str(), node.as_str(), until_ms, now_ms];
                    claims.extend(claim_one(&mut tx.connection(), stream, values).await?);
                }
                tx.commit().await?;
                Ok(claims)
            })
            .await
    }

    /// Leases up to `limit` streams that have not ended and that nobody has a good lease of. Those that `node` has
    /// already are not among them.
    pub async fn claim_orphans(
        &self,
        node: NodeId,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                let now_ms = tx.connection().now_ms().await?;
                let until_ms = now_ms.saturating_add(lease_ms);
                let values = binds![node.to_string(), until_ms, now_ms, i64::from(limit)];
                let done = claim_some(&mut tx.connection(), values).await?;
                tx.commit().await?;
                Ok(done)
            })
            .await
    }

    /// Prolongs every lease of `node` to `lease_ms` from now and returns its streams that have not ended, as they now
    /// are. A stream that is missing there, or has another epoch, has ended or was taken by another node.
    pub async fn renew_leases(
        &self,
        node: NodeId,
        lease_ms: i64,
    ) -> Result<Vec<StreamRecord>, StoreError> {
        let node = node.to_string();
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                let until_ms = tx.connection().now_ms().await?.saturating_add(lease_ms);
                let values = binds![&*node, until_ms];
                tx.connection().execute(sql::RENEW_LEASES, values).await?;
                tx.commit().await
            })
            .await?;
        // Two transactions, and the second only reads: a stream that is lost between them is
        // missing, as it should be.
        let rows: Vec<StreamRow> = self.database.all(sql::STREAMS_OF_NODE, binds![&*node]).await?;
        Ok(rows::readable(rows))
    }

    /// Gives one claim back. For `quiet_ms` nobody finds the stream by looking; a node that knows of it may claim it
    /// at once. Nothing when the epoch has moved on.
    pub async fn give_back(
        &self,
        stream: &StreamId,
        epoch: i64,
        quiet_ms: i64,
    ) -> Result<(), StoreError> {
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                let until_ms = tx.connection().now_ms().await?.saturating_add(quiet_ms);
                let values = binds![stream.as_str(), epoch, until_ms];
                tx.connection().execute(sql::GIVE_BACK, values).await?;
                tx.commit().await
            })
            .await
    }

    /// Gives every lease of `node` back, so that the next start takes the streams at once.
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

async fn claim_some(
    tx: &mut Connection<'_>,
    values: &[Bind<'_>],
) -> Result<Vec<Claim>, StoreError> {
    let ids: Vec<(String,)> = tx.all(sql::CLAIM_ORPHANS, values).await?;
    let mut claims = Vec::with_capacity(ids.len());
    for (id,) in ids {
        claims.extend(read_claim(tx, &rows::stream_id(&id)?).await?);
    }
    Ok(claims)
}

/// Statements of their own, after the claim: what the last owner wrote before it let go is in them.
async fn read_claim(
    tx: &mut Connection<'_>,
    stream: &StreamId,
) -> Result<Option<Claim>, StoreError> {
    let Some(record) = read_stream(tx, stream).await? else { return Ok(None) };
    let (last_seq,): (i64,) = tx.one(sql::LAST_SEQ, binds![stream.as_str()]).await?;
    let (taken_over,): (i64,) = tx.one(sql::TAKEN_OVER, binds![stream.as_str()]).await?;
    Ok(Some(Claim {
        stream: record,
        last_seq: rows::number("seq", last_seq)?,
        is_taken_over: taken_over != 0,
    }))
}
