//! What a node heard of a stream and could not store before another claimed it: offered through the store, for the
//! other to append where it heard nothing itself.

use super::database::{Connection, binds, row};
use super::{Append, Store, StoreError, rows, sql};
use crate::model::{EntryBody, NodeId, StreamId};
use serde::Serialize;

/// More than this is not kept for a stream: hours of talk.
const MAX_OF_STREAM: i64 = 20_000;

/// An entry that another node heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Of the claim under which it was heard.
    pub epoch: i64,
    /// Its place among what was offered under that epoch, from 1.
    pub place: i64,
    pub at_ms: i64,
    pub body: EntryBody,
}

/// Which of a stream's offers. In the order in which they are appended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OfferKey {
    pub epoch: i64,
    pub place: i64,
}

impl Offer {
    pub fn key(&self) -> OfferKey {
        OfferKey { epoch: self.epoch, place: self.place }
    }
}

impl Store {
    /// Offers what was heard of a stream to the node that has it now. Returns how much of it is kept: nothing when the
    /// stream has ended. Safe to run again.
    pub async fn offer(&self, stream: &StreamId, offers: &[Offer]) -> Result<u64, StoreError> {
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                let mut kept = 0;
                for offer in offers {
                    kept += u64::from(insert(&mut tx.connection(), stream, offer).await?);
                }
                tx.commit().await?;
                Ok(kept)
            })
            .await
    }

    /// The streams of `node` for which something is offered.
    pub async fn offered_streams(&self, node: NodeId) -> Result<Vec<StreamId>, StoreError> {
        let values = binds![node.to_string()];
        let rows: Vec<(String,)> = self.database.all(sql::OFFERED_STREAMS, values).await?;
        rows.iter().map(|(id,)| rows::stream_id(id)).collect()
    }

    /// Up to `limit` offers for a stream that come after `after`, in order.
    pub async fn offers(
        &self,
        stream: &StreamId,
        after: OfferKey,
        limit: u32,
    ) -> Result<Vec<Offer>, StoreError> {
        let values = binds![stream.as_str(), after.epoch, after.place, i64::from(limit)];
        let rows: Vec<OfferRow> = self.database.all(sql::OFFERS, values).await?;
        rows.into_iter().map(|row| row.read(stream)).collect()
    }

    /// Notes that offers were looked at and are not appended. Nothing when `epoch`, of the claim under which that was
    /// decided, has passed.
    pub async fn dismiss_offers(
        &self,
        stream: &StreamId,
        epoch: i64,
        keys: &[OfferKey],
    ) -> Result<(), StoreError> {
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                for key in keys {
                    let values = binds![stream.as_str(), key.epoch, key.place, epoch];
                    tx.connection().execute(sql::DISMISS_OFFER, values).await?;
                }
                tx.commit().await
            })
            .await
    }
}

async fn insert(
    tx: &mut Connection<'_>,
    stream: &StreamId,
    offer: &Offer,
) -> Result<bool, StoreError> {
    let body = serde_json::to_string(&offer.body).expect("texts and numbers become JSON");
    let (stream, Offer { epoch, place, at_ms, .. }) = (stream.as_str(), offer);
    let values = binds![stream, *epoch, *place, *at_ms, body, MAX_OF_STREAM];
    if tx.execute(sql::INSERT_OFFER, values).await? > 0 {
        return Ok(true);
    }
    // Offered before, perhaps, and the answer was lost.
    let known: Option<(i64,)> = tx.optional(sql::OFFER, binds![stream, *epoch, *place]).await?;
    Ok(known.is_some())
}

/// Offers that are appended are offers no longer, in the same transaction.
pub(super) async fn take_offers(
    tx: &mut Connection<'_>,
    appends: &[&Append],
) -> Result<(), StoreError> {
    for Append { entry, offer, .. } in appends {
        if let Some(OfferKey { epoch, place }) = offer {
            let values = binds![entry.stream_id.as_str(), *epoch, *place];
            tx.execute(sql::TAKE_OFFER, values).await?;
        }
    }
    Ok(())
}

row! {
    struct OfferRow {
        epoch: i64,
        place: i64,
        at_ms: i64,
        body: String,
    }
}

impl OfferRow {
    fn read(self, stream: &StreamId) -> Result<Offer, StoreError> {
        let Self { epoch, place, at_ms, body } = self;
        // serde_json's own message could quote the text of a transcript.
        let body = serde_json::from_str(&body)
            .map_err(|_| StoreError::Row(format!("offer {epoch}/{place} for {stream}")))?;
        Ok(Offer { epoch, place, at_ms, body })
    }
}
