//! HTTP: webhook, REST API, server-sent events, health.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::Control;
use crate::doctor::Doctor;
use crate::events::Receiver;
use crate::hub::{Hub, Permits};
use crate::metrics::Metrics;
use crate::model::{AppName, NodeId};
use crate::seal::KeyRing;
use crate::sinks::forward::Forwards;
use crate::sinks::live::Live;
use crate::sinks::nats;
use crate::sinks::record::Recordings;
use crate::sinks::relays::Relays;
use crate::sinks::webhooks::Webhooks;
use crate::store::Store;
use crate::telemetry::LogControl;
use crate::zoom::app::{Apps, ManagedApps, Occupancy};
use crate::zoom::install::Installer;

mod api_tokens;
mod apps;
mod arrivals;
mod assets;
mod audit;
mod audit_list;
mod audit_rows;
// Authentication by bearer token.
pub mod auth;
mod body;
mod client_address;
mod connections;
mod control;
// CORS: pages of other origins.
pub mod cors;
mod dashboard;
mod delivery_list;
mod docs;
mod doctor;
// Bounds on streamed answers.
pub mod download;
mod envelope;
mod error;
mod events;
mod extract;
mod forwards;
mod health;
mod health_report;
mod home;
mod idempotency;
mod installation_list;
mod installations;
mod json;
mod ledger;
mod live;
mod log_level;
mod metrics;
mod new_ticket;
mod notices;
mod oauth;
// The OpenAPI document.
pub mod openapi;
mod ops;
mod query;
mod range;
mod rate_limit;
mod readiness;
mod received_list;
mod recordings;
mod relay_socket;
mod relays;
mod request;
mod routes;
// The accept loop and its limits.
pub mod server;
mod session_list;
mod sessions;
// Tickets for browser requests that cannot send a token.
pub mod tickets;
mod token_list;
mod transcript;
mod video;
mod view;
mod watched_body;
mod webhook;
mod webhook_endpoints;
mod write_timeout;
mod zoom_urls;
mod zoom_webhooks;

pub use arrivals::Arrivals;
pub use audit::Refusals;
pub use client_address::{ForwardedHeader, TrustedProxies};
pub use docs::Documents;
pub use metrics::StoreFiguresCache;
pub use rate_limit::RateLimit;
pub use readiness::Readiness;
pub use routes::{health_router, metrics_router, router};
pub use webhook::{SignatureWarnings, check_path as check_webhook_path};

/// The path where an install begins.
const INSTALL_PATH: &str = "/api/v1/zoom/oauth/install";

/// The parameter of an install that names the app.
const APP_PARAMETER: &str = "app";

/// The path that begins the install of an app.
pub fn install_path(app: &AppName) -> String {
    match app.is_default() {
        true => INSTALL_PATH.to_owned(),
        false => format!("{INSTALL_PATH}?{APP_PARAMETER}={app}"),
    }
}

/// The path for the webhooks of an app, below the path for those of the default app.
pub fn app_webhook_path(webhook_path: &str, app: &str) -> String {
    if app == AppName::DEFAULT {
        return webhook_path.to_owned();
    }
    format!("{}/{app}", webhook_path.trim_end_matches('/'))
}

/// The state that the handlers share.
pub struct AppState {
    pub store: Store,
    pub hub: Arc<Hub>,
    pub recordings: Recordings,
    pub control: Arc<Control>,
    /// Checks the surroundings of the daemon on request.
    pub doctor: Doctor,
    pub webhooks: Webhooks,
    pub api_tokens: auth::TokenRegistry,
    pub ticket_keys: tickets::TicketKeys,
    /// Seals stored answers that hold a secret.
    pub answer_keys: KeyRing,
    /// Refused requests to be written to the audit trail.
    pub refusals: Arc<Refusals>,
    /// The pages that may use the API from a browser.
    pub cors: cors::AllowedOrigins,
    pub rate_limit: RateLimit,
    /// Browsers that are signed in to the dashboard; `None` without a dashboard.
    pub browsers: Option<auth::Browsers>,
    /// Wrong API tokens, by address.
    pub failures: auth::Failures,
    pub trusted_proxies: TrustedProxies,
    /// The streamed answers that are being read.
    pub downloads: Permits,
    /// The path for Zoom's webhooks; must pass [`check_webhook_path`].
    pub webhook_path: String,
    /// The apps that a request can name.
    pub apps: Apps,
    /// The same apps, for the calls that change them.
    pub managed_apps: ManagedApps,
    /// The streams that run here, for the health check.
    pub occupancy: Occupancy,
    /// The most that a webhook's timestamp may differ from the local clock, in seconds.
    pub webhook_tolerance_s: u32,
    pub signature_warnings: SignatureWarnings,
    /// Clock difference and refused requests of each app's webhooks.
    pub arrivals: Arrivals,
    pub installer: Installer,
    /// Whether browsers use https: then cookies are restricted to it.
    pub is_https: bool,
    /// How long a request body may take.
    pub body_timeout: Duration,
    /// The id of this daemon since its start, by which leases name it.
    pub node: NodeId,
    /// When it started, Unix milliseconds.
    pub started_ms: i64,
    /// The connection to the broker, if there is one.
    pub broker: Option<nats::Handle>,
    /// What the daemon logs.
    pub log: LogControl,
    /// The wall clock, Unix milliseconds.
    pub now_ms: fn() -> i64,
    /// Records Zoom's events.
    pub receiver: Receiver,
    /// Cancelled when the daemon stops: it is no longer ready, and event streams end.
    pub draining: CancellationToken,
    pub metrics: Metrics,
    /// What metrics show of the store.
    pub store_figures: StoreFiguresCache,
    pub documents: Documents,
    pub readiness: Readiness,
    pub live: Live,
    pub forwards: Arc<Forwards>,
    pub relays: Relays,
    /// WebSockets of live consumers; they end when the daemon drains, and the shutdown waits for them here.
    pub live_connections: TaskTracker,
    /// Requests that change something continue if their client hangs up; the shutdown waits for them here.
    pub requests: TaskTracker,
}
