use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::EventKind;

/// Our own id of a webhook endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointId(pub Uuid);

impl EndpointId {
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where outgoing webhooks go, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEndpoint {
    pub id: EndpointId,
    pub source: EndpointSource,
    /// May hold a secret of its owner's in its path: for administrators only, never for the log.
    pub url: String,
    pub description: String,
    /// Which events it gets; empty for all.
    pub events: Vec<EventKind>,
    pub status: EndpointStatus,
    /// The first failure since the last success.
    pub failing_since_ms: Option<i64>,
    /// Until then the secret before the current one signs, too.
    pub previous_until_ms: Option<i64>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

/// Who made an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointSource {
    Api,
    /// `WEBHOOKS_OUT`: the API only shows it.
    Configuration,
}

impl EndpointSource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Configuration => "configuration",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Api, Self::Configuration].into_iter().find(|source| source.as_str() == text)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointStatus {
    Enabled,
    /// By an administrator.
    Disabled,
    /// It answered 410.
    Gone,
    /// Nothing has succeeded for days.
    Failing,
    /// More deliveries wait for it than are kept.
    Overflowing,
}

impl EndpointStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Gone => "gone",
            Self::Failing => "failing",
            Self::Overflowing => "overflowing",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Enabled, Self::Disabled, Self::Gone, Self::Failing, Self::Overflowing]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}
