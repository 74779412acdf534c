//! Publishes completed deletions to a broker, so that consumers can delete their copies.

use std::collections::HashSet;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::Broker;
use crate::model::ms;
use crate::sinks::Context;
use crate::sinks::message::Message;
use crate::store::StoreError;

/// A deletion with an earlier time may become visible later, so every poll rereads this much.
const OVERLAP_MS: i64 = 60_000;
/// Deletions in one read.
const PAGE: u32 = 100;

#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Broker(String),
}

/// Publishes deletions until `stop`. While the broker is away, they wait in the store.
pub(super) async fn publish<B: Broker>(broker: &B, context: &Context, stop: CancellationToken) {
    let position = format!("{}_deletions", B::NAME);
    let (mut due, mut published) =
        (interval(context.relay.deletions_poll_interval), HashSet::new());
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        if !broker.is_up() {
            continue;
        }
        if let Err(error) = publish_new(broker, context, &position, &mut published).await {
            tracing::warn!(broker = B::NAME, %error, "could not publish deletions; trying again");
        }
    }
    if let Err(error) = context.store.release_sink(&position, context.node).await {
        tracing::debug!(%error, "could not release a lease; it expires by itself");
    }
}

/// `published` holds the deletions of the overlap that were already published.
async fn publish_new<B: Broker>(
    broker: &B,
    Context { store, node, relay, now_ms, .. }: &Context,
    position: &str,
    published: &mut HashSet<String>,
) -> Result<(), PublishError> {
    let now_ms = now_ms();
    let held = store.hold_sink(position, *node, ms(relay.lease)).await?;
    let Some(held) = held else { return Ok(()) };
    let mut after = (held.through_ms.saturating_sub(OVERLAP_MS), String::new());
    let mut seen = HashSet::new();
    loop {
        let page = store.deletions_after(after.0, &after.1, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = (last.at_ms, last.id.clone());
        let new = page.iter().filter(|deleted| !published.contains(&deleted.id));
        let messages: Vec<_> = new.map(Message::of_deletion).collect();
        broker.publish(messages).await.map_err(|error| PublishError::Broker(error.to_string()))?;
        seen.extend(page.into_iter().map(|deleted| deleted.id));
    }
    // Only those of the overlap, so the set stays small.
    *published = seen;
    // Everything up to now is published: moving on keeps the next daemon from repeating the last one forever. If
    // another daemon has taken the sink since, it publishes them again.
    let through_ms = after.0.max(now_ms - OVERLAP_MS);
    store.move_sink_through(position, held.epoch, through_ms).await?;
    Ok(())
}
