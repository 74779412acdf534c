//! Fans a stream's entries and frames out to its consumers. Never blocks on a consumer.
//!
//! A [`Feed`] is the producer's side of a stream: it records entries and counts frames. The
//! [`Writer`] numbers entries and stores them in batches, under the epoch of the stream's claim.
//! Entries reach the [`Hub`]'s live subscribers only after they are stored: a number that a
//! subscriber has seen is never given to another entry, neither after a crash nor by another
//! daemon. Frames go to [`Tap`]s at once; a medium that no tap takes is only counted.

mod batching;
mod detached;
mod feed;
mod follower;
mod frame;
mod left_out;
mod live_streams;
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
use std::time::Instant;

use tokio::sync::{broadcast, mpsc, watch};

pub use detached::DetachedLog;
pub use feed::Feed;
pub use follower::{Follow, Followed, Follower, Kinds};
#[cfg(test)]
pub(crate) use frame::tests::stream_info;
pub use frame::{Encoded, Frame, FrameSource, StreamInfo};
pub use left_out::{LeftOut, LeftOuts};
pub use live_streams::{LiveStream, Rate};
pub use permits::{Entrant, Permit, Permits};
pub use queue::QueueLoad;
pub use roster::Person;
pub use tap::{SinkLimits, Tap, Tapped, Wants};
pub use writer::{Writer, WriterSettings};

pub use crate::store::{Offer, OfferKey};

use self::live_streams::Figures;
use self::queue::{Item, Queue};
use self::registry::{Fanout, Registry, RunningStream};
use self::tap::{Drops, TapQueue, Total};
use crate::capture::{CaptureRoom, Capturer};
use crate::metrics::Metrics;
use crate::model::{Entry, SessionId, StreamId, StreamRecord};
use crate::store::Store;

/// The most bytes of captures that wait for their files, of all streams and of each.
const CAPTURE_BYTES: usize = 256 * 1024 * 1024;
const CAPTURE_EACH_BYTES: usize = 8 * 1024 * 1024;

/// How many stored entries a subscriber may be behind before it has to read the store.
const SUBSCRIBER_QUEUE: usize = 256;

/// Connects the streams that run here to their live subscribers, taps and sinks.
pub struct Hub {
    subscribers: Mutex<HashMap<SessionId, broadcast::Sender<Arc<Entry>>>>,
    permits: Permits,
    queue: Queue,
    registry: Registry,
    sinks: RwLock<Vec<Sink>>,
    captures: Arc<CaptureRoom>,
    /// Called for every stream that begins to run here, before its first frame.
    beginnings: RwLock<Vec<Beginning>>,
    /// Changes whenever entries were stored.
    stored: watch::Sender<()>,
    now_ms: fn() -> i64,
    metrics: Metrics,
    /// Streams whose writes the store refused because of a later claim. Each is reported once,
    /// until it is answered.
    fenced: mpsc::UnboundedSender<(StreamId, i64)>,
    found_fenced: tokio::sync::Mutex<mpsc::UnboundedReceiver<(StreamId, i64)>>,
}

/// A stream that a sink wants, and the tap with its frames from the first one on.
pub type SinkStream = (Arc<StreamInfo>, Tap);

/// Says which frames of a stream a sink wants, if any.
type Choice = Box<dyn Fn(&StreamRecord) -> Option<Wants> + Send + Sync>;

/// Learns of a stream that begins to run here.
type Beginning = Box<dyn Fn(&StreamRecord) + Send + Sync>;

/// A consumer of every stream that runs here.
struct Sink {
    name: &'static str,
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
    /// Creates a hub and its writer. Entries are stored and published only while the writer runs.
    pub fn new(
        store: Store,
        max_subscribers: usize,
        settings: WriterSettings,
    ) -> (Arc<Self>, Writer) {
        let (hub, receiver) = Self::with_queue(max_subscribers, &settings);
        let queue = hub.queue.clone();
        let writer = Writer::new(Arc::clone(&hub), store, settings, queue, receiver);
        (hub, writer)
    }

    fn with_queue(
        max_subscribers: usize,
        settings: &WriterSettings,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Item>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let queue = Queue::new(sender, settings.max_queued_bytes);
        let (fenced, found_fenced) = mpsc::unbounded_channel();
        let hub = Arc::new(Self {
            subscribers: Mutex::default(),
            permits: Permits::new(max_subscribers),
            queue,
            registry: Registry::default(),
            sinks: RwLock::default(),
            captures: CaptureRoom::new(CAPTURE_BYTES, CAPTURE_EACH_BYTES),
            beginnings: RwLock::default(),
            stored: watch::Sender::default(),
            now_ms: settings.now_ms,
            metrics: settings.metrics.clone(),
            fenced,
            found_fenced: tokio::sync::Mutex::new(found_fenced),
        });
        (hub, receiver)
    }

    /// Subscribes to a session's entries from now on. Each entry comes once, after it was stored. A
    /// receiver that falls behind gets `Lagged` and reads what it missed from the store. Returns
    /// `None` when there are too many subscribers.
    pub fn subscribe(&self, session: SessionId) -> Option<Subscription> {
        let room = self.enter(Entrant::Privileged)?;
        Some(Subscription { entries: self.entries(session), _room: room })
    }

    /// Takes a subscriber's place. Returns `None` when there are too many subscribers, or too many
    /// of this token or app.
    pub fn enter(&self, entrant: Entrant<'_>) -> Option<Permit> {
        self.permits.enter(entrant)
    }

    /// Subscribes without taking a place: for a caller that has [entered](Hub::enter) or is bounded
    /// otherwise.
    fn entries(&self, session: SessionId) -> broadcast::Receiver<Arc<Entry>> {
        let mut subscribers = self.lock();
        // Sessions end without a notice to this map, so every new subscriber cleans it up.
        subscribers.retain(|_, sender| sender.receiver_count() > 0);
        let sender =
            subscribers.entry(session).or_insert_with(|| broadcast::channel(SUBSCRIBER_QUEUE).0);
        sender.subscribe()
    }

    /// Changes whenever entries of any stream that runs here were stored.
    pub fn stored(&self) -> watch::Receiver<()> {
        self.stored.subscribe()
    }

    /// Taps the frames of a session, or of all sessions, from now on. At most `max_bytes` wait in
    /// the tap's queue: beyond that the oldest frames are dropped and counted.
    pub fn tap(&self, session: Option<SessionId>, wants: Wants, max_bytes: usize) -> Tap {
        self.tap_for("live", session, wants, max_bytes)
    }

    /// Like [`Self::tap`], for a kind of consumer with a name of its own in metrics.
    pub fn tap_for(
        &self,
        sink: &'static str,
        session: Option<SessionId>,
        wants: Wants,
        max_bytes: usize,
    ) -> Tap {
        let drops = Drops { sink, metrics: self.metrics.clone() };
        self.registry.tap(session, wants, max_bytes, drops)
    }

    /// What the parts of this daemon count.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What the streams of every session that run here receive, as of about a second ago.
    pub fn live_streams(&self) -> Vec<LiveStream> {
        self.registry.live_streams()
    }

    /// How much waits for the store's writer.
    pub fn queue_load(&self) -> QueueLoad {
        self.queue.load()
    }

    /// The bytes of frames that wait for each sink, and the most that may.
    pub fn sink_loads(&self) -> Vec<(&'static str, usize, usize)> {
        let sinks = self.sinks.read().expect("nothing panics while holding the sinks");
        sinks.iter().map(|sink| (sink.name, sink.total.bytes(), sink.total.max_bytes())).collect()
    }

    /// How many subscribers there are, and may be.
    pub fn subscribers(&self) -> (usize, usize) {
        (self.permits.taken(), self.permits.max())
    }

    /// The streams of a session that run here, with their participants, present or gone.
    pub fn running(&self, session: SessionId) -> Vec<(Arc<StreamInfo>, Vec<Arc<Person>>)> {
        self.registry.running(session)
    }

    /// The streams of every session that run here, with their participants, present or gone.
    pub fn running_all(&self) -> Vec<(Arc<StreamInfo>, Vec<Arc<Person>>)> {
        self.registry.running_all()
    }

    /// Changes whenever a stream begins to run here, changes its description, or ends.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.registry.changes()
    }

    /// Adds a sink with a name for metrics. `wants` is asked about every stream that begins to run here from now on, and
    /// the sink gets a tap before the stream's first frame. Frames that such a tap loses become a
    /// gap in the stream's ledger.
    pub fn sink(
        &self,
        name: &'static str,
        wants: impl Fn(&StreamRecord) -> Option<Wants> + Send + Sync + 'static,
        limits: SinkLimits,
    ) -> mpsc::UnboundedReceiver<SinkStream> {
        let (streams, receiver) = mpsc::unbounded_channel();
        let total = Arc::new(Total::new(limits.all_bytes));
        let sink =
            Sink { name, wants: Box::new(wants), max_bytes: limits.each_bytes, total, streams };
        self.sinks.write().expect("nothing panics while holding the sinks").push(sink);
        receiver
    }

    /// Calls `begins` for every stream that begins to run here from now on. A tap that it opens gets the stream's first
    /// frame. It must not wait.
    pub fn on_begin(&self, begins: impl Fn(&StreamRecord) + Send + Sync + 'static) {
        let mut beginnings = self.beginnings.write().expect("nothing panics while holding it");
        beginnings.push(Box::new(begins));
    }

    /// Registers a stream that begins to run here and connects it to the sinks and taps that want
    /// its frames, and to the sink that captures it.
    fn fanout(&self, record: &StreamRecord, stream: Arc<StreamInfo>) -> (Fanout, Option<Capturer>) {
        let beginnings = self.beginnings.read().expect("nothing panics while holding it");
        beginnings.iter().for_each(|begins| begins(record));
        let sinks = self.sinks.read().expect("nothing panics while holding the sinks");
        let mut capturer = None;
        let give = |sink: &Sink| {
            let total = Arc::clone(&sink.total);
            let drops = Drops { sink: sink.name, metrics: self.metrics.clone() };
            let wants = (sink.wants)(record)?;
            let events = wants.capture.map(|_| {
                let (ours, events) = self.captures.queue(Instant::now());
                capturer = Some(ours);
                events
            });
            let queue = Arc::new(TapQueue::of_sink(wants, sink.max_bytes, total, drops));
            let tap = Tap::of_sink(Arc::clone(&queue), events);
            // A closed channel means that the sink has stopped. Its queue would have no reader.
            sink.streams.send((Arc::clone(&stream), tap)).is_ok().then_some(queue)
        };
        let queues = sinks.iter().filter_map(give).collect();
        let figures = Figures::new(Instant::now(), record.status, record.tally);
        let running = Arc::new(RunningStream::new(Arc::clone(&stream), figures));
        (self.registry.begin(running, queues), capturer)
    }

    /// Returns the next stream that the store refuses writes for under this epoch, because it was
    /// claimed since. The caller must answer with [`Hub::claimed`] or [`Hub::taken`]. Cancel-safe.
    pub async fn fenced(&self) -> Option<(StreamId, i64)> {
        self.found_fenced.lock().await.recv().await
    }

    fn note_fenced(&self, stream_id: &StreamId, epoch: i64) {
        // An error means that the daemon is stopping: the supervisor, which reads this channel, is
        // gone.
        let _ = self.fenced.send((stream_id.clone(), epoch));
    }

    /// Records that this daemon claimed a running stream again: the entries set aside meanwhile are
    /// stored after the entry `last_seq`.
    pub fn claimed(&self, stream_id: &StreamId, epoch: i64, last_seq: u64) {
        let stream_id = stream_id.clone();
        self.queue.push(Item::Claimed { stream_id, epoch, last_seq });
    }

    /// Drops what people said in a revoked stream that runs here and that is not stored yet.
    pub fn revoked(&self, stream_id: &StreamId) {
        self.queue.push(Item::Revoked(stream_id.clone()));
    }

    /// Records that another node has the stream: the entries set aside meanwhile are offered to
    /// that node.
    pub fn taken(&self, stream_id: &StreamId) {
        self.queue.push(Item::Taken(stream_id.clone()));
    }

    /// Waits until every entry queued before this call is stored.
    pub async fn flush(&self) {
        self.flush_of(None).await;
    }

    /// Flushes. For a fenced stream, also waits until it is known which node has the stream.
    async fn flush_of(&self, stream_id: Option<StreamId>) {
        let (done, stored) = tokio::sync::oneshot::channel();
        if self.queue.push(Item::Flush(stream_id, done)) {
            // An error means that the writer is gone: nothing more will be stored, so there is
            // nothing to wait for.
            let _ = stored.await;
        }
    }

    /// Publishes stored entries in order. Removes the channels that have no subscriber.
    pub fn publish(&self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            // Unlike `send`, `send_replace` also records the change while no receiver exists.
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
