//! Grants that nobody uses are refreshed before Zoom forgets them.

use std::time::Duration;

use tokio::time::interval;

use super::single_flight::Key;
use super::{RefreshError, Tokens};
use crate::zoom::oauth::OAuthError;

/// A refresh token lives about 90 days (section 15.3); this leaves a month of tries.
const IDLE_MS: i64 = 60 * 24 * 60 * 60 * 1000;
const POLL_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Grants refreshed in one pass; the rest has its turn in the next.
const MAX_PER_PASS: u32 = 500;

impl Tokens {
    /// Refreshes idle grants and forgets expired states, for ever.
    pub async fn refresh_idle_periodically(self) {
        let mut due = interval(POLL_INTERVAL);
        loop {
            due.tick().await;
            if let Err(error) = self.refresh_idle().await {
                tracing::warn!(%error, "idle grants could not be refreshed; tried again in an hour");
            }
            if let Err(error) = self.0.store.prune_oauth_states((self.0.now_ms)()).await {
                tracing::warn!(%error, "expired states could not be forgotten");
            }
        }
    }

    /// Refreshes the grants that nobody has used for 60 days. One that cannot be does not keep the others from it, but
    /// a store or a Zoom that is away ends the pass.
    pub async fn refresh_idle(&self) -> Result<(), RefreshError> {
        let before_ms = (self.0.now_ms)().saturating_sub(IDLE_MS);
        for grant in self.0.store.idle_installations(before_ms, MAX_PER_PASS).await? {
            let installation = grant.installation;
            match self.join(Key::Installation(installation.id, installation.generation)).await {
                Ok(()) => {}
                Err(error) if is_away(&error) => return Err(error),
                Err(error) => {
                    let installation = installation.id;
                    tracing::warn!(%installation, %error, "an idle grant could not be refreshed");
                }
            }
        }
        Ok(())
    }
}

/// Whether the next grant would fare no better.
fn is_away(error: &RefreshError) -> bool {
    matches!(error, RefreshError::Store | RefreshError::OAuth(OAuthError::Unreachable(_)))
}
