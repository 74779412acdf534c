//! The API token in a request's headers: `authorization: Bearer`, or a subprotocol of a WebSocket.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The token in the headers. Never read from the URL, because URLs end up in logs and histories.
pub(super) fn token_in_headers(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    let Some(value) = authorization(headers) else {
        return subprotocols(headers).find_map(token_of_subprotocol);
    };
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    // The scheme is case-insensitive (RFC 9110, section 11.1).
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii().into())
}

/// The header `authorization`, unless it is for a proxy that asks browsers for a password and passes it on.
fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let scheme = value.split(|byte| *byte == b' ').next()?;
    (!scheme.eq_ignore_ascii_case(b"Basic")).then_some(value)
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
pub(super) fn brings_token(headers: &HeaderMap) -> bool {
    let is_token = |name: &[u8]| name.starts_with(b"bearer.") || name.starts_with(b"bearer64.");
    authorization(headers).is_some() || subprotocols(headers).any(is_token)
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
    use crate::http::auth::tokens::ApiToken;
    use crate::http::auth::{ApiTokens, Scope};
    use crate::http::error::ApiError;

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
