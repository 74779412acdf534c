//! Refreshes one grant's tokens, by the daemon that has claimed it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::sealed::{self, OpenTokens};
use super::{AccountToken, Configured, Inner, RefreshError, configured_grant};
use crate::model::{AppName, Installation, InstallationId, InstallationStatus, ms};
use crate::store::{SealedTokens, StoreError, TRANSACTION_TIMEOUT};
use crate::zoom::oauth::{OAuthError, Tokens};
use crate::zoom::retry_policy::{self, STORE_LIMIT, ZOOM_LIMIT};

/// How long a claim lasts. It expires only if its daemon died.
const CLAIM: Duration = ALL_TRIES.saturating_add(Duration::from_secs(5));
/// The most that a refresh takes: the claim, the tries at Zoom, and storing the result.
const ALL_TRIES: Duration =
    TRANSACTION_TIMEOUT.saturating_add(ZOOM_LIMIT).saturating_add(STORE_LIMIT);
const _: () = assert!(CLAIM.as_millis() > ALL_TRIES.as_millis());
/// How long to wait for another daemon's refresh: until its claim would have expired.
const WAIT: Duration = CLAIM.saturating_add(Duration::from_secs(5));
/// How often the row is polled meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store failed during a refresh; the caller gets an error");
        Self::Store
    }
}

impl Inner {
    /// Replaces the tokens of `generation`, or gives the grant up; waits if another daemon does so.
    pub(super) async fn refresh(
        &self,
        id: InstallationId,
        generation: i64,
    ) -> Result<(), RefreshError> {
        let give_up_at = Instant::now() + WAIT;
        loop {
            let Some(grant) = self.store.grant(id).await? else { return Ok(()) };
            let is_connected = grant.installation.status == InstallationStatus::Connected;
            let tokens = grant.tokens.filter(|_| is_connected);
            let Some(tokens) = tokens.filter(|_| grant.installation.generation == generation)
            else {
                return Ok(());
            };
            let claim = Uuid::new_v4();
            if self.claim(id, generation, claim).await? {
                // The claim is valid for this generation only, so the tokens are still those that were read.
                let done = self.refresh_claimed(&grant.installation, &tokens).await;
                // For a failure: storing new tokens has cleared the claim.
                self.store.release_refresh(id, claim).await?;
                return done;
            }
            if Instant::now() > give_up_at {
                return Err(RefreshError::Busy);
            }
            if self.stopping.run_until_cancelled(sleep(POLL_INTERVAL)).await.is_none() {
                return Err(RefreshError::Busy);
            }
        }
    }

    async fn claim(
        &self,
        id: InstallationId,
        generation: i64,
        claim: Uuid,
    ) -> Result<bool, StoreError> {
        self.store.claim_refresh(id, generation, claim, ms(CLAIM)).await
    }

    async fn refresh_claimed(
        &self,
        installation: &Installation,
        tokens: &SealedTokens,
    ) -> Result<(), RefreshError> {
        let (id, generation) = (installation.id, installation.generation);
        let Ok(app) = self.app_of(installation) else {
            return Err(RefreshError::NoApp);
        };
        let opened = sealed::open_tokens(&self.ring, id, tokens);
        let OpenTokens { refresh, .. } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(installation = %id, %error, "cannot decrypt tokens; check TOKEN_ENCRYPTION_KEYS");
                return Err(RefreshError::Sealed);
            }
        };
        let refreshed = match &refresh {
            Some(token) => {
                retry_policy::ask_zoom(&self.stopping, || self.oauth.refresh(&app, token)).await
            }
            // Without a refresh token, only a new install helps.
            None => Err(OAuthError::Dead),
        };
        match refreshed {
            Ok(new) => {
                self.count_refresh(&app.name, "refreshed");
                self.keep(id, generation, &new).await
            }
            Err(OAuthError::Dead) => {
                self.count_refresh(&app.name, "rejected");
                self.give_up(id, generation).await
            }
            Err(error) => {
                self.count_refresh(&app.name, "failed");
                tracing::warn!(installation = %id, %error, "could not refresh tokens; retrying when a token is needed");
                Err(error.into())
            }
        }
    }

    fn count_refresh(&self, app: &AppName, result: &str) {
        self.oauth.metrics().token_refreshes.inc([app.as_str(), result]);
    }

    /// Stores both new tokens before any caller gets one.
    async fn keep(
        &self,
        id: InstallationId,
        generation: i64,
        new: &Tokens,
    ) -> Result<(), RefreshError> {
        let now_ms = (self.now_ms)();
        let sealed = sealed::seal_tokens(&self.ring, id, new, now_ms);
        let write = || self.store.replace_tokens(id, generation, &sealed, now_ms);
        // If nothing was replaced (a lost answer, a new install, a revocation), the row is right and this answer is
        // outdated.
        if retry_policy::store_result(write).await? {
            tracing::info!(installation = %id, "tokens refreshed");
        }
        Ok(())
    }

    /// Marks the grant as rejected, unless other tokens were stored meanwhile: then Zoom rejected only the old ones.
    async fn give_up(&self, id: InstallationId, generation: i64) -> Result<(), RefreshError> {
        if self.store.give_up_grant(id, generation, (self.now_ms)()).await? {
            tracing::warn!(installation = %id, "Zoom rejected the refresh token; the user must reinstall the app");
        }
        Ok(())
    }

    pub(super) async fn fetch_account_token(&self, name: &AppName) -> Result<(), RefreshError> {
        let Some(app) = self.apps.get(name) else { return Ok(()) };
        let Configured::Account { account_id, client } = &app.configured else { return Ok(()) };
        let ask = || self.oauth.account_credentials(&app, account_id, client);
        let asked = retry_policy::ask_zoom(&self.stopping, ask).await;
        self.count_refresh(name, if asked.is_ok() { "refreshed" } else { "failed" });
        let tokens = asked?;
        let now_ms = (self.now_ms)();
        let token = AccountToken {
            obtained_at_ms: now_ms,
            expires_at_ms: sealed::expires_at_ms(&tokens, now_ms),
            granted: configured_grant(&app, tokens.access, tokens.api_base_url),
        };
        let mut tokens = self.account_tokens.lock().expect("no holder of this lock panics");
        tokens.insert(name.clone(), token);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guarantees_say_how_long_a_dead_daemons_claim_keeps_others_away() {
        let guarantees = include_str!("../../../docs/guarantees.md");
        let says = format!("another may refresh after {} s", CLAIM.as_secs_f64().ceil());
        assert!(guarantees.contains(&says), "{says}");
    }
}
