//! Leases: at any time one node runs a stream, and a dead node's streams become free.

use super::database::{Bind, Connection, binds};
use super::rows::{self, StreamRow};
use super::streams::read_stream;
use super::{Claim, Store, StoreError, sql};
use crate::model::{NodeId, StreamId, StreamRecord};

impl Store {
    /// Leases those of `streams` for `node` that are known, have not ended, and of which no other node has
    /// a good lease. A stream that Zoom has stopped can be claimed: somebody has to finish it.
    pub async fn claim_streams(
        &self,
        node: NodeId,
        streams: &[StreamId],
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Vec<Claim>, StoreError> {
        let (node, until_ms) = (node.to_string(), now_ms.saturating_add(lease_ms));
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
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

    /// Leases up to `limit` streams that have not ended and that nobody has a good lease of.
    pub async fn claim_orphans(
        &self,
        node: NodeId,
        now_ms: i64,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        let until_ms = now_ms.saturating_add(lease_ms);
        let values = binds![node.to_string(), until_ms, now_ms, i64::from(limit)];
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                let done = claim_some(&mut tx.connection(), values).await?;
                tx.commit().await?;
                Ok(done)
            })
            .await
    }

    /// Prolongs every lease of `node` and returns its streams that have not ended, as they now are.
    /// A stream that is missing there has ended or was taken by another node.
    pub async fn renew_leases(
        &self,
        node: NodeId,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Vec<StreamRecord>, StoreError> {
        let until_ms = now_ms.saturating_add(lease_ms);
        // Two transactions, and the second only reads: a stream that is lost between them is
        // missing, as it should be.
        self.database.execute(sql::RENEW_LEASES, binds![node.to_string(), until_ms]).await?;
        let rows: Vec<StreamRow> =
            self.database.all(sql::STREAMS_OF_NODE, binds![node.to_string()]).await?;
        rows.into_iter().map(StreamRecord::try_from).collect()
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

/// A statement of its own, after the claim: what the last owner wrote before it let go is in it.
async fn read_claim(
    tx: &mut Connection<'_>,
    stream: &StreamId,
) -> Result<Option<Claim>, StoreError> {
    let Some(record) = read_stream(tx, stream).await? else { return Ok(None) };
    let (last_seq,): (i64,) = tx.one(sql::LAST_SEQ, binds![stream.as_str()]).await?;
    Ok(Some(Claim { stream: record, last_seq: rows::number("seq", last_seq)? }))
}
