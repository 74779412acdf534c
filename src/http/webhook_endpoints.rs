//! `/api/v1/webhooks/endpoints`: manages the endpoints of outgoing webhooks and their deliveries. For administrators.

mod request;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use self::request::EndpointRequest;
use super::AppState;
use super::auth::Caller;
use super::delivery_list::read_deliveries;
use super::envelope::{rfc3339, success, success_as};
use super::error::ApiError;
use super::extract::{InPath, Params, PathPart};
use super::idempotency::HoldsSecret;
use super::json::nothing;
use crate::model::{
    AppName, AuditRow, EndpointId, EndpointSource, EndpointStatus, EventKind, WebhookEndpoint,
};
use crate::sinks::webhooks::{AskedEndpoint, EndpointError};
use crate::store::{DeliveryStatus, LoggedDelivery};

/// Lists all of them: there are few.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let endpoints = state.webhooks.endpoints(&caller.apps).await?;
    let endpoints: Vec<_> = endpoints.iter().map(EndpointView::of).collect();
    Ok(success("webhook endpoints", json!({ "endpoints": endpoints })))
}

/// Creates an endpoint. Only this answer contains its secret.
pub(super) async fn create(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let act = caller.trail.act((state.now_ms)(), "webhook_endpoint.create", "");
    let EndpointRequest { url, description, events, apps } = request::of_new(&body)?;
    let apps = caller.allowed_apps(&state.apps, apps.unwrap_or_default())?;
    let asked = AskedEndpoint { url, description, events, apps };
    let (endpoint, secret) = state.webhooks.create(asked, &act).await?;
    let data = json!({ "endpoint": EndpointView::of(&endpoint), "secret": secret.as_str() });
    let message = "webhook endpoint created: keep its secret";
    Ok(with_secret(success_as(StatusCode::CREATED, message, data)))
}

pub(super) async fn show(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<EndpointId>,
) -> Result<Response, ApiError> {
    let endpoint = state.webhooks.endpoint(id).await?;
    Ok(success("webhook endpoint", json!({ "endpoint": EndpointView::of(&endpoint) })))
}

/// Changes the fields in the body. `enabled: true` also resets the failures.
pub(super) async fn change(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<EndpointId>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let act = audit_row(&state, &caller, "webhook_endpoint.change", id);
    let mut change = request::of_change(&body)?;
    change.apps = change.apps.map(|apps| caller.allowed_apps(&state.apps, apps)).transpose()?;
    let endpoint = state.webhooks.change(id, change, &act).await?;
    Ok(success("webhook endpoint changed", json!({ "endpoint": EndpointView::of(&endpoint) })))
}

pub(super) async fn remove(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<EndpointId>,
) -> Result<Response, ApiError> {
    let act = audit_row(&state, &caller, "webhook_endpoint.delete", id);
    state.webhooks.remove(id, &act).await?;
    Ok(success("webhook endpoint deleted", json!({ "id": id })))
}

/// Creates a new secret, which only this answer contains. The old one also signs for a day.
pub(super) async fn rotate_secret(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<EndpointId>,
    body: Bytes,
) -> Result<Response, ApiError> {
    nothing(&body)?;
    let act = audit_row(&state, &caller, "webhook_endpoint.rotate_secret", id);
    let (endpoint, secret) = state.webhooks.rotate_secret(id, &act).await?;
    let data = json!({ "endpoint": EndpointView::of(&endpoint), "secret": secret.as_str() });
    Ok(with_secret(success("webhook secret rotated: keep the new one", data)))
}

pub(super) async fn test(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<EndpointId>,
    body: Bytes,
) -> Result<Response, ApiError> {
    nothing(&body)?;
    let act = audit_row(&state, &caller, "webhook_endpoint.test", id);
    let event_id = state.webhooks.test(id, &act).await?;
    let data = json!({ "event_id": event_id });
    Ok(success_as(StatusCode::ACCEPTED, "a test event is queued", data))
}

/// One page of an endpoint's deliveries, newest first; `next` is the `before` of the next page.
pub(super) async fn deliveries(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<EndpointId>,
    params: Params,
) -> Result<Response, ApiError> {
    let (found, next) = read_deliveries(&state, &caller, id, &params).await?;
    let deliveries: Vec<_> = found.iter().map(DeliveryView::of).collect();
    Ok(success("webhook deliveries", json!({ "deliveries": deliveries, "next": next })))
}

/// Sends an event again under the same id, whatever its outcome.
pub(super) async fn resend(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<EndpointId>,
    InPath(EventId(event_id)): InPath<EventId>,
    body: Bytes,
) -> Result<Response, ApiError> {
    nothing(&body)?;
    let act = audit_row(&state, &caller, "webhook_endpoint.resend", id);
    state.webhooks.resend(id, &event_id, &caller.apps, &act).await?;
    let data = json!({ "event_id": event_id });
    Ok(success_as(StatusCode::ACCEPTED, "the event is queued again", data))
}

fn audit_row(state: &AppState, caller: &Caller, action: &'static str, id: EndpointId) -> AuditRow {
    caller.trail.act((state.now_ms)(), action, &id.to_string())
}

// The idempotency layer seals the stored copy of this answer.
fn with_secret(mut response: Response) -> Response {
    response.extensions_mut().insert(HoldsSecret);
    response
}

impl PathPart for EndpointId {
    const NAME: &'static str = "id";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn unknown() -> ApiError {
        EndpointError::Unknown.into()
    }
}

/// The `event_id` of a delivery.
pub(super) struct EventId(String);

impl PathPart for EventId {
    const NAME: &'static str = "delivery";

    fn read(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn unknown() -> ApiError {
        EndpointError::UnknownDelivery.into()
    }
}

/// An endpoint in JSON.
#[derive(Serialize)]
struct EndpointView<'a> {
    id: EndpointId,
    source: EndpointSource,
    url: &'a str,
    description: &'a str,
    /// Empty means all.
    events: &'a [EventKind],
    /// The apps whose events it receives; null means all.
    apps: Option<&'a [AppName]>,
    enabled: bool,
    status: EndpointStatus,
    /// The first failure since the last success.
    failing_since: Option<String>,
    failing_since_ms: Option<i64>,
    /// Until then, the previous secret also signs.
    previous_secret_until: Option<String>,
    previous_secret_until_ms: Option<i64>,
    created_at: Option<String>,
    created_at_ms: i64,
    updated_at: Option<String>,
    updated_at_ms: i64,
}

impl<'a> EndpointView<'a> {
    fn of(endpoint: &'a WebhookEndpoint) -> Self {
        Self {
            id: endpoint.id,
            source: endpoint.source,
            url: &endpoint.url,
            description: &endpoint.description,
            events: &endpoint.events,
            apps: endpoint.apps.names(),
            enabled: endpoint.status == EndpointStatus::Enabled,
            status: endpoint.status,
            failing_since: endpoint.failing_since_ms.and_then(rfc3339),
            failing_since_ms: endpoint.failing_since_ms,
            previous_secret_until: endpoint.previous_until_ms.and_then(rfc3339),
            previous_secret_until_ms: endpoint.previous_until_ms,
            created_at: rfc3339(endpoint.created_at_ms),
            created_at_ms: endpoint.created_at_ms,
            updated_at: rfc3339(endpoint.updated_at_ms),
            updated_at_ms: endpoint.updated_at_ms,
        }
    }
}

/// A delivery in JSON.
#[derive(Serialize)]
struct DeliveryView<'a> {
    /// The header `webhook-id`.
    event_id: &'a str,
    #[serde(rename = "type")]
    kind: EventKind,
    /// The app that the event is about; null if it is about no single one.
    app: Option<&'a AppName>,
    status: DeliveryStatus,
    attempts: u32,
    /// The HTTP status of the last attempt; null if there was no answer.
    last_status: Option<u16>,
    /// Why there was no answer: `address_refused`, `no_connection`, `timed_out`, …
    last_error: Option<&'a str>,
    /// The beginning of the answer's body.
    last_answer: Option<&'a str>,
    last_try_at: Option<String>,
    last_try_at_ms: Option<i64>,
    next_try_at: Option<String>,
    next_try_at_ms: Option<i64>,
    created_at: Option<String>,
    created_at_ms: i64,
}

impl<'a> DeliveryView<'a> {
    fn of(delivery: &'a LoggedDelivery) -> Self {
        Self {
            event_id: &delivery.event_id,
            kind: delivery.kind,
            app: delivery.app.as_ref(),
            status: delivery.status,
            attempts: delivery.attempts,
            last_status: delivery.last_status,
            last_error: delivery.last_error.as_deref(),
            last_answer: delivery.last_answer.as_deref(),
            last_try_at: delivery.last_at_ms.and_then(rfc3339),
            last_try_at_ms: delivery.last_at_ms,
            next_try_at: delivery.due_at_ms.and_then(rfc3339),
            next_try_at_ms: delivery.due_at_ms,
            created_at: rfc3339(delivery.created_at_ms),
            created_at_ms: delivery.created_at_ms,
        }
    }
}
