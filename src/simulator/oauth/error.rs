//! The errors of the token endpoint, with Zoom's texts (section 15.4).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refusal. Zoom uses 400 and 401 for the same causes, so clients decide by `error` and `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenError {
    pub status: u16,
    pub error: &'static str,
    pub reason: &'static str,
}

const fn bad_request(error: &'static str, reason: &'static str) -> TokenError {
    TokenError { status: 400, error, reason }
}

impl TokenError {
    pub(crate) const CLIENT: Self =
        Self { status: 401, error: "invalid_client", reason: "Invalid client_id or client_secret" };
    pub(crate) const TOKEN: Self = bad_request("invalid_grant", "Invalid Token!");
    pub(crate) const ACCOUNT: Self = bad_request("invalid_request", "Account does not exist");
    pub(crate) const CODE: Self = bad_request("invalid_grant", "Invalid authorization code");
    pub(crate) const REDIRECT_URI: Self = bad_request("invalid_request", "Redirect URI mismatch");
    pub(crate) const VERIFIER: Self = bad_request("invalid_grant", "Invalid code verifier");
    pub(crate) const FIELD: Self = bad_request("invalid_request", "A required field is missing");
    pub(crate) const GRANT_TYPE: Self =
        bad_request("unsupported_grant_type", "Unsupported grant type");
    /// An error of the simulator's own: it holds as many tokens as it may.
    pub(crate) const FULL: Self =
        Self { status: 503, error: "temporarily_unavailable", reason: "Too many tokens" };
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("the table holds HTTP statuses");
        (status, Json(json!({"reason": self.reason, "error": self.error}))).into_response()
    }
}
