//! The endpoints of outgoing webhooks.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AppScope, EventKind, OutgoingEvent};
use crate::named::named;

/// rtmsd's own id of a webhook endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointId(pub Uuid);

impl EndpointId {
    /// Parses a UUID in any form that the `uuid` crate reads; none for any other text.
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
    /// The id under which the API shows the endpoint.
    pub id: EndpointId,
    /// How it was created.
    pub source: EndpointSource,
    /// The URL. Its path may contain a secret of the owner's, so only administrators see it, and no log contains it.
    pub url: String,
    /// The owner's text about the endpoint.
    pub description: String,
    /// The events that it receives; empty means all.
    pub events: Vec<EventKind>,
    /// The apps whose events it receives.
    pub apps: AppScope,
    /// Whether it receives webhooks, or why not.
    pub status: EndpointStatus,
    /// When the first delivery failed since the last success.
    pub failing_since_ms: Option<i64>,
    /// Until when the previous secret signs in addition to the current one.
    pub previous_until_ms: Option<i64>,
    /// When it was created, Unix milliseconds.
    pub created_at_ms: i64,
    /// When it last changed, Unix milliseconds.
    pub updated_at_ms: i64,
}

impl WebhookEndpoint {
    /// Whether an event may be sent to it: one of its apps, or one about no single app if it has all. A test may.
    pub fn may_receive(&self, event: &OutgoingEvent) -> bool {
        match &event.app {
            _ if event.kind == EventKind::Test => true,
            Some(app) => self.apps.includes(app),
            None => self.apps == AppScope::All,
        }
    }
}

named! {
    /// How an endpoint was created.
    pub enum EndpointSource {
        /// By an API client.
        Api: "api",
        /// In the setting `WEBHOOKS_OUT`. The API cannot change it.
        Configuration: "configuration",
    }
}

named! {
    /// Whether an endpoint receives webhooks, or why not.
    pub enum EndpointStatus {
        /// It receives webhooks.
        Enabled: "enabled",
        /// An administrator disabled it.
        Disabled: "disabled",
        /// It answered 410.
        Gone: "gone",
        /// No delivery has succeeded for days.
        Failing: "failing",
        /// Too many deliveries are waiting for it.
        Overflowing: "overflowing",
    }
}
