//! `GET /assets/{digest}/{name}`: the files that pages load.

use axum::extract::Path;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use crate::web::assets;

/// A browser keeps a file for a year: another version has another address.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// During an upgrade, a page of one version may ask a daemon of another one.
const OTHER_VERSION: &str = "no-store";

pub(super) async fn serve(
    Path((digest, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asset = assets::find(&name).ok_or(ApiError::UnknownRoute)?;
    let caching = if digest == *assets::DIGEST { IMMUTABLE } else { OTHER_VERSION };
    let about = [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, caching)];
    if !asset.is_gzip {
        return Ok((about, asset.content).into_response());
    }
    // Every browser takes it.
    if !takes_gzip(&headers) {
        return Err(ApiError::NotAcceptable("gzip (send accept-encoding: gzip)"));
    }
    let encoding = [(header::CONTENT_ENCODING, "gzip"), (header::VARY, "accept-encoding")];
    Ok((about, encoding, asset.content).into_response())
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    let codings = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    codings.map(str::trim).any(|coding| coding == "gzip" || coding.starts_with("gzip;"))
}
