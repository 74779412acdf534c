//! The API tokens that were made while the daemon ran.

use askama::Template;

use super::{Layout, assets, rendered};
use crate::model::{AppName, StoredToken, rfc3339};

/// The page.
#[derive(Template)]
#[template(path = "dashboard/tokens.html")]
pub struct Tokens {
    pub layout: Layout,
    pub rows: Vec<Row>,
}

impl Tokens {
    pub fn html(&self) -> String {
        rendered(self)
    }
}

/// One token.
pub struct Row {
    id: String,
    name: String,
    scopes: String,
    apps: String,
    /// Whether it may use only some installations.
    is_bound: bool,
    made: Option<String>,
    expires: Option<String>,
    is_expired: bool,
    used: Option<String>,
}

impl Row {
    pub fn of(token: &StoredToken, now_ms: i64) -> Self {
        let apps = token
            .apps
            .names()
            .map(|names| names.iter().map(AppName::as_str).collect::<Vec<_>>().join(", "));
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            scopes: token.scopes.replace('+', ", "),
            apps: apps.unwrap_or_else(|| "all".to_owned()),
            is_bound: token.installations.is_some(),
            made: rfc3339(token.created_at_ms),
            expires: token.expires_at_ms.and_then(rfc3339),
            is_expired: token.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms),
            used: token.last_used_ms.and_then(rfc3339),
        }
    }
}
