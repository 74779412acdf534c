//! `GET /metrics`: metrics in Prometheus' text format.

mod gather;
mod store_figures;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::auth::Caller;
use crate::metrics;
use crate::model::AppScope;

pub use self::store_figures::StoreFiguresCache;

/// The path that Prometheus expects.
pub(super) const METRICS_PATH: &str = "/metrics";

/// Everything, or the series of the token's apps. The listener of `METRICS_ADDR` asks for no token.
pub(super) async fn serve(
    State(state): State<Arc<AppState>>,
    caller: Option<Extension<Caller>>,
) -> Response {
    let scope = caller.map_or(AppScope::All, |Extension(caller)| caller.apps);
    let gathered = gather::gather(&state).await;
    let text = state.metrics.render(&gathered, &scope);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}
