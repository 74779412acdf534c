//! Authenticates requests by bearer token and checks the token's scope.

mod failures;
mod owner;
mod registry;
mod tokens;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use self::failures::Failures;
pub(super) use self::registry::KnownTokens;
pub use self::registry::TokenRegistry;
use self::tokens::ApiToken;
pub use self::tokens::{ApiTokens, Scope, TokenMistake};
use super::audit::Trail;
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
    require(&state, scope, request, next).await
}

/// Admits a request with a token that may read, whatever the method.
pub async fn require_read(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    require(&state, Scope::Read, request, next).await
}

/// Admits a request with a token that may read, or with a ticket for its path.
pub async fn require_ticket(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    // A token takes precedence: a page that sends one is judged by it, and its ticket stays unused.
    let ticket = tickets::of_query(request.uri()).filter(|_| !brings_token(request.headers()));
    let Some(ticket) = ticket else { return require(&state, Scope::Read, request, next).await };
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
    require(&state, Scope::Control, request, next).await
}

/// Admits a request with a token that may administrate.
pub async fn require_admin(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    require(&state, Scope::Admin, request, next).await
}

async fn require(
    state: &AppState,
    scope: Scope,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let trail = trail_of(&request);
    let known = known_tokens(state).await;
    let token = authenticate(state, &known, request.headers(), trail.address())?;
    trail.set_actor(&token.name);
    check_scope(state, token, scope)?;
    let request = admit_caller(state, token, trail, request).await?;
    Ok(next.run(request).await)
}

async fn known_tokens(state: &AppState) -> KnownTokens<'_> {
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
    state.requests.spawn(async move {
        if let Err(error) = store.note_token_used(id, now_ms).await {
            tracing::warn!(%error, "could not write when an API token was used; it is written in a minute");
        }
    });
}

fn trail_of(request: &Request) -> Trail {
    let trail = request.extensions().get::<Trail>().cloned();
    trail.expect("audit::record_refusals wraps every route")
}

/// The scope that a method needs. Methods that no route has need `read` only: they are refused after this.
fn scope_of(method: &Method) -> Scope {
    if [Method::POST, Method::PATCH, Method::DELETE].contains(method) {
        Scope::Control
    } else {
        Scope::Read
    }
}

/// Authenticates a request. A request without a token does not count as a wrong guess.
fn authenticate<'a>(
    state: &AppState,
    known: &'a KnownTokens<'_>,
    headers: &HeaderMap,
    address: IpAddr,
) -> Result<&'a ApiToken, ApiError> {
    let token = token_in_headers(headers).ok_or(ApiError::Unauthenticated)?;
    let found = known.find(&token);
    let unknown = ApiError::UnknownToken(state.api_tokens.source());
    // `find` ran first in any case: a known and an unknown token take the same time.
    let admitted = state.failures.admit(address, found.map(|token| &token.name), Instant::now());
    match admitted {
        Err(ApiError::Unauthenticated) => Err(unknown),
        Err(error) => Err(error),
        Ok(()) => found.ok_or(unknown),
    }
}

/// The token in the headers. Never read from the URL, because URLs end up in logs and histories.
fn token_in_headers(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return subprotocols(headers).find_map(token_of_subprotocol);
    };
    let value = value.as_bytes();
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    // The scheme is case-insensitive (RFC 9110, section 11.1).
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii().into())
}

/// Decodes `bearer.` and the token, or `bearer64.` and the token in base64url, because a subprotocol's name cannot hold
/// every character.
fn token_of_subprotocol(name: &[u8]) -> Option<Cow<'_, [u8]>> {
    if let Some(encoded) = name.strip_prefix(b"bearer64.") {
        return URL_SAFE_NO_PAD.decode(encoded).ok().map(Cow::from);
    }
    name.strip_prefix(b"bearer.").map(Cow::from)
}

/// Whether a request carries a token, valid or not.
fn brings_token(headers: &HeaderMap) -> bool {
    let is_token = |name: &[u8]| name.starts_with(b"bearer.") || name.starts_with(b"bearer64.");
    headers.contains_key(header::AUTHORIZATION) || subprotocols(headers).any(is_token)
}

/// The name of the daemon's WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "rtmsd";

/// Whether a WebSocket client expects the answer to select a subprotocol.
pub fn offers_subprotocol(headers: &HeaderMap) -> bool {
    subprotocols(headers).any(|name| name == SUBPROTOCOL.as_bytes())
}

/// The subprotocols in a WebSocket handshake. Browsers put the token among them, because they can set no other header.
fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    // A list header may be repeated or joined by commas (RFC 9110, section 5.3).
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Finds the token that the headers carry.
    fn find<'a>(tokens: &'a ApiTokens, headers: &HeaderMap) -> Result<&'a ApiToken, ApiError> {
        token_in_headers(headers)
            .and_then(|token| tokens.find(&token))
            .ok_or(ApiError::Unauthenticated)
    }

    fn outcome(tokens: &ApiTokens, authorization: &str, scope: Scope) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        let token = find(tokens, &headers);
        token.and_then(|token| token.check(scope)).map_err(|error| error.code())
    }

    #[test]
    fn a_token_may_do_what_its_scopes_allow() {
        let tokens = ApiTokens::parse(
            "a:token-of-16-bytesA, b:token-of-16-bytesB:read,c:token-of-16-bytesC:admin",
        )
        .unwrap();
        assert_eq!(outcome(&tokens, "Bearer token-of-16-bytesA", Scope::Read), Ok(()));
        assert_eq!(outcome(&tokens, "Bearer token-of-16-bytesA", Scope::Control), Ok(()));
        assert_eq!(outcome(&tokens, "Bearer token-of-16-bytesA", Scope::Admin), Err("forbidden"));
        assert_eq!(outcome(&tokens, "bearer token-of-16-bytesB", Scope::Read), Ok(()));
        assert_eq!(outcome(&tokens, "Bearer token-of-16-bytesB", Scope::Control), Err("forbidden"));
        assert_eq!(outcome(&tokens, "Bearer token-of-16-bytesC", Scope::Control), Ok(()));
    }

    #[test]
    fn requests_without_a_valid_token_are_refused() {
        let tokens = ApiTokens::parse("a:token-of-16-bytesA").unwrap();
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer token-of-16-bytesB",
            "Basic token-of-16-bytesA",
            "token-of-16-bytesA",
            "Bearer a:token-of-16-bytesA",
        ] {
            assert_eq!(outcome(&tokens, bad, Scope::Read), Err("unauthenticated"), "{bad:?}");
        }
        let refused = find(&tokens, &HeaderMap::new()).unwrap_err();
        assert_eq!(refused.code(), "unauthenticated");
        let nobody = ApiTokens::parse("").unwrap();
        assert!(nobody.is_empty());
        assert_eq!(outcome(&nobody, "Bearer ", Scope::Read), Err("unauthenticated"));
    }

    #[test]
    fn a_browsers_websocket_sends_its_token_as_a_subprotocol() {
        let tokens = ApiTokens::parse("a:token-of-16-bytesA").unwrap();
        let with = |list| {
            HeaderMap::from_iter([(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(list))])
        };
        let headers = with("rtmsd, bearer.token-of-16-bytesA");
        assert!(offers_subprotocol(&headers) && find(&tokens, &headers).is_ok());
        for bad in [
            "rtmsd",
            "bearer.token-of-16-bytesB",
            "token-of-16-bytesA",
            "bearer token-of-16-bytesA",
            "bearer64.token-of-16-bytesA",
            "",
        ] {
            assert!(find(&tokens, &with(bad)).is_err(), "{bad}");
        }
        let mut both = with("bearer.token-of-16-bytesA");
        both.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer token-of-16-bytesB"));
        assert!(find(&tokens, &both).is_err());
    }

    #[test]
    fn a_token_with_any_character_is_sent_as_a_subprotocol_in_base64url() {
        let tokens = ApiTokens::parse("a:to/ken-of-16-bytes+A==").unwrap();
        let with = |list| {
            HeaderMap::from_iter([(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(list))])
        };
        assert!(find(&tokens, &with("rtmsd, bearer64.dG8va2VuLW9mLTE2LWJ5dGVzK0E9PQ")).is_ok());
        for bad in [
            "bearer64.",
            "bearer64.dG8va2VuLW9mLTE2LWJ5dGVzK0E9PQ==",
            "bearer64.dG8va2VuLW9mLTE2LWJ5dGVzK0",
            "bearer64.*",
        ] {
            assert!(find(&tokens, &with(bad)).is_err(), "{bad}");
        }
    }
}
