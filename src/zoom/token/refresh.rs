//! One refresh, by whichever daemon has claimed it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::sealed::{self, OpenTokens};
use super::{AccountToken, Configured, Inner, RefreshError};
use crate::model::{InstallationId, InstallationStatus, ms};
use crate::store::{SealedTokens, StoreError, TRANSACTION_TIMEOUT};
use crate::zoom::oauth::{OAuthError, Tokens};
use crate::zoom::retry_policy::{self, STORE_LIMIT, ZOOM_LIMIT};

/// How long a claim keeps others away: it runs out only when its daemon died.
const CLAIM: Duration = ALL_TRIES.saturating_add(Duration::from_secs(5));
/// Taking the claim, the tries at Zoom's, and storing what came.
const ALL_TRIES: Duration =
    TRANSACTION_TIMEOUT.saturating_add(ZOOM_LIMIT).saturating_add(STORE_LIMIT);
const _: () = assert!(CLAIM.as_millis() > ALL_TRIES.as_millis());
/// How long somebody waits for another daemon's refresh: until its claim would have run out.
const WAIT: Duration = CLAIM.saturating_add(Duration::from_secs(5));
/// How often the row is looked at meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store failed in a refresh");
        Self::Store
    }
}

impl Inner {
    /// Makes the tokens of `generation` be followed by others, or the grant be given up; by this daemon or another.
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
                // The claim is good for this generation only, so the tokens are those that were read.
                let done = self.refresh_claimed(id, generation, &tokens).await;
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
        id: InstallationId,
        generation: i64,
        tokens: &SealedTokens,
    ) -> Result<(), RefreshError> {
        let opened = sealed::open(&self.ring, id, tokens);
        let OpenTokens { refresh, .. } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(installation = %id, %error, "tokens do not open");
                return Err(OAuthError::Misconfigured("its tokens do not open here").into());
            }
        };
        let refreshed = match &refresh {
            Some(token) => retry_policy::ask(&self.stopping, || self.oauth.refresh(token)).await,
            None => Err(OAuthError::Dead),
        };
        match refreshed {
            Ok(new) => self.keep(id, generation, &new).await,
            Err(OAuthError::Dead) => self.give_up(id, generation).await,
            Err(error) => {
                tracing::warn!(installation = %id, %error, "tokens could not be refreshed");
                Err(error.into())
            }
        }
    }

    /// Both new tokens are stored before anybody gets one.
    async fn keep(
        &self,
        id: InstallationId,
        generation: i64,
        new: &Tokens,
    ) -> Result<(), RefreshError> {
        let now_ms = (self.now_ms)();
        let sealed = sealed::seal(&self.ring, id, new, now_ms);
        let write = || self.store.replace_tokens(id, generation, &sealed, now_ms);
        // When nothing was replaced (a try whose answer was lost, a new install, a revocation) the row says more than
        // we know.
        if retry_policy::store(write).await? {
            tracing::info!(installation = %id, "tokens refreshed");
        }
        Ok(())
    }

    /// Only if nobody stored others meanwhile: then Zoom refused old tokens, and the new ones are good.
    async fn give_up(&self, id: InstallationId, generation: i64) -> Result<(), RefreshError> {
        if self.store.give_up_grant(id, generation, (self.now_ms)()).await? {
            tracing::warn!(installation = %id, "Zoom takes its tokens no more: it needs a reconnect");
        }
        Ok(())
    }

    pub(super) async fn fetch_account_token(&self) -> Result<(), RefreshError> {
        let Configured::Account { account_id, client } = &self.configured else { return Ok(()) };
        let ask = || self.oauth.account_credentials(account_id, client);
        let tokens = retry_policy::ask(&self.stopping, ask).await?;
        let now_ms = (self.now_ms)();
        let token = AccountToken {
            obtained_at_ms: now_ms,
            expires_at_ms: sealed::expires_at_ms(&tokens, now_ms),
            granted: self.configured_grant(tokens.access, tokens.api_base_url),
        };
        *self.account_token.lock().expect("no holder of this lock panics") = Some(token);
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
