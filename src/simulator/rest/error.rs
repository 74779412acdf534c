//! The errors of Zoom's REST API, with Zoom's codes and texts (section 14.1).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refusal with one of Zoom's codes.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Value,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: u32, message: &str) -> Self {
        Self { status, body: json!({"code": code, "message": message}) }
    }

    pub(crate) fn empty_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 4700, "Token cannot be empty.")
    }

    pub(crate) fn invalid_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 124, "Invalid access token.")
    }

    pub(crate) fn missing_scope(wanted: &[&str]) -> Self {
        let message =
            format!("Invalid access token, does not contain scopes:[{}].", wanted.join(", "));
        Self::new(StatusCode::BAD_REQUEST, 4711, &message)
    }

    pub(crate) fn invalid_field(field: &str, message: &str) -> Self {
        let errors = json!([{"field": field, "message": message}]);
        let body = json!({"code": 300, "message": "Validation Failed.", "errors": errors});
        Self { status: StatusCode::BAD_REQUEST, body }
    }

    pub(crate) fn app_not_authorized() -> Self {
        let message = "The app is not authorized to access the meeting content.";
        Self::new(StatusCode::FORBIDDEN, 13262, message)
    }

    pub(crate) fn not_a_host() -> Self {
        let message = "The participant is not the host or an alternative host of the meeting.";
        Self::new(StatusCode::FORBIDDEN, 2308, message)
    }

    pub(crate) fn no_meeting(meeting_id: &str) -> Self {
        let message = format!("Meeting does not exist: {meeting_id}.");
        Self::new(StatusCode::NOT_FOUND, 3001, &message)
    }

    pub(crate) fn no_user(user_id: &str) -> Self {
        let message = format!("User does not exist: {user_id}.");
        Self::new(StatusCode::NOT_FOUND, 1001, &message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
