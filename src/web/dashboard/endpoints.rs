//! The endpoints of outgoing webhooks, and one with its deliveries.

use askama::Template;

use super::marks::Mark;
use super::{Layout, assets, rendered};
use crate::model::{AppName, EndpointSource, EndpointStatus, EventKind, WebhookEndpoint, rfc3339};
use crate::store::{DeliveryStatus, LoggedDelivery};

/// The page with all endpoints.
#[derive(Template)]
#[template(path = "dashboard/endpoints.html")]
pub struct Endpoints {
    pub layout: Layout,
    pub rows: Vec<Row>,
    /// The events to choose from.
    pub kinds: Vec<&'static str>,
    /// Whether there are several apps.
    pub shows_apps: bool,
}

/// The page of one endpoint.
#[derive(Template)]
#[template(path = "dashboard/endpoint.html")]
pub struct Endpoint {
    pub layout: Layout,
    pub row: Row,
    pub deliveries: Vec<Delivery>,
    pub older: Option<String>,
    pub newest: Option<String>,
    pub raw: String,
}

impl Endpoints {
    pub fn html(&self) -> String {
        rendered(self)
    }
}

impl Endpoint {
    pub fn html(&self) -> String {
        rendered(self)
    }
}

/// The events that an endpoint can subscribe to.
pub fn kinds() -> impl Iterator<Item = EventKind> {
    EventKind::ALL.into_iter().filter(|kind| *kind != EventKind::Test)
}

/// One endpoint.
pub struct Row {
    id: String,
    url: String,
    description: String,
    mark: Mark,
    /// What to do when it is not well.
    advice: Option<&'static str>,
    events: String,
    /// Every event, and whether it is chosen.
    kinds: Vec<(&'static str, bool)>,
    apps: String,
    failing: Option<String>,
    previous_until: Option<String>,
    since: Option<String>,
    is_enabled: bool,
    is_changeable: bool,
}

impl Row {
    pub fn of(endpoint: &WebhookEndpoint) -> Self {
        let (mark, advice) = state_of(endpoint);
        let names: Vec<_> = endpoint.events.iter().map(|kind| kind.as_str()).collect();
        let apps = endpoint
            .apps
            .names()
            .map(|names| names.iter().map(AppName::as_str).collect::<Vec<_>>().join(", "));
        let is_chosen = |kind: EventKind| endpoint.events.contains(&kind);
        Self {
            id: endpoint.id.to_string(),
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
            mark,
            advice,
            events: if names.is_empty() { "all".to_owned() } else { names.join(", ") },
            kinds: kinds().map(|kind| (kind.as_str(), is_chosen(kind))).collect(),
            apps: apps.unwrap_or_else(|| "all".to_owned()),
            failing: endpoint.failing_since_ms.and_then(rfc3339),
            previous_until: endpoint.previous_until_ms.and_then(rfc3339),
            since: rfc3339(endpoint.created_at_ms),
            is_enabled: endpoint.status == EndpointStatus::Enabled,
            is_changeable: endpoint.source == EndpointSource::Api,
        }
    }
}

fn state_of(endpoint: &WebhookEndpoint) -> (Mark, Option<&'static str>) {
    let (word, tone, advice) = match endpoint.status {
        EndpointStatus::Enabled if endpoint.failing_since_ms.is_some() => (
            "failing",
            "warn",
            Some(
                "Its last deliveries failed: see below what it answered. They are tried again for 28 hours.",
            ),
        ),
        EndpointStatus::Enabled => ("on", "good", None),
        EndpointStatus::Disabled => ("off", "", None),
        EndpointStatus::Gone => (
            "gone",
            "bad",
            Some("It answered 410, so that nothing more is sent. Mend it, then switch it on."),
        ),
        EndpointStatus::Failing => (
            "switched off",
            "bad",
            Some("No delivery has succeeded for days. Mend it, send a test, then switch it on."),
        ),
        EndpointStatus::Overflowing => (
            "overflowing",
            "bad",
            Some("Too many deliveries wait for it. Mend it, then switch it on."),
        ),
    };
    (Mark { word, tone }, advice)
}

/// One delivery.
pub struct Delivery {
    id: String,
    kind: &'static str,
    mark: Mark,
    /// The status of the answer, or why there was none.
    answer: String,
    text: Option<String>,
    attempts: u32,
    last: Option<String>,
    next: Option<String>,
}

impl Delivery {
    pub fn of(delivery: &LoggedDelivery) -> Self {
        let (word, tone) = match delivery.status {
            DeliveryStatus::Waiting => ("waiting", "busy"),
            DeliveryStatus::Delivered => ("delivered", "good"),
            DeliveryStatus::Failed => ("failed", "bad"),
            DeliveryStatus::Withdrawn => ("withdrawn", ""),
        };
        let error = delivery.last_error.as_deref().map(|error| error.replace('_', " "));
        let status = delivery.last_status.map(|status| format!("HTTP {status}"));
        Self {
            id: delivery.event_id.clone(),
            kind: delivery.kind.as_str(),
            mark: Mark { word, tone },
            answer: status.or(error).unwrap_or_else(|| "none yet".to_owned()),
            text: delivery.last_answer.clone().filter(|text| !text.is_empty()),
            attempts: delivery.attempts,
            last: delivery.last_at_ms.and_then(rfc3339),
            next: delivery
                .due_at_ms
                .filter(|_| delivery.status == DeliveryStatus::Waiting)
                .and_then(rfc3339),
        }
    }
}
