//! Entries and frames from a stream to whoever wants them; never waits for one.
//!
//! A [`Feed`] is a stream's side: it notes entries and counts frames. The [`Writer`] numbers entries and stores
//! them in batches, under the epoch of the stream's claim. After that, and not before, they reach the [`Hub`]'s
//! live subscribers: a number that somebody has seen is never given to another entry, after a crash or by
//! another daemon. Frames go to [`Tap`]s at once; a medium that nobody taps
//! is only counted.

mod batching;
mod feed;
mod follower;
mod frame;
mod left_out;
mod log;
mod permits;
mod queue;
mod registry;
mod roster;
mod tap;
mod times;
mod writer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::{broadcast, mpsc, watch};

pub use feed::Feed;
pub use follower::{Follow, Followed, Follower, Kinds};
pub use frame::{Encoded, Frame, StreamInfo};
pub use left_out::{LeftOut, LeftOuts};
pub use permits::{Entrant, Permit, Permits};
pub use roster::Person;
pub use tap::{SinkLimits, Tap, Tapped, Wants};
pub use writer::{Writer, WriterSettings};

pub use crate::store::{Offer, OfferKey};

use self::queue::{Item, Queue};
use self::registry::{Fanout, Registry, Running};
use self::tap::{TapQueue, Total};
use crate::model::{Entry, SessionId, StreamId, StreamRecord};
use crate::store::Store;

/// How many stored entries a subscriber may be behind before it has to read the store.
const SUBSCRIBER_QUEUE: usize = 256;

/// Where live subscribers find stored entries.
pub struct Hub {
    subscribers: Mutex<HashMap<SessionId, broadcast::Sender<Arc<Entry>>>>,
    permits: Permits,
    queue: Queue,
    registry: Registry,
    sinks: RwLock<Vec<Sink>>,
    /// Changes whenever entries were stored.
    stored: watch::Sender<()>,
    now_ms: fn() -> i64,
    /// Streams that somebody else has claimed, found out by writing. Each once until it is answered.
    fenced: mpsc::UnboundedSender<(StreamId, i64)>,
    found_fenced: tokio::sync::Mutex<mpsc::UnboundedReceiver<(StreamId, i64)>>,
}

/// What a sink gets for each stream that it wants: its frames, from the first one on.
pub type SinkStream = (Arc<StreamInfo>, Tap);

/// Says which frames of a stream a sink wants, if any.
type Choice = Box<dyn Fn(&StreamRecord) -> Option<Wants> + Send + Sync>;

/// A consumer of every stream that runs here.
struct Sink {
    wants: Choice,
    max_bytes: usize,
    total: Arc<Total>,
    streams: mpsc::UnboundedSender<SinkStream>,
}

/// A live subscription; counts as one subscriber until it is dropped.
pub struct Subscription {
    pub entries: broadcast::Receiver<Arc<Entry>>,
    _room: Permit,
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
        let (fenced, found_fenced) = mpsc::unbounded_channel();
        let hub = Arc::new(Self {
            subscribers: Mutex::default(),
            permits: Permits::new(max_subscribers),
            queue: queue.clone(),
            registry: Registry::default(),
            sinks: RwLock::default(),
            stored: watch::Sender::default(),
            now_ms: settings.now_ms,
            fenced,
            found_fenced: tokio::sync::Mutex::new(found_fenced),
        });
        let writer = Writer::new(Arc::clone(&hub), store, settings, queue, receiver);
        (hub, writer)
    }

    /// Entries of a session from now on, each once, after it was stored. A receiver that falls behind
    /// gets `Lagged` and reads what it missed from the store. `None` when there are too many subscribers.
    pub fn subscribe(&self, session: SessionId) -> Option<Subscription> {
        let room = self.enter(Entrant::Privileged)?;
        Some(Subscription { entries: self.entries(session), _room: room })
    }

    /// `None` when there are too many subscribers, or too many of this token.
    pub fn enter(&self, entrant: Entrant<'_>) -> Option<Permit> {
        self.permits.enter(entrant)
    }

    /// See [`Hub::subscribe`]; for whoever has [entered](Hub::enter), or is bounded otherwise.
    fn entries(&self, session: SessionId) -> broadcast::Receiver<Arc<Entry>> {
        let mut subscribers = self.lock();
        subscribers.retain(|_, sender| sender.receiver_count() > 0);
        let sender =
            subscribers.entry(session).or_insert_with(|| broadcast::channel(SUBSCRIBER_QUEUE).0);
        sender.subscribe()
    }

    /// Changes whenever entries of any stream that runs here were stored.
    pub fn stored(&self) -> watch::Receiver<()> {
        self.stored.subscribe()
    }

    /// Frames of a session, or of all sessions, from now on. What waits is bounded by `max_bytes`: beyond it the
    /// oldest are dropped, and counted.
    pub fn tap(&self, session: Option<SessionId>, wants: Wants, max_bytes: usize) -> Tap {
        self.registry.tap(session, wants, max_bytes)
    }

    /// The streams of a session that run here, and who is and was in them.
    pub fn running(&self, session: SessionId) -> Vec<(Arc<StreamInfo>, Vec<Arc<Person>>)> {
        self.registry.running(session)
    }

    /// The streams of every session that run here, and who is and was in them.
    pub fn running_all(&self) -> Vec<(Arc<StreamInfo>, Vec<Arc<Person>>)> {
        self.registry.running_all()
    }

    /// Changes whenever a stream begins to run here, changes what it is or gives, or is over.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.registry.changes()
    }

    /// Adds a sink: from now on every stream that begins to run here is asked for by `wants`, and its tap is
    /// handed over before its first frame. What such a tap loses becomes a gap in the stream's ledger.
    pub fn sink(
        &self,
        wants: impl Fn(&StreamRecord) -> Option<Wants> + Send + Sync + 'static,
        limits: SinkLimits,
    ) -> mpsc::UnboundedReceiver<SinkStream> {
        let (streams, receiver) = mpsc::unbounded_channel();
        let total = Arc::new(Total::new(limits.all_bytes));
        let sink = Sink { wants: Box::new(wants), max_bytes: limits.each_bytes, total, streams };
        self.sinks.write().expect("nothing panics while holding the sinks").push(sink);
        receiver
    }

    /// Where the frames of a stream go that begins to run here.
    fn fanout(&self, record: &StreamRecord, stream: Arc<StreamInfo>) -> Fanout {
        let sinks = self.sinks.read().expect("nothing panics while holding the sinks");
        let give = |sink: &Sink| {
            let total = Arc::clone(&sink.total);
            let queue = TapQueue::of_sink((sink.wants)(record)?, sink.max_bytes, total);
            let queue = Arc::new(queue);
            let tap = Tap::new(Arc::clone(&queue), None);
            // A sink that has stopped wants nothing any more.
            sink.streams.send((Arc::clone(&stream), tap)).is_ok().then_some(queue)
        };
        let queues = sinks.iter().filter_map(give).collect();
        self.registry.begin(Arc::new(Running::new(Arc::clone(&stream))), queues)
    }

    /// The next stream of which nothing more is stored under this epoch, because it was claimed since. It must be
    /// answered with [`Hub::claimed`] or [`Hub::taken`]. Cancel-safe.
    pub async fn fenced(&self) -> Option<(StreamId, i64)> {
        self.found_fenced.lock().await.recv().await
    }

    fn note_fenced(&self, stream_id: &StreamId, epoch: i64) {
        // A daemon that stops has nobody left who asks.
        let _ = self.fenced.send((stream_id.clone(), epoch));
    }

    /// A stream that runs here was claimed again: what it heard meanwhile is stored after the entry `last_seq`.
    pub fn claimed(&self, stream_id: &StreamId, epoch: i64, last_seq: u64) {
        let stream_id = stream_id.clone();
        self.queue.push(Item::Claimed { stream_id, epoch, last_seq });
    }

    /// A stream that runs here is another node's: what it heard meanwhile is offered to that node.
    pub fn taken(&self, stream_id: &StreamId) {
        self.queue.push(Item::Taken(stream_id.clone()));
    }

    /// Waits until everything that was noted before this call is stored.
    pub async fn flush(&self) {
        self.flush_of(None).await;
    }

    /// With a stream: waits, too, until it is known whether that is still ours.
    async fn flush_of(&self, stream_id: Option<StreamId>) {
        let (done, stored) = tokio::sync::oneshot::channel();
        if self.queue.push(Item::Flush(stream_id, done)) {
            // An error means that the writer is gone, and nothing will be stored any more.
            let _ = stored.await;
        }
    }

    /// Passes stored entries on, in order. Channels that nobody listens to any more are forgotten.
    pub fn publish(&self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            self.stored.send_replace(());
        }
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
