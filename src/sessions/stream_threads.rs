//! The threads that drive streams, apart from those that serve webhooks, REST and the store, so that neither waits for
//! the other.
//!
//! A stream stays on the thread that it began on. A thread with more to do than it can delays its own streams and no
//! others. A thread that handles many messages sleeps for a moment before it waits for more, and then handles together
//! what came: a wake-up costs as much as a message. It sleeps for half as long while a live consumer takes frames of one
//! of its streams. A thread with few messages handles each as it comes. Streams are therefore put together on few threads,
//! until these have much to do.

use std::cell::{Cell, OnceCell};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::dial_threads::DialThreads;
use super::run_on::run_on;

/// Over how long a thread's messages are counted.
const WINDOW: Duration = Duration::from_millis(100);
/// From this many messages in a window, a thread is busy: about forty streams with 20 ms of audio.
const BUSY_MESSAGES: u32 = 200;
/// A message counts once, and once more for every 8 KiB.
const BYTES_OF_A_MESSAGE: usize = 8 * 1024;
/// A thread with so many messages in a window gets no further stream while another has fewer. Handling them takes
/// about a quarter of its time.
const MANY_MESSAGES: u32 = 3_000;
/// The same, for so many streams: those that begin together have no messages yet.
const MANY_STREAMS: usize = 400;

/// How streams are driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    pub count: usize,
    /// How many other threads open connections for them.
    pub dials: usize,
    /// How long a busy thread sleeps before it waits; zero for not at all. It adds to the latency of every message.
    /// While one of its streams has a live consumer, the thread sleeps for half as long.
    pub pause: Duration,
}

/// The running threads. They end when the last clone is dropped.
#[derive(Clone)]
pub(super) struct StreamThreads {
    threads: Arc<[StreamThread]>,
    dials: DialThreads,
    _stop: Arc<DropGuard>,
}

struct StreamThread {
    handle: Handle,
    load: Arc<Load>,
}

/// What a thread has to do.
#[derive(Default)]
struct Load {
    streams: AtomicUsize,
    /// Whether it had many messages in the last window, or has them in this one.
    has_many_messages: AtomicBool,
}

impl StreamThreads {
    pub(super) fn start(threads: Threads) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let started: io::Result<Vec<StreamThread>> =
            (0..threads.count.max(1)).map(|_| start_thread(threads.pause, stop.clone())).collect();
        let dials = DialThreads::start(threads.dials)?;
        Ok(Self { threads: started?.into(), dials, _stop: Arc::new(guard) })
    }

    /// The threads that open connections.
    pub(super) fn dials(&self) -> &DialThreads {
        &self.dials
    }

    /// Completes when every thread, and one of those that dial, has run a task that it was given now. False if a thread has
    /// ended.
    pub(super) async fn turn(&self) -> bool {
        let turns: Vec<_> =
            self.threads.iter().map(|thread| thread.handle.spawn(async {})).collect();
        for turn in turns {
            if turn.await.is_err() {
                return false;
            }
        }
        self.dials.turn().await;
        true
    }

    /// Runs a stream's work on one of the threads. It is cancelled when the returned future is dropped, and its panic is
    /// that one's. The future is small: it does not contain `work`.
    pub(super) fn run<T: Send + 'static, W: Future<Output = T> + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = T> + Send + use<T, W> {
        let thread = self.choose();
        let place = Place::take(&thread.load);
        let running = run_on(&thread.handle, work);
        async {
            let _place = place;
            running.await
        }
    }

    /// The first thread without much to do; if all have much, the one with the fewest streams.
    fn choose(&self) -> &StreamThread {
        let streams = |thread: &&StreamThread| thread.load.streams.load(Ordering::Relaxed);
        let has_room = |thread: &&StreamThread| {
            streams(thread) < MANY_STREAMS && !thread.load.has_many_messages.load(Ordering::Relaxed)
        };
        let first = self.threads.iter().find(has_room);
        first.or_else(|| self.threads.iter().min_by_key(streams)).expect("there is a thread")
    }
}

/// A stream's place on a thread.
struct Place(Arc<Load>);

impl Place {
    fn take(load: &Arc<Load>) -> Self {
        load.streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

fn start_thread(pause: Duration, stop: CancellationToken) -> io::Result<StreamThread> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    builder.on_thread_park(move || pause_if_busy(pause));
    let runtime = builder.build()?;
    let (handle, load) = (runtime.handle().clone(), Arc::new(Load::default()));
    let own_load = Arc::clone(&load);
    thread::Builder::new().name("streams".to_owned()).spawn(move || {
        PACE.with(|pace| drop(pace.load.set(own_load)));
        runtime.block_on(stop.cancelled());
    })?;
    Ok(StreamThread { handle, load })
}

/// The messages that this thread has handled.
#[derive(Default)]
struct Pace {
    window_began: Cell<Option<Instant>>,
    messages: Cell<u32>,
    is_busy: Cell<bool>,
    /// Whether a live consumer took a frame in this window.
    has_live_consumer: Cell<bool>,
    /// Whether one did in the last window.
    had_live_consumer: Cell<bool>,
    /// For others to see.
    load: OnceCell<Arc<Load>>,
}

thread_local! {
    static PACE: Pace = Pace::default();
}

/// Counts a message that this thread handles.
pub(super) fn count_message(bytes: usize) {
    PACE.with(|pace| pace.count(bytes));
}

/// Notes that a live consumer took a frame that this thread handles.
pub(super) fn note_live_consumer() {
    PACE.with(|pace| pace.has_live_consumer.set(true));
}

/// Called when nothing is left to do until something comes.
fn pause_if_busy(pause: Duration) {
    let pause = PACE.with(|pace| pace.pause_at(Instant::now(), pause));
    if !pause.is_zero() {
        thread::sleep(pause);
    }
}

impl Pace {
    fn count(&self, bytes: usize) {
        let count = u32::try_from(1 + bytes / BYTES_OF_A_MESSAGE).unwrap_or(u32::MAX);
        let before = self.messages.get();
        self.messages.set(before.saturating_add(count));
        // Published here, too: a thread that is never idle ends no window.
        if before < MANY_MESSAGES && self.messages.get() >= MANY_MESSAGES {
            self.publish(true);
        }
    }

    fn publish(&self, has_many_messages: bool) {
        if let Some(load) = self.load.get() {
            load.has_many_messages.store(has_many_messages, Ordering::Relaxed);
        }
    }

    /// Returns how long to sleep now, at most `pause`.
    fn pause_at(&self, now: Instant, pause: Duration) -> Duration {
        match self.is_busy_at(now) {
            false => Duration::ZERO,
            true if self.has_live_consumer.get() || self.had_live_consumer.get() => pause / 2,
            true => pause,
        }
    }

    fn is_busy_at(&self, now: Instant) -> bool {
        let began = self.window_began.get();
        let length = began.map_or(WINDOW, |began| now.saturating_duration_since(began));
        if length >= WINDOW {
            // A window ends when the thread has nothing to do, which may be late.
            let per_window = f64::from(self.messages.get()) * WINDOW.div_duration_f64(length);
            self.is_busy.set(per_window >= f64::from(BUSY_MESSAGES));
            self.publish(per_window >= f64::from(MANY_MESSAGES));
            self.window_began.set(Some(now));
            self.messages.set(0);
            self.had_live_consumer.set(self.has_live_consumer.take());
        }
        self.is_busy.get()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use futures_util::FutureExt;

    use super::*;
    use crate::sessions::run_on::assert_ends_with_its_caller;

    const THREADS: Threads = Threads { count: 2, dials: 1, pause: Duration::from_millis(1) };

    #[tokio::test]
    async fn streams_are_on_one_thread_until_it_has_many_and_then_on_all() {
        let threads = StreamThreads::start(THREADS).unwrap();
        let (sender, mut used) = tokio::sync::mpsc::unbounded_channel();
        let start = || {
            let sender = sender.clone();
            threads.run(async move {
                sender.send(thread::current().id()).unwrap();
                std::future::pending::<()>().await
            })
        };
        let mut thread_of = async || used.recv().await.unwrap();
        let mut running = vec![start()];
        let first = thread_of().await;
        assert_ne!(first, thread::current().id());
        for _ in 1..MANY_STREAMS {
            running.push(start());
            assert_eq!(thread_of().await, first);
        }
        running.push(start());
        let second = thread_of().await;
        assert_ne!(second, first);
        drop(running.remove(0));
        let _again = start();
        assert_eq!(thread_of().await, first, "a stream that has ended leaves its place");
        running.extend((1..MANY_STREAMS).map(|_| start()));
        for _ in 1..MANY_STREAMS {
            assert_eq!(thread_of().await, second);
        }
        let _both = [start(), start()];
        let last = std::collections::HashSet::from([thread_of().await, thread_of().await]);
        assert_eq!(last.len(), 2, "both have many, and share what comes");
    }

    #[tokio::test]
    async fn a_thread_with_many_messages_gets_no_stream_while_another_has_fewer() {
        let threads = StreamThreads::start(THREADS).unwrap();
        let on = async || threads.run(async { thread::current().id() }).await;
        let first = on().await;
        threads.threads[0].load.has_many_messages.store(true, Ordering::Relaxed);
        let second = on().await;
        assert_ne!(second, first);
        threads.threads[0].load.has_many_messages.store(false, Ordering::Relaxed);
        assert_eq!(on().await, first);
    }

    #[tokio::test]
    async fn a_panic_of_the_work_is_the_callers_and_the_thread_goes_on() {
        let threads = StreamThreads::start(Threads { count: 1, ..THREADS }).unwrap();
        let failing = threads.run(async { panic!("a fault") });
        let ended: Result<(), _> = AssertUnwindSafe(failing).catch_unwind().await;
        assert!(ended.is_err());
        assert_eq!(threads.run(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn work_ends_when_its_caller_does() {
        let threads = StreamThreads::start(THREADS).unwrap();
        assert_ends_with_its_caller(|work| threads.run(work)).await;
    }

    #[test]
    fn a_thread_is_busy_after_a_window_with_many_messages_until_one_with_few() {
        let (pace, start) = (Pace::default(), Instant::now());
        let at = |ms, messages| {
            (0..messages).for_each(|_| pace.count(0));
            pace.is_busy_at(start + Duration::from_millis(ms))
        };
        assert!(!at(0, 0));
        assert!(!at(50, 150), "the window is not over");
        assert!(at(100, 50));
        assert!(at(150, 10), "as in the last window");
        assert!(!at(201, 10));
        assert!(!at(1_000, 1_000), "as many in a longer time");
        assert!(at(1_100, 200));
        assert!(at(2_100, 2_000), "a long window with as many at a time");
    }

    #[test]
    fn a_busy_thread_sleeps_for_half_as_long_while_a_live_consumer_takes_frames() {
        let (pace, start, pause) = (Pace::default(), Instant::now(), Duration::from_millis(2));
        let pause_at = |ms| {
            (0..BUSY_MESSAGES).for_each(|_| pace.count(0));
            pace.pause_at(start + Duration::from_millis(ms), pause)
        };
        assert_eq!(pace.pause_at(start, pause), Duration::ZERO);
        assert_eq!(pause_at(100), pause);
        pace.has_live_consumer.set(true);
        assert_eq!(pause_at(150), pause / 2, "from the first frame on");
        assert_eq!(pause_at(200), pause / 2, "as in the last window");
        assert_eq!(pause_at(300), pause);
    }

    #[test]
    fn a_thread_has_many_messages_from_the_moment_on_until_a_window_with_fewer() {
        let (pace, load, start) = (Pace::default(), Arc::<Load>::default(), Instant::now());
        pace.load.set(Arc::clone(&load)).ok().unwrap();
        let has_many = || load.has_many_messages.load(Ordering::Relaxed);
        pace.is_busy_at(start);
        (1..MANY_MESSAGES).for_each(|_| pace.count(0));
        assert!(!has_many());
        pace.count(0);
        assert!(has_many(), "although no window has ended");
        pace.is_busy_at(start + Duration::from_millis(100));
        assert!(has_many());
        pace.count(3_000 * BYTES_OF_A_MESSAGE);
        pace.is_busy_at(start + Duration::from_millis(200));
        assert!(has_many(), "a large message is as many small ones");
        pace.count(0);
        pace.is_busy_at(start + Duration::from_millis(300));
        assert!(!has_many());
    }
}
