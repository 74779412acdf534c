//! Tasks on threads of their own, so that what they do delays nothing else.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};

/// The running threads. They end when the last clone is dropped, without waiting for tasks.
#[derive(Clone)]
pub(crate) struct ThreadPool {
    handle: Handle,
    _runtime: Arc<Stopping>,
}

impl ThreadPool {
    /// Starts `count` threads, at least one. Each first calls `on_start`.
    pub(crate) fn start(
        name: &'static str,
        count: usize,
        on_start: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(count.max(1)).thread_name(name).enable_all();
        let runtime = builder.on_thread_start(on_start).build()?;
        Ok(Self { handle: runtime.handle().clone(), _runtime: Arc::new(Stopping(Some(runtime))) })
    }

    /// Where to spawn tasks.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Does not wait for tasks when it is dropped, which may be on a thread that must not wait.
struct Stopping(Option<Runtime>);

impl Drop for Stopping {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
