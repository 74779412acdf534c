//! Periodic maintenance: retention, requested deletions, audit rows of refused requests, and release of unused memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep};

use crate::http::Refusals;
use crate::model::{Keep, Retention};
use crate::store::{Store, StoreError};
use crate::zoom::app::Apps;
use crate::{clock, heap};

/// How often expired data is deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long a pending outgoing webhook is kept regardless of the retention settings; longer than its retries last.
const KEEP_WAITING_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// How long a forward is kept after its session's last stream, because another stream may follow. As long as a webhook to
/// a relay's program is shown.
const KEEP_FORWARDS_MS: i64 = 2 * 24 * 60 * 60 * 1000;
/// How often the store is checked for data to delete.
const DELETE_EVERY: Duration = Duration::from_secs(1);

/// How often counted refusals are written as audit rows.
const NOTE_REFUSALS_EVERY: Duration = Duration::from_secs(60);

/// How often unused memory is released.
const RELEASE_MEMORY_EVERY: Duration = Duration::from_secs(5);
/// The longest pause between two releases.
const MAX_RELEASE_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Releasing memory takes at most this fraction (one thousandth) of the time (more if a release takes over 0.3 s),
/// because other threads may wait meanwhile to allocate.
const MAX_RELEASE_FRACTION: u32 = 1_000;

/// The number of failed tries of a purge before a warning, and between further warnings.
const TRIES_BEFORE_WARNING: u32 = 5;
const WARN_EVERY_TRIES: u32 = 60;

/// Applies each app's retention now and once an hour. A failing step does not stop the others. Never returns.
pub(super) async fn prune_hourly(store: Store, apps: Apps) {
    let mut due = interval(PRUNE_EVERY);
    loop {
        due.tick().await;
        let now_ms = clock::now_ms();
        let cutoffs = |kind: fn(&Retention) -> Keep| {
            apps.cutoffs(|retention| kind(retention).cutoff_ms(now_ms))
        };
        let deliveries = apps.cutoffs(|retention| retention.deliveries_before_ms(now_ms));
        let waiting_before_ms = now_ms.saturating_sub(KEEP_WAITING_MS);
        let (entries, media) = (cutoffs(|it| it.entries), cutoffs(|it| it.media));
        let (sessions, audit) = (cutoffs(|it| it.sessions), cutoffs(|it| it.audit));
        let done = [
            prune_short_lived(&store, now_ms).await,
            log_expired(store.prune_deliveries(&deliveries).await, "webhook deliveries"),
            log_expired(store.prune_events(&deliveries, waiting_before_ms).await, "events"),
            log_expired(store.expire_entries(&entries, now_ms).await, "logs of streams"),
            // The files follow: the daemons that reach them remove them.
            log_expired(store.expire_recordings(&media).await, "recordings"),
            // Sessions go last, after everything that belongs to them.
            log_expired(store.expire_sessions(&sessions).await, "sessions with their streams"),
            log_expired(store.expire_audit(&audit).await, "rows of the audit trail"),
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
    store.prune_relay_events(now_ms.saturating_sub(KEEP_FORWARDS_MS)).await?;
    Ok(())
}

fn log_expired(done: Result<u64, StoreError>, what: &'static str) -> Result<(), StoreError> {
    let count = done?;
    if count > 0 {
        tracing::info!(what, count, "deleted expired data");
    }
    Ok(())
}

/// Releases unused memory to the kernel every few seconds, less often if the heap is large. Bursts of webhooks,
/// handshakes and queries need a lot of memory for a moment. Never returns.
pub(super) async fn release_memory() {
    loop {
        // Fails only if the runtime is shutting down.
        let took = spawn_blocking(timed_trim).await.unwrap_or_default();
        sleep(pause_after_release(took)).await;
    }
}

fn timed_trim() -> Duration {
    let began = Instant::now();
    heap::trim();
    began.elapsed()
}

fn pause_after_release(took: Duration) -> Duration {
    took.saturating_mul(MAX_RELEASE_FRACTION).clamp(RELEASE_MEMORY_EVERY, MAX_RELEASE_PAUSE)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_released_every_few_seconds_and_less_often_if_that_takes_long() {
        let paused_s = |took_ms| pause_after_release(Duration::from_millis(took_ms)).as_secs();
        assert_eq!([0, 1, 5, 6, 200, 3_600_000].map(paused_s), [5, 5, 5, 6, 200, 300]);
    }
}
