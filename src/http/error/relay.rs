//! The statuses and codes of failed requests about relays.

use axum::http::StatusCode;

use crate::sinks::relays::RelayError;

pub(super) fn status(error: &RelayError) -> StatusCode {
    match error {
        RelayError::Unknown => StatusCode::NOT_FOUND,
        RelayError::Configured | RelayError::TooMany | RelayError::Changed => StatusCode::CONFLICT,
        RelayError::Url(_) => StatusCode::UNPROCESSABLE_ENTITY,
        RelayError::Secret(_) => StatusCode::INTERNAL_SERVER_ERROR,
        RelayError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(super) fn code(error: &RelayError) -> &'static str {
    match error {
        RelayError::Unknown => "relay_not_found",
        RelayError::Configured => "relay_configured",
        RelayError::TooMany => "too_many_relays",
        RelayError::Changed => "changed_meanwhile",
        RelayError::Url(_) => "invalid_value",
        RelayError::Secret(_) => "internal",
        RelayError::Store(_) => "store_unavailable",
    }
}
