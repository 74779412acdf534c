//! Who calls: bearer tokens and their scopes.

use axum::http::{HeaderMap, header};

use super::error::ApiError;
use crate::clock;
use crate::simulator::lock;
use crate::simulator::oauth::Owner;
use crate::simulator::world::World;

/// A caller whose token is good.
#[derive(Debug, PartialEq, Eq)]
pub enum Caller {
    /// `Settings::access_token`: may do everything, for everybody.
    Anybody,
    User(String),
    /// Server-to-server, or the app itself.
    Machine,
}

impl Caller {
    /// Refusals 401/4700, 401/124 and 400/4711. Any of `scopes` will do, also as its `:admin` twin.
    pub fn check(world: &World, headers: &HeaderMap, scopes: &[&str]) -> Result<Self, ApiError> {
        let given = headers.get(header::AUTHORIZATION).ok_or_else(ApiError::empty_token)?;
        let token = given.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or_else(ApiError::invalid_token)?;
        if world.settings.access_token.as_ref().is_some_and(|own| own.expose() == token) {
            return Ok(Self::Anybody);
        }
        let book = lock(&world.book);
        let access = book.access(token, clock::now_ms()).ok_or_else(ApiError::invalid_token)?;
        let is_wanted = |scope: &str| scopes.contains(&scope.trim_end_matches(":admin"));
        if !access.scope.split(' ').any(is_wanted) {
            return Err(ApiError::missing_scope(scopes));
        }
        Ok(match &access.owner {
            Owner::User(user_id) => Self::User(user_id.clone()),
            Owner::Account | Owner::App => Self::Machine,
        })
    }
}
