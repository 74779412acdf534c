//! `/api/v1/admin/log-level`: what the daemon logs, changed while it runs.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::AppState;
use super::auth::Caller;
use super::envelope::success;
use super::error::ApiError;
use super::json::parse_object;
use crate::model::AuditRow;
use crate::telemetry::{LogControl, MAX_TIME};

const FIELDS: [&str; 2] = ["level", "for_s"];

pub(super) async fn show(State(state): State<Arc<AppState>>) -> Response {
    success("log level", json!({ "log": LogView::of(&state.log) }))
}

/// Changes the level, with an audit row. Concerns every app.
pub(super) async fn change(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let act = caller.trail.act((state.now_ms)(), "log_level.change", "");
    if caller.apps.names().is_some() {
        return Err(ApiError::OperatorOnly("the log level"));
    }
    let fields = parse_object(&body)?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(ApiError::UnknownField(unknown.chars().take(64).collect()));
    }
    let level = match fields.get("level") {
        Some(Value::Null) => None,
        Some(Value::String(level)) => Some(level.as_str()),
        _ => return Err(invalid_level()),
    };
    let time = match fields.get("for_s") {
        None | Some(Value::Null) => None,
        Some(seconds) => Some(read_time(seconds)?),
    };
    let detail = json!({ "level": level, "for_s": time.map(|time| time.as_secs()) });
    state.log.choose(level, time).map_err(|_| invalid_level())?;
    state.store.audit(&AuditRow { detail, ..act }).await?;
    tracing::info!(level, for_s = time.map(|time| time.as_secs()), "the log level was changed");
    Ok(success("log level changed", json!({ "log": LogView::of(&state.log) })))
}

fn invalid_level() -> ApiError {
    let problem = "must be trace, debug, info, warn, error, off, a filter such as info,rtmsd::sessions=debug, or null for \
                   that of the settings";
    ApiError::InvalidValue { name: "level", problem }
}

fn read_time(seconds: &Value) -> Result<Duration, ApiError> {
    let problem = "must be a number of seconds from 1 to 86400, or null";
    let time = seconds.as_u64().map(Duration::from_secs);
    time.filter(|time| !time.is_zero() && *time <= MAX_TIME)
        .ok_or(ApiError::InvalidValue { name: "for_s", problem })
}

/// The level in JSON.
#[derive(Serialize)]
struct LogView {
    level: String,
    /// That of `LOG_LEVEL` or `RUST_LOG`.
    configured: String,
    /// Seconds until that of the settings counts again; null if it counts, or until another change.
    ends_in_s: Option<u64>,
}

impl LogView {
    fn of(log: &LogControl) -> Self {
        let now = log.level();
        let ends_in_s = now.ends_in.map(|left| left.as_secs());
        Self { level: now.level, configured: now.configured, ends_in_s }
    }
}
