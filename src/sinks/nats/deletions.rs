use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::{Nats, NatsError};
use crate::model::ms;
use crate::sinks::relay;
use crate::store::{Store, StoreError};

/// How far we are is kept under this name, beside the relay's.
const NAME: &str = "nats_deletions";
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// A deletion that was noted earlier may be seen later: so far back every look reads again.
const OVERLAP_MS: i64 = 60_000;
/// Deletions in one read.
const PAGE: u32 = 100;

#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Nats(#[from] NatsError),
}

/// Tells what was deleted, until `stop`. While the broker is away it waits in the store.
pub(super) async fn tell(
    nats: Arc<Nats>,
    store: Store,
    settings: relay::Settings,
    stop: CancellationToken,
) {
    let (mut due, mut told) = (interval(POLL_INTERVAL), HashSet::new());
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        if !nats.link.is_up() {
            continue;
        }
        if let Err(error) = tell_news(&nats, &store, &settings, &mut told).await {
            tracing::warn!(%error, "NATS could not be told what was deleted; tried again");
        }
    }
    if let Err(error) = store.release_sink(NAME, settings.node).await {
        tracing::debug!(%error, "a lease is left to run out");
    }
}

/// `told` holds the deletions of the overlap that were told already.
async fn tell_news(
    nats: &Nats,
    store: &Store,
    settings: &relay::Settings,
    told: &mut HashSet<String>,
) -> Result<(), TellError> {
    let now_ms = (settings.now_ms)();
    let lease_ms = ms(settings.lease);
    let held = store.hold_sink(NAME, settings.node, lease_ms).await?;
    let Some(held) = held else { return Ok(()) };
    let mut after = (held.through_ms.saturating_sub(OVERLAP_MS), String::new());
    let mut seen = HashSet::new();
    loop {
        let page = store.deletions_after(after.0, &after.1, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = (last.at_ms, last.id.clone());
        for deleted in page {
            if !told.contains(&deleted.id) {
                nats.publish_deleted(&deleted.scope, &deleted.subject, deleted.at_ms).await?;
            }
            seen.insert(deleted.id);
        }
    }
    *told = seen;
    // Everything up to now is told: the next daemon does not tell the last one again for ever.
    // Where another has taken the sink since, it tells them again.
    let through_ms = after.0.max(now_ms - OVERLAP_MS);
    store.move_sink_through(NAME, held.epoch, through_ms).await?;
    Ok(())
}
