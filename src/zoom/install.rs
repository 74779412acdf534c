//! People install the app: to Zoom's consent page and back with a code, and out again (rtms-protocol.md section 15).

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::oauth::{OAuth, OAuthError};
use super::state::{Accepted, Issued, StateError, StateKeys};
use super::token::{Tokens, Wanted, sealed};
use crate::model::{AuditRow, Installation, InstallationId};
use crate::seal::{KeyRing, random_bytes};
use crate::secret::Secret;
use crate::store::{GrantedTo, Store, StoreError};

/// Codes exchanged at once: anybody may come with one, and each costs two calls to Zoom.
const MAX_EXCHANGES: usize = 16;

/// An install on its way to Zoom.
#[derive(Debug)]
pub struct Begun {
    pub authorization_url: String,
    pub state: String,
}

/// Why somebody who came back from Zoom is not installed.
#[derive(Debug, Error)]
pub enum InstallError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("this install was finished before")]
    Used,
    #[error("too many installs at once: try again")]
    Busy,
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the install failed inside")]
    Panicked,
}

/// What became of a wish to uninstall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uninstalled {
    Unknown,
    /// There were no tokens any more.
    Before,
    /// The tokens are deleted here; whether Zoom has ended the grant too.
    Done {
        at_zoom: bool,
    },
}

/// The install flow. Cheap to clone.
#[derive(Clone)]
pub struct Installer(Arc<Inner>);

struct Inner {
    store: Store,
    ring: KeyRing,
    oauth: OAuth,
    tokens: Tokens,
    keys: StateKeys,
    now_ms: fn() -> i64,
    exchanges: Semaphore,
    /// Owns the exchanges: Zoom ends an older grant of the user when it gives a new one, so a browser that leaves in
    /// between must not cost both.
    tasks: TaskTracker,
}

impl Installer {
    pub fn new(
        store: Store,
        ring: KeyRing,
        oauth: OAuth,
        tokens: Tokens,
        now_ms: fn() -> i64,
    ) -> Self {
        Self(Arc::new(Inner {
            keys: StateKeys::new(&ring),
            store,
            ring,
            oauth,
            tokens,
            now_ms,
            exchanges: Semaphore::new(MAX_EXCHANGES),
            tasks: TaskTracker::new(),
        }))
    }

    /// Begins an install, bound to the browser that holds this cookie if there is one. Stores nothing.
    pub fn begin(&self, browser: Option<&str>) -> Begun {
        let Issued { state, verifier } =
            self.0.keys.issue((self.0.now_ms)(), random_bytes(), browser);
        Begun { authorization_url: self.0.oauth.authorize_url(&state, &verifier), state }
    }

    /// Finishes an install: checks the state, and only then exchanges the code, asks whose it is, and stores the tokens.
    pub async fn finish(
        &self,
        state: &str,
        code: Secret<String>,
        browser: Option<&str>,
    ) -> Result<Installation, InstallError> {
        let accepted = self.0.keys.check((self.0.now_ms)(), state, browser)?;
        let inner = Arc::clone(&self.0);
        let task = self.0.tasks.spawn(async move { inner.install(&accepted, &code).await });
        task.await.unwrap_or(Err(InstallError::Panicked))
    }

    /// Ends an installation: at Zoom's if it can be reached, and here in any case. `audit` says who asked.
    pub async fn uninstall(
        &self,
        id: InstallationId,
        delete_data: bool,
        audit: AuditRow,
    ) -> Result<Uninstalled, StoreError> {
        let inner = Arc::clone(&self.0);
        let task = self.0.tasks.spawn(async move { inner.uninstall(id, delete_data, audit).await });
        task.await.unwrap_or(Err(StoreError::Row("the removal panicked".to_owned())))
    }

    /// Waits for the exchanges that have begun. None may be asked for after this.
    pub async fn finish_all(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Inner {
    async fn install(
        &self,
        accepted: &Accepted,
        code: &Secret<String>,
    ) -> Result<Installation, InstallError> {
        let _permit = self.exchanges.try_acquire().map_err(|_| InstallError::Busy)?;
        if !self.store.use_oauth_state(&accepted.id, accepted.expires_at_ms).await? {
            return Err(InstallError::Used);
        }
        let tokens = self.oauth.exchange(code, &accepted.verifier).await?;
        let user = self.oauth.user(&tokens).await?;
        let granted = GrantedTo {
            account_id: user.account_id,
            user_id: user.id,
            display_name: user.display_name,
            email: user.email,
            scope: tokens.scope.clone(),
            api_base_url: tokens.api_base_url.clone(),
        };
        let now_ms = (self.now_ms)();
        let seal = |id| sealed::seal(&self.ring, id, &tokens, now_ms);
        let installation = self.store.save_installation(&granted, seal, now_ms).await?;
        tracing::info!(installation = %installation.id, "installed");
        Ok(installation)
    }

    async fn uninstall(
        &self,
        id: InstallationId,
        delete_data: bool,
        mut audit: AuditRow,
    ) -> Result<Uninstalled, StoreError> {
        if self.store.grant(id).await?.is_none() {
            return Ok(Uninstalled::Unknown);
        }
        let at_zoom = match self.tokens.token(&Wanted::Installation(id)).await {
            Ok(granted) => self.oauth.revoke(&granted.access_token).await.is_ok(),
            Err(_) => false,
        };
        audit.detail["revoked_at_zoom"] = at_zoom.into();
        audit.detail["data_deleted"] = delete_data.into();
        match self.store.revoke_installation(id, delete_data, &audit).await? {
            true => Ok(Uninstalled::Done { at_zoom }),
            false => Ok(Uninstalled::Before),
        }
    }
}
