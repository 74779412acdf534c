//! Where a live consumer's entries of one session begin.

use std::time::Duration;

use tokio::sync::Semaphore;

use crate::model::{Cursor, SessionId};
use crate::net::retry::{Doubling, retry_until_ok};
use crate::store::{Store, StoreError};

/// Consumers that come back after a restart take turns, session by session, for their first pages.
pub(super) static FIRST_READS: Semaphore = Semaphore::const_new(8);
/// How long to wait for a store that is away.
const RETRY: Duration = Duration::from_secs(2);

/// Where one session's entries begin.
pub(super) enum Begin {
    After(Cursor),
    Now,
    /// Now, but including all of any stream that was announced at this time or later.
    Since(i64),
}

/// The entry to begin after.
pub(super) async fn first_cursor(store: &Store, session: SessionId, begin: Begin) -> Cursor {
    match begin {
        Begin::After(cursor) => cursor,
        Begin::Now => until_answered(|| store.newest(session)).await,
        Begin::Since(opened_ms) => {
            until_answered(|| cursor_before(store, session, opened_ms)).await
        }
    }
}

/// The newest entries of streams announced before.
async fn cursor_before(
    store: &Store,
    session: SessionId,
    opened_ms: i64,
) -> Result<Cursor, StoreError> {
    // Before the streams: an entry that is stored in between is not skipped.
    let newest = store.newest(session).await?;
    let mut cursor = Cursor::default();
    for stream in store.streams_of(session).await? {
        if stream.created_at_ms < opened_ms {
            cursor.advance(stream.ordinal, newest.seen(stream.ordinal));
        }
    }
    Ok(cursor)
}

/// Retries a call to the store until it succeeds.
pub(super) async fn until_answered<T, F: Future<Output = Result<T, StoreError>>>(
    ask: impl Fn() -> F,
) -> T {
    let failed = |error, _| tracing::warn!(%error, "the store is unavailable; a live subscriber waits for it");
    retry_until_ok(Doubling::new(RETRY, RETRY), failed, ask).await
}
