//! The audit trail of HTTP requests, refused ones included.

mod refusals;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

pub use self::refusals::Refusals;
use super::AppState;
use super::client_address::ClientAddress;
use super::error::ApiError;
use crate::model::{AppName, AuditRow};

/// The actor of a refused request without a known token.
const ANONYMOUS: &str = "anonymous";
/// The action of a request that was refused before its action was known.
const REFUSED: &str = "api.refused";

/// Collects the audit data of one request. Cheap to clone; clones share their state.
#[derive(Debug, Clone)]
pub struct Trail(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: IpAddr,
    method: Method,
    route: Option<MatchedPath>,
    actor: OnceLock<Arc<str>>,
    /// The app that the request concerns, if it concerns one.
    app: OnceLock<AppName>,
    act: OnceLock<AuditRow>,
    is_noted: AtomicBool,
}

impl Trail {
    fn of(request: &Request, ClientAddress(address): ClientAddress) -> Self {
        Self(Arc::new(Inner {
            address,
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            actor: OnceLock::new(),
            app: OnceLock::new(),
            act: OnceLock::new(),
            is_noted: AtomicBool::new(false),
        }))
    }

    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.0.address
    }

    /// Sets the actor: the name of the request's token.
    pub fn set_actor(&self, name: &Arc<str>) {
        // The first name wins: a request is authenticated once.
        let _ = self.0.actor.set(Arc::clone(name));
    }

    /// Sets the app that the request concerns, if it is known.
    pub fn set_app(&self, app: Option<&AppName>) {
        // The first one wins: an object of the path has no other app than a token of one app.
        let _ = app.map(|app| self.0.app.set(app.clone()));
    }

    /// Returns the audit row for the transaction that executes the request. If the request is refused instead, the
    /// refusal is recorded under the same action.
    pub fn act(&self, at_ms: i64, action: &'static str, subject: &str) -> AuditRow {
        let row = AuditRow {
            address: Some(self.0.address),
            app: self.0.app.get().cloned(),
            ..AuditRow::new(at_ms, self.actor(), action, subject)
        };
        // Fails if an action is already set; a refusal is then recorded under the first one.
        let _ = self.0.act.set(row.clone());
        row
    }

    /// Marks the action as recorded with its outcome: a later error is not recorded again.
    pub fn set_noted(&self) {
        // `Relaxed`: the flag guards no other data, and one request runs on one task at a time.
        self.0.is_noted.store(true, Ordering::Relaxed);
    }

    /// Method and route.
    fn called(&self) -> String {
        let route = self.0.route.as_ref().map_or("none", MatchedPath::as_str);
        format!("{} {route}", self.0.method)
    }

    fn actor(&self) -> &str {
        self.0.actor.get().map_or(ANONYMOUS, |name| name)
    }

    /// The row of a refusal; `None` if it was recorded before.
    fn refused(&self, now_ms: i64, code: &str) -> Option<AuditRow> {
        if self.0.is_noted.swap(true, Ordering::Relaxed) {
            return None;
        }
        let unknown = || self.act(now_ms, REFUSED, &self.called());
        let act = self.0.act.get().cloned().unwrap_or_else(unknown);
        Some(AuditRow { outcome: code.to_owned(), ..act })
    }
}

/// Gives every request its [`Trail`] and records requests that are refused before they reach a handler.
pub(super) async fn record_refusals(
    State(state): State<Arc<AppState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(client) = request.extensions().get::<ClientAddress>().copied() else {
        return next.run(request).await;
    };
    let trail = Trail::of(&request, client);
    // Read before the request moves into `next`, because the response carries neither.
    let is_routed = request.extensions().get::<MatchedPath>().is_some();
    let changes = changes_something(request.method());
    request.extensions_mut().insert(trail.clone());
    let response = next.run(request).await;
    if let Some(error) = response.extensions().get::<ApiError>()
        // Scanners probe paths that do not exist. These are not recorded: they would fill the trail.
        && is_routed
        && is_refusal(error.status(), changes)
    {
        note_refusal(&state, &trail, error.code()).await;
    }
    response
}

/// Whether a request of this method changes something.
pub(super) fn changes_something(method: &Method) -> bool {
    [Method::POST, Method::PATCH, Method::PUT, Method::DELETE].contains(method)
}

/// Whether to audit this response as a refusal: 401, 403 and 429 always, other client errors only for requests that
/// change something.
fn is_refusal(status: StatusCode, changes: bool) -> bool {
    let is_kept_out =
        [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    is_kept_out.contains(&status) || (changes && status.is_client_error())
}

/// Records a refusal once, within the limit of [`Refusals`], even if the client hangs up meanwhile.
pub(super) async fn note_refusal(state: &Arc<AppState>, trail: &Trail, code: &str) {
    let Some(row) = trail.refused((state.now_ms)(), code) else { return };
    let Some(row) = state.refusals.admit(row) else { return };
    let store = state.store.clone();
    // Spawned on the tracker, so that the row is written even if hyper drops this future with its connection.
    let write = async move {
        if let Err(error) = store.audit(&row).await {
            tracing::error!(actor = row.actor, action = row.action, outcome = row.outcome, %error,
                "could not write a refusal to the audit trail; it is missing there");
        }
    };
    // A panic of the task is logged where it happens.
    let _ = state.requests.spawn(write.in_current_span()).await;
}
