use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::Hub;
use crate::clock;
use crate::model::{Account, Entry, EntryBody, Gap, StreamId};
use crate::store::{Store, StoreError, StreamUpdate};

/// The most entries in one transaction.
const MAX_BATCH: usize = 1000;
/// The most streams whose figures are written in one transaction: it must end inside the store's own limit.
const MAX_UPDATES: usize = 100;
/// The waits between tries while the store is away.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// What an item takes beside its texts, roughly.
const ITEM_BYTES: usize = 256;

#[derive(Debug, Clone)]
pub struct WriterSettings {
    /// An entry waits no longer than this for others to be stored with.
    pub batch_interval: Duration,
    /// What may wait while the store is away. Beyond it entries are lost, and counted.
    pub max_queued_bytes: usize,
    /// Whether what people said and did is stored. Otherwise it is handed on live, and its number says so.
    pub keeps_personal: bool,
    /// The wall clock, Unix milliseconds.
    pub now_ms: fn() -> i64,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            batch_interval: Duration::from_millis(250),
            max_queued_bytes: 64 * 1024 * 1024,
            keeps_personal: true,
            now_ms: clock::now_ms,
        }
    }
}

pub(super) enum Item {
    Entry(Entry),
    /// Where a stream stands; a newer one makes it void.
    Update(StreamId, Box<StreamUpdate>),
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
        // Whoever waits for a flush must not be told that there is nothing to wait for.
        let has_room = bytes == 0 || before + bytes <= self.max_bytes;
        let is_queued = has_room && self.sender.send(item).is_ok();
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
            Item::Update(_, update) => ITEM_BYTES + ledger_bytes(update),
            Item::Entry(entry) => ITEM_BYTES + entry.body.text_bytes(),
        }
    }
}

fn ledger_bytes(update: &StreamUpdate) -> usize {
    let accounts = update.ledger.as_deref().unwrap_or_default();
    let bytes = |account: &Account| size_of::<Account>() + account.gaps.len() * size_of::<Gap>();
    accounts.iter().map(bytes).sum()
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
    /// The newest of each stream.
    updates: HashMap<StreamId, StreamUpdate>,
    bytes: usize,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn add(&mut self, item: Item) {
        self.bytes += item.bytes();
        match item {
            Item::Entry(entry) => self.entries.push(entry),
            Item::Flush(waiting) => self.waiting.push(waiting),
            Item::Update(stream_id, update) => {
                let news = self.updates.entry(stream_id).or_default();
                news.status = update.status.or(news.status);
                news.first_packet_ms = update.first_packet_ms.or(news.first_packet_ms);
                news.tally = update.tally.or(news.tally);
                news.effective = update.effective.or(news.effective.take());
                news.unknown_messages = update.unknown_messages.or(news.unknown_messages.take());
                news.ledger = update.ledger.or(news.ledger.take());
            }
        }
    }

    /// Somebody who waits is not made to wait for others.
    fn is_full(&self) -> bool {
        self.entries.len() + self.updates.len() >= MAX_BATCH || !self.waiting.is_empty()
    }
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
            if self.settings.keeps_personal {
                self.write(&batch.entries).await;
            } else {
                self.write(&without_personal(&batch.entries)).await;
            }
            self.update(batch.updates.into_iter().collect()).await;
            self.queue.done(batch.bytes);
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
        while !batch.is_full() {
            let item = match until {
                None => self.items.recv().await,
                Some(until) => match timeout_at(until, self.items.recv()).await {
                    Ok(item) => item,
                    Err(_) => break,
                },
            };
            // The hub holds a sender, and we hold the hub: there is no end.
            let Some(item) = item else { break };
            batch.add(item);
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

    async fn write_until_answered(&self, entries: &[Entry]) -> Result<(), StoreError> {
        until_answered(|| self.store.write_entries(entries)).await
    }

    async fn update(&self, updates: Vec<(StreamId, StreamUpdate)>) {
        for updates in updates.chunks(MAX_UPDATES) {
            let update = || self.store.update_streams(updates, (self.settings.now_ms)());
            if let Err(error) = until_answered(update).await {
                tracing::error!(%error, streams = updates.len(), "figures of streams are not stored");
            }
        }
    }
}

/// The same numbers, and nothing of people.
fn without_personal(entries: &[Entry]) -> Vec<Entry> {
    let kept = |entry: &Entry| {
        let kind = entry.body.kind();
        let body = match kind.is_personal() {
            true => EntryBody::NotKept { what: kind.as_str().into() },
            false => entry.body.clone(),
        };
        Entry { stream_id: entry.stream_id.clone(), body, ..*entry }
    };
    entries.iter().map(kept).collect()
}

/// Tries for as long as the store is away: an outage costs nothing.
async fn until_answered<F: Future<Output = Result<(), StoreError>>>(
    attempt: impl Fn() -> F,
) -> Result<(), StoreError> {
    let mut wait = FIRST_RETRY;
    loop {
        match attempt().await {
            Err(StoreError::Unavailable(error)) if wait == FIRST_RETRY => {
                tracing::warn!(%error, "entries cannot be stored now; trying until they are");
            }
            Err(StoreError::Unavailable(_)) => {}
            Ok(()) if wait > FIRST_RETRY => {
                tracing::info!("entries are stored again");
                return Ok(());
            }
            answer => return answer,
        }
        sleep(wait).await;
        wait = (wait * 2).min(LAST_RETRY);
    }
}
