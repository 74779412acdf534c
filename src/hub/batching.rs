//! Sends items to the store in batches bounded in bytes. The bound shrinks after each failure and grows after each
//! success. An item that the store does not take is replaced, so that it blocks no other.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::time::{sleep, timeout};

use crate::metrics::Metrics;
use crate::net::retry::{Doubling, retry};
use crate::store::{Store, StoreError};

/// The approximate most bytes in one transaction. At 100 kB/s it finishes within the store's timeout.
pub(super) const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// The waits between tries while the store is unavailable.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// A batch this small passes every connection in time. If it fails, it is halved only if the store answers a ping.
const SMALL_BATCH_BYTES: usize = 64 * 1024;
/// How long the store may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// An item is replaced after this many unanswered tries of it alone, each while the store answered a ping.
const MAX_UNANSWERED: u32 = 5;

/// How items of one kind are sent.
pub(super) struct Kind<T> {
    /// The most items in one transaction, regardless of size.
    pub max_items: usize,
    /// The approximate size of an item on the wire; never 0.
    pub bytes: fn(&T) -> usize,
    /// The replacement for an item that the store does not take.
    pub stand_in: fn(&T) -> T,
    /// Whether the metrics of batches are about this kind.
    pub is_of_entries: bool,
}

/// The result of [`Batcher::send`].
pub(super) struct Sent<R> {
    /// The store's answers, one per transaction.
    pub answers: Vec<R>,
    /// The indexes of items that were replaced, whether or not the store took the replacement.
    pub replaced: Vec<usize>,
}

/// One running transaction.
pub(super) type Sending<'b, R> = BoxFuture<'b, Result<R, StoreError>>;

/// Sends batches and adapts their size.
pub(super) struct Batcher {
    store: Store,
    max_bytes: usize,
    metrics: Metrics,
}

impl Batcher {
    pub(super) fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, max_bytes: MAX_BATCH_BYTES, metrics }
    }

    /// Sends all `items` in order, one call of `attempt` per batch. `attempt` must be idempotent. Retries while the
    /// store is unavailable, so an outage loses nothing.
    pub(super) async fn send<T, R>(
        &mut self,
        items: &[T],
        kind: &Kind<T>,
        attempt: impl for<'b> Fn(&'b [T]) -> Sending<'b, R>,
    ) -> Sent<R> {
        let mut sent = Sent { answers: Vec::new(), replaced: Vec::new() };
        let (mut at, mut outage, mut unanswered) = (0, Outage::new(), 0);
        while at < items.len() {
            let batch = self.next_batch(&items[at..], kind);
            let began = Instant::now();
            let mut done = attempt(batch).await;
            self.count(kind, batch.len(), began.elapsed(), &done);
            // Only an item that fails alone is at fault; a failed batch is halved first, below.
            if let ([item], Err(error)) = (batch, &done)
                && self.is_hopeless(error, &mut unanswered).await
            {
                tracing::error!(%error, "the store does not take an item; storing a placeholder instead");
                done = attempt(&[(kind.stand_in)(item)]).await;
                unanswered = 0;
                // If the store is unavailable, the next round tries the item itself again.
                if !matches!(done, Err(StoreError::Unavailable(_))) {
                    sent.replaced.push(at);
                }
            }
            match done {
                Ok(answer) => {
                    sent.answers.push(answer);
                    // Halve and double, so that the size follows the connection's speed in both
                    // directions.
                    self.max_bytes = (self.max_bytes * 2).min(MAX_BATCH_BYTES);
                    outage.is_over();
                }
                Err(error @ StoreError::Unavailable(_)) => {
                    let bytes = batch_bytes(batch, kind);
                    // A store that answers pings but not this batch is too slow for the batch; one
                    // that answers nothing is away, and smaller batches would only slow the
                    // recovery.
                    if batch.len() > 1 && (bytes > SMALL_BATCH_BYTES || self.answers().await) {
                        self.max_bytes = bytes / 2;
                    }
                    outage.wait(&error).await;
                    continue;
                }
                // The store refused the batch: halving finds the item that it refuses.
                Err(_) if batch.len() > 1 => {
                    self.max_bytes = batch_bytes(batch, kind) / 2;
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "the store does not take the placeholder either; the item is lost")
                }
            }
            (at, unanswered) = (at + batch.len(), 0);
        }
        sent
    }

    fn count<T, R>(
        &self,
        kind: &Kind<T>,
        items: usize,
        took: Duration,
        done: &Result<R, StoreError>,
    ) {
        if kind.is_of_entries {
            self.metrics.batch_entries.observe([], items as f64);
            self.metrics.batch_seconds.observe_time([], took);
        }
        match done {
            Ok(_) => {}
            Err(StoreError::Unavailable(_)) => self.metrics.batch_failures.inc(["unavailable"]),
            Err(_) => self.metrics.batch_failures.inc(["rejected"]),
        }
    }

    /// The next batch: as many items as fit, but at least one.
    fn next_batch<'a, T>(&self, items: &'a [T], kind: &Kind<T>) -> &'a [T] {
        let mut bytes = 0;
        let fits = |item: &&T| {
            bytes += (kind.bytes)(item);
            bytes <= self.max_bytes
        };
        let count = items.iter().take(kind.max_items).take_while(fits).count();
        &items[..count.max(1)]
    }

    async fn answers(&self) -> bool {
        matches!(timeout(PING_TIMEOUT, self.store.ping()).await, Ok(Ok(())))
    }

    /// Whether to stop retrying an item that failed alone. An outage of the store is no reason to
    /// stop.
    async fn is_hopeless(&self, error: &StoreError, unanswered: &mut u32) -> bool {
        if !error.is_temporary() {
            return true;
        }
        if error.is_unanswered() && self.answers().await {
            *unanswered += 1;
        }
        *unanswered >= MAX_UNANSWERED
    }
}

/// The size of a batch in bytes. Half of it admits fewer items than the batch has, so halving ends at one item.
fn batch_bytes<T>(batch: &[T], kind: &Kind<T>) -> usize {
    batch.iter().map(kind.bytes).sum()
}

/// Retries a request while the store is unavailable.
pub(super) async fn until_answered<T, F: Future<Output = Result<T, StoreError>>>(
    attempt: impl Fn() -> F,
) -> Result<T, StoreError> {
    let mut outage = Outage::new();
    let answer = retry(outage.waits.clone(), |error| outage.includes(error), attempt).await;
    outage.is_over();
    answer
}

/// An outage of the store: logged once, with the waits between the tries.
struct Outage {
    waits: Doubling,
    is_logged: bool,
}

impl Outage {
    fn new() -> Self {
        Self { waits: Doubling::new(FIRST_RETRY, LAST_RETRY), is_logged: false }
    }

    async fn wait(&mut self, error: &StoreError) {
        self.includes(error);
        sleep(self.waits.next_wait()).await;
    }

    /// Whether the store is unavailable. Logs the first such error.
    fn includes(&mut self, error: &StoreError) -> bool {
        let is_away = error.is_temporary();
        if is_away && !std::mem::replace(&mut self.is_logged, true) {
            tracing::warn!(%error, "the store is unavailable; retrying until it answers");
        }
        is_away
    }

    fn is_over(&mut self) {
        self.waits.restart();
        if std::mem::take(&mut self.is_logged) {
            tracing::info!("the store answers again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::store::Location;

    /// Each item is its own size; 0 is the replacement.
    const SIZES: Kind<usize> =
        Kind { max_items: 100, bytes: |item| *item, stand_in: |_| 0, is_of_entries: true };
    const KIB: usize = 1024;

    async fn batcher(folder: &tempfile::TempDir) -> Batcher {
        let store = Store::open(&Location::Sqlite(folder.path().join("rtmsd.db"))).await.unwrap();
        Batcher::new(store, Metrics::default())
    }

    /// Records the batches that were tried and that passed. `judge` decides the result of each try.
    #[derive(Clone, Default)]
    struct Wire {
        tries: Arc<Mutex<Vec<Vec<usize>>>>,
        passed: Arc<Mutex<Vec<Vec<usize>>>>,
    }

    impl Wire {
        fn passing(
            &self,
            judge: impl Fn(usize, &[usize]) -> Result<(), StoreError>,
        ) -> impl for<'b> Fn(&'b [usize]) -> Sending<'b, ()> {
            let wire = self.clone();
            move |batch| {
                let mut tries = wire.tries.lock().unwrap();
                let done = judge(tries.len(), batch);
                tries.push(batch.to_vec());
                if done.is_ok() {
                    wire.passed.lock().unwrap().push(batch.to_vec());
                }
                Box::pin(std::future::ready(done))
            }
        }

        fn tries(&self) -> Vec<Vec<usize>> {
            self.tries.lock().unwrap().clone()
        }

        fn passed(&self) -> Vec<Vec<usize>> {
            self.passed.lock().unwrap().clone()
        }
    }

    fn lengths(batches: &[Vec<usize>]) -> Vec<usize> {
        batches.iter().map(Vec::len).collect()
    }

    #[tokio::test]
    async fn a_batch_is_bounded_in_bytes_and_items() {
        let (folder, wire) = (tempfile::tempdir().unwrap(), Wire::default());
        let many = [vec![1; 250], vec![400 * KIB; 5], vec![3 * MAX_BATCH_BYTES, 1]].concat();
        let take = wire.passing(|_, _| Ok(()));
        let sent = batcher(&folder).await.send(&many, &SIZES, take).await;
        assert_eq!(wire.passed().concat(), many);
        assert_eq!(lengths(&wire.passed()), [100, 100, 52, 2, 1, 1, 1]);
        assert_eq!((sent.answers.len(), sent.replaced.len()), (7, 0));
    }

    #[tokio::test]
    async fn what_times_out_is_halved_until_it_passes_and_grows_again() {
        let (folder, wire) = (tempfile::tempdir().unwrap(), Wire::default());
        let many = vec![64 * KIB; 16];
        // The connection passes 200 KiB in time, and recovers at the end.
        let take = wire.passing(|tries, batch| {
            match tries < 6 && batch.iter().sum::<usize>() > 200 * KIB {
                true => Err(StoreError::timed_out()),
                false => Ok(()),
            }
        });
        let mut batcher = batcher(&folder).await;
        let sent = batcher.send(&many, &SIZES, take).await;
        assert_eq!(lengths(&wire.tries()), [16, 8, 4, 2, 4, 2, 4, 8]);
        assert_eq!(sent.replaced, [0; 0]);
        assert_eq!(batcher.max_bytes, MAX_BATCH_BYTES);
    }

    #[tokio::test]
    async fn a_refused_item_is_replaced_alone_and_the_order_is_kept() {
        let (folder, wire) = (tempfile::tempdir().unwrap(), Wire::default());
        let many: Vec<usize> = (1..=60).collect();
        let take = wire.passing(|_, batch| match batch.contains(&23) {
            true => Err(StoreError::Row("refused".to_owned())),
            false => Ok(()),
        });
        let sent = batcher(&folder).await.send(&many, &SIZES, take).await;
        let expected = many.iter().map(|item| if *item == 23 { 0 } else { *item });
        assert_eq!(wire.passed().concat(), expected.collect::<Vec<_>>());
        assert_eq!(sent.replaced, [22]);
    }

    #[tokio::test]
    async fn an_item_without_an_answer_is_replaced_while_the_store_answers_others() {
        let (folder, wire) = (tempfile::tempdir().unwrap(), Wire::default());
        let take = wire.passing(|_, batch| match batch.contains(&7) {
            true => Err(StoreError::timed_out()),
            false => Ok(()),
        });
        let sent = batcher(&folder).await.send(&[7, 8], &SIZES, take).await;
        assert_eq!((wire.passed().concat(), sent.replaced), (vec![0, 8], vec![0]));
        let with_it = wire.tries().iter().filter(|batch| batch.contains(&7)).count();
        assert_eq!(with_it, 1 + MAX_UNANSWERED as usize, "once with the other item, then alone");
    }

    #[tokio::test]
    async fn an_outage_replaces_nothing_and_makes_no_small_batch_smaller() {
        let (folder, wire) = (tempfile::tempdir().unwrap(), Wire::default());
        let mut batcher = batcher(&folder).await;
        batcher.store.close().await;
        for items in [vec![1], vec![1, 2, 3]] {
            let begun = wire.tries().len();
            let take = wire.passing(|tries, _| match tries - begun > MAX_UNANSWERED as usize + 1 {
                true => Ok(()),
                false => Err(StoreError::timed_out()),
            });
            let sent = batcher.send(&items, &SIZES, take).await;
            assert_eq!((sent.answers.len(), sent.replaced.len()), (1, 0));
            assert!(wire.tries()[begun..].iter().all(|batch| *batch == items));
            assert_eq!(batcher.max_bytes, MAX_BATCH_BYTES);
        }
    }
}
