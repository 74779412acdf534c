//! `/api/v1/apps`: shows the Zoom apps, and adds, changes and deletes those that the settings do not describe. For
//! administrators. No answer contains a secret.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::auth::Caller;
use super::envelope::{success, success_as};
use super::error::ApiError;
use super::extract::{InPath, Params, PathPart};
use super::json::parse_object;
use super::{AppState, app_webhook_path, install_path};
use crate::model::params::Params as MediaParams;
use crate::model::{AppName, AuditRow, Product, rfc3339};
use crate::zoom::app::{App, AutoStart, Listed};
use crate::zoom::event_socket::EventsUrl;
use crate::zoom::token::Configured;

const NAME: &str = "name";
/// The fields that need a token of all apps.
const OPERATOR_FIELDS: [&str; 9] = [
    "api_base_url",
    "oauth_base_url",
    "rtms_allowed_hosts",
    "rtms_allow_ws",
    "recordings_url",
    "recordings_layout",
    "recordings_store",
    "max_streams_per_app",
    "api_rate_limit_per_second_per_app",
];

/// Lists those that the caller may see: there are few.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let mut listed = state.managed_apps.list().await;
    listed.retain(|listed| caller.apps.includes(&listed.app.name));
    let apps: Vec<_> = listed.iter().map(|listed| AppView::of(&state, listed)).collect();
    Ok(success("apps", json!({ "apps": apps })))
}

pub(super) async fn show(
    State(state): State<Arc<AppState>>,
    InPath(name): InPath<AppName>,
) -> Result<Response, ApiError> {
    let listed = state.managed_apps.show(&name).await?;
    Ok(success("app", json!({ "app": AppView::of(&state, &listed) })))
}

/// Adds an app. Its webhooks are taken from now on, by every daemon of the store within seconds.
pub(super) async fn create(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let mut fields = parse_object(&body)?;
    let name = fields.remove(NAME).as_ref().and_then(Value::as_str).map(AppName::parse);
    let name = name.and_then(Result::ok).ok_or(ApiError::InvalidValue {
        name: NAME,
        problem: "must have 1 to 32 characters of a-z, 0-9, - and _, and begin with a letter or a digit",
    })?;
    let act = audit_row(&state, &caller, "app.create", &name, &fields);
    if !caller.apps.includes(&name) {
        return Err(ApiError::UnknownApp);
    }
    check_fields(&caller, &fields)?;
    let listed = state.managed_apps.add(&name, &fields, &act).await?;
    let data = json!({ "app": AppView::of(&state, &listed) });
    Ok(success_as(StatusCode::CREATED, "app added", data))
}

/// Changes the fields in the body; null removes one. Streams that run keep what they have.
pub(super) async fn change(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(name): InPath<AppName>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let fields = parse_object(&body)?;
    check_fields(&caller, &fields)?;
    let act = audit_row(&state, &caller, "app.change", &name, &fields);
    let listed = state.managed_apps.change(&name, &fields, &act).await?;
    Ok(success("app changed", json!({ "app": AppView::of(&state, &listed) })))
}

pub(super) async fn remove(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(name): InPath<AppName>,
    params: Params,
) -> Result<Response, ApiError> {
    let force = params.parsed("force", "must be true or false", |text| text.parse().ok())?;
    let act = audit_row(&state, &caller, "app.delete", &name, &Map::new());
    state.managed_apps.remove(&name, force.unwrap_or(false), &act).await?;
    Ok(success("app deleted", json!({ "name": name })))
}

/// Refuses fields that an administrator of single apps may not set: where this machine connects and writes, and the share
/// of the app.
fn check_fields(caller: &Caller, fields: &Map<String, Value>) -> Result<(), ApiError> {
    let reserved = OPERATOR_FIELDS.into_iter().find(|field| fields.contains_key(*field));
    match reserved.filter(|_| caller.apps.names().is_some()) {
        Some(field) => Err(ApiError::OperatorOnly(field)),
        None => Ok(()),
    }
}

/// The row names the fields that a call sets, and no value.
fn audit_row(
    state: &AppState,
    caller: &Caller,
    action: &'static str,
    name: &AppName,
    fields: &Map<String, Value>,
) -> AuditRow {
    let act = caller.trail.act((state.now_ms)(), action, name.as_str()).of_app(name);
    let fields: Vec<_> = fields.keys().collect();
    AuditRow { detail: json!({ "fields": fields }), ..act }
}

impl PathPart for AppName {
    const NAME: &'static str = "app";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    fn unknown() -> ApiError {
        ApiError::UnknownApp
    }
}

/// An app in JSON, without its secrets.
#[derive(Serialize)]
struct AppView<'a> {
    name: &'a AppName,
    source: &'static str,
    products: &'a [Product],
    client_id: &'a str,
    /// The URL of the event subscription over a WebSocket.
    events_url: Option<&'a str>,
    /// How many there are: two while one is being replaced.
    secret_tokens: usize,
    webhook_path: String,
    install_path: String,
    oauth_redirect_url: &'a str,
    account_id: Option<&'a str>,
    s2s_client_id: Option<&'a str>,
    has_access_token: bool,
    video_api_key: Option<&'a str>,
    api_base_url: &'a str,
    oauth_base_url: &'a str,
    media: &'a MediaParams,
    rtms_auto_start: Value,
    rtms_auto_stop_after_seconds: Option<u64>,
    rtms_restart_attempts: u32,
    rtms_restart_after_seconds: u64,
    rtms_streams_per_meeting: &'static str,
    api_rate_limit_per_second_per_app: Option<u32>,
    max_streams_per_app: Option<usize>,
    retention_entries: String,
    retention_media: String,
    retention_deliveries: String,
    retention_sessions: String,
    retention_audit: String,
    /// Without credentials; null if the app's recordings go where those of the daemon go.
    recordings_url: Option<&'a str>,
    recordings_layout: Option<&'a str>,
    created_at: Option<String>,
    created_at_ms: Option<i64>,
    updated_at: Option<String>,
    updated_at_ms: Option<i64>,
}

impl<'a> AppView<'a> {
    fn of(state: &AppState, listed: &'a Listed) -> Self {
        let app: &App = &listed.app;
        let (created_at_ms, updated_at_ms) = listed.stored.unzip();
        let account = match &app.configured {
            Configured::Account { account_id, client } => Some((account_id, client)),
            _ => None,
        };
        Self {
            name: &app.name,
            source: if listed.stored.is_some() { "api" } else { "configuration" },
            products: &app.products,
            client_id: &app.client.id,
            events_url: app.events_url.as_ref().map(EventsUrl::as_str),
            secret_tokens: app.secret_tokens.len(),
            webhook_path: app_webhook_path(&state.webhook_path, app.name.as_str()),
            install_path: install_path(&app.name),
            oauth_redirect_url: &app.redirect_url,
            account_id: account.map(|(account_id, _)| account_id.as_str()),
            s2s_client_id: account.map(|(_, client)| client.id.as_str()),
            has_access_token: matches!(app.configured, Configured::Static(_)),
            video_api_key: app.video_api.as_ref().map(|pair| pair.id.as_str()),
            api_base_url: &app.api_base_url,
            oauth_base_url: &app.oauth_base_url,
            media: &app.params,
            rtms_auto_start: match &app.policies.auto_start {
                AutoStart::Off => "off".into(),
                AutoStart::All => "all".into(),
                AutoStart::Hosts(hosts) => hosts.clone().into(),
            },
            rtms_auto_stop_after_seconds: app.policies.auto_stop_after.map(|after| after.as_secs()),
            rtms_restart_attempts: app.policies.restarts,
            rtms_restart_after_seconds: app.policies.restart_after.as_secs(),
            rtms_streams_per_meeting: app.policies.streams_per_meeting.as_str(),
            api_rate_limit_per_second_per_app: app.quotas.api_rate_per_s,
            max_streams_per_app: app.quotas.max_streams,
            retention_entries: app.retention.entries.to_string(),
            retention_media: app.retention.media.to_string(),
            retention_deliveries: app.retention.deliveries.to_string(),
            retention_sessions: app.retention.sessions.to_string(),
            retention_audit: app.retention.audit.to_string(),
            recordings_url: app.recordings.place.as_ref().map(|place| &*place.name),
            recordings_layout: app.recordings.layout.as_deref(),
            created_at: created_at_ms.and_then(rfc3339),
            created_at_ms,
            updated_at: updated_at_ms.and_then(rfc3339),
            updated_at_ms,
        }
    }
}
