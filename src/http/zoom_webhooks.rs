//! `/api/v1/zoom/webhooks`: the log of what Zoom sent and what each webhook changed, and processing a refused one again.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::AppState;
use super::auth::Caller;
use super::envelope::{rfc3339, success};
use super::error::ApiError;
use super::extract::{InPath, Params};
use super::json::nothing;
use super::received_list::{Digest, known_webhook, read_page, read_webhook};
use super::zoom_urls::read_endpoints;
use crate::model::{
    AppName, AuditRow, Delivery, DeliveryMethod, Received, SessionId, WebhookOutcome, WebhookReason,
};
use crate::zoom::event::{self, Event};

/// One page of the log, newest first, without bodies; `next` is the `before` of the next page.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let (webhooks, next) = read_page(&state, &caller, &params).await?;
    let webhooks: Vec<_> = webhooks.iter().map(ReceivedView::of).collect();
    Ok(success("webhooks of Zoom", json!({ "webhooks": webhooks, "next": next })))
}

/// The state of the URLs of the apps that the caller may see.
pub(super) async fn list_endpoints(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let endpoints = read_endpoints(&state, &caller).await?;
    Ok(success("webhook endpoints for Zoom", json!({ "endpoints": endpoints })))
}

/// One webhook, with its body for administrators.
pub(super) async fn show(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(digest): InPath<Digest>,
) -> Result<Response, ApiError> {
    let (webhook, body) = read_webhook(&state, &caller, &digest).await?;
    Ok(answer("webhook of Zoom", &webhook, body.as_deref()))
}

/// Processes a webhook that was refused or failed. One that has been processed is answered as it is.
pub(super) async fn process(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(Digest(digest)): InPath<Digest>,
    body: Bytes,
) -> Result<Response, ApiError> {
    nothing(&body)?;
    let act = caller.trail.act((state.now_ms)(), "webhook.process", &digest);
    let webhook = known_webhook(&state, &caller, &digest).await?;
    if !webhook.outcome.is_unprocessed() {
        return Ok(answer("the webhook was processed before", &webhook, None));
    }
    let delivery = delivery_again(&state, &webhook).await?;
    let act = AuditRow { detail: json!({ "event": webhook.event }), ..act }.of_app(&webhook.app);
    let recorded = state.store.process_again(&delivery, &act).await?;
    let message = match recorded {
        Some(recorded) => {
            caller.trail.set_noted();
            state.receiver.follow_up(&delivery, recorded).await;
            "the webhook was processed"
        }
        None => "the webhook was processed before",
    };
    let webhook = known_webhook(&state, &caller, &digest).await?;
    Ok(answer(message, &webhook, None))
}

/// Reads a refused webhook as if it arrived now.
async fn delivery_again(state: &AppState, webhook: &Received) -> Result<Delivery, ApiError> {
    let body = state.store.received_body(&webhook.digest).await?.ok_or(ApiError::BodyNotKept)?;
    let app = state.apps.get(&webhook.app).filter(|app| app.may_send(&webhook.event));
    let app = app.ok_or(ApiError::StillRefused)?;
    match event::parse(body.as_bytes(), &app.name, (state.now_ms)()) {
        // The row keeps the digest of the bytes as received; the stored body may differ, where characters were replaced.
        Ok(Event::Delivery(delivery)) => {
            let (digest, method) = (webhook.digest.clone(), webhook.method);
            Ok(Delivery { digest, method, ..*delivery })
        }
        Ok(Event::UrlValidation { .. }) | Err(_) => Err(ApiError::StillRefused),
    }
}

fn answer(message: &str, webhook: &Received, body: Option<&str>) -> Response {
    let mut view = json!(ReceivedView::of(webhook));
    view["body"] = body.map_or(Value::Null, |body| {
        // Zoom's bodies are JSON; one that cannot be read back is shown as text.
        serde_json::from_str(body).unwrap_or_else(|_| Value::from(body))
    });
    success(message, json!({ "webhook": view }))
}

/// A webhook in JSON.
#[derive(Serialize)]
struct ReceivedView<'a> {
    id: &'a str,
    app: &'a AppName,
    /// How it came: by webhook or over the event socket.
    method: DeliveryMethod,
    event: &'a str,
    /// Zoom's time of the event.
    at: Option<String>,
    at_ms: i64,
    received_at: Option<String>,
    received_at_ms: i64,
    outcome: WebhookOutcome,
    /// What it changed, or why it changed nothing; null if an earlier version recorded it.
    reason: Option<WebhookReason>,
    session_id: Option<SessionId>,
    meeting_id: Option<&'a str>,
    stream_id: Option<&'a str>,
    ordinal: Option<u32>,
    /// The installation that it revoked; null for a token that may not see it.
    installation_id: Option<&'a str>,
    /// Whether its body is kept.
    has_body: bool,
    /// When it was processed again.
    processed_at: Option<String>,
    processed_at_ms: Option<i64>,
}

impl<'a> ReceivedView<'a> {
    fn of(webhook: &'a Received) -> Self {
        Self {
            id: &webhook.digest,
            app: &webhook.app,
            method: webhook.method,
            event: &webhook.event,
            at: rfc3339(webhook.event_ts_ms),
            at_ms: webhook.event_ts_ms,
            received_at: rfc3339(webhook.received_at_ms),
            received_at_ms: webhook.received_at_ms,
            outcome: webhook.outcome,
            reason: webhook.reason,
            session_id: webhook.session_id,
            meeting_id: webhook.meeting_id.as_deref(),
            stream_id: webhook.stream_id.as_ref().map(|id| id.as_str()),
            ordinal: webhook.ordinal,
            installation_id: webhook.installation_id.as_deref(),
            has_body: webhook.has_body,
            processed_at: webhook.processed_at_ms.and_then(rfc3339),
            processed_at_ms: webhook.processed_at_ms,
        }
    }
}
