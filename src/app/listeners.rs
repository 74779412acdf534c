//! Serves HTTP: the API, and health checks and metrics at addresses of their own.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::http::server::{Limits, serve};
use crate::http::{AppState, health_router, metrics_router, router};

/// The most connections to `ADMIN_ADDR`, and to `METRICS_ADDR`.
const SIDE_CONNECTIONS: usize = 64;

/// Where HTTP is served.
pub(super) struct Listeners {
    pub main: TcpListener,
    /// Only health checks.
    pub admin: Option<TcpListener>,
    /// Only metrics.
    pub metrics: Option<TcpListener>,
}

/// Serves the API, and health checks and metrics at addresses of their own if there are any, until `stop`.
pub(super) async fn serve_http(
    listeners: Listeners,
    state: Arc<AppState>,
    limits: Limits,
    stop: CancellationToken,
) {
    let Listeners { main, admin, metrics } = listeners;
    let few = Limits { connections: SIDE_CONNECTIONS, ..limits };
    let beside = |listener: Option<TcpListener>, router| {
        let serving = listener.map(|listener| serve(listener, router, few, stop.clone()));
        async {
            if let Some(serving) = serving {
                serving.await
            }
        }
    };
    let (health, metrics) =
        (beside(admin, health_router(&state)), beside(metrics, metrics_router(&state)));
    tokio::join!(serve(main, router(state), limits, stop.clone()), health, metrics);
}
