//! One refresh, by whichever daemon has claimed it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::sealed::{self, OpenTokens};
use super::{AccountToken, Configured, Inner, RefreshError};
use crate::model::{InstallationId, InstallationStatus};
use crate::store::{SealedTokens, StoreError};
use crate::zoom::oauth::{OAuthError, Tokens};

/// How long a claim keeps others away. Longer than all tries together, so that it runs out only when its daemon died.
const CLAIM: Duration = Duration::from_secs(40);
/// How long somebody waits for another daemon's refresh: until its claim would have run out.
const WAIT: Duration = Duration::from_secs(45);
/// How often the row is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pauses between the tries at Zoom's; each try is bounded by the client's own limit.
const ZOOM_PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1500)];
/// Pauses between the tries to store new tokens: the old ones are used up, so it is worth some patience.
const STORE_PAUSES: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

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
            sleep(LOOK_EVERY).await;
        }
    }

    async fn claim(
        &self,
        id: InstallationId,
        generation: i64,
        claim: Uuid,
    ) -> Result<bool, StoreError> {
        let now_ms = (self.now_ms)();
        let until_ms = now_ms.saturating_add(CLAIM.as_millis() as i64);
        self.store.claim_refresh(id, generation, claim, now_ms, until_ms).await
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
            Some(token) => retried(|| self.oauth.refresh(token)).await,
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
        let mut pauses = STORE_PAUSES.iter();
        loop {
            match self.store.replace_tokens(id, generation, &sealed, now_ms).await {
                Ok(true) => {
                    tracing::info!(installation = %id, "tokens refreshed");
                    return Ok(());
                }
                // A try whose answer was lost, a new install, a revocation: the row says more than we know.
                Ok(false) => return Ok(()),
                Err(error @ StoreError::Unavailable(_)) => match pauses.next() {
                    Some(pause) => sleep(*pause).await,
                    None => return Err(error.into()),
                },
                Err(error) => return Err(error.into()),
            }
        }
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
        let asked = retried(|| self.oauth.account_credentials(account_id, client));
        let tokens = asked.await?;
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

/// Tries again after what may pass. A refresh whose answer was lost is tried again too: Zoom then refuses the used
/// token, and the grant is as lost as it was.
async fn retried<F: Future<Output = Result<Tokens, OAuthError>>>(
    ask: impl Fn() -> F,
) -> Result<Tokens, OAuthError> {
    for pause in ZOOM_PAUSES {
        match ask().await {
            Err(error) if error.is_temporary() => sleep(pause).await,
            done => return done,
        }
    }
    ask().await
}
