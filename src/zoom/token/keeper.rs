//! Grants that nobody uses are refreshed before Zoom forgets them.

use std::time::Duration;

use tokio::time::interval;

use super::flight::Key;
use super::{RefreshError, Tokens};

/// A refresh token lives about 90 days (section 15.3); this leaves a month of tries.
const IDLE_MS: i64 = 60 * 24 * 60 * 60 * 1000;
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
/// Grants refreshed in one pass; the rest has its turn in the next.
const MAX_PER_PASS: u32 = 500;

impl Tokens {
    /// Refreshes idle grants and forgets expired states, for ever.
    pub async fn keep_alive(self) {
        let mut due = interval(LOOK_EVERY);
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

    /// Refreshes the grants that nobody has used for 60 days. Ends at the first that cannot be.
    pub async fn refresh_idle(&self) -> Result<(), RefreshError> {
        let before_ms = (self.0.now_ms)().saturating_sub(IDLE_MS);
        for grant in self.0.store.idle_installations(before_ms, MAX_PER_PASS).await? {
            let installation = grant.installation;
            self.fly(Key::Installation(installation.id, installation.generation)).await?;
        }
        Ok(())
    }
}
