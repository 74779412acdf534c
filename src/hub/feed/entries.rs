//! Appends a stream's entries to its log.

use super::Feed;
use crate::hub::queue::{Heard, Item};
use crate::hub::times;
use crate::model::{EntryBody, Gap};
use crate::store::OfferKey;

impl Feed {
    /// Appends an entry. `at_ms` is Zoom's time; the time of arrival replaces it if it is missing or implausible.
    pub fn note(&mut self, at_ms: Option<i64>, mut body: EntryBody) {
        let now_ms = self.now_ms();
        let at_ms = times::of_entry(at_ms, &mut body, self.announced_ms, now_ms);
        let entry_ms = at_ms.unwrap_or(now_ms);
        if !self.take_account(entry_ms, &body) {
            return;
        }
        self.sources.forget();
        // Before the entry is queued: the roster may add a name to a transcript line.
        self.fanout.running().people().note(entry_ms, &mut body);
        let piece = body.piece();
        if piece.is_some() {
            self.counting.media_began(now_ms);
        }
        // The ledger counts a line only if it was kept; a line dropped here is a gap with its own
        // cause.
        let is_kept = self.append(entry_ms, body);
        match piece {
            Some((medium, bytes)) if is_kept => self.ledger.frame(now_ms, medium, at_ms, bytes),
            Some((medium, bytes)) => self.ledger.overflow(now_ms, medium, at_ms, bytes),
            None => return,
        }
        self.note_gaps();
    }

    pub(super) fn note_gaps(&mut self) {
        while let Some((medium, gap)) = self.ledger.closed() {
            let Gap { start_ms, end_ms, cause } = gap;
            let body = EntryBody::Gap { medium, start_ms, end_ms, cause };
            self.counting.gap(&body);
            self.append(self.now_ms(), body);
        }
    }

    /// Appends an entry. Returns false when there was no room; the loss is reported as soon as there is.
    pub(super) fn append(&mut self, at_ms: i64, body: EntryBody) -> bool {
        // In this order, so that the log says where entries are missing before it continues.
        let is_kept = self.begin() && self.report_lost() && self.push(at_ms, body, None);
        if !is_kept {
            // One line per full queue, not one per entry.
            if self.lost == 0 {
                self.context.in_scope(|| {
                    tracing::warn!("the entry queue is full; entries are dropped and counted");
                });
            }
            self.counting.entry_lost();
            self.lost += 1;
        }
        is_kept
    }

    /// Reports lost entries. Returns false when there is no room for the report.
    pub(super) fn report_lost(&mut self) -> bool {
        let count = self.lost;
        let is_reported =
            count == 0 || self.push(self.now_ms(), EntryBody::EntriesLost { count }, None);
        if is_reported {
            self.lost = 0;
        }
        is_reported
    }

    /// Queues an entry. Returns false when there was no room.
    pub(super) fn push(&mut self, at_ms: i64, body: EntryBody, offer: Option<OfferKey>) -> bool {
        let heard = Heard { at_ms, body, offer };
        self.hub.queue.push(Item::Entry(self.stream_id.clone(), heard))
    }

    /// Counts the content of an entry. Returns false for a repetition: Zoom repeats the first
    /// packet's time after every rejoin.
    fn take_account(&mut self, at_ms: i64, body: &EntryBody) -> bool {
        if let Some((medium, bytes)) = body.piece() {
            let made_ms =
                if let EntryBody::Transcript(line) = body { line.start_ms } else { at_ms };
            // A line is sent after it was spoken. The tally spans the speech, as it does for audio.
            self.count(medium, made_ms.min(at_ms), bytes);
        }
        match body {
            EntryBody::FirstPacket {} if self.first_packet_ms.is_some() => return false,
            EntryBody::FirstPacket {} => {
                self.first_packet_ms = Some(at_ms);
                self.describe(|stream| stream.first_packet_ms = Some(at_ms));
            }
            _ => {}
        }
        true
    }
}
