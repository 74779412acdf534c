//! HTTP: webhook, REST API, server-sent events, health.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::Control;
use crate::hub::Hub;
use crate::model::StreamId;
use crate::store::Store;
use crate::zoom::install::Installer;
use crate::zoom::signature::WebhookKey;

/// Bearer tokens of the API.
pub mod auth;
mod body;
mod control;
mod counters;
mod envelope;
mod error;
mod events;
mod idempotency;
mod installations;
mod oauth;
mod ops;
mod params;
mod rate;
mod refused;
mod request;
/// The accept loop and its limits.
pub mod server;
mod sessions;
mod stall;
mod transcript;
mod webhook;

pub use counters::Counters;
use error::ApiError;
pub use rate::RateLimit;
pub use webhook::check_path as check_webhook_path;

/// What the handlers work with.
pub struct AppState {
    pub store: Store,
    pub hub: Arc<Hub>,
    pub control: Arc<Control>,
    pub api_tokens: auth::ApiTokens,
    pub rate_limit: RateLimit,
    /// Where Zoom sends webhooks; must pass [`check_webhook_path`].
    pub webhook_path: String,
    pub webhook_key: WebhookKey,
    /// How far a webhook's timestamp may be from our clock, either way, in seconds.
    pub webhook_tolerance_s: u32,
    pub installer: Installer,
    /// Whether browsers reach us over https: then cookies are for https only.
    pub is_https: bool,
    /// How long a request body may take.
    pub body_timeout: Duration,
    /// The wall clock, Unix milliseconds.
    pub now_ms: fn() -> i64,
    /// Streams that a webhook has changed, for whoever runs streams. Never waited for.
    pub on_change: mpsc::Sender<StreamId>,
    /// Cancelled when the daemon is told to stop: not ready any more, event streams end.
    pub draining: CancellationToken,
    pub counters: Arc<Counters>,
    /// Requests that change something go on when their client hangs up; whoever stops waits for them here.
    pub requests: TaskTracker,
}

/// Every path of the daemon.
///
/// # Panics
/// When `webhook_path` did not pass [`check_webhook_path`].
pub fn router(state: Arc<AppState>) -> Router {
    let api = Router::new()
        .route("/sessions", get(sessions::list).post(control::create))
        .route("/sessions/{id}", get(sessions::show))
        .route("/sessions/{id}/transcript", get(transcript::download))
        .route("/sessions/{id}/events", get(events::subscribe))
        .route("/sessions/{id}/timeline", get(control::timeline))
        .route("/sessions/{id}/rtms/start", post(control::start))
        .route("/sessions/{id}/rtms/stop", post(control::stop))
        .route("/sessions/{id}/rtms/pause", post(control::pause))
        .route("/sessions/{id}/rtms/resume", post(control::resume))
        .route_layer(from_fn_with_state(Arc::clone(&state), idempotency::once))
        .route_layer(from_fn_with_state(Arc::clone(&state), auth::require_scope));
    Router::new()
        .nest("/api/v1/sdk", api)
        .nest("/api/v1/zoom", zoom(&state))
        .route("/health/live", get(ops::live))
        .route("/health/ready", get(ops::ready))
        .route(&state.webhook_path, post(webhook::receive))
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .fallback(|| async { ApiError::UnknownRoute })
        .layer(from_fn_with_state(Arc::clone(&state.counters), request::observe))
        .with_state(state)
}

/// Installing, for browsers without a token, and what programs do with installations.
fn zoom(state: &Arc<AppState>) -> Router<Arc<AppState>> {
    let scoped = Router::new()
        .route("/installations", get(installations::list))
        .route("/installations/{id}", get(installations::show).delete(installations::remove))
        .route_layer(from_fn_with_state(Arc::clone(state), auth::require_scope));
    let control = Router::new()
        .route("/oauth/authorize-url", get(oauth::authorize_url))
        .route_layer(from_fn_with_state(Arc::clone(state), auth::require_control));
    // A HEAD would use the state and the code up, and show nobody the page.
    let no_head = async || ApiError::MethodNotAllowed;
    Router::new()
        .route("/oauth/install", get(oauth::install))
        .route("/oauth/callback", get(oauth::callback).head(no_head))
        .merge(scoped)
        .merge(control)
}
