//! `GET /dashboard/endpoints`.

use axum::response::Response;

use super::html;
use super::viewer::Viewer;
use crate::http::error::ApiError;
use crate::web::dashboard::{Plain, Section};

/// The page.
pub(in crate::http) async fn page(viewer: Viewer) -> Result<Response, ApiError> {
    let title = "Outgoing webhooks";
    let layout = viewer.layout(Section::Endpoints, title);
    Ok(html(Plain { layout }.html()))
}
