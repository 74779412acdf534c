//! Opens connections on threads of their own. A TLS handshake takes as long as a hundred messages: on a thread of streams
//! it would delay their frames, on a thread that serves requests it would delay webhooks.

use std::io;

use super::run_on::run_on;
use crate::thread_pool::ThreadPool;

/// The `nice` value of these threads: on a busy processor they yield to the others. Webhooks must be answered within 3 s and
/// frames be read at once; a dial may take 10 s.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// The running threads. They end when the last clone is dropped.
#[derive(Clone)]
pub(super) struct DialThreads(ThreadPool);

impl DialThreads {
    pub(super) fn start(count: usize) -> io::Result<Self> {
        ThreadPool::start("dials", count, lower_priority).map(Self)
    }

    /// Completes when one of the threads has run a task that it was given now.
    pub(super) async fn turn(&self) {
        self.run(async {}).await;
    }

    /// Runs a dial. It is cancelled when the returned future is dropped, and its panic is that one's.
    pub(super) fn run<T: Send + 'static, D: Future<Output = T> + Send + 'static>(
        &self,
        dial: D,
    ) -> impl Future<Output = T> + Send + use<T, D> {
        run_on(self.0.handle(), dial)
    }
}

#[cfg(target_os = "linux")]
fn lower_priority() {
    // On Linux this concerns the calling thread. If it is not allowed, the threads compete as the others do.
    let _ = rustix::process::nice(NICENESS);
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::thread;

    use futures_util::FutureExt;

    use super::*;
    use crate::sessions::run_on::assert_ends_with_its_caller;

    #[tokio::test]
    async fn a_dial_runs_on_another_thread_and_its_panic_is_the_callers() {
        let threads = DialThreads::start(1).unwrap();
        let name = threads.run(async { thread::current().name().map(str::to_owned) }).await;
        assert_eq!(name.as_deref(), Some("dials"));
        let failing = threads.run(async { panic!("a fault") });
        let ended: Result<(), _> = AssertUnwindSafe(failing).catch_unwind().await;
        assert!(ended.is_err());
        assert_eq!(threads.run(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn a_dial_ends_when_its_caller_does() {
        let threads = DialThreads::start(1).unwrap();
        assert_ends_with_its_caller(|dial| threads.run(dial)).await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn dials_leave_a_busy_processor_to_the_other_threads() {
        let threads = DialThreads::start(1).unwrap();
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(threads.run(async move { niceness() }).await, (before + NICENESS).min(19));
        assert_eq!(niceness(), before);
    }
}
