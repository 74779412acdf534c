//! API tokens that were made over the API.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use super::AppScope;

/// rtmsd's own id of an API token: a UUID v7, so that ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ApiTokenId(pub Uuid);

impl ApiTokenId {
    /// Parses a UUID in any form that the `uuid` crate reads; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for ApiTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An API token as stored: its hash, and never the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// The id under which the API shows the token.
    pub id: ApiTokenId,
    /// The name that its maker gave it; several may have the same.
    pub name: String,
    /// The SHA-256 of the token in lower-case hex.
    pub hash: String,
    /// What it permits: the names of scopes, separated by `+`.
    pub scopes: String,
    /// The ids of the only installations that it may use, separated by `+`; none for all.
    pub installations: Option<String>,
    /// The apps that it may see.
    pub apps: AppScope,
    /// When it was made, Unix milliseconds.
    pub created_at_ms: i64,
    /// When it becomes invalid, Unix milliseconds; none for never.
    pub expires_at_ms: Option<i64>,
    /// When it was last used, to the minute, Unix milliseconds; none if it never was.
    pub last_used_ms: Option<i64>,
}

impl StoredToken {
    /// Its name in the audit trail, which is unique, unlike the name that its maker gave it.
    pub fn actor(&self) -> String {
        format!("{}.{}", self.name, self.id)
    }
}
