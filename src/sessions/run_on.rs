//! Runs work on another runtime for a caller that waits for it.

use std::panic::resume_unwind;

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

/// Starts work on a runtime that outlives its callers. It is cancelled when the returned future is dropped, and its panic
/// is that one's. The future is small: it does not contain `work`.
pub(super) fn run_on<T: Send + 'static, W: Future<Output = T> + Send + 'static>(
    runtime: &Handle,
    work: W,
) -> impl Future<Output = T> + Send + use<T, W> {
    let task = AbortOnDropHandle::new(runtime.spawn(work));
    async {
        match task.await {
            Ok(done) => done,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // Only after the runtime was stopped, when nothing waits for this.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Shows that a future of `run` that is dropped ends its work.
#[cfg(test)]
pub(super) async fn assert_ends_with_its_caller<F: Future<Output = ()>>(
    run: impl FnOnce(futures_util::future::BoxFuture<'static, ()>) -> F,
) {
    use std::sync::mpsc;
    use std::time::Duration;

    struct Ending(mpsc::Sender<()>);
    impl Drop for Ending {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (sender, ended) = mpsc::channel();
    let work = run(Box::pin(async move {
        let _ending = Ending(sender);
        std::future::pending::<()>().await;
    }));
    assert!(tokio::time::timeout(Duration::from_millis(20), work).await.is_err());
    let ended = tokio::task::spawn_blocking(move || ended.recv_timeout(Duration::from_secs(60)));
    ended.await.unwrap().unwrap();
}
