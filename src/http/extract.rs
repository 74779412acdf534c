//! Extracts and validates the parts of a request's path and query.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Query, RawPathParams};
use axum::http::request::Parts;

use super::auth::Caller;
use super::error::ApiError;
use crate::model::{RecordedFile, Recording, Session, SessionId};
use crate::store::Store;

/// An id or a name in a path.
pub(super) trait PathPart: Sized {
    /// The name of the path parameter in the route.
    const NAME: &'static str;

    fn read(text: &str) -> Option<Self>;

    /// The error for an unknown id.
    fn unknown() -> ApiError;
}

/// An id in a path. It need not exist; a malformed id is answered like an unknown one.
pub(super) struct InPath<T>(pub T);

impl<T: PathPart, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // `ok`: invalid percent-encoding in a path is an unknown id, not a server error.
        let found = RawPathParams::from_request_parts(parts, state).await.ok();
        let own = found.iter().flatten().find(|(name, _)| *name == T::NAME);
        own.and_then(|(_, text)| T::read(text)).map(Self).ok_or_else(T::unknown)
    }
}

impl PathPart for SessionId {
    const NAME: &'static str = "id";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn unknown() -> ApiError {
        ApiError::UnknownSession
    }
}

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

/// The query parameters. The last value of a repeated name counts; unknown names are ignored.
pub(super) struct Params(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(values)| Self(values))
            .map_err(|_| ApiError::InvalidValue { name: "query", problem: "cannot be read" })
    }
}

impl Params {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of `name`, if present, as `parse` reads it.
    pub(super) fn parsed<T>(
        &self,
        name: &'static str,
        problem: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        match self.get(name).map(parse) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(ApiError::InvalidValue { name, problem }),
        }
    }

    /// The value of `name`, unless it is empty: a form sends its empty fields.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Like [`Self::parsed`]; an empty value counts as absent.
    pub(super) fn parsed_filled<'a, T>(
        &'a self,
        name: &'static str,
        problem: &'static str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        match self.filled(name).map(parse) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(ApiError::InvalidValue { name, problem }),
        }
    }

    /// The page size: 1 to 200, 50 by default.
    pub(super) fn limit(&self) -> Result<u32, ApiError> {
        let limit = self.parsed("limit", "must be a number from 1 to 200", |text| {
            text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
        })?;
        Ok(limit.unwrap_or(DEFAULT_LIMIT))
    }
}

/// Cuts a page that has one row more than `limit`. Returns the last row that stays if there is a next page.
pub(super) fn cut_page<T>(rows: &mut Vec<T>, limit: u32) -> Option<&T> {
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    rows.last().filter(|_| has_more)
}

/// Returns the session, or 404.
pub(super) async fn known_session(store: &Store, id: SessionId) -> Result<Session, ApiError> {
    store.session(id).await?.ok_or(ApiError::UnknownSession)
}

/// Returns a session that a query or a body names, or 404: also for one of an app that the caller may not see. For the
/// session of a path, the authentication has checked that.
pub(super) async fn visible_session(
    store: &Store,
    caller: &Caller,
    id: SessionId,
) -> Result<Session, ApiError> {
    let session = store.session(id).await?.filter(|session| caller.apps.includes(&session.app));
    session.ok_or(ApiError::UnknownSession)
}

/// Returns a session's recorded file, or 404 if either is unknown.
pub(super) async fn known_file(
    store: &Store,
    id: SessionId,
    name: &str,
) -> Result<(Recording, RecordedFile), ApiError> {
    if let Some(found) = store.recorded_file(id, name).await? {
        return Ok(found);
    }
    // Two queries only on failure: the error says which of the two is unknown.
    known_session(store, id).await?;
    Err(ApiError::UnknownRecording)
}
