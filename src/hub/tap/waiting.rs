//! The contents of a tap's queue, and their size.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use bytes::Bytes;

use super::Tapped;
use crate::hub::frame::Frame;
use crate::hub::left_out::{LeftOut, LeftOuts};
use crate::model::{Medium, StreamId};

/// The approximate size of a queued item without its payload.
const ITEM_BYTES: usize = 256;

/// The most items that a queue keeps memory for once it has been read empty.
const MAX_SPARE_ITEMS: usize = 1024;

/// The bytes queued for a sink, over the queues of all its streams.
#[derive(Debug)]
pub(in crate::hub) struct Total {
    bytes: AtomicUsize,
    max_bytes: usize,
}

impl Total {
    pub(in crate::hub) fn new(max_bytes: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), max_bytes }
    }

    /// The bytes that are queued now.
    pub(in crate::hub) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(in crate::hub) fn max_bytes(&self) -> usize {
        self.max_bytes
    }
}

#[derive(Default)]
pub(super) struct Waiting {
    items: VecDeque<Tapped>,
    pub(super) bytes: usize,
    dropped: [u64; Medium::ALL.len()],
    /// The reader's task, while it waits for an item.
    reader: Option<Waker>,
    /// Whether the reader waits until the queue is urgent, not for the next item.
    is_patient: bool,
    /// Whether many bytes or an item that is not a frame were queued since the queue was empty.
    pub(super) is_urgent: bool,
    /// The sink's total over all its queues; none for a live consumer.
    total: Option<Arc<Total>>,
    /// Whether the reader is gone: nothing may be queued, because nothing would take it out of the total.
    pub(super) is_closed: bool,
}

impl Waiting {
    /// Creates the queue of a sink.
    pub(super) fn of_sink(total: Arc<Total>) -> Self {
        Self { total: Some(total), ..Self::default() }
    }

    /// Takes the next item. Reports drops first: the dropped frames are older than everything that
    /// is queued.
    pub(super) fn pop(&mut self) -> Option<Tapped> {
        if let Some(dropped) = self.take_dropped().next() {
            return Some(dropped);
        }
        let item = self.items.pop_front()?;
        if self.items.is_empty() {
            self.is_urgent = false;
            self.items.shrink_to(MAX_SPARE_ITEMS);
        }
        self.shrink(item_bytes(&item));
        Some(item)
    }

    /// Takes all items, in the order of [`Waiting::pop`].
    pub(super) fn pop_all(&mut self) -> Vec<Tapped> {
        // The items leave with their memory. The next batch has about as many.
        let next = VecDeque::with_capacity(self.items.len().min(MAX_SPARE_ITEMS));
        let mut items = Vec::from(std::mem::replace(&mut self.items, next));
        items.splice(..0, self.take_dropped());
        self.is_urgent = false;
        self.shrink(self.bytes);
        items
    }

    /// Takes the counts of dropped frames, one medium at a time.
    fn take_dropped(&mut self) -> impl Iterator<Item = Tapped> {
        let all = Medium::ALL.into_iter().zip(&mut self.dropped);
        let some = all.filter(|(_, dropped)| **dropped > 0);
        some.map(|(medium, dropped)| Tapped::Dropped(medium, std::mem::take(dropped)))
    }

    /// Notes the task that waits for the next item, or if it is patient, until the queue is urgent.
    pub(super) fn wait(&mut self, reader: &Waker, is_patient: bool) {
        self.reader = Some(reader.clone());
        self.is_patient = is_patient;
    }

    /// The task to wake after a push.
    pub(super) fn take_reader(&mut self) -> Option<Waker> {
        if self.is_patient && !self.is_urgent { None } else { self.reader.take() }
    }

    /// Whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.dropped.iter().all(|dropped| *dropped == 0)
    }

    pub(super) fn push(&mut self, item: Tapped) {
        let bytes = item_bytes(&item);
        self.bytes += bytes;
        if let Some(total) = &self.total {
            total.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.items.push_back(item);
    }

    /// The address just after the newest item, where the next one usually goes; null if the queue is empty. Only for
    /// prefetching.
    pub(super) fn next_slot(&self) -> *const Tapped {
        self.items
            .back()
            .map_or(std::ptr::null(), |newest| std::ptr::from_ref(newest).wrapping_add(1))
    }

    fn shrink(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if let Some(total) = &self.total {
            total.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Refuses every further item, empties the queue, and returns the frames that were in it.
    pub(super) fn close(&mut self) -> LeftOuts {
        self.is_closed = true;
        self.reader = None;
        let unread = self.frames();
        self.items.clear();
        self.shrink(self.bytes);
        unread
    }

    pub(super) fn frames(&self) -> LeftOuts {
        let frame = |item: &Tapped| match item {
            Tapped::Frame(frame) => Some(LeftOut::of(frame)),
            _ => None,
        };
        self.items.iter().filter_map(frame).collect()
    }

    pub(super) fn forget(&mut self, stream: &StreamId) {
        let mut forgotten = 0;
        self.items.retain(|item| match item {
            Tapped::Frame(frame) if frame.stream().stream_id == *stream => {
                forgotten += frame_bytes(frame);
                false
            }
            _ => true,
        });
        self.shrink(forgotten);
    }

    pub(super) fn is_over(&self, max_bytes: usize) -> bool {
        let is_total_over =
            |total: &Arc<Total>| total.bytes.load(Ordering::Relaxed) > total.max_bytes;
        self.bytes > max_bytes || self.total.as_ref().is_some_and(is_total_over)
    }

    /// Drops the oldest frame and returns it, if there is one.
    pub(super) fn drop_oldest(&mut self) -> Option<Frame> {
        let is_frame = |item: &Tapped| matches!(item, Tapped::Frame(_));
        // Only frames are dropped: without `Settle` or `Over` the reader would wait in vain.
        let index = self.items.iter().position(is_frame)?;
        let Some(Tapped::Frame(frame)) = self.items.remove(index) else { return None };
        self.shrink(frame_bytes(&frame));
        self.dropped[frame.medium as usize] += 1;
        Some(frame)
    }
}

fn item_bytes(item: &Tapped) -> usize {
    match item {
        Tapped::Frame(frame) => frame_bytes(frame),
        Tapped::Dropped(..) | Tapped::Settle | Tapped::Over { .. } => ITEM_BYTES,
    }
}

fn frame_bytes(frame: &Frame) -> usize {
    ITEM_BYTES + frame.payload.len() + frame.wire().map_or(0, Bytes::len)
}
