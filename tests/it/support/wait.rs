//! How tests wait: until something is so, and never longer than a limit.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// No test waits longer for one thing.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// The wait between two polls: short at first, then growing, for a busy machine.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(10);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Polls until `find` finds something, and returns it.
///
/// # Panics
/// After [`TIMEOUT`], with `what` as the reason.
pub(crate) async fn eventually<T>(what: &str, find: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(TIMEOUT, what, find).await
}

/// Like [`eventually`], with a longer limit.
pub(crate) async fn eventually_within<T>(
    limit: Duration,
    what: &str,
    mut find: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = find().await {
            return found;
        }
        assert!(start.elapsed() < limit, "never happened: {what}");
        sleep((start.elapsed() / 20).clamp(POLL_INTERVAL, MAX_POLL_INTERVAL)).await;
    }
}
