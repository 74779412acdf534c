//! The threads that drive streams, apart from those that serve webhooks, REST and the store, so that neither waits for
//! the other.
//!
//! A stream stays on one thread, chosen by its id. A thread with more to do than it can delays its own streams and no
//! others. A thread that handles many messages sleeps for a moment before it waits for more, and then handles together
//! what came: a wake-up costs as much as a message. A thread with few messages handles each as it comes.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::model::StreamId;

/// Over how long a thread's messages are counted.
const WINDOW: Duration = Duration::from_millis(100);
/// From this many messages in a window, a thread is busy: about forty streams with 20 ms of audio.
const BUSY_MESSAGES: u32 = 200;

/// How streams are driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    pub count: usize,
    /// How long a busy thread sleeps before it waits; zero for not at all. It adds to the latency of every message.
    pub pause: Duration,
}

/// The running threads. They end when the last clone is dropped.
#[derive(Clone)]
pub(super) struct StreamThreads {
    handles: Arc<[Handle]>,
    _stop: Arc<DropGuard>,
}

impl StreamThreads {
    pub(super) fn start(threads: Threads) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let handles: io::Result<Vec<Handle>> =
            (0..threads.count.max(1)).map(|_| start_thread(threads.pause, stop.clone())).collect();
        Ok(Self { handles: handles?.into(), _stop: Arc::new(guard) })
    }

    /// Completes when every thread has run a task that it was given now. False if a thread has ended.
    pub(super) async fn turn(&self) -> bool {
        let turns: Vec<_> = self.handles.iter().map(|thread| thread.spawn(async {})).collect();
        for turn in turns {
            if turn.await.is_err() {
                return false;
            }
        }
        true
    }

    /// Runs `work` on the stream's thread. It is cancelled when the returned future is dropped, and its panic is that
    /// one's. The future is small: it does not contain `work`.
    pub(super) fn run<T: Send + 'static, W: Future<Output = T> + Send + 'static>(
        &self,
        stream: &StreamId,
        work: W,
    ) -> impl Future<Output = T> + Send + use<T, W> {
        let mut hasher = DefaultHasher::new();
        stream.hash(&mut hasher);
        let thread = (hasher.finish() % self.handles.len() as u64) as usize;
        let task = self.handles[thread].spawn(work);
        let task = AbortOnDropHandle::new(task);
        async {
            match task.await {
                Ok(done) => done,
                Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                // Only after the threads were stopped, when nothing waits for this.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

fn start_thread(pause: Duration, stop: CancellationToken) -> io::Result<Handle> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    if !pause.is_zero() {
        builder.on_thread_park(move || pause_if_busy(pause));
    }
    let runtime = builder.build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("streams".to_owned()).spawn(move || {
        runtime.block_on(stop.cancelled());
    })?;
    Ok(handle)
}

/// The messages that this thread has handled.
struct Pace {
    window_began: Cell<Option<Instant>>,
    messages: Cell<u32>,
    is_busy: Cell<bool>,
}

thread_local! {
    static PACE: Pace = const {
        Pace { window_began: Cell::new(None), messages: Cell::new(0), is_busy: Cell::new(false) }
    };
}

/// Counts a message that this thread handles.
pub(super) fn count_message() {
    PACE.with(|pace| pace.messages.set(pace.messages.get() + 1));
}

/// Called when nothing is left to do until something comes.
fn pause_if_busy(pause: Duration) {
    if PACE.with(|pace| pace.is_busy_at(Instant::now())) {
        thread::sleep(pause);
    }
}

impl Pace {
    fn is_busy_at(&self, now: Instant) -> bool {
        let began = self.window_began.get();
        if began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            // A thread that was idle has counted over a longer window, and is not busy.
            let is_one_window = began.is_some_and(|began| now - began < 2 * WINDOW);
            self.is_busy.set(is_one_window && self.messages.get() >= BUSY_MESSAGES);
            self.window_began.set(Some(now));
            self.messages.set(0);
        }
        self.is_busy.get()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    const THREADS: Threads = Threads { count: 2, pause: Duration::from_millis(1) };

    fn stream(id: &str) -> StreamId {
        StreamId::parse(id).unwrap()
    }

    #[tokio::test]
    async fn a_stream_stays_on_one_thread_and_streams_are_on_all() {
        let threads = StreamThreads::start(THREADS).unwrap();
        let mut used = std::collections::HashSet::new();
        for n in 0..20 {
            let stream = stream(&format!("stream-{n}"));
            let on = async || threads.run(&stream, async { thread::current().id() }).await;
            let first = on().await;
            assert_eq!(on().await, first);
            used.insert(first);
        }
        assert_eq!(used.len(), 2);
        assert!(!used.contains(&thread::current().id()));
    }

    #[tokio::test]
    async fn a_panic_of_the_work_is_the_callers_and_the_thread_goes_on() {
        let threads = StreamThreads::start(Threads { count: 1, ..THREADS }).unwrap();
        let stream = stream("s");
        let failing = threads.run(&stream, async { panic!("a fault") });
        let ended: Result<(), _> = AssertUnwindSafe(failing).catch_unwind().await;
        assert!(ended.is_err());
        assert_eq!(threads.run(&stream, async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn work_ends_when_its_caller_does() {
        struct Ending(mpsc::Sender<()>);
        impl Drop for Ending {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let threads = StreamThreads::start(THREADS).unwrap();
        let (sender, ended) = mpsc::channel();
        let stream = stream("s");
        let work = threads.run(&stream, async move {
            let _ending = Ending(sender);
            std::future::pending::<()>().await;
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), work).await.is_err());
        let ended =
            tokio::task::spawn_blocking(move || ended.recv_timeout(Duration::from_secs(60)));
        ended.await.unwrap().unwrap();
    }

    #[test]
    fn a_thread_is_busy_after_a_window_with_many_messages_until_one_with_few() {
        let pace = Pace {
            window_began: Cell::new(None),
            messages: Cell::new(0),
            is_busy: Cell::new(false),
        };
        let start = Instant::now();
        let at = |ms, messages| {
            pace.messages.set(pace.messages.get() + messages);
            pace.is_busy_at(start + Duration::from_millis(ms))
        };
        assert!(!at(0, 0));
        assert!(!at(50, 150), "the window is not over");
        assert!(at(100, 50));
        assert!(at(150, 10), "as in the last window");
        assert!(!at(201, 10));
        assert!(!at(1_000, 1_000), "as many in a longer time");
        assert!(at(1_100, 200));
    }
}
