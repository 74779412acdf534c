//! `GET /` and `GET /dashboard/sessions`: the list of sessions.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::html;
use super::viewer::Viewer;
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::extract::Params;
use crate::web::dashboard::{Plain, Section};

/// The list of sessions.
pub(in crate::http) async fn page(
    State(_state): State<Arc<AppState>>,
    viewer: Viewer,
    _params: Params,
) -> Result<Response, ApiError> {
    Ok(html(Plain { layout: viewer.layout(Section::Sessions, "Sessions") }.html()))
}
