//! Installs and uninstalls the app for a user: to Zoom's consent page and back with a code (rtms-protocol.md section
//! 15).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::app::{App, Apps};
use super::exchange_limit::ExchangeLimit;
use super::oauth::{self, OAuth, OAuthError};
use super::retry_policy;
use super::state::{Accepted, Issued, StateError, StateKeys};
use super::token::{Tokens, Wanted, sealed};
use crate::model::{AppName, AuditRow, Installation, InstallationId, InstallationStatus};
use crate::seal::{KeyRing, random_bytes};
use crate::secret::Secret;
use crate::store::{GrantedTo, Store, StoreError};

/// The most used states that are remembered. Beyond it the oldest are forgotten, which is safe because Zoom accepts a
/// code only once.
const MAX_USED: usize = 10_000;

/// An install on its way to Zoom.
#[derive(Debug)]
pub struct Begun {
    pub authorization_url: String,
    pub state: String,
}

/// Why an install failed after the user came back from Zoom.
#[derive(Debug, Error)]
pub enum InstallError {
    #[error(transparent)]
    State(#[from] StateError),
    /// The app was removed while the user was at Zoom.
    #[error("the app {0} is not configured here")]
    UnknownApp(AppName),
    #[error("this install was finished before")]
    Used,
    #[error("too many installs at once: try again")]
    Busy,
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the install failed with an internal error: try again")]
    Panicked,
}

/// The options of an uninstall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uninstall {
    /// Also deletes the data of the user's streams.
    pub delete_data: bool,
    /// Ends the installation here even if Zoom cannot be reached.
    pub force: bool,
}

/// Why nothing was uninstalled.
#[derive(Debug, Error)]
pub enum UninstallError {
    #[error("could not reach Zoom to revoke the grant")]
    ZoomAway,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The result of an uninstall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uninstalled {
    Unknown,
    /// The tokens were deleted before; the data is deleted if requested.
    Before,
    /// The tokens are deleted here. `at_zoom` says whether Zoom ended the grant too.
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
    apps: Apps,
    tokens: Tokens,
    keys: StateKeys,
    now_ms: fn() -> i64,
    exchanges: ExchangeLimit,
    /// States used in this daemon. Only the state of a successful install is written to the store, so that a forged
    /// code causes no write.
    used: Mutex<VecDeque<String>>,
    /// Owns the exchanges. Zoom ends the user's older grant when it issues a new one, so a browser that disconnects in
    /// between must not lose both.
    tasks: TaskTracker,
    /// Once cancelled, no further try starts.
    stopping: CancellationToken,
}

impl Installer {
    pub fn new(
        store: Store,
        ring: KeyRing,
        oauth: OAuth,
        apps: Apps,
        tokens: Tokens,
        now_ms: fn() -> i64,
    ) -> Self {
        Self(Arc::new(Inner {
            keys: StateKeys::new(&ring),
            store,
            ring,
            oauth,
            apps,
            tokens,
            now_ms,
            exchanges: ExchangeLimit::new(Instant::now()),
            used: Mutex::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }))
    }

    /// Begins an install of an app, bound to the browser with this cookie if there is one. Stores nothing. `None` if
    /// there is no such app, or none that people install.
    pub fn begin(&self, app: &AppName, browser: Option<&str>) -> Option<Begun> {
        let app = self.0.apps.get(app).filter(|app| app.has_users())?;
        let now_ms = (self.0.now_ms)();
        let Issued { state, verifier } =
            self.0.keys.issue(now_ms, random_bytes(), &app.name, browser);
        Some(Begun { authorization_url: OAuth::authorize_url(&app, &state, &verifier), state })
    }

    /// The app that a state is for; `None` if this server did not issue it.
    pub fn app_of(&self, state: &str) -> Option<AppName> {
        self.0.keys.app_of(state)
    }

    /// Finishes an install from `address`: checks the state, waits for a turn, and then exchanges the code, requests
    /// the user's identity and stores the tokens.
    pub async fn finish(
        &self,
        state: &str,
        code: Secret<String>,
        browser: Option<&str>,
        address: IpAddr,
    ) -> Result<Installation, InstallError> {
        let accepted = self.0.keys.check((self.0.now_ms)(), state, browser)?;
        let app = self.0.apps.get(&accepted.app);
        let app = app.ok_or_else(|| InstallError::UnknownApp(accepted.app.clone()))?;
        let turn = self.0.exchanges.turn(address, browser, Instant::now()).await;
        let turn = turn.ok_or(InstallError::Busy)?;
        // After the wait: a state that was refused as busy can be tried again.
        self.0.use_state(&accepted.id)?;
        let inner = Arc::clone(&self.0);
        let exchange = async move {
            // Held until the exchange ends, even if the browser has left.
            let _turn = turn;
            inner.install(&app, &accepted, &code, address).await
        };
        let task = self.0.tasks.spawn(exchange.in_current_span());
        task.await.unwrap_or(Err(InstallError::Panicked))
    }

    /// Ends an installation, at Zoom's and then here. `audit` says who asked.
    pub async fn uninstall(
        &self,
        id: InstallationId,
        options: Uninstall,
        audit: AuditRow,
    ) -> Result<Uninstalled, UninstallError> {
        let inner = Arc::clone(&self.0);
        let removal = async move { inner.uninstall(id, options, audit).await };
        let task = self.0.tasks.spawn(removal.in_current_span());
        let panicked = |_| Err(StoreError::Row("the removal panicked".to_owned()).into());
        task.await.unwrap_or_else(panicked)
    }

    /// Waits for the running exchanges, each only for its current try. Do not call [`Self::finish`] after this.
    pub async fn finish_all(&self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Inner {
    async fn install(
        &self,
        app: &App,
        accepted: &Accepted,
        code: &Secret<String>,
        address: IpAddr,
    ) -> Result<Installation, InstallError> {
        let tokens = self.oauth.exchange(app, code, &accepted.verifier).await?;
        let obtained_at_ms = (self.now_ms)();
        let installed = self.store(app, accepted, &tokens, obtained_at_ms, address).await;
        match &installed {
            Ok(installation) => tracing::info!(installation = %installation.id, "installed"),
            // The code is used up and the user has to begin again, so these tokens are revoked.
            Err(_) => self.take_back(app, &tokens).await,
        }
        installed
    }

    /// Marks a state as used in this daemon; fails if it already is.
    fn use_state(&self, id: &str) -> Result<(), InstallError> {
        let mut used = self.used.lock().expect("no panic while the lock is held");
        if used.iter().any(|used| used == id) {
            return Err(InstallError::Used);
        }
        if used.len() >= MAX_USED {
            used.pop_front();
        }
        used.push_back(id.to_owned());
        Ok(())
    }

    async fn store(
        &self,
        app: &App,
        accepted: &Accepted,
        tokens: &oauth::Tokens,
        obtained_at_ms: i64,
        address: IpAddr,
    ) -> Result<Installation, InstallError> {
        let user = retry_policy::ask_zoom(&self.stopping, || self.oauth.user(app, tokens)).await?;
        // The store makes the state work once across all daemons.
        if !self.store.use_oauth_state(&app.name, &accepted.id, accepted.expires_at_ms).await? {
            return Err(InstallError::Used);
        }
        let granted = GrantedTo {
            app: app.name.clone(),
            account_id: user.account_id,
            user_id: user.id,
            display_name: user.display_name,
            email: user.email,
            scope: tokens.scope.clone(),
            api_base_url: tokens.api_base_url.clone(),
            address: Some(address),
        };
        let seal = |id| sealed::seal_tokens(&self.ring, id, tokens, obtained_at_ms);
        let write = || self.store.save_installation(&granted, seal, obtained_at_ms);
        Ok(retry_policy::store_result(write).await?)
    }

    async fn take_back(&self, app: &App, tokens: &oauth::Tokens) {
        let revoke = || self.oauth.revoke(app, &tokens.access);
        if let Err(error) = retry_policy::ask_zoom(&self.stopping, revoke).await {
            tracing::warn!(%error, "could not revoke tokens that could not be stored; they are discarded and expire at Zoom");
        }
    }

    async fn uninstall(
        &self,
        id: InstallationId,
        options: Uninstall,
        mut audit: AuditRow,
    ) -> Result<Uninstalled, UninstallError> {
        let Some(grant) = self.store.grant(id).await? else { return Ok(Uninstalled::Unknown) };
        // Zoom first: it needs the token that the store then deletes.
        let at_zoom = match grant.installation.status {
            InstallationStatus::Revoked => false,
            _ => match self.end_at_zoom(&grant.installation).await {
                Ok(at_zoom) => at_zoom,
                Err(_) if options.force => false,
                Err(error) => return Err(error),
            },
        };
        audit.detail["revoked_at_zoom"] = at_zoom.into();
        audit.detail["delete_data"] = options.delete_data.into();
        match self.store.revoke_installation(id, options.delete_data, &audit).await? {
            true => Ok(Uninstalled::Done { at_zoom }),
            false => Ok(Uninstalled::Before),
        }
    }

    /// Revokes the grant at Zoom. False if Zoom rejects the tokens, or no key opens them.
    async fn end_at_zoom(&self, installation: &Installation) -> Result<bool, UninstallError> {
        // Only the app can revoke its grant. Without it the tokens are deleted here.
        let Some(app) = self.apps.get(&installation.app) else { return Ok(false) };
        let granted = match self.tokens.token(&Wanted::Installation(installation.id)).await {
            Ok(granted) => granted,
            Err(error) if error.is_temporary() => return Err(UninstallError::ZoomAway),
            Err(_) => return Ok(false),
        };
        let revoke = || self.oauth.revoke(&app, &granted.access_token);
        match retry_policy::ask_zoom(&self.stopping, revoke).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_temporary() => Err(UninstallError::ZoomAway),
            Err(_) => Ok(false),
        }
    }
}
