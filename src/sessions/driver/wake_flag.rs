//! Which of the things that a stream waits for has woken it. Polling one that is not ready touches much of its memory,
//! which is cold when a daemon runs many streams, so only those are polled that woke the task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// The flags of one stream, together: whether any is set is read from one place in memory.
#[derive(Default)]
pub(super) struct WakeFlags {
    /// The waker of the stream's task, as of its last turn.
    task: AtomicWaker,
    /// A bit for each flag that is set.
    set: AtomicU32,
    /// A bit for each flag that is in use.
    used: AtomicU32,
}

impl WakeFlags {
    /// Sets the task to wake. Before a flag is taken, so that a wake after that finds the task.
    pub(super) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Whether there is anything to poll.
    pub(super) fn is_any_set(&self) -> bool {
        self.set.load(Ordering::Relaxed) != 0
    }
}

/// The waker for one thing to poll, and whether it was used.
pub(super) struct WakeFlag {
    /// Here and not only in the waker: what is not woken is then known without a read of the waker's memory.
    flags: Arc<WakeFlags>,
    bit: u32,
    waker: Waker,
}

struct Woken {
    flags: Arc<WakeFlags>,
    bit: u32,
}

impl WakeFlag {
    /// A flag that is set: what was never polled has registered no waker.
    pub(super) fn of(flags: &Arc<WakeFlags>) -> Self {
        // Beyond 31 flags the others share a bit, and some are polled in vain.
        let free = flags.used.load(Ordering::Relaxed).trailing_ones().min(u32::BITS - 1);
        let bit = 1 << free;
        flags.used.fetch_or(bit, Ordering::Relaxed);
        let waker = Waker::from(Arc::new(Woken { flags: Arc::clone(flags), bit }));
        let flag = Self { flags: Arc::clone(flags), bit, waker };
        flag.set();
        flag
    }

    /// Whether to poll. Cleared before the poll: a wake during the poll sets it again and is not lost.
    pub(super) fn take(&self) -> bool {
        let Self { flags, bit, .. } = self;
        // Most flags are not set, and a read costs less than a change.
        flags.set.load(Ordering::Relaxed) & bit != 0
            && flags.set.fetch_and(!bit, Ordering::Acquire) & bit != 0
    }

    /// Makes the next turn poll: there may be more, or something changed that wakes nobody.
    pub(super) fn set(&self) {
        self.flags.set.fetch_or(self.bit, Ordering::Relaxed);
    }

    /// The context to poll with.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

impl Drop for WakeFlag {
    /// A waker that is still held somewhere may set the bit of the next flag, which is then polled in vain.
    fn drop(&mut self) {
        self.flags.used.fetch_and(!self.bit, Ordering::Relaxed);
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.flags.set.fetch_or(self.bit, Ordering::Release);
        self.flags.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(flags: &[&WakeFlag]) -> Vec<bool> {
        flags.iter().map(|flag| flag.take()).collect()
    }

    #[test]
    fn a_flag_is_set_until_it_is_taken_and_by_its_own_waker_only() {
        let flags = Arc::default();
        let (one, two) = (WakeFlag::of(&flags), WakeFlag::of(&flags));
        assert_eq!(taken(&[&one, &two, &one, &two]), [true, true, false, false]);
        two.context().waker().wake_by_ref();
        assert_eq!(taken(&[&one, &two, &two]), [false, true, false]);
    }

    #[test]
    fn a_new_flag_is_set_although_it_has_the_place_of_an_old_one() {
        let flags = Arc::default();
        let (kept, old) = (WakeFlag::of(&flags), WakeFlag::of(&flags));
        assert_eq!(taken(&[&kept, &old]), [true, true]);
        let late = old.context().waker().clone();
        drop(old);
        let new = WakeFlag::of(&flags);
        assert_eq!(taken(&[&kept, &new, &new]), [false, true, false]);
        late.wake();
        assert!(!kept.take());
    }

    #[test]
    fn flags_beyond_the_last_bit_are_polled_together() {
        let shared = Arc::default();
        let flags: Vec<WakeFlag> = (0..40).map(|_| WakeFlag::of(&shared)).collect();
        while flags.iter().any(WakeFlag::take) {}
        flags[39].context().waker().wake_by_ref();
        assert!(!flags[30].take());
        assert!(flags[31].take());
        assert!(!flags[39].take(), "polled as the other");
    }
}
