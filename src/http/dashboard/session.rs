//! `GET /dashboard/sessions/{id}`: one session.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::html;
use super::viewer::Viewer;
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::extract::{InPath, known_session};
use crate::model::SessionId;
use crate::web::dashboard::{Plain, Section};

/// The page of a session.
pub(in crate::http) async fn page(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
    InPath(id): InPath<SessionId>,
) -> Result<Response, ApiError> {
    known_session(&state.store, id).await?;
    Ok(html(Plain { layout: viewer.layout(Section::Sessions, "Session") }.html()))
}
