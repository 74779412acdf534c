//! Retries token requests and storing their results, because a refresh token works only once (rtms-protocol.md section
//! 15.3).

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::client::TOTAL_TIMEOUT;
use super::oauth::OAuthError;
use crate::net::retry::{retry, retry_unless_stopped};
use crate::store::{StoreError, TRANSACTION_TIMEOUT};

/// Pauses between the tries at Zoom. The client's own limit bounds each try.
const ZOOM_PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1500)];
/// Pauses between the tries to store new tokens. They are short, because the old tokens are used up.
const STORE_PAUSES: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// The most that all tries at Zoom take together.
pub const ZOOM_LIMIT: Duration = zoom_limit();
/// The most that all tries to store take together.
pub const STORE_LIMIT: Duration = Duration::from_secs(30);
/// The most that a running refresh or install takes once no further try starts: two requests, as an install needs, and
/// storing their result.
pub const FINISH_LIMIT: Duration =
    TOTAL_TIMEOUT.saturating_mul(2).saturating_add(TRANSACTION_TIMEOUT);

const fn zoom_limit() -> Duration {
    let mut limit = TOTAL_TIMEOUT;
    let mut n = 0;
    while n < ZOOM_PAUSES.len() {
        limit = limit.saturating_add(ZOOM_PAUSES[n]).saturating_add(TOTAL_TIMEOUT);
        n += 1;
    }
    limit
}

/// Retries temporary failures unless the daemon stops. Retries a refresh after a lost answer, too: if Zoom then rejects
/// the used token, the grant was already lost.
pub async fn ask_zoom<T, F: Future<Output = Result<T, OAuthError>>>(
    stopping: &CancellationToken,
    ask: impl Fn() -> F,
) -> Result<T, OAuthError> {
    retry_unless_stopped(stopping, ZOOM_PAUSES, |error| error.is_temporary(), ask).await
}

/// Stores new tokens, and retries while the store is unavailable, because no other copy exists.
pub async fn store_result<T, F: Future<Output = Result<T, StoreError>>>(
    write: impl Fn() -> F,
) -> Result<T, StoreError> {
    // The write may have been committed, which a repetition does not harm.
    let tries = retry(STORE_PAUSES, StoreError::is_temporary, write);
    timeout(STORE_LIMIT, tries).await.unwrap_or_else(|_| Err(StoreError::timed_out()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn no_further_try_begins_once_the_daemon_stops() {
        let (stopping, tries) = (CancellationToken::new(), Cell::new(0));
        let failing = || async {
            tries.set(tries.get() + 1);
            Err::<(), _>(OAuthError::Failing(503))
        };
        stopping.cancel();
        assert!(ask_zoom(&stopping, failing).await.is_err());
        assert_eq!(tries.get(), 1);
    }

    #[tokio::test]
    async fn tokens_are_stored_when_the_store_is_reachable_again() {
        let tries = Cell::new(0);
        let write = || async {
            tries.set(tries.get() + 1);
            if tries.get() < 2 { Err(StoreError::timed_out()) } else { Ok(()) }
        };
        assert!(store_result(write).await.is_ok());
    }
}
