use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Our own id of an installation: a UUID v7, so that ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstallationId(pub Uuid);

impl InstallationId {
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One Zoom user's grant to our app, without its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub id: InstallationId,
    pub account_id: String,
    /// The same kind of id as `operator_id` and `host_id` in webhooks (rtms-protocol.md section 15.2).
    pub user_id: String,
    pub display_name: Option<String>,
    pub email: Option<String>,
    /// What was granted, separated by spaces.
    pub scope: String,
    /// Where this user's REST API is, when Zoom named another place than the usual one.
    pub api_base_url: Option<String>,
    pub status: InstallationStatus,
    /// When the access token ends; none when Zoom did not say.
    pub expires_at_ms: Option<i64>,
    /// When the tokens were obtained.
    pub tokens_at_ms: i64,
    /// Counts the tokens: 1 at the first install, one more for each refresh, new install and revocation.
    pub generation: i64,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallationStatus {
    Connected,
    /// Zoom takes its refresh token no more: the user has to install again.
    NeedsReconnect,
    /// Taken back by the user or by us; its tokens are deleted.
    Revoked,
}

impl InstallationStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::NeedsReconnect => "needs_reconnect",
            Self::Revoked => "revoked",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Connected, Self::NeedsReconnect, Self::Revoked]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}
