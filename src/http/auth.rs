//! Bearer tokens of the API: who may call what.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

use super::audit::Trail;
use super::error::ApiError;
use super::{AppState, tickets};
use crate::hub::Entrant;

/// More tokens than this are a mistake.
const MAX_TOKENS: usize = 256;
/// A shorter one can be guessed.
const MIN_TOKEN_BYTES: usize = 16;
const MAX_TOKEN_BYTES: usize = 512;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Read,
    Control,
    /// Everything.
    Admin,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Control => "control",
            Self::Admin => "admin",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Control, Self::Admin].into_iter().find(|scope| scope.as_str() == text)
    }
}

/// One mistake in `API_TOKENS`, by position: a name may be a token whose colon was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("token {position}: {problem}")]
pub struct TokenMistake {
    pub position: usize,
    pub problem: &'static str,
}

/// The tokens of `API_TOKENS`. Only their hashes are kept.
#[derive(Debug, Clone, Default)]
pub struct ApiTokens(Vec<ApiToken>);

#[derive(Debug, Clone)]
struct ApiToken {
    name: Arc<str>,
    hash: [u8; 32],
    scopes: Vec<Scope>,
}

impl ApiTokens {
    /// Reads `name:token` or `name:token:scope+scope`, separated by commas; without scopes a token
    /// may read and control. Every mistake is reported, none with a value.
    pub fn parse(text: &str) -> Result<Self, Vec<TokenMistake>> {
        let mut tokens: Vec<ApiToken> = Vec::new();
        let mut mistakes = Vec::new();
        let parts = text.split(',').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty());
        for (index, part) in parts {
            match ApiToken::parse(part).and_then(|token| token.beside(&tokens)) {
                Ok(token) => tokens.push(token),
                Err(problem) => mistakes.push(TokenMistake { position: index + 1, problem }),
            }
        }
        if mistakes.is_empty() { Ok(Self(tokens)) } else { Err(mistakes) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of the token of this name.
    pub fn hash_of(&self, name: &str) -> Option<[u8; 32]> {
        self.named(name).map(|token| token.hash)
    }

    fn named(&self, name: &str) -> Option<&ApiToken> {
        self.0.iter().find(|token| *token.name == *name)
    }

    /// The token that these bytes are. Compares with all of them, in the same time whichever it is.
    fn find(&self, token: &[u8]) -> Option<&ApiToken> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let same = |known: &&ApiToken| -> Choice { known.hash.ct_eq(&hash) };
        self.0
            .iter()
            .fold(None, |found, known| if same(&known).into() { Some(known) } else { found })
    }
}

impl ApiToken {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        let token = parts.next().ok_or("has no colon: write name:token")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err("needs a name of A-Z a-z 0-9 _ - . before the colon");
        }
        if token.len() < MIN_TOKEN_BYTES {
            return Err(
                "needs at least 16 characters after the colon: make them with openssl rand -hex 32",
            );
        }
        if token.len() > MAX_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("needs a token of printable ASCII without spaces after the colon");
        }
        let scopes = match parts.next() {
            None => vec![Scope::Read, Scope::Control],
            Some(scopes) => scopes
                .split('+')
                .map(|scope| {
                    Scope::parse(scope).ok_or("has a scope that is none of read, control, admin")
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(Self { name: name.into(), hash: Sha256::digest(token).into(), scopes })
    }

    fn beside(self, others: &[ApiToken]) -> Result<Self, &'static str> {
        if others.len() >= MAX_TOKENS {
            Err("is one too many")
        } else if others.iter().any(|other| other.name == self.name) {
            Err("has the name of an earlier one")
        } else if others.iter().any(|other| other.hash == self.hash) {
            Err("is the same as an earlier one")
        } else {
            Ok(self)
        }
    }

    fn check(&self, scope: Scope) -> Result<(), ApiError> {
        let may = self.scopes.iter().any(|own| *own == scope || *own == Scope::Admin);
        if may { Ok(()) } else { Err(ApiError::Forbidden(scope.as_str())) }
    }
}

/// Whose token a request came with; for handlers behind one of the `require` layers.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token's name.
    pub name: Arc<str>,
    pub is_admin: bool,
    /// What the audit trail knows of the request.
    pub trail: Trail,
}

impl Caller {
    /// As which it takes a place among the live subscribers.
    pub fn entrant(&self) -> Entrant<'_> {
        if self.is_admin { Entrant::Privileged } else { Entrant::Token(&self.name) }
    }
}

/// Lets a request through whose token may do what its method does, and not too often.
pub async fn require_scope(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let scope = scope_of(request.method());
    require(&state, scope, request, next).await
}

/// Lets a request through whose token may read, whatever the method.
pub async fn require_read(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    require(&state, Scope::Read, request, next).await
}

/// Lets a request through whose token may read, or which brings a ticket for its path instead.
pub async fn require_ticket(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let ticket = tickets::of_query(request.uri()).filter(|_| !brings_token(request.headers()));
    let Some(ticket) = ticket else { return require(&state, Scope::Read, request, next).await };
    let claim = tickets::claim(&state, &ticket, request.uri().path())?;
    let token = state.api_tokens.named(&claim.token).ok_or(ApiError::TicketRefused)?;
    let trail = trail_of(&request);
    trail.set_actor(&token.name);
    admit(&state, token, Scope::Read)?;
    tickets::redeem(&state, &claim).await?;
    Ok(pass(token, trail, request, next).await)
}

/// Lets a request through whose token may control.
pub async fn require_control(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    require(&state, Scope::Control, request, next).await
}

/// Lets a request through whose token may do everything.
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
    let token = authenticate(&state.api_tokens, request.headers())?;
    let trail = trail_of(&request);
    trail.set_actor(&token.name);
    admit(state, token, scope)?;
    Ok(pass(token, trail, request, next).await)
}

fn admit(state: &AppState, token: &ApiToken, scope: Scope) -> Result<(), ApiError> {
    state.rate_limit.take(&token.name, Instant::now())?;
    token.check(scope)
}

async fn pass(token: &ApiToken, trail: Trail, mut request: Request, next: Next) -> Response {
    let is_admin = token.scopes.contains(&Scope::Admin);
    request.extensions_mut().insert(Caller { name: Arc::clone(&token.name), is_admin, trail });
    next.run(request).await
}

fn trail_of(request: &Request) -> Trail {
    let trail = request.extensions().get::<Trail>().cloned();
    trail.expect("audit::watch is outside of every route")
}

/// What a request may do. A method that no route has is refused as such after this: reading is enough to learn that.
fn scope_of(method: &Method) -> Scope {
    if [Method::POST, Method::DELETE].contains(method) { Scope::Control } else { Scope::Read }
}

fn authenticate<'a>(tokens: &'a ApiTokens, headers: &HeaderMap) -> Result<&'a ApiToken, ApiError> {
    bearer(headers).and_then(|token| tokens.find(&token)).ok_or(ApiError::Unauthenticated)
}

/// Tokens are taken from headers only: a URL ends up in logs and histories.
fn bearer(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return subprotocols(headers).find_map(token_of_subprotocol);
    };
    let value = value.as_bytes();
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii().into())
}

/// `bearer.` and the token, or `bearer64.` and the token in base64url: a subprotocol's name cannot hold every character.
fn token_of_subprotocol(name: &[u8]) -> Option<Cow<'_, [u8]>> {
    if let Some(encoded) = name.strip_prefix(b"bearer64.") {
        return URL_SAFE_NO_PAD.decode(encoded).ok().map(Cow::from);
    }
    name.strip_prefix(b"bearer.").map(Cow::from)
}

/// Whether a request says that it has a token, good or bad.
fn brings_token(headers: &HeaderMap) -> bool {
    let is_token = |name: &[u8]| name.starts_with(b"bearer.") || name.starts_with(b"bearer64.");
    headers.contains_key(header::AUTHORIZATION) || subprotocols(headers).any(is_token)
}

/// What a WebSocket of ours is called.
pub const SUBPROTOCOL: &str = "rtmsd";

/// Whether a WebSocket's client waits for the name of a subprotocol.
pub fn offers_subprotocol(headers: &HeaderMap) -> bool {
    subprotocols(headers).any(|name| name == SUBPROTOCOL.as_bytes())
}

/// Of a WebSocket's handshake: a browser can set no other header, and puts the token among them.
fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn outcome(tokens: &ApiTokens, authorization: &str, scope: Scope) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        let token = authenticate(tokens, &headers);
        token.and_then(|token| token.check(scope)).map_err(|error| error.code())
    }

    #[test]
    fn a_token_may_do_what_its_scopes_say() {
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
    fn whoever_has_no_token_is_not_let_in() {
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
        let refused = authenticate(&tokens, &HeaderMap::new()).unwrap_err();
        assert_eq!(refused.code(), "unauthenticated");
        let nobody = ApiTokens::parse("").unwrap();
        assert!(nobody.is_empty());
        assert_eq!(outcome(&nobody, "Bearer ", Scope::Read), Err("unauthenticated"));
    }

    #[test]
    fn a_browsers_websocket_brings_its_token_among_the_subprotocols() {
        let tokens = ApiTokens::parse("a:token-of-16-bytesA").unwrap();
        let with = |list| {
            HeaderMap::from_iter([(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(list))])
        };
        let headers = with("rtmsd, bearer.token-of-16-bytesA");
        assert!(offers_subprotocol(&headers) && authenticate(&tokens, &headers).is_ok());
        for bad in [
            "rtmsd",
            "bearer.token-of-16-bytesB",
            "token-of-16-bytesA",
            "bearer token-of-16-bytesA",
            "bearer64.token-of-16-bytesA",
            "",
        ] {
            assert!(authenticate(&tokens, &with(bad)).is_err(), "{bad}");
        }
        let mut both = with("bearer.token-of-16-bytesA");
        both.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer token-of-16-bytesB"));
        assert!(authenticate(&tokens, &both).is_err());
    }

    #[test]
    fn a_token_with_any_character_comes_as_a_subprotocol_in_base64url() {
        let tokens = ApiTokens::parse("a:to/ken-of-16-bytes+A==").unwrap();
        let with = |list| {
            HeaderMap::from_iter([(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(list))])
        };
        assert!(
            authenticate(&tokens, &with("rtmsd, bearer64.dG8va2VuLW9mLTE2LWJ5dGVzK0E9PQ")).is_ok()
        );
        for bad in [
            "bearer64.",
            "bearer64.dG8va2VuLW9mLTE2LWJ5dGVzK0E9PQ==",
            "bearer64.dG8va2VuLW9mLTE2LWJ5dGVzK0",
            "bearer64.*",
        ] {
            assert!(authenticate(&tokens, &with(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_mistake_is_reported_and_no_value() {
        let text = "s3cret,ok:s3cret-of-16-bytes1,ok:s3cret-of-16-bytes2,two:s3cret-of-16-bytes1,:s3cret-of-16-bytes3,x:,\
             y:s3 cret of 16 bytes,z:s3cret-of-16-bytes4:root,short:s3cret-of-15-by";
        let mistakes = ApiTokens::parse(text).unwrap_err();
        let positions: Vec<_> = mistakes.iter().map(|mistake| mistake.position).collect();
        assert_eq!(positions, [1, 3, 4, 5, 6, 7, 8, 9]);
        assert!(mistakes.iter().all(|mistake| !mistake.to_string().contains("s3")));
    }

    #[test]
    fn tokens_are_not_kept() {
        let tokens = ApiTokens::parse("a:s3cret-of-16-bytes").unwrap();
        assert!(!format!("{tokens:?}").contains("s3cret"));
    }
}
