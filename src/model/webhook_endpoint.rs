//! The endpoints of outgoing webhooks.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::EventKind;

/// rtmsd's own id of a webhook endpoint.
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

/// An endpoint to which webhooks are sent, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEndpoint {
    pub id: EndpointId,
    pub source: EndpointSource,
    /// The URL. Its path may contain a secret of the owner's, so only administrators see it, and no log contains it.
    pub url: String,
    pub description: String,
    /// The events that it receives; empty means all.
    pub events: Vec<EventKind>,
    pub status: EndpointStatus,
    /// When the first delivery failed since the last success.
    pub failing_since_ms: Option<i64>,
    /// Until when the previous secret signs in addition to the current one.
    pub previous_until_ms: Option<i64>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

/// How an endpoint was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointSource {
    Api,
    /// In the setting `WEBHOOKS_OUT`. The API cannot change it.
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

/// Whether an endpoint receives webhooks, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointStatus {
    Enabled,
    /// An administrator disabled it.
    Disabled,
    /// It answered 410.
    Gone,
    /// No delivery has succeeded for days.
    Failing,
    /// Too many deliveries are waiting for it.
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
