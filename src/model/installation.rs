//! Installations: the grants of Zoom users to the app.

use std::fmt;

use super::AppName;
use crate::named::named;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// rtmsd's own id of an installation: a UUID v7, so that ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstallationId(pub Uuid);

impl InstallationId {
    /// Parses a UUID in any form that the `uuid` crate reads; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A Zoom user's grant to the app, without its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The id under which the API shows the installation.
    pub id: InstallationId,
    /// The app that the user installed.
    pub app: AppName,
    /// Zoom's id of the user's account.
    pub account_id: String,
    /// The same kind of id as `operator_id` and `host_id` in webhooks (rtms-protocol.md section 15.2).
    pub user_id: String,
    /// The user's name in Zoom, if Zoom sent it.
    pub display_name: Option<String>,
    /// The user's email address, if Zoom sent it.
    pub email: Option<String>,
    /// The granted scopes, separated by spaces.
    pub scope: String,
    /// The base URL of the REST API for this user, if Zoom named another one than the default.
    pub api_base_url: Option<String>,
    /// Whether its tokens can be used.
    pub status: InstallationStatus,
    /// When the access token expires; none if Zoom did not say.
    pub expires_at_ms: Option<i64>,
    /// When the tokens were obtained.
    pub tokens_at_ms: i64,
    /// The version of the tokens: 1 at the first install, incremented by each refresh, new install and revocation.
    pub generation: i64,
    /// When it was first stored, Unix milliseconds.
    pub created_at_ms: i64,
    /// When the row last changed, Unix milliseconds.
    pub updated_at_ms: i64,
}

named! {
    /// Whether an installation's tokens can be used.
    pub enum InstallationStatus {
        /// The tokens can be used or refreshed.
        Connected: "connected",
        /// Zoom rejected the refresh token; the user must reinstall the app.
        NeedsReconnect: "needs_reconnect",
        /// The user or rtmsd revoked it; its tokens are deleted.
        Revoked: "revoked",
    }
}
