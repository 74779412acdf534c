//! `GET /dashboard/health`.

use axum::response::Response;

use super::html;
use super::viewer::Viewer;
use crate::http::error::ApiError;
use crate::web::dashboard::{Plain, Section};

/// The page.
pub(in crate::http) async fn page(viewer: Viewer) -> Result<Response, ApiError> {
    let title = "Health";
    let layout = viewer.layout(Section::Health, title);
    Ok(html(Plain { layout }.html()))
}
