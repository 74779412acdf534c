//! Authenticates requests, by bearer token or by the cookie of a browser that is signed in, and checks the token's scope.

mod bearer;
mod browsers;
mod failures;
mod one_time_codes;
mod owner;
mod registry;
mod same_origin;
mod session_cookie;
mod session_keys;
mod sign_in;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

pub use self::bearer::{SUBPROTOCOL, offers_subprotocol};
pub(super) use self::browsers::SignedIn;
pub use self::browsers::{Browsers, CSRF_HEADER, SessionLimits};
pub use self::failures::Failures;
pub use self::one_time_codes::OneTimeCodes;
pub(super) use self::registry::KnownTokens;
pub use self::registry::TokenRegistry;
use self::session_keys::BrowserId;
pub(super) use self::sign_in::{sign_in, sign_in_with_code, sign_out};
use self::tokens::ApiToken;
pub use self::tokens::{ApiTokens, Scope, TokenMistake};
use super::audit::{Trail, changes_something};
use super::error::ApiError;
use super::{AppState, tickets};
use crate::hub::Entrant;
use crate::model::{AppName, AppScope, InstallationId};
use crate::zoom::app::Apps;

/// The token that a request was authenticated with; for handlers behind one of the `require` layers.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token's name.
    pub name: Arc<str>,
    pub is_admin: bool,
    /// Whether the token may control sessions and streams.
    pub may_control: bool,
    /// The only installations that the token may use and see; `None` for all.
    pub installations: Option<Arc<[InstallationId]>>,
    /// The apps that the token may see and use. That the object of the path is theirs is checked before the handler
    /// runs.
    pub apps: AppScope,
    /// The audit data of the request.
    pub trail: Trail,
}

impl Caller {
    /// Whether the token may use and see this installation.
    pub fn may_use(&self, id: InstallationId) -> bool {
        self.installations.as_ref().is_none_or(|own| own.contains(&id))
    }

    /// The apps that something of the caller's gets: all means all that the caller may see.
    ///
    /// # Errors
    /// An app does not exist, or is none that the caller may see.
    pub fn allowed_apps(&self, apps: &Apps, asked: AppScope) -> Result<AppScope, ApiError> {
        let Some(names) = asked.names() else { return Ok(self.apps.clone()) };
        let is_known = |app: &AppName| apps.get(app).is_some() && self.apps.includes(app);
        if names.iter().all(is_known) { Ok(asked) } else { Err(ApiError::UnknownApp) }
    }

    /// The kind of subscriber this caller is.
    pub fn entrant(&self) -> Entrant<'_> {
        match self.is_admin && self.apps == AppScope::All {
            true => Entrant::Privileged,
            false => Entrant::Token(&self.name, self.apps.only()),
        }
    }
}

/// Admits a request if its token has the scope that the method needs and is within its rate limit.
pub async fn require_scope(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let scope = scope_of(request.method());
    Ok(next.run(admit(&state, scope, request).await?).await)
}

/// Admits a request with a token that may read, whatever the method.
pub async fn require_read(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    Ok(next.run(admit(&state, Scope::Read, request).await?).await)
}

/// Admits a request with a token that may read, or with a ticket for its path.
pub async fn require_ticket(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    // A token takes precedence: a page that sends one is judged by it, and its ticket stays unused.
    let ticket =
        tickets::of_query(request.uri()).filter(|_| !bearer::brings_token(request.headers()));
    let Some(ticket) = ticket else {
        let credential = Credential::of(&state, &request, true)?;
        let request = admit_with(&state, Scope::Read, credential, request).await?;
        return Ok(next.run(request).await);
    };
    let known = known_tokens(&state).await;
    let claim = tickets::verify_ticket(&state, &known, &ticket, request.uri().path())?;
    let token = known.named(&claim.token).ok_or(ApiError::TicketRefused)?;
    let trail = trail_of(&request);
    trail.set_actor(&token.name);
    // Everything else before `redeem`: a request that is refused must not use up a single-use ticket.
    check_scope(&state, token, Scope::Read)?;
    let request = admit_caller(&state, token, trail, request).await?;
    tickets::redeem_ticket(&state, &claim).await?;
    Ok(next.run(request).await)
}

/// Admits a request with a token that may control.
pub async fn require_control(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    Ok(next.run(admit(&state, Scope::Control, request).await?).await)
}

/// Admits a request with a token that may administrate.
pub async fn require_admin(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    Ok(next.run(admit(&state, Scope::Admin, request).await?).await)
}

/// Admits a request with a token that may read the metrics.
pub async fn require_metrics(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    Ok(next.run(admit(&state, Scope::Metrics, request).await?).await)
}

/// The request with its [`Caller`], if its token has the scope.
pub(super) async fn admit(
    state: &AppState,
    scope: Scope,
    request: Request,
) -> Result<Request, ApiError> {
    let credential = Credential::of(state, &request, false)?;
    admit_with(state, scope, credential, request).await
}

async fn admit_with(
    state: &AppState,
    scope: Scope,
    credential: Credential,
    mut request: Request,
) -> Result<Request, ApiError> {
    let trail = trail_of(&request);
    let known = known_tokens(state).await;
    let (token, signed_in) = authenticate(state, &known, credential, trail.address()).await?;
    if let Some(signed_in) = signed_in {
        request.extensions_mut().insert(signed_in);
    }
    trail.set_actor(&token.name);
    check_scope(state, token, scope)?;
    admit_caller(state, token, trail, request).await
}

async fn known_tokens(state: &AppState) -> KnownTokens {
    state.api_tokens.known(&state.store, (state.now_ms)()).await
}

fn check_scope(state: &AppState, token: &ApiToken, scope: Scope) -> Result<(), ApiError> {
    // The limit before the scope, so that refused requests count too.
    let now = Instant::now();
    state.rate_limit.take(&token.name, now)?;
    state.rate_limit.take_of_apps(&token.apps, &state.apps, now)?;
    token.check(scope)
}

/// Adds the caller to the request, unless the path names an object that the token may not see.
async fn admit_caller(
    state: &AppState,
    token: &ApiToken,
    trail: Trail,
    request: Request,
) -> Result<Request, ApiError> {
    note_use(state, token).await;
    let (mut parts, body) = request.into_parts();
    // Before the check, whose refusal is audited: a token of one app makes rows of that app.
    trail.set_app(token.apps.only());
    let apps = owner::check_owner(state, &token.apps, &mut parts).await?;
    trail.set_app(apps.as_ref().and_then(AppScope::only));
    let caller = Caller {
        name: Arc::clone(&token.name),
        is_admin: token.scopes.contains(&Scope::Admin),
        may_control: token.check(Scope::Control).is_ok(),
        installations: token.installations.clone(),
        apps: token.apps.clone(),
        trail,
    };
    parts.extensions.insert(caller);
    Ok(Request::from_parts(parts, body))
}

/// Writes when a stored token was last used, beside the request.
async fn note_use(state: &AppState, token: &ApiToken) {
    let now_ms = (state.now_ms)();
    let Some(id) = token.id else { return };
    if !state.api_tokens.takes_note(id, now_ms).await {
        return;
    }
    let store = state.store.clone();
    let note = async move {
        if let Err(error) = store.note_token_used(id, now_ms).await {
            tracing::warn!(%error, "could not write when an API token was used; it is written in a minute");
        }
    };
    state.requests.spawn(note.in_current_span());
}

fn trail_of(request: &Request) -> Trail {
    let trail = request.extensions().get::<Trail>().cloned();
    trail.expect("audit::record_refusals wraps every route")
}

/// The scope that a method needs. Methods that no route has need `read` only: they are refused after this.
fn scope_of(method: &Method) -> Scope {
    if changes_something(method) { Scope::Control } else { Scope::Read }
}

/// What a request proves its token with.
enum Credential {
    None,
    Token(Vec<u8>),
    /// The cookie of the dashboard.
    Browser(BrowserId),
}

impl Credential {
    /// The credential of a request. A token takes precedence, so that a wrong one is not hidden. `needs_proof`: a
    /// cookie counts only with the proof that a page of the daemon made the request, whatever the method.
    fn of(state: &AppState, request: &Request, needs_proof: bool) -> Result<Self, ApiError> {
        let headers = request.headers();
        if let Some(token) = bearer::token_in_headers(headers) {
            return Ok(Self::Token(token.into_owned()));
        }
        let Some(browsers) = &state.browsers else { return Ok(Self::None) };
        if bearer::brings_token(headers) {
            return Ok(Self::None);
        }
        let browser = browsers.browser_of(request, needs_proof)?;
        Ok(browser.map_or(Self::None, Self::Browser))
    }
}

/// Finds the token of a credential.
async fn authenticate<'a>(
    state: &AppState,
    known: &'a KnownTokens,
    credential: Credential,
    address: IpAddr,
) -> Result<(&'a ApiToken, Option<SignedIn>), ApiError> {
    match (credential, &state.browsers) {
        (Credential::Token(token), _) => Ok((find_token(state, known, &token, address)?, None)),
        (Credential::Browser(id), Some(browsers)) => {
            let (token, signed_in) = browsers.token_of(state, known, id).await?;
            Ok((token, Some(signed_in)))
        }
        _ => Err(ApiError::Unauthenticated),
    }
}

/// Finds the token with this value. A wrong one counts as a guess.
fn find_token<'a>(
    state: &AppState,
    known: &'a KnownTokens,
    token: &[u8],
    address: IpAddr,
) -> Result<&'a ApiToken, ApiError> {
    let found = known.find(token);
    let unknown = ApiError::UnknownToken(state.api_tokens.source());
    // `find` ran first in any case: a known and an unknown token take the same time.
    let admitted = state.failures.admit(address, found.map(|token| &token.name), Instant::now());
    match admitted {
        Err(ApiError::Unauthenticated) => Err(unknown),
        Err(error) => Err(error),
        Ok(()) => found.ok_or(unknown),
    }
}
