//! `GET /assets/{digest}/{name}`: the files that pages load.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use crate::web::assets;

/// A browser keeps a file for a year: another version has another address.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// During an upgrade, a page of one version may ask a daemon of another one.
const OTHER_VERSION: &str = "no-store";

pub(super) async fn serve(
    Path((digest, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let asset = assets::find(&name).ok_or(ApiError::UnknownRoute)?;
    let caching = if digest == *assets::DIGEST { IMMUTABLE } else { OTHER_VERSION };
    let headers = [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, caching)];
    Ok((headers, asset.content).into_response())
}
