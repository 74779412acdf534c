//! Authenticates callers of the REST API by bearer token and scope.

use axum::http::{HeaderMap, header};

use super::error::ApiError;
use super::jwt;
use std::sync::Arc;

use crate::clock;
use crate::simulator::app::App;
use crate::simulator::oauth::Owner;
use crate::simulator::state::SimulatorState;

/// An authenticated caller.
#[derive(Clone)]
pub(super) enum Caller {
    /// The bearer of `Settings::access_token` or of a Video SDK JWT, who may act for every user of every app.
    Trusted,
    /// A user of this app.
    User(Arc<App>, String),
    /// The bearer of a token without a user, of this app.
    Machine(Arc<App>),
}

impl Caller {
    /// Checks a JWT of the Video SDK, which the caller signs itself (section 14.3).
    pub(super) fn check_jwt(state: &SimulatorState, headers: &HeaderMap) -> Result<Self, ApiError> {
        let token = bearer_token(headers)?;
        let settings = &state.settings;
        let secret = settings.video_api_secret.expose();
        let is_own = settings.access_token.as_ref().is_some_and(|own| own.expose() == token);
        if is_own || jwt::is_valid(token, &settings.video_api_key, secret, clock::now_ms()) {
            return Ok(Self::Trusted);
        }
        Err(ApiError::invalid_token())
    }

    /// Checks an OAuth token, which needs one of `scopes` or its `:admin` variant. Fails with 401/4700, 401/124 or
    /// 400/4711.
    pub(super) fn check(
        state: &SimulatorState,
        headers: &HeaderMap,
        scopes: &[&str],
    ) -> Result<Self, ApiError> {
        let token = bearer_token(headers)?;
        if state.settings.access_token.as_ref().is_some_and(|own| own.expose() == token) {
            return Ok(Self::Trusted);
        }
        let found = state.apps.of_access_token(token, clock::now_ms());
        let (app, access) = found.ok_or_else(ApiError::invalid_token)?;
        // A server-to-server token has the `:admin` variants only.
        let is_wanted = |scope: &str| scopes.contains(&scope.trim_end_matches(":admin"));
        if !access.scope.split(' ').any(is_wanted) {
            return Err(ApiError::missing_scope(scopes));
        }
        Ok(match access.owner {
            Owner::User(user_id) => Self::User(app.clone(), user_id),
            Owner::Account | Owner::App => Self::Machine(app.clone()),
        })
    }
}

fn bearer_token(headers: &HeaderMap) -> Result<&str, ApiError> {
    let given = headers.get(header::AUTHORIZATION).ok_or_else(ApiError::empty_token)?;
    let token = given.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    token.ok_or_else(ApiError::invalid_token)
}
