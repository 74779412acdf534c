//! Retries an operation on a schedule of waits, which the caller chooses: a list, [`Doubling`], or one with jitter.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// An endless schedule: each wait is twice the one before, up to the longest.
#[derive(Debug, Clone)]
pub struct Doubling {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Doubling {
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Starts again with the first wait.
    pub fn restart(&mut self) {
        self.next = self.first;
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        wait
    }
}

impl Iterator for Doubling {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.next_wait())
    }
}

/// Tries until it succeeds, fails with an error that is not temporary, or `waits` ends: each wait is followed by a try.
pub async fn retry<T, E, F: Future<Output = Result<T, E>>>(
    waits: impl IntoIterator<Item = Duration>,
    is_temporary: impl FnMut(&E) -> bool,
    attempt: impl FnMut() -> F,
) -> Result<T, E> {
    retry_unless_stopped(&CancellationToken::new(), waits, is_temporary, attempt).await
}

/// Like [`retry`], and starts no further try after `stop`. A running one is not interrupted.
pub async fn retry_unless_stopped<T, E, F: Future<Output = Result<T, E>>>(
    stop: &CancellationToken,
    waits: impl IntoIterator<Item = Duration>,
    mut is_temporary: impl FnMut(&E) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E> {
    let mut waits = waits.into_iter();
    loop {
        let error = match attempt().await {
            Err(error) if is_temporary(&error) => error,
            done => return done,
        };
        let Some(wait) = waits.next() else { return Err(error) };
        if stop.run_until_cancelled(sleep(wait)).await.is_none() {
            return Err(error);
        }
    }
}

/// Tries until it succeeds. `failed` gets each error and the wait that follows.
pub async fn retry_until_ok<T, E, F: Future<Output = Result<T, E>>>(
    mut waits: Doubling,
    mut failed: impl FnMut(E, Duration),
    mut attempt: impl FnMut() -> F,
) -> T {
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => {
                let wait = waits.next_wait();
                failed(error, wait);
                sleep(wait).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;
    use std::iter::repeat_n;

    use tokio::time::Instant;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Fails until the given try.
    fn succeeding_at(
        number: u32,
        tries: &Cell<u32>,
    ) -> impl FnMut() -> std::future::Ready<Result<u32, u32>> {
        move || {
            tries.set(tries.get() + 1);
            ready(if tries.get() < number { Err(tries.get()) } else { Ok(number) })
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_restart() {
        let mut waits = Doubling::new(SECOND, 5 * SECOND);
        let first: Vec<u64> = waits.by_ref().take(5).map(|wait| wait.as_secs()).collect();
        assert_eq!(first, [1, 2, 4, 5, 5]);
        waits.restart();
        assert_eq!(waits.next_wait(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn every_wait_is_followed_by_one_try() {
        let (began, tries) = (Instant::now(), Cell::new(0));
        let done = retry(repeat_n(SECOND, 3), |_| true, succeeding_at(4, &tries)).await;
        assert_eq!((done, began.elapsed()), (Ok(4), 3 * SECOND));
        tries.set(0);
        let done = retry(repeat_n(SECOND, 3), |_| true, succeeding_at(5, &tries)).await;
        assert_eq!((done, began.elapsed()), (Err(4), 6 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_is_not_temporary_is_returned_at_once() {
        let (began, tries) = (Instant::now(), Cell::new(0));
        let waits = Doubling::new(SECOND, SECOND);
        let done = retry(waits, |error| *error != 2, succeeding_at(9, &tries)).await;
        assert_eq!((done, began.elapsed()), (Err(2), SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait_with_the_last_error() {
        let (began, tries, stop) = (Instant::now(), Cell::new(0), CancellationToken::new());
        let waits = Doubling::new(SECOND, 60 * SECOND);
        let trying = retry_unless_stopped(&stop, waits, |_| true, succeeding_at(9, &tries));
        let stopping = async {
            sleep(2 * SECOND).await;
            stop.cancel();
        };
        let (done, ()) = tokio::join!(trying, stopping);
        assert_eq!((done, began.elapsed()), (Err(2), 2 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_retry_reports_every_error_with_its_wait() {
        let (tries, mut failures) = (Cell::new(0), Vec::new());
        let waits = Doubling::new(SECOND, 3 * SECOND);
        let failed = |error, wait: Duration| failures.push((error, wait.as_secs()));
        assert_eq!(retry_until_ok(waits, failed, succeeding_at(5, &tries)).await, 5);
        assert_eq!(failures, [(1, 1), (2, 2), (3, 3), (4, 3)]);
    }
}
