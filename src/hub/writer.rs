//! Numbers the entries of the streams that run here, stores them in batches, and then publishes them. The store accepts
//! a write only under the epoch of the stream's claim. Entries fenced off by another node's claim are set aside: for
//! this node if it claims the stream again, else for the other one.

mod claims;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::Hub;
use super::batching::{Batcher, Kind, MAX_BATCH_BYTES, until_answered};
use super::log::{ClaimState, Log};
use super::queue::{Heard, Item, Queue, entry_bytes, update_bytes};
use crate::clock;
use crate::metrics::Metrics;
use crate::model::{AppName, Entry, EntryBody, StreamId};
use crate::store::{Append, OfferKey, Store, StreamUpdate};

/// The most entries in one transaction.
const MAX_BATCH: usize = 1000;

const ENTRIES: Kind<Append> = Kind {
    max_items: MAX_BATCH,
    bytes: |append| entry_bytes(&append.entry.body),
    // The placeholder keeps the number, so that readers see no hole in the sequence.
    stand_in: |append| append.with(not_kept(&append.entry.body)),
    is_of_entries: true,
};
/// Figures are replaceable: a newer update follows.
const FIGURES: Kind<(StreamId, StreamUpdate)> = Kind {
    max_items: 100,
    bytes: |(_, update)| update_bytes(update),
    stand_in: |(stream_id, update)| {
        (stream_id.clone(), StreamUpdate { epoch: update.epoch, ..StreamUpdate::default() })
    },
    is_of_entries: false,
};
#[derive(Clone)]
pub struct WriterSettings {
    /// The longest time that an entry waits for others in its batch.
    pub batch_interval: Duration,
    /// The most bytes queued while the store is unavailable. Beyond that, entries are dropped and counted.
    pub max_queued_bytes: usize,
    /// Whether an app's personal entries are stored now. Otherwise they are only published live, and a placeholder
    /// takes their number in the store.
    pub keeps_personal: Arc<dyn Fn(&AppName) -> bool + Send + Sync>,
    /// The wall clock, Unix milliseconds.
    pub now_ms: fn() -> i64,
    /// What this daemon counts.
    pub metrics: Metrics,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            batch_interval: Duration::from_millis(250),
            max_queued_bytes: 64 * 1024 * 1024,
            keeps_personal: Arc::new(|_| true),
            now_ms: clock::now_ms,
            metrics: Metrics::default(),
        }
    }
}

/// Stores entries in batches, then publishes them.
pub struct Writer {
    hub: Arc<Hub>,
    store: Store,
    batcher: Batcher,
    settings: WriterSettings,
    queue: Queue,
    items: mpsc::UnboundedReceiver<Item>,
    /// The logs of the streams that run here.
    logs: HashMap<StreamId, Log>,
}

/// Entries and updates that are stored together.
#[derive(Default)]
struct Batch {
    entries: Vec<(StreamId, Heard)>,
    /// The newest update of each stream.
    updates: HashMap<StreamId, StreamUpdate>,
    bytes: usize,
    /// The change that follows these entries.
    change: Option<Change>,
    /// The callers that wait until this batch is stored.
    flushes: Vec<Flush>,
}

/// A caller that waits, and the stream, if any, of which the owner must be known before the answer.
type Flush = (Option<StreamId>, oneshot::Sender<()>);

/// A change of a stream between two entries.
enum Change {
    Dismiss(StreamId, Vec<OfferKey>),
    Claimed { stream_id: StreamId, epoch: i64, last_seq: u64 },
    Taken(StreamId),
    Close(StreamId),
}

impl Batch {
    /// A full batch, or one with a change, which must not wait for further entries.
    fn is_full(&self) -> bool {
        let has_all = self.entries.len() + self.updates.len() >= MAX_BATCH;
        has_all || self.bytes >= MAX_BATCH_BYTES || self.change.is_some()
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
        let batcher = Batcher::new(store.clone(), settings.metrics.clone());
        Self { hub, store, batcher, settings, queue, items, logs: HashMap::new() }
    }

    /// Runs until it is dropped. Keeps what it could not store yet.
    pub async fn run(mut self) {
        loop {
            let Batch { entries, updates, bytes, change, flushes } = self.gather().await;
            // Entries release their bytes one by one in `append`: those set aside still occupy
            // memory. The rest of the batch (updates) is released here.
            let entry_bytes: usize = entries.iter().map(|(_, heard)| heard.bytes()).sum();
            let numbered = self.number(entries);
            let stored = self.append(numbered).await;
            self.update(updates).await;
            self.queue.done(bytes - entry_bytes);
            self.hub.publish(stored);
            // After the batch: a change takes effect between the entries before it and those after
            // it.
            if let Some(change) = change {
                self.change(change).await;
            }
            flushes.into_iter().for_each(|flush| self.flushed(flush));
            self.offer_aside().await;
        }
    }

    /// Collects items until the interval after the first one ends or the batch is full. After a flush it takes
    /// only what is queued already: streams that end together are stored together, and the flush does not wait.
    async fn gather(&mut self) -> Batch {
        let mut batch = Batch::default();
        let mut until = None;
        while !batch.is_full() {
            let item = match until {
                None => self.items.recv().await,
                Some(_) if !batch.flushes.is_empty() => self.items.try_recv().ok(),
                Some(until) => match timeout_at(until, self.items.recv()).await {
                    Ok(item) => item,
                    Err(_) => break,
                },
            };
            // Nothing further is queued. It is never closed: the writer holds the hub, and the hub holds a sender.
            let Some(item) = item else { break };
            self.add(&mut batch, item);
            until.get_or_insert_with(|| Instant::now() + self.settings.batch_interval);
        }
        batch
    }

    fn add(&mut self, batch: &mut Batch, item: Item) {
        self.queue.taken_up();
        batch.bytes += item.bytes();
        match item {
            Item::Open(stream_id, log) => drop(self.logs.insert(stream_id, *log)),
            Item::Entry(stream_id, heard) => batch.entries.push((stream_id, heard)),
            Item::Update(stream_id, update) => {
                batch.updates.entry(stream_id).or_default().merge(*update);
            }
            Item::Dismiss(stream_id, keys) => {
                batch.change = Some(Change::Dismiss(stream_id, keys));
            }
            Item::Claimed { stream_id, epoch, last_seq } => {
                batch.change = Some(Change::Claimed { stream_id, epoch, last_seq });
            }
            Item::Revoked(stream_id) => self.revoke(batch, &stream_id),
            Item::Taken(stream_id) => batch.change = Some(Change::Taken(stream_id)),
            Item::Close(stream_id) => batch.change = Some(Change::Close(stream_id)),
            Item::Flush(stream_id, waiting) => batch.flushes.push((stream_id, waiting)),
        }
    }

    /// Drops what people said in a revoked stream and is not stored yet.
    fn revoke(&mut self, batch: &mut Batch, revoked: &StreamId) {
        let Some(log) = self.logs.get_mut(revoked) else { return };
        self.queue.done(log.revoke());
        let mut dropped = 0;
        batch.entries.retain(|(stream_id, heard)| {
            let is_dropped = stream_id == revoked && log.drops(&heard.body);
            dropped += if is_dropped { heard.bytes() } else { 0 };
            !is_dropped
        });
        batch.bytes -= dropped;
        self.queue.done(dropped);
    }

    /// Assigns a number to each entry, except for those that are set aside.
    fn number(&mut self, entries: Vec<(StreamId, Heard)>) -> Vec<Append> {
        let mut numbered = Vec::with_capacity(entries.len());
        for (stream_id, heard) in entries {
            let bytes = heard.bytes();
            match self.logs.get_mut(&stream_id) {
                Some(log) if log.drops(&heard.body) => self.queue.done(bytes),
                Some(log) => numbered.extend(log.number(heard)),
                // Unreachable in practice: a feed opens its log first and closes it last.
                None => self.queue.done(bytes),
            }
        }
        numbered
    }

    /// Stores entries and returns the stored ones. The others are set aside.
    async fn append(&mut self, appends: Vec<Append>) -> Vec<Entry> {
        let live_only = self.live_only(&appends);
        let (fenced, replaced) = match live_only.is_empty() {
            true => self.write(&appends).await,
            false => self.write(&without_personal(&appends, &live_only)).await,
        };
        self.fence(&fenced);
        let mut stored = Vec::with_capacity(appends.len());
        for (n, append) in appends.into_iter().enumerate() {
            match self.logs.get_mut(&append.entry.stream_id) {
                Some(log) if fenced.contains(&append.entry.stream_id) => log.keep(append),
                _ => {
                    self.settings.metrics.entries.inc([append.entry.body.kind().as_str()]);
                    self.queue.done(entry_bytes(&append.entry.body));
                    match replaced.contains(&n) {
                        true => stored.extend(self.read_back(append.entry).await),
                        false => stored.push(append.entry),
                    }
                }
            }
        }
        stored
    }

    /// What log lines about a stream carry.
    fn context(&self, stream_id: &StreamId) -> Span {
        self.logs.get(stream_id).map_or_else(Span::none, |log| log.context().clone())
    }

    /// The streams with personal entries among these that are not to be stored.
    fn live_only(&self, appends: &[Append]) -> HashSet<StreamId> {
        let personal = appends.iter().filter(|append| append.entry.body.kind().is_personal());
        let streams: HashSet<&StreamId> = personal.map(|append| &append.entry.stream_id).collect();
        let keeps = |stream: &StreamId| {
            self.logs.get(stream).is_none_or(|log| (self.settings.keeps_personal)(log.app()))
        };
        streams.into_iter().filter(|stream| !keeps(stream)).cloned().collect()
    }

    /// Reads what is stored under this entry's number. That may be the entry itself, if only the
    /// answer was lost. Returns none if nothing is stored.
    async fn read_back(&self, entry: Entry) -> Option<Entry> {
        let Entry { stream_id, seq, body, .. } = entry;
        let stored = until_answered(|| self.store.entry(&stream_id, seq)).await;
        let stored = stored.ok().flatten();
        let is_stored = stored.is_some();
        self.context(&stream_id).in_scope(|| {
            tracing::error!(
                seq,
                kind = body.kind().as_str(),
                is_stored,
                "the store did not take an entry; publishing what is stored under its number"
            );
        });
        stored
    }

    /// Stores all entries. Returns the fenced streams, and the indexes of entries that the store did not take.
    async fn write(&mut self, appends: &[Append]) -> (HashSet<StreamId>, HashSet<usize>) {
        let store = self.store.clone();
        let sent = self.batcher.send(appends, &ENTRIES, |batch| {
            let store = store.clone();
            Box::pin(async move { store.write_entries(batch).await })
        });
        let sent = sent.await;
        (sent.answers.into_iter().flatten().collect(), sent.replaced.into_iter().collect())
    }

    async fn update(&mut self, updates: HashMap<StreamId, StreamUpdate>) {
        let mut good = Vec::with_capacity(updates.len());
        for (stream_id, update) in updates {
            let Some(log) = self.logs.get_mut(&stream_id) else { continue };
            good.extend(log.update(update).map(|update| (stream_id, update)));
        }
        let (store, now_ms) = (self.store.clone(), self.settings.now_ms);
        let sent = self.batcher.send(&good, &FIGURES, |batch| {
            let store = store.clone();
            Box::pin(async move { store.update_streams(batch, now_ms()).await })
        });
        let sent = sent.await;
        let fenced: Vec<StreamId> = sent.answers.into_iter().flatten().collect();
        self.fence(&fenced);
        self.keep_updates(&good, &fenced);
        for n in sent.replaced {
            self.context(&good[n].0).in_scope(|| {
                tracing::error!(
                    "could not store the figures of a stream; the next update replaces them"
                );
            });
        }
    }

    fn keep_updates(&mut self, updates: &[(StreamId, StreamUpdate)], fenced: &[StreamId]) {
        for (stream_id, update) in
            updates.iter().filter(|(stream_id, _)| fenced.contains(stream_id))
        {
            if let Some(log) = self.logs.get_mut(stream_id) {
                // A fenced log keeps the update.
                let _ = log.update(update.clone());
            }
        }
    }

    async fn change(&mut self, change: Change) {
        match change {
            Change::Dismiss(stream_id, keys) => self.dismiss(&stream_id, &keys).await,
            Change::Claimed { stream_id, epoch, last_seq } => {
                self.claimed(&stream_id, epoch, last_seq).await;
            }
            Change::Taken(stream_id) => self.taken(&stream_id).await,
            Change::Close(stream_id) => {
                self.taken(&stream_id).await;
                self.logs.remove(&stream_id);
            }
        }
    }

    /// Answers a flush. If its stream is fenced, the answer waits until the stream's owner is known.
    fn flushed(&mut self, (stream_id, waiting): Flush) {
        let log = stream_id.and_then(|stream_id| self.logs.get_mut(&stream_id));
        match log.filter(|log| log.claim() == ClaimState::Fenced) {
            Some(log) => log.wait(waiting),
            // The requester may have stopped waiting.
            None => drop(waiting.send(())),
        }
    }
}

/// The entries as stored without the personal data of these streams: a placeholder replaces each personal entry.
fn without_personal(appends: &[Append], live_only: &HashSet<StreamId>) -> Vec<Append> {
    let kept = |append: &Append| {
        let Append { entry, .. } = append;
        match entry.body.kind().is_personal() && live_only.contains(&entry.stream_id) {
            true => append.with(not_kept(&entry.body)),
            false => append.clone(),
        }
    };
    appends.iter().map(kept).collect()
}

/// The placeholder for an entry of which only the kind is stored.
fn not_kept(body: &EntryBody) -> EntryBody {
    EntryBody::NotKept { what: body.kind().as_str().into() }
}
