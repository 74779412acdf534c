//! The queue from the streams that run here to the writer. Bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::log::Log;
use crate::model::{EntryBody, Gap, MediumAccount, StreamId};
use crate::store::{OfferKey, StreamUpdate};

/// The approximate size of an item without its texts.
const ITEM_BYTES: usize = 256;

pub(super) enum Item {
    /// A stream starts to run here.
    Open(StreamId, Box<Log>),
    /// An entry to number and store.
    Entry(StreamId, Heard),
    /// The stream's status and figures; a newer update replaces it.
    Update(StreamId, Box<StreamUpdate>),
    /// Offers that were examined and are not appended.
    Dismiss(StreamId, Vec<OfferKey>),
    /// This node claimed the stream again while it ran.
    Claimed { stream_id: StreamId, epoch: i64, last_seq: u64 },
    /// The stream was revoked: its personal entries are dropped.
    Revoked(StreamId),
    /// Another node has claimed the stream, or it has ended.
    Taken(StreamId),
    /// The stream stops running here.
    Close(StreamId),
    /// Answered when everything before it is stored. For a single fenced stream, answered when it is known which node
    /// has it.
    Flush(Option<StreamId>, oneshot::Sender<()>),
}

/// A received entry without a number.
#[derive(Debug)]
pub(super) struct Heard {
    pub at_ms: i64,
    pub body: EntryBody,
    /// The key under which another node offered the entry, if it did.
    pub offer: Option<OfferKey>,
}

impl Heard {
    pub(super) fn bytes(&self) -> usize {
        entry_bytes(&self.body)
    }
}

/// The approximate size of an entry in memory.
pub(super) fn entry_bytes(body: &EntryBody) -> usize {
    ITEM_BYTES + body.text_bytes()
}

impl Item {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Item::Update(_, update) => update_bytes(update),
            Item::Entry(_, heard) => heard.bytes(),
            // These are few, and they must always find room.
            _ => 0,
        }
    }
}

/// The approximate size of figures in memory.
pub(super) fn update_bytes(update: &StreamUpdate) -> usize {
    let accounts = update.ledger.as_deref().unwrap_or_default();
    let bytes = |account: &MediumAccount| {
        size_of::<MediumAccount>() + account.gaps.len() * size_of::<Gap>()
    };
    ITEM_BYTES + accounts.iter().map(bytes).sum::<usize>()
}

/// How much waits for the writer.
#[derive(Debug, Clone, Copy)]
pub struct QueueLoad {
    /// Entries and figures that the writer has not taken up.
    pub items: usize,
    /// Bytes of everything that is not stored yet.
    pub bytes: usize,
    pub max_bytes: usize,
}

/// The producers' side of the queue.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::UnboundedSender<Item>,
    queued_bytes: Arc<AtomicUsize>,
    /// The items that the writer has not taken up yet.
    waiting: Arc<AtomicUsize>,
    max_bytes: usize,
}

impl Queue {
    pub(super) fn new(sender: mpsc::UnboundedSender<Item>, max_bytes: usize) -> Self {
        Self { sender, queued_bytes: Arc::default(), waiting: Arc::default(), max_bytes }
    }

    /// Queues an item. Returns false when there is no room or no writer.
    pub(super) fn push(&self, item: Item) -> bool {
        let bytes = item.bytes();
        // Reserve first, then check: two producers that check first could both take the last room.
        // The count guards no other memory, so `Relaxed` is enough.
        let before = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let has_room = bytes == 0 || before + bytes <= self.max_bytes;
        // Before the item is sent: the writer may take it up at once.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let is_queued = has_room && self.sender.send(item).is_ok();
        if !is_queued {
            self.taken_up();
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_queued
    }

    /// Notes that the writer has taken up an item.
    pub(super) fn taken_up(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn load(&self) -> QueueLoad {
        QueueLoad {
            items: self.waiting.load(Ordering::Relaxed),
            bytes: self.queued_bytes.load(Ordering::Relaxed),
            max_bytes: self.max_bytes,
        }
    }

    /// Releases `bytes` that the writer has finished with.
    pub(super) fn done(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
