//! The queue from a stream's driver to the file of its capture. Bounded in bytes: the driver never waits, and what finds
//! no room is counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;

use super::event::{CutReason, Event};
use crate::secret::Secret;

/// The approximate size of a queued event without its message.
const ITEM_BYTES: usize = 256;

/// An event as the driver hands it over: messages are not copied, and nothing is removed yet.
#[derive(Debug)]
pub enum Raw {
    /// An event without a message.
    Event(Event),
    /// See [`Event::In`].
    In(&'static str, Bytes),
    /// See [`Event::TooLarge`].
    TooLarge(&'static str, Bytes),
    /// See [`Event::Out`].
    Out(&'static str, String),
}

impl Raw {
    /// The bytes of the message.
    pub fn message_bytes(&self) -> usize {
        match self {
            Self::Event(_) => 0,
            Self::In(_, bytes) | Self::TooLarge(_, bytes) => bytes.len(),
            Self::Out(_, text) => text.len(),
        }
    }
}

/// A queued event and its time.
#[derive(Debug)]
pub struct Item {
    /// See [`super::event::Record`].
    pub t: u64,
    /// See [`super::event::Record`].
    pub at_ms: i64,
    /// The event.
    pub raw: Raw,
}

/// The driver's side.
#[derive(Debug)]
pub struct Capturer {
    queue: Arc<Queue>,
    began: Instant,
}

/// The file's side.
#[derive(Debug)]
pub struct Events(Arc<Queue>);

/// The limits of the queues, in bytes: of all streams together, and of each.
#[derive(Debug)]
pub struct CaptureRoom {
    bytes: AtomicUsize,
    max_bytes: usize,
    max_each_bytes: usize,
}

impl CaptureRoom {
    /// An empty room.
    pub fn new(max_bytes: usize, max_each_bytes: usize) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), max_bytes, max_each_bytes })
    }

    /// Creates the queue of a stream.
    pub fn queue(self: &Arc<Self>, now: Instant) -> (Capturer, Events) {
        let queue = Arc::new(Queue { waiting: Mutex::default(), room: Arc::clone(self) });
        (Capturer { queue: Arc::clone(&queue), began: now }, Events(queue))
    }

    /// Reserves `bytes` beside the `own` bytes of the stream. The limit is approximate: a moment above it is harmless.
    fn take(&self, own: usize, bytes: usize) -> bool {
        let has_room = own + bytes <= self.max_each_bytes
            && self.bytes.load(Ordering::Relaxed) + bytes <= self.max_bytes;
        if has_room {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        has_room
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    room: Arc<CaptureRoom>,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    /// The events that found no room, and the bytes of their messages.
    cut: (u64, u64),
    secrets: Vec<Secret<String>>,
    is_closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while holding the queue of a capture")
    }
}

impl Capturer {
    /// Adds texts that the file must not contain.
    pub fn hide(&self, secrets: impl IntoIterator<Item = Secret<String>>) {
        self.queue.lock().secrets.extend(secrets);
    }

    /// Queues an event that happened at `now` and `at_ms` (Unix milliseconds). Never waits.
    pub fn push(&self, now: Instant, at_ms: i64, raw: Raw) {
        let t = now.saturating_duration_since(self.began).as_nanos() as u64;
        let message_bytes = raw.message_bytes();
        let mut waiting = self.queue.lock();
        if waiting.is_closed {
            return;
        }
        if !self.queue.room.take(waiting.bytes, ITEM_BYTES + message_bytes) {
            waiting.cut.0 += 1;
            waiting.cut.1 += message_bytes as u64;
            return;
        }
        waiting.note_cut(t, at_ms);
        waiting.bytes += ITEM_BYTES + message_bytes;
        waiting.items.push_back(Item { t, at_ms, raw });
    }
}

impl Waiting {
    /// Says before the next event that some are missing.
    fn note_cut(&mut self, t: u64, at_ms: i64) {
        let (events, bytes) = std::mem::take(&mut self.cut);
        if events > 0 {
            let raw = Raw::Event(Event::Cut { events, bytes, why: CutReason::Queue });
            self.items.push_back(Item { t, at_ms, raw });
        }
    }
}

impl Events {
    /// Takes everything that is queued.
    pub fn take(&self) -> VecDeque<Item> {
        let mut waiting = self.0.lock();
        if let Some((t, at_ms)) = waiting.items.back().map(|last| (last.t, last.at_ms)) {
            waiting.note_cut(t, at_ms);
        }
        self.0.room.give_back(std::mem::take(&mut waiting.bytes));
        std::mem::take(&mut waiting.items)
    }

    /// Takes the texts that the file must not contain and that were added since the last call.
    pub fn take_secrets(&self) -> Vec<Secret<String>> {
        std::mem::take(&mut self.0.lock().secrets)
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.0.lock().items.is_empty()
    }
}

impl Drop for Events {
    /// Without a file nothing is kept in memory.
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.is_closed = true;
        waiting.items.clear();
        self.0.room.give_back(std::mem::take(&mut waiting.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Raw {
        Raw::In("audio", Bytes::from(vec![0; bytes]))
    }

    #[test]
    fn what_finds_no_room_is_counted_where_it_is_missing() {
        let now = Instant::now();
        let (capturer, events) = CaptureRoom::new(usize::MAX, 3 * ITEM_BYTES + 100).queue(now);
        capturer.push(now, 1, message(100));
        capturer.push(now, 2, message(ITEM_BYTES * 2));
        capturer.push(now, 3, message(ITEM_BYTES * 2 + 1));
        capturer.push(now, 4, message(0));
        let taken: Vec<_> = events.take().into_iter().collect();
        assert_eq!(taken.iter().map(|item| item.at_ms).collect::<Vec<_>>(), [1, 4, 4]);
        let Raw::Event(cut) = &taken[1].raw else { panic!("{taken:?}") };
        let bytes = (ITEM_BYTES * 4 + 1) as u64;
        assert_eq!(*cut, Event::Cut { events: 2, bytes, why: CutReason::Queue });
        assert!(events.is_empty());
        capturer.push(now, 5, message(ITEM_BYTES));
        assert_eq!(events.take().len(), 1, "there is room again");
    }

    #[test]
    fn nothing_is_kept_without_a_reader() {
        let now = Instant::now();
        let room = CaptureRoom::new(1024, 1024);
        let (capturer, events) = room.queue(now);
        capturer.push(now, 0, message(1));
        drop(events);
        capturer.push(now, 1, message(1));
        assert!(capturer.queue.lock().items.is_empty());
        assert_eq!(room.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn all_streams_share_one_room() {
        let (now, room) = (Instant::now(), CaptureRoom::new(2 * ITEM_BYTES, usize::MAX));
        let ((one, of_one), (other, of_other)) = (room.queue(now), room.queue(now));
        one.push(now, 1, message(0));
        one.push(now, 2, message(0));
        other.push(now, 3, message(0));
        assert_eq!((of_one.take().len(), of_other.take().len()), (2, 0));
        other.push(now, 4, message(0));
        assert_eq!(of_other.take().len(), 2, "the cut, and the event");
    }
}
