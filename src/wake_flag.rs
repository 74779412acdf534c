//! Tracks which of the things a task waits for has woken it. Polling the others takes locks and touches cold memory, so
//! only what woke is polled.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// The bit shared by all flags after the first 31. It is never cleared, so these flags are polled on every turn:
/// clearing it for one would lose another's wake.
const SHARED: u32 = 1 << (u32::BITS - 1);

/// The flags of one task, together: whether any is set is read from one place in memory.
#[derive(Default)]
pub(crate) struct WakeFlags {
    /// The task's waker, as of its last turn.
    task: AtomicWaker,
    /// A bit for each flag that is set.
    set: AtomicU32,
    /// A bit for each flag that is in use.
    used: AtomicU32,
}

impl WakeFlags {
    /// Registers the task to wake. Call it before taking a flag, so that a later wake finds the task.
    pub(crate) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Whether there is anything to poll.
    pub(crate) fn is_any_set(&self) -> bool {
        // The bit of a dropped flag may be set by its waker, and nobody would take it.
        self.set.load(Ordering::Relaxed) & self.used.load(Ordering::Relaxed) != 0
    }
}

/// Marks one thing to poll as woken.
pub(crate) struct WakeFlag {
    /// Stored here too, so that checking a flag does not read the waker's memory.
    flags: Arc<WakeFlags>,
    bit: u32,
    waker: Waker,
}

struct Woken {
    flags: Arc<WakeFlags>,
    bit: u32,
}

impl WakeFlag {
    /// Creates a flag that is set, because what was never polled has registered no waker.
    pub(crate) fn of(flags: &Arc<WakeFlags>) -> Self {
        let used = flags.used.load(Ordering::Relaxed);
        let bit = 1_u32.checked_shl(used.trailing_ones()).unwrap_or(SHARED);
        flags.used.fetch_or(bit, Ordering::Relaxed);
        let waker = Waker::from(Arc::new(Woken { flags: Arc::clone(flags), bit }));
        let flag = Self { flags: Arc::clone(flags), bit, waker };
        flag.set();
        flag
    }

    /// Whether to poll. Cleared before the poll: a wake during the poll sets it again and is not lost.
    pub(crate) fn take(&self) -> bool {
        let Self { flags, bit, .. } = self;
        // Most flags are not set, and a read costs less than a change.
        flags.set.load(Ordering::Relaxed) & bit != 0
            && flags.set.fetch_and(!bit | SHARED, Ordering::Acquire) & bit != 0
    }

    /// Makes the next turn poll: there may be more, or something changed that wakes nobody.
    pub(crate) fn set(&self) {
        self.flags.set.fetch_or(self.bit, Ordering::Relaxed);
    }

    /// The context to poll with.
    pub(crate) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Polls if the flag is set. It stays set after a result, because there may be more.
    pub(crate) fn poll<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        if !self.take() {
            return Poll::Pending;
        }
        let polled = poll(&mut self.context());
        if polled.is_ready() {
            self.set();
        }
        polled
    }
}

/// Awaits a future, polling it again only after it has woken the task itself.
pub(crate) async fn when_woken<T>(future: impl Future<Output = T>) -> T {
    let flags = Arc::<WakeFlags>::default();
    let flag = WakeFlag::of(&flags);
    let mut future = pin!(future);
    poll_fn(|cx| {
        flags.register(cx.waker());
        flag.poll(|cx| future.as_mut().poll(cx))
    })
    .await
}

impl Drop for WakeFlag {
    /// A waker that is still held somewhere may set the bit of the next flag, which is then polled in vain.
    fn drop(&mut self) {
        self.flags.set.fetch_and(!self.bit | SHARED, Ordering::Relaxed);
        self.flags.used.fetch_and(!self.bit | SHARED, Ordering::Relaxed);
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
    use std::cell::Cell;
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

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
    fn a_flag_that_is_dropped_leaves_nothing_to_poll() {
        let flags = Arc::<WakeFlags>::default();
        let (kept, dropped) = (WakeFlag::of(&flags), WakeFlag::of(&flags));
        assert!(kept.take());
        assert!(flags.is_any_set());
        let late = dropped.context().waker().clone();
        drop(dropped);
        assert!(!flags.is_any_set());
        late.wake();
        assert!(!flags.is_any_set(), "nobody would take the bit");
        kept.set();
        drop(WakeFlag::of(&flags));
        assert!(kept.take(), "another's bit");
    }

    #[test]
    fn flags_beyond_the_last_bit_are_polled_on_every_turn() {
        let shared = Arc::default();
        let mut flags: Vec<WakeFlag> = (0..40).map(|_| WakeFlag::of(&shared)).collect();
        assert!(flags.iter().all(WakeFlag::take));
        flags[3].context().waker().wake_by_ref();
        drop(flags.pop());
        let polled: Vec<usize> = (0..39).filter(|index| flags[*index].take()).collect();
        assert_eq!(polled, [3, 31, 32, 33, 34, 35, 36, 37, 38]);
        assert!(shared.is_any_set());
    }

    #[test]
    fn a_flag_stays_set_after_a_result_and_a_wake_during_the_poll_is_not_lost() {
        let flag = WakeFlag::of(&Arc::default());
        assert!(flag.poll(|_| Poll::Ready(())).is_ready());
        let wakes_itself = |cx: &mut Context<'_>| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        };
        assert!(flag.poll(wakes_itself).is_pending());
        assert!(flag.take());
        assert!(flag.poll(|_| Poll::Ready(())).is_pending(), "not woken again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_is_polled_when_it_has_woken_the_task_and_not_when_another_has() {
        let polls = Cell::new(0);
        let (sender, mut receiver) = oneshot::channel();
        let counted = poll_fn(|cx| {
            polls.set(polls.get() + 1);
            receiver.poll_unpin(cx)
        });
        let mut waiting = pin!(when_woken(counted));
        for _ in 0..3 {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        assert_eq!(polls.get(), 1);
        let send = async {
            tokio::task::yield_now().await;
            sender.send("done").unwrap();
        };
        let both = timeout(Duration::from_secs(1), async { tokio::join!(waiting, send) });
        let (received, ()) = both.await.expect("the task is woken");
        assert_eq!((received, polls.get()), (Ok("done"), 2));
    }
}
