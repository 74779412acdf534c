//! The queue from the streams that run here to the writer, bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::log::Log;
use crate::model::{Account, EntryBody, Gap, StreamId};
use crate::store::{OfferKey, StreamUpdate};

/// What an item takes beside its texts, roughly.
const ITEM_BYTES: usize = 256;

pub(super) enum Item {
    /// A stream begins to run here.
    Open(StreamId, Box<Log>),
    /// It has something to be numbered and stored.
    Entry(StreamId, Heard),
    /// Where it stands; a newer one makes it void.
    Update(StreamId, Box<StreamUpdate>),
    /// It was looked at, and is not to be appended.
    Dismiss(StreamId, Vec<OfferKey>),
    /// It was claimed again, while it ran.
    Claimed { stream_id: StreamId, epoch: i64, last_seq: u64 },
    /// Another node has claimed it, or it has ended.
    Taken(StreamId),
    /// It runs here no longer.
    Close(StreamId),
    /// Answered when everything before it is stored; where it is about one stream that is fenced, when it is known who
    /// has that.
    Flush(Option<StreamId>, oneshot::Sender<()>),
}

/// An entry that has no number yet.
#[derive(Debug)]
pub(super) struct Heard {
    pub at_ms: i64,
    pub body: EntryBody,
    /// Another node heard it, and offered it under this key.
    pub offer: Option<OfferKey>,
}

impl Heard {
    pub fn bytes(&self) -> usize {
        entry_bytes(&self.body)
    }
}

/// What an entry takes in memory, roughly.
pub(super) fn entry_bytes(body: &EntryBody) -> usize {
    ITEM_BYTES + body.text_bytes()
}

impl Item {
    pub fn bytes(&self) -> usize {
        match self {
            Item::Update(_, update) => update_bytes(update),
            Item::Entry(_, heard) => heard.bytes(),
            // There are few, and whoever sends one must not be told that there is no room.
            _ => 0,
        }
    }
}

/// What figures take in memory, roughly.
pub(super) fn update_bytes(update: &StreamUpdate) -> usize {
    let accounts = update.ledger.as_deref().unwrap_or_default();
    let bytes = |account: &Account| size_of::<Account>() + account.gaps.len() * size_of::<Gap>();
    ITEM_BYTES + accounts.iter().map(bytes).sum::<usize>()
}

/// The streams' end of the queue.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::UnboundedSender<Item>,
    queued_bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

impl Queue {
    pub fn new(sender: mpsc::UnboundedSender<Item>, max_bytes: usize) -> Self {
        Self { sender, queued_bytes: Arc::default(), max_bytes }
    }

    /// False when there is no room, or no writer.
    pub fn push(&self, item: Item) -> bool {
        let bytes = item.bytes();
        let before = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let has_room = bytes == 0 || before + bytes <= self.max_bytes;
        let is_queued = has_room && self.sender.send(item).is_ok();
        if !is_queued {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_queued
    }

    /// The writer holds on to so much less.
    pub fn done(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
