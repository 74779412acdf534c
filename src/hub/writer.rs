use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::Hub;
use crate::model::{Entry, EntryBody};
use crate::store::{Store, StoreError};

/// The most entries in one transaction.
const MAX_BATCH: usize = 1000;
/// The waits between tries while the store is away.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// What an entry takes beside its texts, roughly.
const ENTRY_BYTES: usize = 256;

#[derive(Debug, Clone)]
pub struct WriterSettings {
    /// An entry waits no longer than this for others to be stored with.
    pub batch_interval: Duration,
    /// What may wait while the store is away. Beyond it entries are lost, and counted.
    pub max_queued_bytes: usize,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self { batch_interval: Duration::from_millis(250), max_queued_bytes: 64 * 1024 * 1024 }
    }
}

pub(super) enum Item {
    Entry(Entry),
    /// Answered when everything before it is stored.
    Flush(oneshot::Sender<()>),
}

/// The queue to the writer, bounded in bytes.
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
        let is_queued = before + bytes <= self.max_bytes && self.sender.send(item).is_ok();
        if !is_queued {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_queued
    }

    fn done(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Item::Flush(_) => 0,
            Item::Entry(entry) => entry_bytes(entry),
        }
    }
}

fn entry_bytes(entry: &Entry) -> usize {
    let text = match &entry.body {
        EntryBody::Transcript(line) => line.text.len(),
        EntryBody::Chat(message) => message.text.len(),
        _ => 0,
    };
    ENTRY_BYTES + text
}

/// Stores entries in batches, and hands them on after that.
pub struct Writer {
    hub: Arc<Hub>,
    store: Store,
    settings: WriterSettings,
    queue: Queue,
    items: mpsc::UnboundedReceiver<Item>,
}

/// What is stored together, and who waits for it.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Writer {
    pub(super) fn new(
        hub: Arc<Hub>,
        store: Store,
        settings: WriterSettings,
        queue: Queue,
        items: mpsc::UnboundedReceiver<Item>,
    ) -> Self {
        Self { hub, store, settings, queue, items }
    }

    /// Runs until it is dropped: it holds on to what it could not store yet.
    pub async fn run(mut self) {
        loop {
            let batch = self.gather().await;
            self.write(&batch.entries).await;
            self.queue.done(batch.entries.iter().map(entry_bytes).sum());
            self.hub.publish(batch.entries);
            for waiting in batch.waiting {
                // Whoever asked may have stopped waiting.
                let _ = waiting.send(());
            }
        }
    }

    /// What comes within the interval after the first entry; less when somebody waits for it.
    async fn gather(&mut self) -> Batch {
        let mut batch = Batch::default();
        let mut until = None;
        while batch.entries.len() < MAX_BATCH && batch.waiting.is_empty() {
            let item = match until {
                None => self.items.recv().await,
                Some(until) => match timeout_at(until, self.items.recv()).await {
                    Ok(item) => item,
                    Err(_) => break,
                },
            };
            match item {
                Some(Item::Entry(entry)) => batch.entries.push(entry),
                Some(Item::Flush(waiting)) => batch.waiting.push(waiting),
                // The hub holds a sender, and we hold the hub.
                None => break,
            }
            until.get_or_insert_with(|| Instant::now() + self.settings.batch_interval);
        }
        batch
    }

    /// Stores all of them. A batch that the store refuses is halved until the refused entry stands alone.
    async fn write(&self, entries: &[Entry]) {
        let mut parts = vec![entries];
        while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
            match self.write_until_answered(part).await {
                Ok(()) => {}
                Err(error) if part.len() == 1 => {
                    let entry = &part[0];
                    tracing::error!(%error, stream_id = %entry.stream_id, seq = entry.seq, "an entry is lost");
                }
                Err(_) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
    }

    /// Tries for as long as the store is away: an outage costs no entry.
    async fn write_until_answered(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut wait = FIRST_RETRY;
        loop {
            match self.store.write_entries(entries).await {
                Err(StoreError::Unavailable(error)) if wait == FIRST_RETRY => {
                    tracing::warn!(%error, "entries cannot be stored now; trying until they are");
                }
                Err(StoreError::Unavailable(_)) => {}
                Ok(()) if wait > FIRST_RETRY => {
                    tracing::info!(entries = entries.len(), "entries are stored again");
                    return Ok(());
                }
                answer => return answer,
            }
            sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
        }
    }
}
