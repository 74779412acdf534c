//! Entries and frames from a stream to whoever wants them; never waits for one.
//!
//! A [`Feed`] is a stream's side: it numbers entries and counts frames. The [`Writer`] stores entries in
//! batches. After that, and not before, they reach the [`Hub`]'s live subscribers: a number that somebody has
//! seen is never given to another entry after a crash.

mod feed;
mod writer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};

pub use feed::Feed;
pub use writer::{Writer, WriterSettings};

use self::writer::{Item, Queue};
use crate::model::{Entry, SessionId};
use crate::store::Store;

/// How many stored entries a subscriber may be behind before it has to read the store.
const SUBSCRIBER_QUEUE: usize = 256;

/// Where live subscribers find stored entries.
pub struct Hub {
    subscribers: Mutex<HashMap<SessionId, broadcast::Sender<Arc<Entry>>>>,
    places: Arc<Semaphore>,
    queue: Queue,
}

/// A live subscription; counts as one subscriber until it is dropped.
pub struct Subscription {
    pub entries: broadcast::Receiver<Arc<Entry>>,
    _place: OwnedSemaphorePermit,
}

impl Hub {
    /// A hub, and the writer that must run for entries to get anywhere.
    pub fn new(
        store: Store,
        max_subscribers: usize,
        settings: WriterSettings,
    ) -> (Arc<Self>, Writer) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let queue = Queue::new(sender, settings.max_queued_bytes);
        let hub = Arc::new(Self {
            subscribers: Mutex::default(),
            places: Arc::new(Semaphore::new(max_subscribers)),
            queue: queue.clone(),
        });
        let writer = Writer::new(Arc::clone(&hub), store, settings, queue, receiver);
        (hub, writer)
    }

    /// Entries of a session from now on, each once, after it was stored. A receiver that falls behind
    /// gets `Lagged` and reads what it missed from the store. `None` when there are too many subscribers.
    pub fn subscribe(&self, session: SessionId) -> Option<Subscription> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let mut subscribers = self.lock();
        subscribers.retain(|_, sender| sender.receiver_count() > 0);
        let sender =
            subscribers.entry(session).or_insert_with(|| broadcast::channel(SUBSCRIBER_QUEUE).0);
        Some(Subscription { entries: sender.subscribe(), _place: place })
    }

    /// Waits until everything that was noted before this call is stored.
    pub async fn flush(&self) {
        let (done, stored) = tokio::sync::oneshot::channel();
        if self.queue.push(Item::Flush(done)) {
            // An error means that the writer is gone, and nothing will be stored any more.
            let _ = stored.await;
        }
    }

    /// Passes stored entries on, in order. Channels that nobody listens to any more are forgotten.
    pub fn publish(&self, entries: Vec<Entry>) {
        let mut subscribers = self.lock();
        for entry in entries {
            let session = entry.session_id;
            let Some(sender) = subscribers.get(&session) else { continue };
            if sender.send(Arc::new(entry)).is_err() {
                subscribers.remove(&session);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, broadcast::Sender<Arc<Entry>>>> {
        self.subscribers.lock().expect("nothing panics while holding the subscribers")
    }
}
