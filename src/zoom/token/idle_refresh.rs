//! Refreshes idle grants before Zoom expires them.

use std::time::Duration;

use tokio::time::interval;

use super::single_flight::Key;
use super::{RefreshError, Tokens};
use crate::zoom::oauth::OAuthError;

/// The age at which idle tokens are refreshed. A refresh token lives about 90 days (section 15.3), so a month of tries
/// is left.
const IDLE_MS: i64 = 60 * 24 * 60 * 60 * 1000;
const POLL_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The most grants refreshed in one pass; the others follow in the next.
const MAX_PER_PASS: u32 = 500;

impl Tokens {
    /// Refreshes idle grants and deletes expired states, every hour, without end.
    pub async fn refresh_idle_periodically(self) {
        let mut due = interval(POLL_INTERVAL);
        loop {
            due.tick().await;
            if let Err(error) = self.refresh_idle().await {
                tracing::warn!(%error, "could not refresh idle grants; retrying in an hour");
            }
            if let Err(error) = self.0.store.prune_oauth_states((self.0.now_ms)()).await {
                tracing::warn!(%error, "could not delete expired install states; retrying in an hour");
            }
        }
    }

    /// Refreshes the grants that were unused for 60 days. A failed one does not stop the pass, but an unavailable store
    /// or Zoom does.
    pub async fn refresh_idle(&self) -> Result<(), RefreshError> {
        let before_ms = (self.0.now_ms)().saturating_sub(IDLE_MS);
        for grant in self.0.store.idle_installations(before_ms, MAX_PER_PASS).await? {
            let installation = grant.installation;
            match self.join(Key::Installation(installation.id, installation.generation)).await {
                Ok(()) => {}
                Err(error) if is_away(&error) => return Err(error),
                Err(error) => {
                    let installation = installation.id;
                    tracing::warn!(%installation, %error, "could not refresh an idle grant; retrying in the next pass");
                }
            }
        }
        Ok(())
    }
}

/// Whether the next grant would fail for the same reason.
fn is_away(error: &RefreshError) -> bool {
    matches!(error, RefreshError::Store | RefreshError::OAuth(OAuthError::Unreachable(_)))
}
