//! The statuses and codes of calls that change apps.

use axum::http::StatusCode;

use crate::zoom::app::AppError;

pub(super) fn status(error: &AppError) -> StatusCode {
    match error {
        AppError::Unknown => StatusCode::NOT_FOUND,
        AppError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        AppError::Sealed(_) | AppError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        AppError::Exists
        | AppError::Configured
        | AppError::InUse
        | AppError::Changed
        | AppError::TooMany => StatusCode::CONFLICT,
    }
}

pub(super) fn code(error: &AppError) -> &'static str {
    match error {
        AppError::Unknown => "unknown_app",
        AppError::Exists => "app_exists",
        AppError::Configured => "app_configured",
        AppError::Invalid(_) => "invalid_value",
        AppError::InUse => "app_in_use",
        AppError::Changed => "app_changed",
        AppError::TooMany => "too_many_apps",
        AppError::Sealed(_) => "app_sealed",
        AppError::Store(_) => "store_unavailable",
    }
}
