//! `/api/v1/relays`: manages the programs that streams are served on to. For administrators.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::AppState;
use super::auth::Caller;
use super::envelope::{rfc3339, success, success_as};
use super::error::ApiError;
use super::extract::InPath;
use super::json::parse_fields;
use crate::model::{
    AppName, AuditRow, EndpointSource, MediaSet, Metadata, Product, Relay, RelayGap, RelayId,
    SessionId, StreamId,
};
use crate::sinks::relays::{AskedRelay, FIELDS, FieldProblem, ProgramStatus, ShownStream};
use crate::store::LoggedRelayEvent;

/// Lists all of them: there are few.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let relays = state.relays.relays(&caller.apps).await?;
    let relays: Vec<_> = relays.iter().map(RelayView::of).collect();
    Ok(success("relays", json!({ "relays": relays })))
}

pub(super) async fn create(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let act = caller.trail.act((state.now_ms)(), "relay.create", "");
    let mut asked = AskedRelay::read_new(&parse_fields(&body, &FIELDS)?)?;
    asked.apps = Some(caller.allowed_apps(&state.apps, asked.apps.unwrap_or_default())?);
    let relay = state.relays.create(asked, &act).await?;
    let data = json!({ "relay": RelayView::of(&relay) });
    Ok(success_as(StatusCode::CREATED, "relay created", data))
}

pub(super) async fn show(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<RelayId>,
) -> Result<Response, ApiError> {
    let relay = state.relays.relay(id).await?;
    Ok(success("relay", json!({ "relay": RelayView::of(&relay) })))
}

/// Changes the fields in the body.
pub(super) async fn change(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<RelayId>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let act = audit_row(&state, &caller, "relay.change", id);
    let mut asked = AskedRelay::read(&parse_fields(&body, &FIELDS)?)?;
    asked.apps = asked.apps.map(|apps| caller.allowed_apps(&state.apps, apps)).transpose()?;
    let relay = state.relays.change(id, &asked, &act).await?;
    Ok(success("relay changed", json!({ "relay": RelayView::of(&relay) })))
}

pub(super) async fn remove(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<RelayId>,
) -> Result<Response, ApiError> {
    let act = audit_row(&state, &caller, "relay.delete", id);
    state.relays.remove(id, &act).await?;
    Ok(success("relay deleted", json!({ "id": id })))
}

/// The newest streams of a relay, with what its program is doing and has missed.
pub(super) async fn streams(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<RelayId>,
) -> Result<Response, ApiError> {
    let mut shown = Vec::new();
    for stream in state.relays.streams(id).await? {
        if may_see(&state, &caller, stream.stored.session_id).await? {
            shown.push(stream);
        }
    }
    let streams: Vec<_> = shown.iter().map(StreamView::of).collect();
    Ok(success("streams of the relay", json!({ "streams": streams })))
}

/// The newest webhooks to a relay's program.
pub(super) async fn deliveries(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<RelayId>,
) -> Result<Response, ApiError> {
    let mut shown = Vec::new();
    for event in state.relays.events(id).await? {
        if may_see(&state, &caller, event.session_id).await? {
            shown.push(event);
        }
    }
    let deliveries: Vec<_> = shown.iter().map(DeliveryView::of).collect();
    Ok(success("webhooks to the relay's program", json!({ "deliveries": deliveries })))
}

/// Whether the session's app is one of the caller's: the relay may have served other apps before it was changed.
async fn may_see(state: &AppState, caller: &Caller, session: SessionId) -> Result<bool, ApiError> {
    let app = state.store.app_of_session(session).await?;
    Ok(app.is_some_and(|app| caller.apps.includes(&app)))
}

fn audit_row(state: &AppState, caller: &Caller, action: &'static str, id: RelayId) -> AuditRow {
    caller.trail.act((state.now_ms)(), action, &id.to_string())
}

impl From<FieldProblem> for ApiError {
    fn from(FieldProblem { name, problem }: FieldProblem) -> Self {
        Self::InvalidValue { name, problem }
    }
}

/// A relay in JSON, without its secrets.
#[derive(Serialize)]
struct RelayView<'a> {
    id: RelayId,
    source: EndpointSource,
    name: &'a str,
    webhook_url: &'a str,
    client_id: &'a str,
    media: MediaSet,
    /// Null means all.
    product: Option<Product>,
    /// Empty means all.
    host_ids: &'a [String],
    metadata: &'a Metadata,
    /// The apps whose streams it gets; null means all.
    apps: Option<&'a [AppName]>,
    catch_up: bool,
    /// The last validation of the URL.
    validated_at: Option<String>,
    validated_at_ms: Option<i64>,
    /// Why it failed; null if it succeeded.
    validation_error: Option<&'a str>,
    created_at: Option<String>,
    created_at_ms: i64,
    updated_at: Option<String>,
    updated_at_ms: i64,
}

impl<'a> RelayView<'a> {
    fn of(relay: &'a Relay) -> Self {
        let (validated_at_ms, validation_error) = match &relay.validation {
            Some((at_ms, error)) => (Some(*at_ms), error.as_deref()),
            None => (None, None),
        };
        Self {
            id: relay.id,
            source: relay.source,
            name: &relay.name,
            webhook_url: &relay.webhook_url,
            client_id: &relay.client_id,
            media: relay.filter.media,
            product: relay.filter.product,
            host_ids: &relay.filter.host_ids,
            metadata: &relay.filter.metadata,
            apps: relay.filter.apps.names(),
            catch_up: relay.catch_up,
            validated_at: validated_at_ms.and_then(rfc3339),
            validated_at_ms,
            validation_error,
            created_at: rfc3339(relay.created_at_ms),
            created_at_ms: relay.created_at_ms,
            updated_at: rfc3339(relay.updated_at_ms),
            updated_at_ms: relay.updated_at_ms,
        }
    }
}

/// A stream of a relay in JSON.
#[derive(Serialize)]
struct StreamView<'a> {
    stream_id: &'a StreamId,
    session_id: SessionId,
    /// The URL in the last announcement.
    server_url: &'a str,
    announcements: i64,
    /// What the program is doing; null if the stream does not run on this daemon.
    program: Option<&'a ProgramStatus>,
    /// The number of the last entry that the program is known to have.
    acknowledged: u64,
    /// What the program missed, and nobody else.
    gaps: &'a [RelayGap],
    updated_at: Option<String>,
    updated_at_ms: i64,
}

impl<'a> StreamView<'a> {
    fn of(ShownStream { stored, status }: &'a ShownStream) -> Self {
        Self {
            stream_id: &stored.stream_id,
            session_id: stored.session_id,
            server_url: &stored.server_url,
            announcements: stored.announcements,
            program: status.as_ref(),
            acknowledged: status.as_ref().map_or(stored.acknowledged, |it| it.acknowledged),
            gaps: status.as_ref().map_or(&*stored.gaps, |it| &*it.gaps),
            updated_at: rfc3339(stored.updated_at_ms),
            updated_at_ms: stored.updated_at_ms,
        }
    }
}

/// A webhook to a program in JSON.
#[derive(Serialize)]
struct DeliveryView<'a> {
    event: &'a str,
    stream_id: &'a StreamId,
    session_id: SessionId,
    delivered: bool,
    attempts: u32,
    /// The HTTP status of the last attempt; null if there was no answer.
    last_status: Option<u16>,
    /// Why there was no answer.
    last_error: Option<&'a str>,
    last_try_at: Option<String>,
    last_try_at_ms: Option<i64>,
    next_try_at: Option<String>,
    next_try_at_ms: Option<i64>,
    created_at: Option<String>,
    created_at_ms: i64,
}

impl<'a> DeliveryView<'a> {
    fn of(event: &'a LoggedRelayEvent) -> Self {
        Self {
            event: &event.name,
            stream_id: &event.stream_id,
            session_id: event.session_id,
            delivered: event.is_delivered,
            attempts: event.attempts,
            last_status: event.last_status,
            last_error: event.last_error.as_deref(),
            last_try_at: event.last_at_ms.and_then(rfc3339),
            last_try_at_ms: event.last_at_ms,
            next_try_at: event.due_at_ms.and_then(rfc3339),
            next_try_at_ms: event.due_at_ms,
            created_at: rfc3339(event.created_at_ms),
            created_at_ms: event.created_at_ms,
        }
    }
}
