//! What a sink is built from, and its running task.

use std::sync::Arc;
use std::time::Duration;

use rtmsd::hub::{Hub, WriterSettings};
use rtmsd::model::NodeId;
use rtmsd::sinks::{Context, Runner, relay};
use rtmsd::store::Store;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::network::network;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A hub without a writer: it only passes on what tests publish.
pub(crate) fn hub(store: &Store) -> Arc<Hub> {
    Hub::new(store.clone(), 1, WriterSettings::default()).0
}

/// The context of the daemon with this number. Its relays poll often and deliver a few entries at a time.
pub(crate) fn context(store: &Store, hub: Arc<Hub>, node: u128) -> Context {
    let quick = Duration::from_millis(20);
    Context {
        store: store.clone(),
        hub,
        network: network(),
        node: NodeId(Uuid::from_u128(node)),
        relay: relay::Settings {
            poll_interval: quick,
            deletions_poll_interval: quick,
            max_entries: 20,
            ..Default::default()
        },
        now_ms: rtmsd::clock::now_ms,
    }
}

/// Makes a sink known to the store, so that it gets what is stored from now on.
pub(crate) async fn enable(store: &Store, sink: &str) {
    let node = NodeId(Uuid::from_u128(1));
    assert!(store.hold_sink(sink, node, 1).await.unwrap().is_some());
    store.release_sink(sink, node).await.unwrap();
}

/// The task of a sink.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(mut runner: Box<dyn Runner>) -> Self {
        Self::spawn(|stop| async move { runner.run(stop).await })
    }

    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(
        run: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(run(stop.clone())), stop }
    }

    /// Stops as a daemon does that is asked to.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(TIMEOUT, self.task).await.expect("it stops").expect("no panic");
    }

    /// Ends as a killed daemon does, in the middle of anything: leases are not released.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}
