//! Single flight: concurrent callers share one call to Zoom, which continues if a caller leaves.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::{Inner, RefreshError, Tokens};
use crate::model::{AppName, InstallationId};

/// The key of a call: the tokens after one generation, or an app's server-to-server token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Installation(InstallationId, i64),
    Account(AppName),
}

pub(super) type Flight = Shared<BoxFuture<'static, Result<(), RefreshError>>>;

/// Removes the call from the list, after a panic too.
struct FlightGuard {
    inner: Arc<Inner>,
    key: Key,
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        // Ignores a poisoned lock, because a panic in a drop can abort the process.
        if let Ok(mut flights) = self.inner.flights.lock() {
            flights.remove(&self.key);
        }
    }
}

impl Tokens {
    /// Waits for the call with this key; the first caller starts it.
    pub(super) async fn join(&self, key: Key) -> Result<(), RefreshError> {
        let flight = {
            let mut flights = self.0.flights.lock().expect("no holder of this lock panics");
            flights.entry(key.clone()).or_insert_with(|| self.start(key)).clone()
        };
        flight.await
    }

    fn start(&self, key: Key) -> Flight {
        let guard = FlightGuard { inner: Arc::clone(&self.0), key };
        let task = self.0.tasks.spawn(async move {
            let inner = &guard.inner;
            let done = match &guard.key {
                Key::Installation(id, generation) => inner.refresh(*id, *generation).await,
                Key::Account(app) => inner.fetch_account_token(app).await,
            };
            // Before the result is visible, so that a later caller starts a new call.
            drop(guard);
            done
        });
        task.map(|ended| ended.unwrap_or(Err(RefreshError::Panicked))).boxed().shared()
    }
}
