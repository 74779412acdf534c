//! The table of all paths: who may use each, its handler, and its entry in the OpenAPI document. The router and the
//! document are built from this one table, so that they always agree.

mod apps;
mod daemon;
mod dashboard;
mod relays;
mod sessions;
mod webhooks;
mod zoom;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;

use super::error::ApiError;
use super::metrics::METRICS_PATH;
use super::openapi::Operation;
use super::{
    AppState, app_webhook_path, audit, auth, cors, dashboard as pages, idempotency, request,
};

/// Who may use a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone; some paths check another proof than a token.
    Open,
    /// A token: `read` for reads, `control` for changes. Changes are executed to their end.
    Token,
    /// A token with `read`, whatever the method: nothing is changed.
    Read,
    /// A token with `read`, or a ticket for the path.
    Ticket,
    /// A token with `control`, whatever the method.
    Control,
    /// A token with `admin`, whatever the method.
    Admin,
    /// A page of the dashboard, for a token with `read`. Its errors are pages, too.
    Page,
    /// A page of the dashboard, for a token with `admin`.
    AdminPage,
    /// A token with `metrics`, whatever the method.
    Metrics,
}

/// One path with its handlers.
pub(super) struct Route {
    pub path: String,
    pub access: Access,
    pub operations: Vec<Operation>,
    handlers: MethodRouter<Arc<AppState>>,
}

impl Route {
    fn new(access: Access, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            access,
            operations: Vec::new(),
            handlers: MethodRouter::new(),
        }
    }

    fn get<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>, about: Operation) -> Self {
        self.with("get", about, |handlers| handlers.get(handler))
    }

    fn post<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>, about: Operation) -> Self {
        self.with("post", about, |handlers| handlers.post(handler))
    }

    fn patch<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>, about: Operation) -> Self {
        self.with("patch", about, |handlers| handlers.patch(handler))
    }

    fn put<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>, about: Operation) -> Self {
        self.with("put", about, |handlers| handlers.put(handler))
    }

    fn delete<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>, about: Operation) -> Self {
        self.with("delete", about, |handlers| handlers.delete(handler))
    }

    /// A page or a file for browsers, which the OpenAPI document leaves out.
    fn shown<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>) -> Self {
        Self { handlers: self.handlers.get(handler), ..self }
    }

    /// Receives a form of a page, which the OpenAPI document leaves out.
    fn form<T: 'static>(self, handler: impl Handler<T, Arc<AppState>>) -> Self {
        Self { handlers: self.handlers.post(handler), ..self }
    }

    /// A HEAD would consume the state and the code without showing the page.
    fn without_head(self) -> Self {
        let refuse = async || ApiError::MethodNotAllowed;
        Self { handlers: self.handlers.head(refuse), ..self }
    }

    fn with(
        mut self,
        method: &'static str,
        mut about: Operation,
        add: impl FnOnce(MethodRouter<Arc<AppState>>) -> MethodRouter<Arc<AppState>>,
    ) -> Self {
        about.method = method;
        self.operations.push(about);
        Self { handlers: add(self.handlers), ..self }
    }
}

/// The daemon's router.
///
/// # Panics
/// When `webhook_path` did not pass [`super::check_webhook_path`].
pub fn router(state: Arc<AppState>) -> Router {
    let (mut open, mut token) = (Router::new(), Router::new());
    let (mut read, mut ticket) = (Router::new(), Router::new());
    let (mut control, mut admin) = (Router::new(), Router::new());
    let (mut page, mut admin_page) = (Router::new(), Router::new());
    let mut metrics = Router::new();
    for Route { path, access, handlers, .. } in routes_of(&state) {
        match access {
            Access::Open => open = open.route(&path, handlers),
            Access::Token => token = token.route(&path, handlers),
            Access::Read => read = read.route(&path, handlers),
            Access::Ticket => ticket = ticket.route(&path, handlers),
            Access::Control => control = control.route(&path, handlers),
            Access::Admin => admin = admin.route(&path, handlers),
            Access::Page => page = page.route(&path, handlers),
            Access::AdminPage => admin_page = admin_page.route(&path, handlers),
            Access::Metrics => metrics = metrics.route(&path, handlers),
        }
    }
    // `route_layer` and not `layer`: unknown paths must be 404 without a token.
    let carried_out = |router: Router<Arc<AppState>>| {
        router.route_layer(from_fn_with_state(Arc::clone(&state), idempotency::carry_out))
    };
    // The layer that is added last runs first: a request is authenticated before its body is read.
    let token =
        carried_out(token).route_layer(from_fn_with_state(Arc::clone(&state), auth::require_scope));
    let read =
        carried_out(read).route_layer(from_fn_with_state(Arc::clone(&state), auth::require_read));
    let ticket = carried_out(ticket)
        .route_layer(from_fn_with_state(Arc::clone(&state), auth::require_ticket));
    let control = carried_out(control)
        .route_layer(from_fn_with_state(Arc::clone(&state), auth::require_control));
    let admin =
        carried_out(admin).route_layer(from_fn_with_state(Arc::clone(&state), auth::require_admin));
    // A layer over no route panics.
    if state.browsers.is_some() {
        page = page.route_layer(from_fn_with_state(Arc::clone(&state), pages::require_page));
        let layer = from_fn_with_state(Arc::clone(&state), pages::require_admin_page);
        admin_page = admin_page.route_layer(layer);
    }
    let metrics =
        metrics.route_layer(from_fn_with_state(Arc::clone(&state), auth::require_metrics));
    let router = open
        .merge(token)
        .merge(read)
        .merge(ticket)
        .merge(control)
        .merge(admin)
        .merge(page)
        .merge(admin_page)
        .merge(metrics)
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .fallback(|| async { ApiError::UnknownRoute })
        // Inside `observe`, because it needs the client's address, and outside authentication, to see refusals.
        .layer(from_fn_with_state(Arc::clone(&state), audit::record_refusals))
        .layer(from_fn_with_state(request_observer(&state), request::observe_request));
    if state.cors.is_empty() {
        return router.with_state(state);
    }
    // Outermost: a page must be able to read every answer, errors included.
    router.layer(from_fn_with_state(Arc::clone(&state), cors::apply_cors)).with_state(state)
}

/// The health checks alone, for a separate listener.
pub fn health_router(state: &Arc<AppState>) -> Router {
    part_router(state, |path| path.starts_with("/health/"))
}

/// The metrics alone, for a separate listener. It asks for no token.
pub fn metrics_router(state: &Arc<AppState>) -> Router {
    part_router(state, |path| path == METRICS_PATH)
}

fn part_router(state: &Arc<AppState>, is_part: impl Fn(&str) -> bool) -> Router {
    let routes = all_routes(&state.webhook_path).into_iter().filter(|route| is_part(&route.path));
    routes
        .fold(Router::new(), |router, route| router.route(&route.path, route.handlers))
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .fallback(|| async { ApiError::UnknownRoute })
        .layer(from_fn_with_state(request_observer(state), request::observe_request))
        .with_state(Arc::clone(state))
}

fn request_observer(state: &AppState) -> Arc<request::Observer> {
    Arc::new(request::Observer {
        metrics: state.metrics.clone(),
        trusted_proxies: state.trusted_proxies.clone(),
        webhook_paths: vec![
            state.webhook_path.clone(),
            app_webhook_path(&state.webhook_path, "{app}"),
        ],
    })
}

/// The routes of this daemon: those of the API and, unless it is off, of the dashboard.
fn routes_of(state: &AppState) -> Vec<Route> {
    let mut routes = all_routes(&state.webhook_path);
    if state.browsers.is_some() {
        routes.extend(dashboard::routes());
    }
    routes
}

/// The routes of the dashboard.
#[cfg(test)]
pub(super) fn page_routes() -> Vec<Route> {
    dashboard::routes()
}

/// All routes of the API.
pub(super) fn all_routes(webhook_path: &str) -> Vec<Route> {
    let mut routes = sessions::routes();
    routes.extend(zoom::routes());
    routes.extend(webhooks::routes());
    routes.extend(relays::routes());
    routes.extend(apps::routes());
    routes.extend(daemon::routes(webhook_path));
    routes
}
