use std::time::Duration;

use tokio::time::interval;

use crate::clock;
use crate::config::Retention;
use crate::store::{Store, StoreError};

/// How often what is old is forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);
/// An outgoing webhook that still waits is kept for so long, whatever the retention: longer than it is tried for.
const KEEP_WAITING_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// A forward is kept for so long after its session's last stream: another may follow.
const KEEP_FORWARDS_MS: i64 = 2 * 24 * 60 * 60 * 1000;
/// How often it is looked for data that is to be deleted.
const DELETE_EVERY: Duration = Duration::from_secs(1);

/// Forgets what is not to be kept any more, for ever.
pub(super) async fn prune(store: Store, retention: Retention) {
    let mut due = interval(PRUNE_EVERY);
    loop {
        due.tick().await;
        if let Err(error) = prune_once(&store, retention, clock::now_ms()).await {
            tracing::warn!(%error, "what is old could not be forgotten now; tried again");
        }
    }
}

async fn prune_once(store: &Store, retention: Retention, now_ms: i64) -> Result<(), StoreError> {
    store.prune_idempotency_keys(now_ms).await?;
    store.prune_tickets(now_ms).await?;
    store.prune_forwards(now_ms.saturating_sub(KEEP_FORWARDS_MS)).await?;
    if let Some(before_ms) = retention.deliveries_before_ms(now_ms) {
        let deliveries = store.prune_deliveries(before_ms).await?;
        if deliveries > 0 {
            tracing::info!(deliveries, "old deliveries forgotten");
        }
        store.prune_events(before_ms, now_ms.saturating_sub(KEEP_WAITING_MS)).await?;
    }
    if let Some(before_ms) = retention.entries.cutoff_ms(now_ms) {
        while store.expire_entries(before_ms, now_ms).await? {}
    }
    if let Some(before_ms) = retention.media.cutoff_ms(now_ms) {
        let recordings = store.expire_recordings(before_ms).await?;
        if recordings > 0 {
            tracing::info!(recordings, "old recordings are being deleted");
        }
    }
    Ok(())
}

/// Deletes what users and operators have asked for, bit by bit, for ever.
pub(super) async fn delete(store: Store) {
    let mut due = interval(DELETE_EVERY);
    loop {
        due.tick().await;
        loop {
            match store.delete_some(clock::now_ms()).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "data could not be deleted now; tried again");
                    break;
                }
            }
        }
    }
}
