//! `/api/v1/zoom/webhooks`: the log of what Zoom sent and what each webhook changed, and processing a refused one again.

mod endpoints;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

pub(super) use self::endpoints::list as list_endpoints;
use super::AppState;
use super::auth::Caller;
use super::envelope::{rfc3339, success};
use super::error::ApiError;
use super::extract::{InPath, Params, PathPart, cut_page};
use super::json::nothing;
use super::recorded::follow_up;
use crate::model::{
    AppName, AppScope, AuditRow, Delivery, InstallationId, Received, SessionId, WebhookOutcome,
    WebhookReason, parse_time,
};
use crate::store::ReceivedPage;
use crate::zoom::event::{self, Event};

/// The longest text that is searched for.
const MAX_TEXT_CHARS: usize = 200;
const TIME: &str = "must be Unix milliseconds or a time such as 2026-11-28T21:30:00Z";

/// One page of the log, newest first, without bodies; `next` is the `before` of the next page.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let (webhooks, next) = page(&state, &caller, &params).await?;
    let webhooks: Vec<_> = webhooks.iter().map(|it| ReceivedView::of(it, &caller)).collect();
    Ok(success("webhooks of Zoom", json!({ "webhooks": webhooks, "next": next })))
}

/// The page of the log that the query selects, and the `before` of the next one.
pub(super) async fn page(
    state: &AppState,
    caller: &Caller,
    params: &Params,
) -> Result<(Vec<Received>, Option<String>), ApiError> {
    let limit = params.limit()?;
    let outcomes = "must be changed, none, notice, refused or failed";
    let filter = ReceivedPage {
        before: params.parsed_filled("before", "must be the `next` of a page", read_cursor)?,
        // One row more than requested shows whether there is a next page.
        limit: limit + 1,
        apps: asked_apps(caller, params)?,
        event: params.filled("event"),
        outcome: params.parsed_filled("outcome", outcomes, WebhookOutcome::parse)?,
        reason: params.parsed_filled("reason", "must be one of the log", WebhookReason::parse)?,
        session: params.parsed_filled("session", "must be a session's id", SessionId::parse)?,
        from_ms: params.parsed_filled("from", TIME, parse_time)?,
        until_ms: params.parsed_filled("until", TIME, parse_time)?,
        text: params.parsed_filled("q", "must have at most 200 characters", searched_text)?,
    };
    let mut found = state.store.received_page(&filter).await?;
    let next = cut_page(&mut found, limit).map(cursor_of);
    Ok((found, next))
}

fn searched_text(text: &str) -> Option<&str> {
    (text.chars().count() <= MAX_TEXT_CHARS).then_some(text)
}

/// The apps that the caller may see, or the one of them that the query names.
fn asked_apps(caller: &Caller, params: &Params) -> Result<AppScope, ApiError> {
    let Some(name) = params.filled("app") else { return Ok(caller.apps.clone()) };
    match AppName::parse(name) {
        Ok(name) if caller.apps.includes(&name) => Ok(AppScope::Only([name].into())),
        _ => Err(ApiError::UnknownApp),
    }
}

fn cursor_of(webhook: &Received) -> String {
    format!("{}-{}", webhook.received_at_ms, webhook.digest)
}

fn read_cursor(text: &str) -> Option<(i64, &str)> {
    let (received_at_ms, digest) = text.split_once('-')?;
    Some((received_at_ms.parse().ok()?, Digest::read(digest).map(|_| digest)?))
}

/// One webhook, with its body for administrators.
pub(super) async fn show(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(digest): InPath<Digest>,
) -> Result<Response, ApiError> {
    let (webhook, body) = webhook_and_body(&state, &caller, &digest).await?;
    Ok(answer("webhook of Zoom", &webhook, body.as_deref(), &caller))
}

/// A webhook, and its body if it is kept and the caller may see it.
pub(super) async fn webhook_and_body(
    state: &AppState,
    caller: &Caller,
    Digest(digest): &Digest,
) -> Result<(Received, Option<String>), ApiError> {
    let webhook = state.store.received(digest).await?.ok_or(ApiError::UnknownWebhook)?;
    let body = match caller.is_admin && webhook.has_body {
        true => state.store.received_body(digest).await?,
        false => None,
    };
    Ok((webhook, body))
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
    let webhook = state.store.received(&digest).await?.ok_or(ApiError::UnknownWebhook)?;
    if !webhook.outcome.is_unprocessed() {
        return Ok(answer("the webhook was processed before", &webhook, None, &caller));
    }
    let delivery = delivery_again(&state, &webhook).await?;
    let act = AuditRow { detail: json!({ "event": webhook.event }), ..act }.of_app(&webhook.app);
    let recorded = state.store.process_again(&delivery, &act).await?;
    let message = match recorded {
        Some(recorded) => {
            caller.trail.set_noted();
            follow_up(&state, &delivery, recorded).await;
            "the webhook was processed"
        }
        None => "the webhook was processed before",
    };
    let webhook = state.store.received(&digest).await?.ok_or(ApiError::UnknownWebhook)?;
    Ok(answer(message, &webhook, None, &caller))
}

/// Reads a refused webhook as if it arrived now.
async fn delivery_again(state: &AppState, webhook: &Received) -> Result<Delivery, ApiError> {
    let body = state.store.received_body(&webhook.digest).await?.ok_or(ApiError::BodyNotKept)?;
    let app = state.apps.get(&webhook.app).filter(|app| app.may_send(&webhook.event));
    let app = app.ok_or(ApiError::StillRefused)?;
    match event::parse(body.as_bytes(), &app.name, (state.now_ms)()) {
        // The digest is that of the bytes as received, and the stored body may have been mended.
        Ok(Event::Delivery(delivery)) => {
            Ok(Delivery { digest: webhook.digest.clone(), ..*delivery })
        }
        Ok(Event::UrlValidation { .. }) | Err(_) => Err(ApiError::StillRefused),
    }
}

fn answer(message: &str, webhook: &Received, body: Option<&str>, caller: &Caller) -> Response {
    let mut view = json!(ReceivedView::of(webhook, caller));
    view["body"] = body.map_or(Value::Null, |body| {
        // Zoom's bodies are JSON; one that cannot be read back is shown as text.
        serde_json::from_str(body).unwrap_or_else(|_| Value::from(body))
    });
    success(message, json!({ "webhook": view }))
}

/// The id of a webhook: the digest of its bytes.
pub(super) struct Digest(pub String);

impl PathPart for Digest {
    const NAME: &'static str = "webhook";

    fn read(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }

    fn unknown() -> ApiError {
        ApiError::UnknownWebhook
    }
}

/// A webhook in JSON.
#[derive(Serialize)]
struct ReceivedView<'a> {
    id: &'a str,
    app: &'a AppName,
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
    fn of(webhook: &'a Received, caller: &Caller) -> Self {
        let may_see = |id: &&str| InstallationId::parse(id).is_some_and(|id| caller.may_use(id));
        Self {
            id: &webhook.digest,
            app: &webhook.app,
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
            installation_id: webhook.installation_id.as_deref().filter(may_see),
            has_body: webhook.has_body,
            processed_at: webhook.processed_at_ms.and_then(rfc3339),
            processed_at_ms: webhook.processed_at_ms,
        }
    }
}
