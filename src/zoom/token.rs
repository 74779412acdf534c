//! Valid access tokens on demand: refreshed before they expire, once for any number of callers and daemons.
//!
//! Zoom's refresh tokens work once (rtms-protocol.md section 15.3). So one task per set of tokens calls Zoom, all
//! callers wait for it, and of several daemons the one that has claimed the row calls. The claim is a time in the row
//! and not a lock: no database lock is held while Zoom answers, and a daemon that dies with a claim blocks the row only
//! until the claim expires. The generation decides what is stored: tokens for an older generation than the row's are
//! discarded.

mod choice;
mod idle_refresh;
mod refresh;
mod rotate;
pub mod sealed;
mod single_flight;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::choice::Candidates;
pub use self::rotate::{RotateError, Rotated, rotate_keys};
use self::single_flight::{Flight, Key};
use super::Credentials;
use super::app::{App, Apps};
use super::oauth::{OAuth, OAuthError};
use crate::model::{AppName, Installation, InstallationId, InstallationStatus};
use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::store::{Store, StoreError, StoredGrant};

/// A token is refreshed when less than one part in this many of its life is left: a tenth (section 15.3).
const AHEAD: i64 = 10;

/// The owner of the requested token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Installation(InstallationId),
    /// The token source of this app beside its installations.
    Configured(AppName),
}

/// The token source of an app beside its installations.
#[derive(Debug, Clone, PartialEq)]
pub enum Configured {
    None,
    /// Server-to-server OAuth.
    Account {
        account_id: String,
        client: Credentials,
    },
    /// `access_token` of Zoom's samples. Its expiry is unknown.
    Static(Secret<String>),
}

/// A token that is valid now, as far as the daemon knows.
#[derive(Debug, Clone)]
pub struct Granted {
    pub app: Arc<App>,
    /// `None` for the configured token.
    pub installation: Option<Installation>,
    pub access_token: Secret<String>,
    /// The base URL of this token's REST API, without a trailing slash.
    pub api_base_url: String,
}

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// What is missing, for the client to read.
    #[error("{0}")]
    Missing(String),
    #[error("Zoom rejects the tokens of installation {0}: its user must install the app again")]
    NeedsReconnect(InstallationId),
    #[error("installation {0} was revoked: its user must install the app again")]
    Revoked(InstallationId),
    /// Several installations are connected, and none can be matched to the meeting. `has_more` means that not all are
    /// listed.
    #[error(
        "several users have installed the app, and none can be matched to this meeting: set \
        installation_id to one of {}{}",
        list_ids(.ids),
        if *.has_more { ", and more" } else { "" }
    )]
    Ambiguous { ids: Vec<InstallationId>, has_more: bool },
    #[error(
        "this API token is bound to installations (API_TOKENS), and none of them fits: name one of them with \
         installation_id"
    )]
    NotAllowed,
    #[error("the app {0} is not configured here: add it again, or use another app")]
    NoApp(AppName),
    #[error("no token is available now: {0}")]
    Unavailable(RefreshError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TokenError {
    /// Whether the same may work later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unavailable(RefreshError::OAuth(error)) => error.is_temporary(),
            Self::Unavailable(RefreshError::NoApp | RefreshError::Sealed) => false,
            Self::Unavailable(_) | Self::Store(_) => true,
            Self::Missing(_) | Self::NeedsReconnect(_) | Self::Revoked(_) => false,
            Self::Ambiguous { .. } | Self::NotAllowed | Self::NoApp(_) => false,
        }
    }

    fn no_source(app: &App) -> Self {
        if !app.has_users() {
            let what = "the app has no key for Zoom's Video SDK API: set";
            let settings = "ZOOM_VIDEO_API_KEY and ZOOM_VIDEO_API_SECRET, or the app's own";
            return Self::Missing(format!("{what} {settings}"));
        }
        let (query, setting) = match app.name.is_default() {
            true => (String::new(), "ZOOM_ACCOUNT_ID"),
            false => (format!("?app={}", app.name), "account_id of the app"),
        };
        Self::Missing(format!(
            "nobody of this account has installed the app: open \
             /api/v1/zoom/oauth/install{query} as the host, or set {setting}"
        ))
    }

    fn no_installation(id: InstallationId) -> Self {
        Self::Missing(format!("there is no installation {id}"))
    }
}

fn list_ids(ids: &[InstallationId]) -> String {
    let ids: Vec<String> = ids.iter().map(InstallationId::to_string).collect();
    ids.join(", ")
}

/// Why a refresh failed. Contains no token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RefreshError {
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    #[error("its app is not configured here")]
    NoApp,
    /// Zoom rejected nothing: this daemon cannot read what it stored.
    #[error("no key in TOKEN_ENCRYPTION_KEYS opens its tokens")]
    Sealed,
    #[error("another daemon took too long to refresh it")]
    Busy,
    /// The log has the store's own error.
    #[error("the store failed while it was refreshed")]
    Store,
    #[error("the refresh panicked")]
    Panicked,
}

/// Provides tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    store: Store,
    ring: KeyRing,
    oauth: OAuth,
    apps: Apps,
    now_ms: fn() -> i64,
    /// The running calls to Zoom, so that further callers wait for the same answer.
    flights: Mutex<HashMap<Key, Flight>>,
    /// The server-to-server tokens by app. They are not stored, because new ones are easy to get.
    account_tokens: Mutex<HashMap<AppName, AccountToken>>,
    /// Owns the refreshes: a started one is finished even if its caller has left, because its refresh token is
    /// used up.
    tasks: TaskTracker,
    /// Once cancelled, no further try starts.
    stopping: CancellationToken,
}

#[derive(Clone)]
struct AccountToken {
    granted: Granted,
    obtained_at_ms: i64,
    expires_at_ms: Option<i64>,
}

impl Tokens {
    pub fn new(store: Store, ring: KeyRing, oauth: OAuth, apps: Apps, now_ms: fn() -> i64) -> Self {
        Self(Arc::new(Inner {
            store,
            ring,
            oauth,
            apps,
            now_ms,
            flights: Mutex::default(),
            account_tokens: Mutex::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }))
    }

    /// Returns a valid token. Waits for a due refresh, in bounded time.
    pub async fn token(&self, wanted: &Wanted) -> Result<Granted, TokenError> {
        let id = match wanted {
            Wanted::Configured(app) => return self.configured_token(&self.0.app(app)?).await,
            Wanted::Installation(id) => id,
        };
        match self.0.store.grant(*id).await? {
            Some(grant) => self.valid(grant).await,
            None => Err(TokenError::no_installation(*id)),
        }
    }

    /// Returns a new token after a 401 from the API: refreshes once, unless another caller already did.
    pub async fn replace(&self, rejected: &Granted) -> Result<Granted, TokenError> {
        match &rejected.installation {
            Some(installation) => self.refreshed(installation, None).await,
            None => self.other_configured_token(rejected).await,
        }
    }

    /// Waits for the started refreshes, each only for its current try. Do not request tokens after this.
    pub async fn finish(&self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn valid(&self, grant: StoredGrant) -> Result<Granted, TokenError> {
        let now_ms = (self.0.now_ms)();
        let installation = &grant.installation;
        let (from_ms, until_ms) = (installation.tokens_at_ms, installation.expires_at_ms);
        let has_no_successor = grant.tokens.as_ref().is_some_and(|tokens| tokens.refresh.is_none());
        // Without a newer token and a known expiry this one is the best there is: Zoom decides whether it is valid.
        let is_all_there_is = has_no_successor && until_ms.is_none_or(|until_ms| now_ms < until_ms);
        if is_all_there_is || is_fresh(now_ms, from_ms, until_ms) {
            check_connected(installation)?;
            return self.0.granted(grant);
        }
        let is_still_good = until_ms.is_some_and(|until_ms| now_ms < until_ms);
        if !is_still_good {
            check_connected(installation)?;
        }
        let installation = grant.installation.clone();
        // A refresh ahead of time must not fail the caller: the valid token is the fallback.
        self.refreshed(&installation, is_still_good.then_some(grant)).await
    }

    /// Returns tokens newer than `old`'s, or `otherwise` if none are available.
    async fn refreshed(
        &self,
        old: &Installation,
        otherwise: Option<StoredGrant>,
    ) -> Result<Granted, TokenError> {
        // The row decides, and not this result: another daemon may have refreshed the tokens meanwhile.
        let done = self.join(Key::Installation(old.id, old.generation)).await;
        let grant = self.0.store.grant(old.id).await?;
        let grant = grant.ok_or_else(|| TokenError::no_installation(old.id))?;
        if grant.installation.generation > old.generation {
            check_connected(&grant.installation)?;
            return self.0.granted(grant);
        }
        if let Some(otherwise) = otherwise {
            return self.0.granted(otherwise);
        }
        check_connected(&grant.installation)?;
        Err(TokenError::Unavailable(done.err().unwrap_or(RefreshError::Busy)))
    }

    async fn configured_token(&self, app: &Arc<App>) -> Result<Granted, TokenError> {
        match &app.configured {
            Configured::None => Err(TokenError::no_source(app)),
            Configured::Static(token) => Ok(configured_grant(app, token.clone(), None)),
            Configured::Account { .. } => match self.0.good_account_token(app) {
                Some(granted) => Ok(granted),
                None => self.account_token(app, None).await,
            },
        }
    }

    async fn other_configured_token(&self, rejected: &Granted) -> Result<Granted, TokenError> {
        match &rejected.app.configured {
            Configured::Account { .. } => {
                self.account_token(&rejected.app, Some(rejected.access_token.expose())).await
            }
            _ => Err(TokenError::Missing(
                "Zoom rejects the token of ZOOM_ACCESS_TOKEN (access_token): set a new one"
                    .to_owned(),
            )),
        }
    }

    /// Returns a server-to-server token other than `rejected`.
    async fn account_token(
        &self,
        app: &Arc<App>,
        rejected: Option<&String>,
    ) -> Result<Granted, TokenError> {
        let is_other = |granted: &Granted| Some(granted.access_token.expose()) != rejected;
        if let Some(granted) = self.0.good_account_token(app).filter(is_other) {
            return Ok(granted);
        }
        let done = self.join(Key::Account(app.name.clone())).await;
        match self.0.last_account_token(app).filter(is_other) {
            Some(token) if done.is_ok() => Ok(token),
            _ => Err(TokenError::Unavailable(done.err().unwrap_or(RefreshError::Busy))),
        }
    }
}

impl Inner {
    fn granted(&self, grant: StoredGrant) -> Result<Granted, TokenError> {
        let id = grant.installation.id;
        let app = self.app_of(&grant.installation)?;
        let sealed = grant.tokens.as_ref().ok_or(TokenError::Revoked(id))?;
        let tokens = sealed::open_tokens(&self.ring, id, sealed).map_err(|error| {
            TokenError::Missing(format!("the tokens of installation {id} do not open: {error}"))
        })?;
        let api = grant.installation.api_base_url.as_deref();
        Ok(Granted {
            access_token: Secret::new(tokens.access.to_string()),
            api_base_url: api.unwrap_or(&app.api_base_url).to_owned(),
            installation: Some(grant.installation),
            app,
        })
    }

    /// The app that an installation belongs to.
    fn app_of(&self, installation: &Installation) -> Result<Arc<App>, TokenError> {
        self.app(&installation.app)
    }

    fn app(&self, name: &AppName) -> Result<Arc<App>, TokenError> {
        self.apps.get(name).ok_or_else(|| TokenError::NoApp(name.clone()))
    }

    fn good_account_token(&self, app: &App) -> Option<Granted> {
        let token = self.stored_account_token(app)?;
        let is_good = is_fresh((self.now_ms)(), token.obtained_at_ms, token.expires_at_ms);
        is_good.then_some(token.granted)
    }

    fn last_account_token(&self, app: &App) -> Option<Granted> {
        self.stored_account_token(app).map(|token| token.granted)
    }

    /// The last server-to-server token that was issued to the app as it is now.
    fn stored_account_token(&self, app: &App) -> Option<AccountToken> {
        let tokens = self.account_tokens.lock().expect("no holder of this lock panics");
        tokens
            .get(&app.name)
            .filter(|token| token.granted.app.configured == app.configured)
            .cloned()
    }
}

fn configured_grant(app: &Arc<App>, token: Secret<String>, api: Option<String>) -> Granted {
    let api_base_url = api.unwrap_or_else(|| app.api_base_url.clone());
    Granted { app: Arc::clone(app), installation: None, access_token: token, api_base_url }
}

fn is_connected(grant: &StoredGrant) -> bool {
    grant.installation.status == InstallationStatus::Connected
}

fn check_connected(installation: &Installation) -> Result<(), TokenError> {
    match installation.status {
        InstallationStatus::Connected => Ok(()),
        InstallationStatus::NeedsReconnect => Err(TokenError::NeedsReconnect(installation.id)),
        InstallationStatus::Revoked => Err(TokenError::Revoked(installation.id)),
    }
}

/// Whether a token is still valid for long enough. An unknown expiry counts as near.
fn is_fresh(now_ms: i64, from_ms: i64, until_ms: Option<i64>) -> bool {
    let Some(until_ms) = until_ms else { return false };
    let life_ms = until_ms.saturating_sub(from_ms).max(0);
    until_ms.saturating_sub(now_ms) > life_ms / AHEAD
}

#[cfg(test)]
mod tests {
    use super::{RefreshError, TokenError, is_fresh};
    use crate::model::Product;
    use crate::zoom::app::App;
    use crate::zoom::app::tests::app;

    #[test]
    fn without_a_token_the_advice_fits_the_app() {
        let advice = |app: &App| TokenError::no_source(app).to_string();
        assert!(
            advice(&app("default")).contains("/oauth/install as the host, or set ZOOM_ACCOUNT")
        );
        assert!(advice(&app("acme")).contains("install?app=acme"));
        let video = App { products: vec![Product::VideoSdk], ..app("video") };
        assert!(advice(&video).contains("ZOOM_VIDEO_API_KEY"));
        assert!(!advice(&video).contains("install"), "nobody installs it");
    }

    #[test]
    fn an_installation_without_its_app_or_key_is_no_fault_of_zooms() {
        for error in [RefreshError::NoApp, RefreshError::Sealed] {
            assert!(!error.to_string().contains("Zoom"));
            assert!(!TokenError::Unavailable(error).is_temporary());
        }
    }

    #[test]
    fn a_token_is_refreshed_in_the_last_tenth_of_its_life() {
        let (from_ms, until_ms) = (1_000_000, 1_000_000 + 3_600_000);
        assert!(is_fresh(from_ms, from_ms, Some(until_ms)));
        assert!(is_fresh(until_ms - 360_001, from_ms, Some(until_ms)));
        assert!(!is_fresh(until_ms - 360_000, from_ms, Some(until_ms)));
        assert!(!is_fresh(until_ms + 1, from_ms, Some(until_ms)));
        assert!(!is_fresh(from_ms, from_ms, None), "an unknown end");
        assert!(!is_fresh(from_ms, from_ms, Some(from_ms)), "no life at all");
    }
}
