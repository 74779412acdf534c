//! Streams that another node claims: their entries are set aside, and stored or offered once it is known which node has
//! them.

use super::{Writer, not_kept};
use crate::hub::batching::{Kind, until_answered};
use crate::hub::log::{ClaimState, Log};
use crate::hub::queue::entry_bytes;
use crate::model::StreamId;
use crate::store::{Offer, OfferKey, Offered};

const OFFERS: Kind<Offer> = Kind {
    max_items: 200,
    bytes: |offer| entry_bytes(&offer.body),
    stand_in: |offer| Offer { body: not_kept(&offer.body), ..*offer },
    is_of_entries: false,
};

impl Writer {
    /// Marks streams as claimed since, and reports them to the supervisor, which finds out by which
    /// node.
    pub(super) fn fence<'a>(&mut self, streams: impl IntoIterator<Item = &'a StreamId>) {
        for stream_id in streams {
            let Some(log) = self.logs.get_mut(stream_id) else { continue };
            if log.fence() {
                log.context().in_scope(|| {
                    tracing::warn!("the stream was claimed again; this daemon sets its entries aside until it knows by which daemon");
                });
                self.hub.note_fenced(stream_id, log.epoch());
            }
        }
    }

    /// Resumes a stream that this node claimed again. Stores the entries set aside after those that another node may
    /// have stored meanwhile.
    pub(super) async fn claimed(&mut self, stream_id: &StreamId, epoch: i64, last_seq: u64) {
        let stored = self.stored_under_epoch(stream_id).await;
        let Some(log) = self.logs.get_mut(stream_id) else { return };
        // `stored` must be read before this call, which replaces the epoch that it refers to.
        let (again, bytes) = log.claimed(epoch, last_seq, stored);
        let update = log.take_update();
        self.queue.done(bytes);
        let stored = self.append(again).await;
        let updates = update.map(|update| (stream_id.clone(), update));
        self.update(updates.into_iter().collect()).await;
        self.hub.publish(stored);
        self.answer(stream_id);
    }

    /// Answers the flush requests of a stream once it is known which node has it.
    pub(super) fn answer(&mut self, stream_id: &StreamId) {
        let log = self.logs.get_mut(stream_id).filter(|log| log.claim() != ClaimState::Fenced);
        for waiting in log.into_iter().flat_map(Log::take_waiting) {
            // An error means that the requester stopped waiting.
            let _ = waiting.send(());
        }
    }

    /// The last number that was stored under the current epoch, including by an attempt without an answer.
    pub(super) async fn stored_under_epoch(&self, stream_id: &StreamId) -> u64 {
        // Saves the query in the usual case: a stream that closes has nothing set aside.
        let Some(log) = self.logs.get(stream_id).filter(|log| log.has_aside()) else { return 0 };
        let epoch = log.epoch();
        let stored = until_answered(|| self.store.last_seq_of(stream_id, epoch)).await;
        stored.unwrap_or_else(|error| {
            log.context().in_scope(|| {
                tracing::error!(%error, "could not read the last stored entry number of a stream; some entries may be stored twice");
            });
            0
        })
    }

    /// Offers the entries that arrived since another node took their streams.
    pub(super) async fn offer_aside(&mut self) {
        let is_waiting = |log: &Log| log.claim() == ClaimState::Taken && log.has_aside();
        let waiting = self.logs.iter().filter(|(_, log)| is_waiting(log));
        let waiting: Vec<StreamId> = waiting.map(|(stream_id, _)| stream_id.clone()).collect();
        for stream_id in waiting {
            self.taken(&stream_id).await;
        }
    }

    /// Gives a stream up to another node and offers it the entries set aside.
    pub(super) async fn taken(&mut self, stream_id: &StreamId) {
        let stored = self.stored_under_epoch(stream_id).await;
        let Some(log) = self.logs.get_mut(stream_id) else { return };
        let keeps_personal = (self.settings.keeps_personal)(log.app());
        let (offers, bytes) = log.taken(stored, keeps_personal);
        if !offers.is_empty() {
            let store = self.store.clone();
            let sent = self.batcher.send(&offers, &OFFERS, |batch| {
                let (store, stream_id) = (store.clone(), stream_id.clone());
                Box::pin(async move { store.offer(&stream_id, batch).await })
            });
            let sent = sent.await;
            self.context(stream_id).in_scope(|| note_offered(offers.len() as u64, &sent.answers));
        }
        self.queue.done(bytes);
        self.answer(stream_id);
    }

    pub(super) async fn dismiss(&self, stream_id: &StreamId, keys: &[OfferKey]) {
        let Some(log) = self.logs.get(stream_id) else { return };
        let epoch = log.epoch();
        let dismissed = until_answered(|| self.store.dismiss_offers(stream_id, epoch, keys)).await;
        if let Err(error) = dismissed {
            log.context().in_scope(|| {
                tracing::error!(%error, "could not dismiss entries offered by another daemon; they stay offered");
            });
        }
    }
}

fn note_offered(all: u64, answers: &[Offered]) {
    let kept = answers.iter().map(|offered| offered.kept).sum::<u64>();
    let late = answers.iter().map(|offered| offered.late).sum::<u64>();
    if kept > 0 {
        tracing::info!(entries = kept, "handed entries over to the daemon that has the stream");
    }
    if late > 0 {
        tracing::warn!(
            entries = late,
            "the stream ended before entries were handed over; its ledger counts them as missing"
        );
    }
    if all > kept + late {
        tracing::warn!(
            lost = all - kept - late,
            "entries were not handed over, because too many wait for the stream or it was deleted; they are lost"
        );
    }
}
