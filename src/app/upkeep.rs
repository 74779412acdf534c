//! What the daemon does now and then: it forgets what is old, and deletes what somebody wants deleted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;

use crate::clock;
use crate::config::Retention;
use crate::http::Refusals;
use crate::store::{Store, StoreError};

/// How often what is old is forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);
/// An outgoing webhook that still waits is kept for so long, whatever the retention: longer than it is tried for.
const KEEP_WAITING_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// A forward is kept for so long after its session's last stream: another may follow.
const KEEP_FORWARDS_MS: i64 = 2 * 24 * 60 * 60 * 1000;
/// How often it is looked for data that is to be deleted.
const DELETE_EVERY: Duration = Duration::from_secs(1);

/// How often refusals that were counted become rows.
const NOTE_REFUSALS_EVERY: Duration = Duration::from_secs(60);

/// A reader that is in the way for this many tries is worth a line in the log, and again each so many tries.
const TRIES_BEFORE_WARNING: u32 = 5;
const WARN_EVERY_TRIES: u32 = 60;

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

/// Writes the refused requests of each minute into the audit trail.
pub(super) async fn note_refusals(refusals: Arc<Refusals>, store: Store) {
    let mut due = interval(NOTE_REFUSALS_EVERY);
    loop {
        due.tick().await;
        if let Err(error) = refusals.flush(&store, clock::now_ms()).await {
            tracing::warn!(%error, "refused requests are missing in the audit trail; the store failed");
        }
    }
}

/// Deletes what users and operators have asked for, bit by bit, and then what the store's files still have of it.
pub(super) async fn delete(store: Store) {
    let mut due = interval(DELETE_EVERY);
    let mut tries = 0_u32;
    loop {
        due.tick().await;
        delete_all(&store).await;
        purge(&store, &mut tries).await;
    }
}

async fn delete_all(store: &Store) {
    loop {
        match store.delete_some(clock::now_ms()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "data could not be deleted now; tried again");
                return;
            }
        }
    }
}

/// `tries` counts the failures since the last success. Warns when that takes long, and then once a minute.
async fn purge(store: &Store, tries: &mut u32) {
    let done = store.purge().await;
    if matches!(done, Ok(true)) {
        *tries = 0;
        return;
    }
    *tries += 1;
    if *tries % WARN_EVERY_TRIES == TRIES_BEFORE_WARNING {
        let error = done.err().map(|error| error.to_string());
        tracing::warn!(
            error,
            "deleted data is still in SQLite's files, because somebody is using them; retrying"
        );
    }
}
