//! `POST /webhook` and `POST /webhook/{app}`: receives Zoom's webhooks (rtms-protocol.md section 13).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;

use super::error::ApiError;
use super::query::first_value;
use super::request::WebhookLogFields;
use super::{AppState, body};
use crate::model::{AppName, DeliveryMethod, WebhookReason};
use crate::store::{StoreError, Validation};
use crate::zoom::app::App;
use crate::zoom::event::{self, Event, URL_VALIDATION};
use crate::zoom::signature::{
    PlainToken, SIGNATURE_HEADER, SignatureError, SignatureHeaders, TIMESTAMP_HEADER, WebhookKey,
};

/// Real webhooks have less than 2 KiB.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// How long noting a validation may delay the answer, for which Zoom waits 3 s (section 13.4).
const RECORD_DEADLINE: Duration = Duration::from_millis(2500);

/// The time between two warnings about wrong signatures.
const WARNING_INTERVAL_MS: i64 = 60_000;

const METHOD: DeliveryMethod = DeliveryMethod::Webhook;

/// The answer to a recorded webhook.
const RECORDED: &str = r#"{"message":"recorded","status":true}"#;

/// Paths that a webhook cannot have.
const TAKEN: [&str; 7] =
    ["/health/", "/api/", "/docs", "/metrics", "/openapi.json", "/assets/", "/dashboard"];

/// Checks a webhook path: it starts with `/`, is plain text and none of the daemon's own paths.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.~".contains(&byte);
    if !path.starts_with('/') {
        Err("must start with /")
    } else if !path.bytes().all(plain) {
        Err("may hold only A-Z a-z 0-9 / _ - . ~")
    } else if TAKEN.iter().any(|taken| path.starts_with(taken)) {
        // `/docs` and the like are compared as prefixes too: nothing near the daemon's own paths is allowed.
        Err(
            "must not be under /api, /health, /assets or /dashboard, nor /docs, /metrics or /openapi.json",
        )
    } else {
        Ok(())
    }
}

/// The parameter with which the path without a name receives for another app, as in `?type=video`.
const TYPE_PARAMETER: &str = "type";

/// Answers after the delivery and its effect are stored, and before any socket is dialled. Zoom retries only after 5xx,
/// so an unavailable store is answered with it, and a bad request never is.
pub(super) async fn receive(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    let app = first_value(request.uri().query(), TYPE_PARAMETER)
        .and_then(|name| named_app(&state, &name))
        .or_else(|| state.apps.get(&AppName::default()));
    counted_answer(&state, app, request).await
}

/// Receives the webhooks of the app that the path names.
pub(super) async fn receive_for_app(
    State(state): State<Arc<AppState>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let app = named_app(&state, &name);
    counted_answer(&state, app, request).await
}

fn named_app(state: &AppState, name: &str) -> Option<Arc<App>> {
    state.apps.get(&AppName::parse(name).ok()?)
}

/// Logs wrong webhook signatures, at most once a minute: anybody can send them.
#[derive(Debug, Default)]
pub struct SignatureWarnings {
    /// When the next one may be logged, Unix milliseconds.
    next_ms: AtomicI64,
}

impl SignatureWarnings {
    fn warn(&self, app: &App, now_ms: i64) {
        if !self.is_due(now_ms) {
            return;
        }
        let is_default = app.name.is_default();
        let setting = if is_default { "ZOOM_SECRET_TOKEN" } else { "the app's secret_tokens" };
        if app.secret_tokens.is_empty() {
            tracing::warn!(
                app = %app.name,
                "a webhook came, and {setting} is not set, because the app's events come over a WebSocket; \
                the webhook is refused (further ones are logged once a minute)"
            );
        } else {
            tracing::warn!(
                app = %app.name,
                "a webhook's signature does not fit {setting}; the webhook is refused. \
                If Zoom sent it, copy the Secret Token of the Zoom app again (further ones are logged once a minute)"
            );
        }
    }

    fn is_due(&self, now_ms: i64) -> bool {
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let later_ms = now_ms.saturating_add(WARNING_INTERVAL_MS);
        // A clock that was set back must not silence the warning for long.
        let is_due = now_ms >= next_ms || next_ms > later_ms;
        let order = Ordering::Relaxed;
        // Of two threads that see it due, one wins the exchange and logs.
        is_due && self.next_ms.compare_exchange(next_ms, later_ms, order, order).is_ok()
    }
}

/// What the metrics and the log say of a webhook.
#[derive(Default)]
struct Noted {
    /// Empty before the body was read.
    event: String,
    /// What came of it, if nothing failed.
    outcome: &'static str,
}

/// Answers a webhook and counts it.
async fn counted_answer(
    state: &AppState,
    app: Option<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (began, mut noted) = (Instant::now(), Noted::default());
    let app = app.as_deref();
    let mut answer = match app {
        Some(app) => answer_of_app(state, app, request, &mut noted).await,
        None => Err(ApiError::UnknownApp),
    };
    let name = app.map_or("", |app| app.name.as_str());
    let outcome = match &answer {
        Ok(_) => noted.outcome,
        Err(error) if error.status().is_client_error() => "refused",
        Err(_) => "failed",
    };
    state.metrics.webhooks.inc([name, &noted.event, outcome]);
    state.metrics.webhook_latency.observe_time([name], began.elapsed());
    if let (Some(app), Err(error), "refused") = (app, &answer, outcome) {
        state.arrivals.note_refused(&app.name, error.code(), (state.now_ms)());
    }
    if let (Some(app), Ok(response)) = (app, &mut answer) {
        let webhook = WebhookLogFields { app: app.name.clone(), event: noted.event, outcome };
        response.extensions_mut().insert(webhook);
    }
    answer
}

async fn answer_of_app(
    state: &AppState,
    app: &App,
    request: Request,
    noted: &mut Noted,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let raw = body::read_body(body, MAX_BODY_BYTES, state.body_timeout).await?;
    // Read after the body: the tolerance includes the time that the body takes.
    let now_ms = (state.now_ms)();
    let headers = signature_headers(&parts.headers);
    // The signature covers the raw bytes, so it is checked before they are parsed.
    let key = match app.check_webhook(headers, &raw, now_ms, state.webhook_tolerance_s) {
        Ok(key) => key,
        Err(error) => return Err(refuse_signature(state, app, &raw, error, now_ms).await),
    };
    state.metrics.last_webhook.set([app.name.as_str()], now_ms as f64 / 1000.0);
    if let Some(age_s) = headers.age_s(now_ms) {
        state.arrivals.note_age(&app.name, age_s);
    }
    match event::parse(&raw, &app.name, now_ms) {
        Err(error) => {
            let reason = WebhookReason::Malformed;
            state.receiver.record_unreadable(&raw, app, METHOD, reason, now_ms).await;
            Err(ApiError::Event(error))
        }
        Ok(Event::UrlValidation { plain_token }) => {
            *noted = Noted { event: URL_VALIDATION.to_owned(), outcome: "validated" };
            // A check by a daemon itself does not show that Zoom knows the URL.
            if !plain_token.is_of_daemon() {
                note_validation(state, app, &key, now_ms).await;
            }
            Ok(validation_response(app, &key, &plain_token))
        }
        Ok(Event::Delivery(delivery)) => {
            noted.event.clone_from(&delivery.event);
            noted.outcome = state.receiver.receive(app, *delivery).await?;
            Ok(([(CONTENT_TYPE, "application/json")], RECORDED).into_response())
        }
    }
}

/// Refuses a request whose signature does not count. A webhook that Zoom signed too long ago by the local clock is
/// recorded: the clock may be wrong, and the webhook can be processed when it is right.
async fn refuse_signature(
    state: &AppState,
    app: &App,
    raw: &[u8],
    error: SignatureError,
    now_ms: i64,
) -> ApiError {
    match error {
        SignatureError::Wrong => state.signature_warnings.warn(app, now_ms),
        SignatureError::OutOfWindow { age_s, .. } => {
            state.arrivals.note_age(&app.name, age_s);
            match event::parse(raw, &app.name, now_ms) {
                Ok(Event::Delivery(delivery)) => state.receiver.record_late(app, *delivery).await,
                // Zoom repeats a validation when somebody asks for it.
                Ok(Event::UrlValidation { .. }) => {}
                Err(_) => {
                    let reason = WebhookReason::OutOfWindow;
                    state.receiver.record_unreadable(raw, app, METHOD, reason, now_ms).await;
                }
            }
        }
        SignatureError::Missing(_) | SignatureError::Malformed(_) => {}
    }
    ApiError::Signature(error)
}

async fn note_validation(state: &AppState, app: &App, key: &WebhookKey, now_ms: i64) {
    let validation = Validation { at_ms: now_ms, secret: key.fingerprint() };
    let noting = state.store.note_validation(&app.name, &validation);
    let noted = timeout(RECORD_DEADLINE, noting).await;
    if let Err(error) = noted.unwrap_or_else(|_| Err(StoreError::timed_out())) {
        tracing::warn!(app = %app.name, %error,
            "the time of a URL validation could not be written; the next validation replaces it");
    }
}

/// The first value of a repeated header counts.
fn signature_headers(headers: &HeaderMap) -> SignatureHeaders<'_> {
    let value = |name| headers.get(name).map(|value| value.as_bytes());
    SignatureHeaders { timestamp: value(TIMESTAMP_HEADER), signature: value(SIGNATURE_HEADER) }
}

fn validation_response(app: &App, key: &WebhookKey, plain_token: &PlainToken) -> Response {
    match plain_token.is_of_daemon() {
        false => tracing::info!(app = %app.name, "Zoom validated the webhook URL"),
        true => tracing::debug!(app = %app.name, "the doctor checked the webhook URL"),
    }
    Json(json!({
        "plainToken": plain_token.as_str(),
        "encryptedToken": key.encrypted_token(plain_token),
    }))
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::{SignatureWarnings, check_path};

    #[test]
    fn a_wrong_signature_is_logged_once_a_minute() {
        let warnings = SignatureWarnings::default();
        let due = [1_000_000, 1_000_001, 1_059_999, 1_060_000, 1_060_001, 5_000, 5_001];
        let due = due.map(|now_ms| warnings.is_due(now_ms));
        assert_eq!(due, [true, false, false, true, false, true, false]);
    }

    #[test]
    fn a_webhook_path_is_plain_and_not_one_of_the_daemons() {
        for good in ["/webhook", "/", "/zoom/hook-1_2.x"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "webhook",
            "/{id}",
            "/a b",
            "/*",
            "/health/live",
            "/api/v1/sdk/sessions",
            "/docs",
            "/metrics",
            "/openapi.json",
            "/assets/x",
            "/dashboard/sessions",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
