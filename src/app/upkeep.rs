//! Periodic maintenance: retention, requested deletions, and the audit rows of refused requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;

use crate::clock;
use crate::config::Retention;
use crate::http::Refusals;
use crate::store::{Store, StoreError};

/// How often expired data is deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long a pending outgoing webhook is kept regardless of the retention settings; longer than its retries last.
const KEEP_WAITING_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// How long a forward is kept after its session's last stream, because another stream may follow.
const KEEP_FORWARDS_MS: i64 = 2 * 24 * 60 * 60 * 1000;
/// How often the store is checked for data to delete.
const DELETE_EVERY: Duration = Duration::from_secs(1);

/// How often counted refusals are written as audit rows.
const NOTE_REFUSALS_EVERY: Duration = Duration::from_secs(60);

/// The number of failed tries of a purge before a warning, and between further warnings.
const TRIES_BEFORE_WARNING: u32 = 5;
const WARN_EVERY_TRIES: u32 = 60;

/// Applies the retention now and once an hour. A failing step does not stop the others. Never returns.
pub(super) async fn prune_hourly(store: Store, retention: Retention) {
    let mut due = interval(PRUNE_EVERY);
    loop {
        due.tick().await;
        let now_ms = clock::now_ms();
        let done = [
            prune_short_lived(&store, now_ms).await,
            prune_deliveries(&store, retention, now_ms).await,
            expire_entries(&store, retention.entries.cutoff_ms(now_ms), now_ms).await,
            expire_recordings(&store, retention.media.cutoff_ms(now_ms)).await,
            // Sessions go last, after everything that belongs to them.
            expire_sessions(&store, retention.sessions.cutoff_ms(now_ms)).await,
            expire_audit(&store, retention.audit.cutoff_ms(now_ms)).await,
        ];
        for error in done.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "a step of the retention failed; retrying in an hour");
        }
    }
}

async fn prune_short_lived(store: &Store, now_ms: i64) -> Result<(), StoreError> {
    store.prune_idempotency_keys(now_ms).await?;
    store.prune_tickets(now_ms).await?;
    store.prune_dashboard_sessions(now_ms).await?;
    store.prune_forwards(now_ms.saturating_sub(KEEP_FORWARDS_MS)).await?;
    Ok(())
}

async fn prune_deliveries(
    store: &Store,
    retention: Retention,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Some(before_ms) = retention.deliveries_before_ms(now_ms) else { return Ok(()) };
    let deliveries = store.prune_deliveries(before_ms).await?;
    if deliveries > 0 {
        tracing::info!(deliveries, "expired webhook deliveries deleted");
    }
    store.prune_events(before_ms, now_ms.saturating_sub(KEEP_WAITING_MS)).await.map(drop)
}

async fn expire_entries(
    store: &Store,
    before_ms: Option<i64>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Some(before_ms) = before_ms else { return Ok(()) };
    // In small transactions, so that live streams can write in between.
    while store.expire_entries(before_ms, now_ms).await? {}
    Ok(())
}

async fn expire_recordings(store: &Store, before_ms: Option<i64>) -> Result<(), StoreError> {
    let Some(before_ms) = before_ms else { return Ok(()) };
    let recordings = store.expire_recordings(before_ms).await?;
    if recordings > 0 {
        tracing::info!(recordings, "expired recordings marked for deletion");
    }
    Ok(())
}

async fn expire_sessions(store: &Store, before_ms: Option<i64>) -> Result<(), StoreError> {
    let Some(before_ms) = before_ms else { return Ok(()) };
    let sessions = store.expire_sessions(before_ms).await?;
    if sessions > 0 {
        tracing::info!(sessions, "expired sessions deleted with their streams");
    }
    Ok(())
}

async fn expire_audit(store: &Store, before_ms: Option<i64>) -> Result<(), StoreError> {
    let Some(before_ms) = before_ms else { return Ok(()) };
    let rows = store.expire_audit(before_ms).await?;
    if rows > 0 {
        tracing::info!(rows, "expired rows of the audit trail deleted");
    }
    Ok(())
}

/// Writes the refused requests of each minute to the audit trail. Never returns.
pub(super) async fn note_refusals(refusals: Arc<Refusals>, store: Store) {
    let mut due = interval(NOTE_REFUSALS_EVERY);
    loop {
        due.tick().await;
        if let Err(error) = refusals.flush(&store, clock::now_ms()).await {
            tracing::warn!(%error, "could not write refused requests to the audit trail; they are missing there");
        }
    }
}

/// Deletes in batches the data that users and operators asked to delete, then purges its remains from the store's
/// files. Never returns.
pub(super) async fn process_deletions(store: Store) {
    let mut due = interval(DELETE_EVERY);
    let mut tries = 0_u32;
    loop {
        due.tick().await;
        delete_all(&store).await;
        purge_deletions(&store, &mut tries).await;
    }
}

async fn delete_all(store: &Store) {
    loop {
        match store.delete_some(clock::now_ms()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "could not delete data; retrying");
                return;
            }
        }
    }
}

/// Purges deleted data from the store's files. `tries` counts the failures since the last success; repeated failures
/// are logged once a minute.
async fn purge_deletions(store: &Store, tries: &mut u32) {
    let done = store.purge().await;
    if matches!(done, Ok(true)) {
        *tries = 0;
        return;
    }
    *tries += 1;
    // One try a second: the first warning comes after five seconds, the next ones a minute apart.
    if *tries % WARN_EVERY_TRIES == TRIES_BEFORE_WARNING {
        let error = done.err().map(|error| error.to_string());
        tracing::warn!(
            error,
            "deleted data is still in SQLite's files, because another connection is reading them; retrying"
        );
    }
}
