//! Exchanges an API token or a one-time code for the cookie of the dashboard, and takes it back.

use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue};

use super::browsers::Browsers;
use super::{Scope, check_scope, find_token, known_tokens};
use crate::http::AppState;
use crate::http::audit::Trail;
use crate::http::error::ApiError;

/// Signs in with an API token. Returns the cookie.
///
/// # Errors
/// The request is not from a page of the daemon; the token is unknown, may not read or has reached its rate limit; or too
/// many wrong ones came from this address.
pub(in crate::http) async fn sign_in(
    state: &AppState,
    headers: &HeaderMap,
    token: &str,
    trail: &Trail,
) -> Result<HeaderValue, ApiError> {
    let browsers = browsers_of_own_page(state, headers)?;
    let known = known_tokens(state).await;
    let token = find_token(state, &known, token.as_bytes(), trail.address())?;
    trail.set_actor(&token.name);
    // Each sign-in writes rows.
    check_scope(state, token, Scope::Read)?;
    browsers.begin(state, token, trail).await
}

/// Signs in with a one-time code. Returns the cookie.
///
/// # Errors
/// The request is not from a page of the daemon; or the code was used, has expired or is unknown, which counts as a wrong
/// guess.
pub(in crate::http) async fn sign_in_with_code(
    state: &AppState,
    headers: &HeaderMap,
    code: &str,
    trail: &Trail,
) -> Result<HeaderValue, ApiError> {
    let browsers = browsers_of_own_page(state, headers)?;
    let known = known_tokens(state).await;
    let name = browsers.codes.redeem(code, Instant::now());
    let token = name.as_deref().and_then(|name| known.named(name));
    let admitted =
        state.failures.admit(trail.address(), token.map(|token| &token.name), Instant::now());
    let token = match (admitted, token) {
        (Ok(()), Some(token)) => token,
        (Err(error @ ApiError::TooManyFailures { .. }), _) => return Err(error),
        _ => return Err(ApiError::SignedOut),
    };
    trail.set_actor(&token.name);
    browsers.begin(state, token, trail).await
}

/// Signs the browser of a request out. Returns the cookie that removes its cookie.
///
/// # Errors
/// The request is not from a page of the daemon, or does not carry the value of the session.
pub(in crate::http) async fn sign_out(
    state: &AppState,
    headers: &HeaderMap,
    csrf: &str,
    trail: &Trail,
) -> Result<HeaderValue, ApiError> {
    browsers_of_own_page(state, headers)?.end(state, headers, csrf, trail).await
}

/// The browsers that are signed in, for a request from a page of the daemon. Otherwise another site could sign a browser
/// in with a token of its own, and see what is done with it.
fn browsers_of_own_page<'a>(
    state: &'a AppState,
    headers: &HeaderMap,
) -> Result<&'a Browsers, ApiError> {
    // The routes of the dashboard exist only with it.
    let browsers = state.browsers.as_ref().ok_or(ApiError::UnknownRoute)?;
    if browsers.is_same_origin(headers) { Ok(browsers) } else { Err(ApiError::CrossOrigin) }
}
