//! A hub without a store: the log of a stream that is run again from a capture.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::queue::Item;
use super::{Feed, Hub, WriterSettings};
use crate::model::{Entry, EntryBody, MediaSet, StreamRecord};

/// The log of one stream that nothing stores. Its entries are numbered as the writer numbers them.
pub struct DetachedLog {
    hub: Arc<Hub>,
    items: mpsc::UnboundedReceiver<Item>,
    stream: StreamRecord,
    last_seq: u64,
}

impl DetachedLog {
    /// Continues after the entry `last_seq`. All times come from [`Feed::set_clock`].
    pub fn new(stream: StreamRecord, last_seq: u64, media: MediaSet) -> (Self, Feed) {
        let settings = WriterSettings { now_ms: || 0, ..WriterSettings::default() };
        let (hub, items) = Hub::with_queue(0, &settings);
        let feed = Feed::new(Arc::clone(&hub), &stream, last_seq, media);
        (Self { hub, items, stream, last_seq }, feed)
    }

    /// The entries since the last call.
    pub fn take(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        while let Ok(item) = self.items.try_recv() {
            self.hub.queue.taken_up();
            self.hub.queue.done(item.bytes());
            if let Item::Entry(_, heard) = item {
                entries.push(self.number(heard.at_ms, heard.body));
            }
        }
        entries
    }

    /// The next entry.
    pub fn number(&mut self, at_ms: i64, body: EntryBody) -> Entry {
        self.last_seq += 1;
        Entry {
            session_id: self.stream.session_id,
            stream_id: self.stream.stream_id.clone(),
            stream_ordinal: self.stream.ordinal,
            seq: self.last_seq,
            at_ms,
            body,
        }
    }
}
