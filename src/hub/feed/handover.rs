//! Takes over from another daemon: continues its log, and appends the entries that it received and could not store.

use super::{Beginning, Feed};
use crate::hub::queue::Item;
use crate::model::EntryBody;
use crate::store::{Offer, OfferKey};

impl Feed {
    /// Continues the log of a stream that ran before. If it is contested, writes nothing before the first entry.
    pub fn picked_up(&mut self, is_contested: bool) {
        self.beginning = match is_contested {
            true => Beginning::Contested,
            false => Beginning::PickedUp,
        };
        if !is_contested {
            // A full queue is not an error here: the first entry tries again.
            self.begin();
        }
    }

    /// Appends the entry that the stream was picked up, if it is due. Returns false when there was no room.
    pub(super) fn begin(&mut self) -> bool {
        let is_begun = self.beginning == Beginning::Done
            || self.push(self.now_ms(), EntryBody::PickedUp {}, None);
        if is_begun {
            self.beginning = Beginning::Done;
        }
        is_begun
    }

    /// Appends the entries that other daemons received while this one was not connected. Dismisses the others, which
    /// this daemon received too.
    pub fn handed_over(&mut self, mut offers: Vec<Offer>) {
        // Offers arrive over two paths, the supervisor's command and the read at the stream's end. None may be
        // appended twice.
        offers.retain(|offer| offer.key() > self.offered);
        let Some(last) = offers.last().map(Offer::key) else { return };
        self.offered = last;
        // Both daemons may have received an entry around the takeover. The ledger decides by time, because Zoom
        // gives entries no id.
        let (missing, known): (Vec<_>, Vec<_>) = offers.into_iter().partition(|offer| {
            let medium = offer.body.piece().map(|(medium, _)| medium);
            self.ledger.is_missing(medium, offer.at_ms)
        });
        if !known.is_empty() {
            let keys = known.iter().map(Offer::key).collect();
            self.hub.queue.push(Item::Dismiss(self.stream_id.clone(), keys));
        }
        let times = || missing.iter().map(|offer| offer.at_ms);
        let (Some(start_ms), Some(end_ms)) = (times().min(), times().max()) else { return };
        let count = missing.len() as u64;
        tracing::info!(
            entries = count,
            "another daemon handed over entries that were missed here; they are appended"
        );
        let now_ms = self.now_ms();
        self.append(now_ms, EntryBody::HandedOver { count, start_ms, end_ms });
        missing.into_iter().for_each(|offer| self.take_over(offer));
    }

    /// Appends one offered entry. Without room it stays offered, for the next daemon that runs the stream.
    fn take_over(&mut self, offer: Offer) {
        let (key, at_ms, piece) = (offer.key(), offer.at_ms, offer.body.piece());
        if self.push(at_ms, offer.body, Some(key))
            && let Some((medium, bytes)) = piece
        {
            self.count(medium, at_ms, bytes);
            self.ledger.handed_over(medium, bytes);
        }
    }

    /// The key of the last entry that was handed over.
    pub fn offered(&self) -> OfferKey {
        self.offered
    }
}
