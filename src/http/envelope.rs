//! The shape of every successful JSON answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

pub(super) use crate::model::rfc3339;

/// 200 with `{"status": true, "message", "data"}`.
pub(super) fn success(message: &str, data: impl Serialize) -> Response {
    Json(json!({ "status": true, "message": message, "data": data })).into_response()
}

/// The same with another status of success.
pub(super) fn success_as(status: StatusCode, message: &str, data: impl Serialize) -> Response {
    (status, success(message, data)).into_response()
}
