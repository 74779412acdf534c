//! Dedicated threads for tasks that would delay others.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};

/// The running threads. They end when the last clone is dropped, without waiting for tasks.
#[derive(Clone)]
pub(crate) struct ThreadPool {
    handle: Handle,
    _runtime: Arc<BackgroundShutdown>,
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
        Ok(Self {
            handle: runtime.handle().clone(),
            _runtime: Arc::new(BackgroundShutdown(Some(runtime))),
        })
    }

    /// The handle to spawn tasks on these threads.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Shuts the runtime down in the background when it is dropped: the thread that drops it may be one that must not block.
struct BackgroundShutdown(Option<Runtime>);

impl Drop for BackgroundShutdown {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
