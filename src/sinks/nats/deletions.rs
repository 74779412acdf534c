//! Publishes completed deletions to NATS, so that consumers can delete their copies.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::{Nats, NatsError};
use crate::model::ms;
use crate::sinks::relay;
use crate::store::{Store, StoreError};

/// The name of the stored position, beside the relay's.
const NAME: &str = "nats_deletions";
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// A deletion with an earlier time may become visible later, so every poll rereads this much.
const OVERLAP_MS: i64 = 60_000;
/// Deletions in one read.
const PAGE: u32 = 100;

#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Nats(#[from] NatsError),
}

/// Publishes deletions until `stop`. While the broker is away, they wait in the store.
pub(super) async fn publish(
    nats: Arc<Nats>,
    store: Store,
    settings: relay::Settings,
    stop: CancellationToken,
) {
    let (mut due, mut published) = (interval(POLL_INTERVAL), HashSet::new());
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        if !nats.link.is_up() {
            continue;
        }
        if let Err(error) = publish_news(&nats, &store, &settings, &mut published).await {
            tracing::warn!(%error, "could not publish deletions to NATS; trying again");
        }
    }
    if let Err(error) = store.release_sink(NAME, settings.node).await {
        tracing::debug!(%error, "could not release a lease; it expires by itself");
    }
}

/// `published` holds the deletions of the overlap that were already published.
async fn publish_news(
    nats: &Nats,
    store: &Store,
    settings: &relay::Settings,
    published: &mut HashSet<String>,
) -> Result<(), PublishError> {
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
            if !published.contains(&deleted.id) {
                nats.publish_deleted(&deleted.scope, &deleted.subject, deleted.at_ms).await?;
            }
            seen.insert(deleted.id);
        }
    }
    // Only those of the overlap, so the set stays small.
    *published = seen;
    // Everything up to now is published: moving on keeps the next daemon from repeating the last one forever. If
    // another daemon has taken the sink since, it publishes them again.
    let through_ms = after.0.max(now_ms - OVERLAP_MS);
    store.move_sink_through(NAME, held.epoch, through_ms).await?;
    Ok(())
}
