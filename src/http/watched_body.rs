//! A body on its way that reports its end, and whether its reader keeps up.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// How long the reader of an answer has left a frame unread. A frame counts as read when the connection asks for the
/// next one, so an answer that waits for its own next frame is never stalled.
#[derive(Debug)]
pub(super) struct Reading {
    opened: Instant,
    /// Milliseconds from `opened` to the frame that is unread, plus one; 0 while none is.
    unread_since: AtomicU64,
}

impl Reading {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { opened: Instant::now(), unread_since: AtomicU64::new(0) })
    }

    /// How long the last frame has been unread; zero when it was read.
    pub(super) fn stalled_for(&self) -> Duration {
        // `Relaxed`: the value guards nothing, and a stale one only delays a decision.
        match self.unread_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis((self.now_ms() + 1).saturating_sub(since)),
        }
    }

    /// Notes that everything so far was read.
    pub(super) fn wants_frame(&self) {
        self.unread_since.store(0, Ordering::Relaxed);
    }

    fn got_frame(&self) {
        self.unread_since.store(self.now_ms() + 1, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        // One less than the maximum: `got_frame` adds one.
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

/// A body that calls a function when it has ended, or was dropped.
pub(super) struct Watched<B, F: FnOnce()> {
    body: B,
    at_end: AtEnd<F>,
    reading: Option<Arc<Reading>>,
}

impl<B, F: FnOnce()> Watched<B, F> {
    pub(super) fn new(body: B, at_end: F) -> Self {
        Self { body, at_end: AtEnd(Some(at_end)), reading: None }
    }

    /// Reports the reader's progress to `reading`.
    pub(super) fn with_reading(self, reading: Arc<Reading>) -> Self {
        Self { reading: Some(reading), ..self }
    }
}

struct AtEnd<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> AtEnd<F> {
    // Called at the end of the body and on drop, whichever comes first, and effective once.
    fn ring(&mut self) {
        if let Some(ring) = self.0.take() {
            ring();
        }
    }
}

impl<F: FnOnce()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        self.ring();
    }
}

impl<B, F> HttpBody for Watched<B, F>
where
    B: HttpBody<Data = Bytes> + Unpin,
    F: FnOnce() + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(reading) = &self.reading {
            reading.wants_frame();
        }
        // Must come after `wants_frame`: being polled means that the connection has taken the last frame.
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match (&polled, &self.reading) {
            (Poll::Ready(None), _) => self.at_end.ring(),
            (Poll::Ready(Some(_)), Some(reading)) => reading.got_frame(),
            _ => {}
        }
        polled
    }

    // Forwarded: hyper sends a `content-length` only if the hint is exact, and may skip the last poll.
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
