//! Taps: which consumer wants which frames, and the bounded queues between a stream and its
//! consumers.

mod waiting;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

pub(super) use self::waiting::Total;
use self::waiting::Waiting;
use super::frame::{Frame, StreamInfo};
use super::left_out::{LeftOut, LeftOuts};
use super::registry::Topic;
use crate::capture::Events;
use crate::metrics::Metrics;
use crate::model::{
    AppScope, CaptureMode, MediaSet, Medium, Product, RecordSet, SpeakerFilter, StreamId,
};
use crate::prefetch::prefetch_at;

/// The queued bytes at which [`Tap::gather`] stops waiting: more than a second of a voice, and a fifth of one of a film.
const GATHER_MAX_BYTES: usize = 128 * 1024;

/// The frames that a tap takes.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// The wanted media. Audio, video and share come as frames; transcript and chat are entries and come from
    /// [`super::Hub::subscribe`].
    pub media: MediaSet,
    /// Takes only frames of these speakers.
    pub speakers: SpeakerFilter,
    /// Takes only streams of this product.
    pub product: Option<Product>,
    /// Takes only streams of these apps.
    pub apps: AppScope,
    /// What a sink captures of the stream.
    pub capture: Option<CaptureMode>,
    /// What a recording makes of the frames. Nothing for others.
    pub record: RecordSet,
    /// Takes the messages as Zoom sent them, without their decoded payload.
    pub is_wire: bool,
}

/// How much may be queued for a sink.
#[derive(Debug, Clone, Copy)]
pub struct SinkLimits {
    /// The most bytes for one stream.
    pub each_bytes: usize,
    /// The most bytes for all streams together.
    pub all_bytes: usize,
}

/// Counts the frames that a consumer loses.
#[derive(Clone)]
pub(super) struct Drops {
    /// The name of the consumer's kind.
    pub sink: &'static str,
    pub metrics: Metrics,
}

impl Drops {
    fn count(&self, medium: Medium, frames: u64) {
        self.metrics.frames_dropped.add([self.sink, medium.as_str()], frames);
    }
}

/// An item that a tap returns.
#[derive(Debug, Clone)]
pub enum Tapped {
    Frame(Frame),
    /// This many of the oldest queued frames of a medium were dropped here, because the reader was
    /// too slow.
    Dropped(Medium, u64),
    /// Asks a sink to call [`Tap::settled`] once every frame it took so far is kept or reported as dropped.
    Settle,
    /// The stream no longer runs here. It has ended, or another daemon picks it up.
    Over {
        stream: Arc<StreamInfo>,
        is_final: bool,
    },
}

/// One consumer's frames, from creation until drop.
pub struct Tap {
    queue: Arc<TapQueue>,
    place: Option<Arc<Topic>>,
    capture: Option<Arc<Events>>,
}

impl Tap {
    pub(super) fn new(queue: Arc<TapQueue>, place: Option<Arc<Topic>>) -> Self {
        Self { queue, place, capture: None }
    }

    /// The tap of a sink, which may capture the stream.
    pub(super) fn of_sink(queue: Arc<TapQueue>, capture: Option<Events>) -> Self {
        Self { queue, place: None, capture: capture.map(Arc::new) }
    }

    /// What happens to the stream, for a sink that captures it.
    pub fn capture(&self) -> Option<Arc<Events>> {
        self.capture.clone()
    }

    /// What the sink captures of the stream.
    pub fn captures(&self) -> Option<CaptureMode> {
        self.queue.wants.capture
    }

    /// Waits for the next item. Cancel-safe.
    pub async fn next(&mut self) -> Tapped {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next item if one is queued. Otherwise the next push wakes the task.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Tapped> {
        // Checked and registered under one lock, so that no push is missed.
        let mut waiting = self.queue.lock();
        match waiting.pop() {
            Some(item) => Poll::Ready(item),
            None => {
                waiting.wait(cx.waker(), false);
                Poll::Pending
            }
        }
    }

    /// Ready if an item is queued. Otherwise the next push wakes the task.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.queue.lock();
        if waiting.is_empty() {
            waiting.wait(cx.waker(), false);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Ready if the queue should be read now: many bytes are queued, or an item that is not a frame. Otherwise the push
    /// that makes it so wakes the task.
    pub fn poll_urgent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.queue.lock();
        if waiting.is_urgent {
            return Poll::Ready(());
        }
        waiting.wait(cx.waker(), true);
        Poll::Pending
    }

    /// Waits up to `limit`, so that frames are handled in batches. Returns early when many bytes are queued, or an item that
    /// is not a frame.
    pub async fn gather(&self, limit: Duration) {
        // A permit may remain from an item already taken: this returns at once, and the batch is smaller.
        let _ = timeout(limit, self.queue.urgent.notified()).await;
    }

    /// The next item if one is queued; does not wait.
    pub fn try_next(&mut self) -> Option<Tapped> {
        self.queue.lock().pop()
    }

    /// All queued items, under one lock; does not wait.
    pub fn take_all(&mut self) -> Vec<Tapped> {
        self.queue.lock().pop_all()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.queue.lock().is_empty()
    }

    /// The media that the tap takes, including those that come as entries.
    pub fn media(&self) -> MediaSet {
        self.queue.wants.media
    }

    /// What a recording makes of the frames.
    pub fn record(&self) -> RecordSet {
        self.queue.wants.record
    }

    /// Reports that the sink dropped frames that it had taken, which makes a gap in the stream's ledger.
    pub fn left_out(&self, spans: impl IntoIterator<Item = LeftOut>) {
        self.queue.leave_out(spans);
    }

    /// The frames that the tap dropped since the last call, by span. A sink's are in the stream's ledger instead.
    pub fn take_left_out(&self) -> LeftOuts {
        self.queue.take_left_out()
    }

    /// Answers [`Tapped::Settle`]: every frame taken so far is kept or reported as dropped.
    pub fn settled(&self) {
        self.queue.is_settled.store(true, Ordering::Release);
        self.queue.settled.notify_one();
    }

    /// Refuses frames from now on, or takes them again. Frames that a sink refuses are a gap in the
    /// ledger.
    pub fn refuse(&self, refuse: bool) {
        self.queue.is_refusing.store(refuse, Ordering::Relaxed);
    }

    /// Whether frames are refused.
    pub fn is_refusing(&self) -> bool {
        self.queue.is_refusing.load(Ordering::Relaxed)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // Counted and closed under one lock: an item pushed meanwhile is either among these or refused.
        let unread = self.queue.lock().close();
        // Nobody misses what a live consumer had not read when it left.
        if self.place.is_none() {
            self.queue.leave_out(unread);
        }
        // Only after the count, because the stream collects the count once it sees the flag.
        self.queue.is_closed.store(true, Ordering::Release);
        self.settled();
        if let Some(place) = &self.place {
            place.remove(&self.queue);
        }
    }
}

/// The bounded queue behind a tap.
pub(super) struct TapQueue {
    wants: Wants,
    max_bytes: usize,
    is_refusing: AtomicBool,
    waiting: Mutex<Waiting>,
    /// The address of the next item's slot in `waiting`, as of the last push. Only for prefetching: it may dangle, and
    /// nothing reads it.
    next_slot: AtomicPtr<Tapped>,
    /// Ends [`Tap::gather`] early.
    urgent: Notify,
    /// Dropped frames that the stream's ledger does not have yet.
    left_out: Mutex<LeftOuts>,
    has_left_out: AtomicBool,
    /// Whether the tap was dropped, so that the queue has no reader.
    is_closed: AtomicBool,
    is_settled: AtomicBool,
    settled: Notify,
    /// Whether [`GATHER_MAX_BYTES`], or half of `max_bytes`, were queued at the last push.
    is_behind: AtomicBool,
    drops: Drops,
}

impl TapQueue {
    pub(super) fn new(wants: Wants, max_bytes: usize, drops: Drops) -> Self {
        Self {
            wants,
            max_bytes,
            drops,
            is_refusing: AtomicBool::new(false),
            waiting: Mutex::default(),
            next_slot: AtomicPtr::default(),
            urgent: Notify::new(),
            left_out: Mutex::default(),
            has_left_out: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_settled: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            settled: Notify::new(),
        }
    }

    /// Creates the queue of a sink, which also counts towards the sink's total.
    pub(super) fn of_sink(wants: Wants, max_bytes: usize, total: Arc<Total>, drops: Drops) -> Self {
        let mut queue = Self::new(wants, max_bytes, drops);
        queue.waiting = Mutex::new(Waiting::of_sink(total));
        queue
    }

    pub(super) fn wants_of(&self, stream: &StreamInfo) -> MediaSet {
        let Wants { product, apps, .. } = &self.wants;
        let is_wanted = product.is_none_or(|product| product == stream.instance.product);
        if is_wanted && apps.includes(&stream.app) { self.wants.media } else { MediaSet::default() }
    }

    /// Whether it takes messages as Zoom sent them.
    pub(super) fn is_wire(&self) -> bool {
        self.wants.is_wire
    }

    pub(super) fn wants(&self, frame: &Frame) -> bool {
        let wants = &self.wants;
        wants.media.contains(frame.medium) && wants.speakers.takes(frame.speaker())
    }

    /// Prefetches the slot of the next item.
    pub(super) fn prefetch_slot(&self) {
        let slot = self.next_slot.load(Ordering::Relaxed);
        if !slot.is_null() {
            prefetch_at(slot);
        }
    }

    /// Whether so many bytes were queued at the last push that they should be read now.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// Queues an item; never waits. Returns false when it was refused. Older frames that make room for it are
    /// recorded as dropped.
    pub(super) fn push(&self, item: Tapped) -> bool {
        if let Tapped::Frame(frame) = &item
            && self.is_refusing.load(Ordering::Relaxed)
        {
            self.drops.count(frame.medium, 1);
            return false;
        }
        let mut dropped = LeftOuts::default();
        let is_frame = matches!(item, Tapped::Frame(_));
        let mut waiting = self.lock();
        if waiting.is_closed {
            return false;
        }
        waiting.push(item);
        // Long before frames are dropped.
        let is_behind = waiting.bytes >= GATHER_MAX_BYTES.min(self.max_bytes / 2);
        self.is_behind.store(is_behind, Ordering::Relaxed);
        let is_urgent = !is_frame || is_behind;
        waiting.is_urgent |= is_urgent;
        while waiting.is_over(self.max_bytes)
            && let Some(frame) = waiting.drop_oldest()
        {
            dropped.add(LeftOut::of(&frame));
        }
        self.next_slot.store(waiting.next_slot().cast_mut(), Ordering::Relaxed);
        let reader = waiting.take_reader();
        // Released before `leave_out` takes its own lock: the two are never held together, so they cannot
        // deadlock.
        drop(waiting);
        self.leave_out(dropped);
        if let Some(reader) = reader {
            reader.wake();
        }
        if is_urgent {
            self.urgent.notify_one();
        }
        true
    }

    /// Drops the queued frames of a stream, without an account of them.
    pub(super) fn forget(&self, stream: &StreamId) {
        self.lock().forget(stream);
    }

    fn leave_out(&self, spans: impl IntoIterator<Item = LeftOut>) {
        let mut spans = spans.into_iter().peekable();
        if spans.peek().is_some() {
            let mut left_out = self.left_out.lock().expect("no panic while the lock is held");
            spans.for_each(|span| {
                self.drops.count(span.medium, span.count.frames);
                left_out.add(span);
            });
            self.has_left_out.store(true, Ordering::Release);
        }
    }

    /// The frames dropped since the last call.
    pub(super) fn take_left_out(&self) -> LeftOuts {
        if !self.has_left_out.swap(false, Ordering::Acquire) {
            return LeftOuts::default();
        }
        std::mem::take(&mut self.left_out.lock().expect("no panic while the lock is held"))
    }

    /// The frames that are still queued.
    fn unread(&self) -> LeftOuts {
        self.lock().frames()
    }

    /// Waits until the sink has settled the frames it took. If it does not in time, the queued frames count as dropped.
    pub(super) async fn settle(&self, until: Instant) {
        // Reset before `Settle` is queued, or an answer from an earlier round would count for this
        // one.
        self.is_settled.store(self.is_closed.load(Ordering::Acquire), Ordering::Release);
        self.push(Tapped::Settle);
        while !self.is_settled.load(Ordering::Acquire) && !self.is_closed.load(Ordering::Acquire) {
            if timeout_at(until, self.settled.notified()).await.is_err() {
                return self.leave_out(self.unread());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while holding a tap's queue")
    }
}
