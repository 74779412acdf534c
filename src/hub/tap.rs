//! Taps: who wants frames, of which streams, and the queues between.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::frame::{Frame, StreamInfo};
use super::places::Place;
use crate::model::{Product, SpeakerFilter};
use crate::rtms::message::Medium;

/// What a queued item takes beside its payload, roughly.
const ITEM_BYTES: usize = 256;

/// Some of the media, as a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaSet(u32);

impl MediaSet {
    pub fn contains(self, medium: Medium) -> bool {
        self.0 & medium.bit() != 0
    }

    pub fn with(self, medium: Medium) -> Self {
        Self(self.0 | medium.bit())
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In the order of [`Medium::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Medium> {
        Medium::ALL.into_iter().filter(move |medium| self.contains(*medium))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Medium> for MediaSet {
    fn from_iter<I: IntoIterator<Item = Medium>>(media: I) -> Self {
        media.into_iter().fold(Self::default(), Self::with)
    }
}

/// Which frames a tap takes.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// Audio, video and share come as frames; transcript and chat are entries, and come from
    /// [`super::Hub::subscribe`].
    pub media: MediaSet,
    /// Only these speakers'.
    pub speakers: SpeakerFilter,
    /// Only streams of this product.
    pub product: Option<Product>,
}

/// What may wait for a sink.
#[derive(Debug, Clone, Copy)]
pub struct SinkLimits {
    /// Of one stream.
    pub each_bytes: usize,
    /// Of all streams together.
    pub all_bytes: usize,
}

/// What waits for a sink in all its queues.
#[derive(Debug)]
pub(super) struct Total {
    bytes: AtomicUsize,
    max_bytes: usize,
}

impl Total {
    pub fn new(max_bytes: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), max_bytes }
    }
}

/// What comes out of a tap.
#[derive(Debug, Clone)]
pub enum Tapped {
    Frame(Arc<Frame>),
    /// So many frames of a medium, the oldest that waited, were dropped here: their reader was too slow.
    Dropped(Medium, u64),
    /// The stream does not run here any more. It is over, or somebody picks it up.
    Over {
        stream: Arc<StreamInfo>,
        is_final: bool,
    },
}

/// One consumer's frames, from when it was made until it is dropped.
pub struct Tap {
    queue: Arc<TapQueue>,
    place: Option<Arc<Place>>,
}

impl Tap {
    pub(super) fn new(queue: Arc<TapQueue>, place: Option<Arc<Place>>) -> Self {
        Self { queue, place }
    }

    /// What comes next. Cancel-safe.
    pub async fn next(&mut self) -> Tapped {
        loop {
            if let Some(item) = self.try_next() {
                return item;
            }
            self.queue.news.notified().await;
        }
    }

    /// What is there already.
    pub fn try_next(&mut self) -> Option<Tapped> {
        self.queue.lock().pop()
    }

    /// What it takes, and the entries that its owner asked for beside them.
    pub fn media(&self) -> MediaSet {
        self.queue.wants.media
    }

    /// Takes no frames from now on, or takes them again. What a sink does not take is a gap in the ledger.
    pub fn refuse(&self, refuse: bool) {
        self.queue.is_refusing.store(refuse, Ordering::Relaxed);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.queue.is_refusing.store(true, Ordering::Relaxed);
        self.queue.lock().clear();
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
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    waiting: VecDeque<Tapped>,
    bytes: usize,
    dropped: [u64; Medium::ALL.len()],
    /// Of a sink: its other queues count, too.
    total: Option<Arc<Total>>,
}

impl Waiting {
    /// Drops are told first: they are of what came before everything that waits.
    fn pop(&mut self) -> Option<Tapped> {
        for (medium, dropped) in Medium::ALL.into_iter().zip(&mut self.dropped) {
            if *dropped > 0 {
                return Some(Tapped::Dropped(medium, std::mem::take(dropped)));
            }
        }
        let item = self.waiting.pop_front()?;
        self.shrink(bytes(&item));
        Some(item)
    }

    fn push(&mut self, item: Tapped) {
        let bytes = bytes(&item);
        self.bytes += bytes;
        if let Some(total) = &self.total {
            total.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.waiting.push_back(item);
    }

    fn shrink(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if let Some(total) = &self.total {
            total.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    fn clear(&mut self) {
        self.waiting.clear();
        self.shrink(self.bytes);
    }

    fn is_over(&self, max_bytes: usize) -> bool {
        let is_total_over =
            |total: &Arc<Total>| total.bytes.load(Ordering::Relaxed) > total.max_bytes;
        self.bytes > max_bytes || self.total.as_ref().is_some_and(is_total_over)
    }

    /// False when there is no frame to drop.
    fn drop_oldest(&mut self) -> bool {
        let is_frame = |item: &Tapped| matches!(item, Tapped::Frame(_));
        let Some(index) = self.waiting.iter().position(is_frame) else { return false };
        let Some(Tapped::Frame(frame)) = self.waiting.remove(index) else { return false };
        self.shrink(frame_bytes(&frame));
        self.dropped[frame.medium as usize] += 1;
        true
    }
}

impl TapQueue {
    pub fn new(wants: Wants, max_bytes: usize) -> Self {
        Self {
            wants,
            max_bytes,
            is_refusing: AtomicBool::new(false),
            waiting: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// A queue of a sink.
    pub fn of_sink(wants: Wants, max_bytes: usize, total: Arc<Total>) -> Self {
        let mut queue = Self::new(wants, max_bytes);
        queue.waiting = Mutex::new(Waiting { total: Some(total), ..Waiting::default() });
        queue
    }

    pub fn wants_of(&self, stream: &StreamInfo) -> MediaSet {
        let is_wanted = self.wants.product.is_none_or(|product| product == stream.instance.product);
        if is_wanted { self.wants.media } else { MediaSet::default() }
    }

    pub fn wants(&self, frame: &Frame) -> bool {
        let wants = &self.wants;
        wants.media.contains(frame.medium) && wants.speakers.takes(frame.speaker())
    }

    /// Never waits. False when a frame was lost by it: this one, or older ones that made room.
    pub fn push(&self, item: Tapped) -> bool {
        let is_frame = matches!(item, Tapped::Frame(_));
        if is_frame && self.is_refusing.load(Ordering::Relaxed) {
            return false;
        }
        let mut waiting = self.lock();
        waiting.push(item);
        let mut is_whole = true;
        while waiting.is_over(self.max_bytes) && waiting.drop_oldest() {
            is_whole = false;
        }
        drop(waiting);
        self.news.notify_one();
        is_whole
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while holding a tap's queue")
    }
}

fn bytes(item: &Tapped) -> usize {
    match item {
        Tapped::Frame(frame) => frame_bytes(frame),
        Tapped::Dropped(..) | Tapped::Over { .. } => ITEM_BYTES,
    }
}

fn frame_bytes(frame: &Frame) -> usize {
    ITEM_BYTES + frame.payload.len()
}
