//! The state of the URL that each Zoom app sends its webhooks to, as the API and the dashboard read it.

use std::sync::Arc;

use serde::Serialize;

use super::arrivals::RefusedCount;
use super::auth::Caller;
use super::envelope::rfc3339;
use super::error::ApiError;
use super::{AppState, app_webhook_path};
use crate::model::AppName;
use crate::store::Validation;
use crate::zoom::app::App;
use crate::zoom::signature::WebhookKey;

/// The endpoints of the apps that the caller may see, by the name of the app.
pub(super) async fn read_endpoints(
    state: &AppState,
    caller: &Caller,
) -> Result<Vec<ZoomEndpoint>, ApiError> {
    let (last, validations) =
        (state.store.last_received().await?, state.store.validations().await?);
    let apps = state.apps.all();
    let seen = apps.values().filter(|app| caller.apps.includes(&app.name));
    let view = |app: &Arc<App>| {
        let last_ms = last.get(&app.name).copied();
        ZoomEndpoint::of(state, app, last_ms, validations.get(&app.name))
    };
    Ok(seen.map(view).collect())
}

/// An endpoint in JSON.
#[derive(Debug, Serialize)]
pub(super) struct ZoomEndpoint {
    pub app: AppName,
    pub path: String,
    /// When Zoom last validated the URL; null if it never did while a daemon of this version ran.
    pub validated_at: Option<String>,
    pub validated_at_ms: Option<i64>,
    /// Which secret token was used then, from 1, the newest; null for one that is no longer configured.
    pub validated_with: Option<usize>,
    /// How many secret tokens are configured.
    pub secret_tokens: usize,
    /// When the last webhook came, refused ones with a valid signature included.
    pub last_received_at: Option<String>,
    pub last_received_at_ms: Option<i64>,
    /// How far the clock of this daemon is ahead of Zoom's; null before its first webhook.
    pub clock_difference_seconds: Option<i64>,
    /// What this daemon refused since its start.
    pub refused: Vec<RefusedCount>,
}

impl ZoomEndpoint {
    fn of(
        state: &AppState,
        app: &App,
        last_ms: Option<i64>,
        validation: Option<&Validation>,
    ) -> Self {
        let is_of = |validation: &Validation| {
            let mut keys = app.secret_tokens.iter().map(WebhookKey::new);
            keys.position(|key| key.fingerprint() == validation.secret).map(|index| index + 1)
        };
        let validated_at_ms = validation.map(|validation| validation.at_ms);
        Self {
            app: app.name.clone(),
            path: app_webhook_path(&state.webhook_path, app.name.as_str()),
            validated_at: validated_at_ms.and_then(rfc3339),
            validated_at_ms,
            validated_with: validation.and_then(is_of),
            secret_tokens: app.secret_tokens.len(),
            last_received_at: last_ms.and_then(rfc3339),
            last_received_at_ms: last_ms,
            clock_difference_seconds: state.arrivals.clock_difference_s(&app.name),
            refused: state.arrivals.refused(&app.name),
        }
    }
}
