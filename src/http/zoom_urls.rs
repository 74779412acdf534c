//! The state of the URL that each Zoom app sends its webhooks to, and of its event socket, as the API and the dashboard
//! read it.

use std::sync::Arc;

use serde::Serialize;

use super::arrivals::RefusedCount;
use super::auth::Caller;
use super::envelope::rfc3339;
use super::error::ApiError;
use super::{AppState, app_webhook_path};
use crate::model::AppName;
use crate::store::{EventSocketGap, EventSocketRow, Validation};
use crate::zoom::app::App;
use crate::zoom::event_socket::Problem;
use crate::zoom::signature::WebhookKey;

/// The endpoints of the apps that the caller may see, by the name of the app.
pub(super) async fn read_endpoints(
    state: &AppState,
    caller: &Caller,
) -> Result<Vec<ZoomEndpoint>, ApiError> {
    let (last, validations) =
        (state.store.last_received().await?, state.store.validations().await?);
    let (sockets, now_ms) = state.store.event_sockets().await?;
    let apps = state.apps.all();
    let seen = apps.values().filter(|app| caller.apps.includes(&app.name));
    let view = |app: &Arc<App>| {
        let last_ms = last.get(&app.name).copied();
        let row = sockets.iter().find(|row| row.app == app.name.as_str());
        let socket = app.events_url.as_ref().map(|_| EventSocketView::of(row, now_ms));
        ZoomEndpoint {
            event_socket: socket,
            ..ZoomEndpoint::of(state, app, last_ms, validations.get(&app.name))
        }
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
    /// The event socket; null for an app whose events come by webhook only.
    pub event_socket: Option<EventSocketView>,
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
            event_socket: None,
            refused: state.arrivals.refused(&app.name),
        }
    }
}

/// The event socket of an app in JSON.
#[derive(Debug, Serialize)]
pub(super) struct EventSocketView {
    /// Whether a daemon is connected.
    pub connected: bool,
    /// The daemon that holds it; null while none does.
    pub node: Option<String>,
    /// Since when a daemon is connected, or since when none is; null if none ever was.
    pub since: Option<String>,
    pub since_ms: Option<i64>,
    /// Why none is connected, by its code; null while one is, and for a code of a newer version.
    pub problem: Option<Problem>,
    /// The last time in which none was connected; null if there was none.
    pub last_gap: Option<GapView>,
}

/// A gap in JSON.
#[derive(Debug, Serialize)]
pub(super) struct GapView {
    pub from: Option<String>,
    pub from_ms: i64,
    pub until: Option<String>,
    pub until_ms: i64,
}

impl GapView {
    pub(super) fn length_ms(&self) -> i64 {
        self.until_ms.saturating_sub(self.from_ms)
    }
}

impl EventSocketView {
    /// `now_ms` is the database's time.
    pub(super) fn of(row: Option<&EventSocketRow>, now_ms: i64) -> Self {
        let held = row.filter(|row| row.owner.is_some() && row.lease_until_ms > now_ms);
        let connected_at_ms = held.and_then(|row| row.connected_at_ms);
        let since_ms = connected_at_ms.or(row.and_then(|row| row.seen_at_ms));
        let problem = row.and_then(|row| row.problem.as_deref()).and_then(Problem::parse);
        let gap_view = |gap: EventSocketGap| GapView {
            from: rfc3339(gap.from_ms),
            from_ms: gap.from_ms,
            until: rfc3339(gap.until_ms),
            until_ms: gap.until_ms,
        };
        Self {
            connected: connected_at_ms.is_some(),
            node: held.and_then(|row| row.owner.clone()),
            since: since_ms.and_then(rfc3339),
            since_ms,
            problem: problem.filter(|_| connected_at_ms.is_none()),
            last_gap: row.and_then(EventSocketRow::gap).map(gap_view),
        }
    }
}
