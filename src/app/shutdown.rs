//! The last steps of a stop.

use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::http::Refusals;
use crate::hub::Hub;
use crate::model::NodeId;
use crate::store::Store;

/// How long each of the last steps of a stop may take.
const LAST_STEP: Duration = Duration::from_secs(5);

/// Waits for a part that was asked to stop. A panic in it was logged where it happened, and the other parts
/// still stop in order.
pub(super) async fn wait_finished(part: JoinHandle<()>) {
    // `select!` may have taken this handle's result already, and a handle that is polled again panics.
    if !part.is_finished() {
        let _ = part.await;
    }
}

/// Stores the streams' last entries and releases the leases for the next start.
pub(super) async fn hand_over(hub: &Hub, store: &Store, node: NodeId) {
    if timeout(LAST_STEP, hub.flush()).await.is_err() {
        tracing::error!("the last entries could not be stored in time");
    }
    if !matches!(timeout(LAST_STEP, store.release_leases(node)).await, Ok(Ok(_))) {
        tracing::warn!("the streams' leases could not be given back; they expire by themselves");
    }
}

/// Waits for the sinks to take the streams' last entries. Those that do not make it in time are sent after the
/// next start.
pub(super) async fn end_sinks(mut sinks: JoinSet<()>) {
    let ended = async { while sinks.join_next().await.is_some() {} };
    if timeout(LAST_STEP, ended).await.is_err() {
        tracing::warn!("sinks did not get everything in time; what is left waits in the store");
    }
}

/// Waits for the live consumers and for the requests to Zoom, each for a bounded time.
pub(super) async fn end_requests(live_connections: TaskTracker, requests: TaskTracker) {
    live_connections.close();
    if timeout(LAST_STEP, live_connections.wait()).await.is_err() {
        tracing::warn!(live_connections = live_connections.len(), "live consumers are cut");
    }
    requests.close();
    if timeout(LAST_STEP, requests.wait()).await.is_err() {
        tracing::warn!("requests to Zoom did not end in time; what came of them is not known");
    }
}

/// Writes the pending rows of refused requests to the audit trail.
pub(super) async fn flush_refusals(refusals: &Refusals, store: &Store) {
    let flushed = timeout(LAST_STEP, refusals.flush(store, clock::now_ms())).await;
    if !matches!(flushed, Ok(Ok(()))) {
        tracing::warn!(
            "could not write the last refused requests to the audit trail; they are missing there"
        );
    }
}
