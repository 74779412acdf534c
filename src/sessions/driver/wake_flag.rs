//! Which of the things that a stream waits for has woken it. Polling one that is not ready touches much of its memory,
//! which is cold when a daemon runs many streams, so only those are polled that woke the task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// The waker for one thing to poll, and whether it was used.
pub(super) struct WakeFlag {
    woken: Arc<Woken>,
    waker: Waker,
}

struct Woken {
    is_set: AtomicBool,
    task: Arc<AtomicWaker>,
}

impl WakeFlag {
    /// A flag that is set: what was never polled has registered no waker. `task` must be registered before the flag is
    /// taken, so that a wake after that finds the task.
    pub(super) fn new(task: Arc<AtomicWaker>) -> Self {
        let woken = Arc::new(Woken { is_set: AtomicBool::new(true), task });
        let waker = Waker::from(Arc::clone(&woken));
        Self { woken, waker }
    }

    /// Whether to poll. Cleared before the poll: a wake during the poll sets it again and is not lost.
    pub(super) fn take(&self) -> bool {
        self.woken.is_set.swap(false, Ordering::Acquire)
    }

    /// Makes the next turn poll: there may be more, or something changed that wakes nobody.
    pub(super) fn set(&self) {
        self.woken.is_set.store(true, Ordering::Relaxed);
    }

    /// The context to poll with.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_set.store(true, Ordering::Release);
        self.task.wake();
    }
}
