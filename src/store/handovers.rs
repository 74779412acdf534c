//! Entries that a node received for a stream and could not store before another node claimed it: offered through the
//! store, so that the other node appends them where it received nothing itself.
//!
//! Offers that arrive after the end of the stream are not appended. By then the stream's last entry and its summaries
//! are stored, its transcript is written, and readers have left: entries behind them would reach no one and contradict
//! what readers have. The ledger counts them, inside the gaps where they are missing.

use super::database::{Connection, binds, row, transaction};
use super::streams::{lock_stream, read_stream};
use super::{Append, Store, StoreError, rows, sql};
use crate::model::{EntryBody, FrameCount, MediumAccount, NodeId, StreamId};
use serde::Serialize;

/// The most offers for a stream: hours of conversation.
const MAX_OF_STREAM: i64 = 20_000;

/// An entry that another node received.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The epoch of the claim under which it was received.
    pub epoch: i64,
    /// Its place among the offers under that epoch, from 1.
    pub place: i64,
    pub at_ms: i64,
    pub body: EntryBody,
}

/// Identifies an offer of a stream. Ordered as they are appended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OfferKey {
    pub epoch: i64,
    pub place: i64,
}

/// The result of offering.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offered {
    /// Stored for the node that runs the stream.
    pub kept: u64,
    /// The stream had ended or was revoked: counted in its ledger where they are missing, and not stored.
    pub late: u64,
}

impl Offer {
    pub fn key(&self) -> OfferKey {
        OfferKey { epoch: self.epoch, place: self.place }
    }
}

impl Store {
    /// Offers entries of a stream to the node that runs it now. Offers beyond the limit for a stream are neither stored
    /// nor counted. Idempotent.
    pub async fn offer(&self, stream: &StreamId, offers: &[Offer]) -> Result<Offered, StoreError> {
        transaction!(self.database, |tx| { offer_all(&mut tx, stream, offers).await? })
    }

    /// The streams of `node` that have offers.
    pub async fn offered_streams(&self, node: NodeId) -> Result<Vec<StreamId>, StoreError> {
        let values = binds![node.to_string()];
        let rows: Vec<(String,)> = self.database.all(sql::OFFERED_STREAMS, values).await?;
        rows.iter().map(|(id,)| rows::stream_id(id)).collect()
    }

    /// Up to `limit` offers for a stream after `after`, in order.
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

    /// Marks offers as decided: they are not appended. Does nothing if `epoch`, of the claim under which that was
    /// decided, has passed.
    pub async fn dismiss_offers(
        &self,
        stream: &StreamId,
        epoch: i64,
        keys: &[OfferKey],
    ) -> Result<(), StoreError> {
        transaction!(self.database, |tx| {
            for key in keys {
                let values = binds![stream.as_str(), key.epoch, key.place, epoch];
                tx.execute(sql::DISMISS_OFFER, values).await?;
            }
        })
    }
}

async fn offer_all(
    tx: &mut Connection<'_>,
    stream: &StreamId,
    offers: &[Offer],
) -> Result<Offered, StoreError> {
    // Locked, so that the stream cannot end between this read and the inserts.
    let Some(record) = lock_stream(tx, stream).await? else { return Ok(Offered::default()) };
    let is_late = record.ended_at_ms.is_some() || record.is_revoked();
    let (mut known, mut new) = (0, Vec::new());
    for offer in offers {
        match insert_offer(tx, stream, offer, is_late).await? {
            Inserted::New => new.push(offer),
            Inserted::Known => known += 1,
            Inserted::NoRoom => {}
        }
    }
    let all = known + new.len() as u64;
    if !is_late {
        return Ok(Offered { kept: all, late: 0 });
    }
    count_late(tx, stream, record.ledger, new.into_iter()).await?;
    Ok(Offered { kept: 0, late: all })
}

enum Inserted {
    New,
    /// Possibly offered before, with the answer lost.
    Known,
    NoRoom,
}

/// Stores an offer; for a late one only the fact, not the body.
async fn insert_offer(
    tx: &mut Connection<'_>,
    stream: &StreamId,
    offer: &Offer,
    is_late: bool,
) -> Result<Inserted, StoreError> {
    let body = (!is_late)
        .then(|| serde_json::to_string(&offer.body).expect("texts and numbers become JSON"));
    let (stream, Offer { epoch, place, at_ms, .. }) = (stream.as_str(), offer);
    let values = binds![stream, *epoch, *place, *at_ms, body, MAX_OF_STREAM];
    if tx.execute(sql::INSERT_OFFER, values).await? > 0 {
        return Ok(Inserted::New);
    }
    let known: Option<(i64,)> = tx.optional(sql::OFFER, binds![stream, *epoch, *place]).await?;
    Ok(known.map_or(Inserted::NoRoom, |_| Inserted::Known))
}

/// Counts entries that the stream's log lacks.
async fn count_late(
    tx: &mut Connection<'_>,
    stream: &StreamId,
    mut ledger: Vec<MediumAccount>,
    offers: impl Iterator<Item = &Offer>,
) -> Result<(), StoreError> {
    let mut is_changed = false;
    for offer in offers {
        let Some((medium, bytes)) = offer.body.piece() else { continue };
        let account = ledger.iter_mut().find(|account| account.medium == medium);
        if let Some(account) = account.filter(|account| account.is_missing(offer.at_ms)) {
            account.handed_over_late.add(FrameCount { frames: 1, bytes });
            is_changed = true;
        }
    }
    if is_changed {
        let ledger = serde_json::to_string(&ledger).expect("names and numbers become JSON");
        tx.execute(sql::SET_LEDGER, binds![stream.as_str(), ledger]).await?;
    }
    Ok(())
}

/// Closes the open offers when the stream ends. Their rows stay, for a node that offers them again.
pub(super) async fn close_offers(
    tx: &mut Connection<'_>,
    stream: &StreamId,
) -> Result<(), StoreError> {
    let rows: Vec<OfferRow> = tx.all(sql::OPEN_OFFERS, binds![stream.as_str()]).await?;
    if rows.is_empty() {
        return Ok(());
    }
    // An offer that this version cannot read is not counted.
    let offers: Vec<Offer> = rows.into_iter().filter_map(|row| row.read(stream).ok()).collect();
    tracing::warn!(
        offers = offers.len(),
        "entries of another daemon came too late for the stream's log; the ledger counts them"
    );
    if let Some(record) = read_stream(tx, stream).await? {
        count_late(tx, stream, record.ledger, offers.iter()).await?;
    }
    tx.execute(sql::CLOSE_OFFERS, binds![stream.as_str()]).await.map(drop)
}

/// Removes offers that are being appended, in the same transaction.
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
        // serde_json's message could quote the text of a transcript.
        let body = serde_json::from_str(&body)
            .map_err(|_| StoreError::Row(format!("offer {epoch}/{place} for {stream}")))?;
        Ok(Offer { epoch, place, at_ms, body })
    }
}
