//! The statuses and codes of failed requests about endpoints of outgoing webhooks.

use axum::http::StatusCode;

use crate::sinks::webhooks::EndpointError;

pub(super) fn status(error: &EndpointError) -> StatusCode {
    match error {
        EndpointError::Unknown | EndpointError::UnknownDelivery => StatusCode::NOT_FOUND,
        EndpointError::Configured
        | EndpointError::SwitchedOff
        | EndpointError::TooMany
        | EndpointError::Rotated => StatusCode::CONFLICT,
        EndpointError::Url(_) => StatusCode::UNPROCESSABLE_ENTITY,
        EndpointError::Secret(_) => StatusCode::INTERNAL_SERVER_ERROR,
        EndpointError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(super) fn code(error: &EndpointError) -> &'static str {
    match error {
        EndpointError::Unknown => "endpoint_not_found",
        EndpointError::UnknownDelivery => "delivery_not_found",
        EndpointError::Configured => "endpoint_configured",
        EndpointError::SwitchedOff => "endpoint_disabled",
        EndpointError::TooMany => "too_many_endpoints",
        EndpointError::Rotated => "rotated_meanwhile",
        EndpointError::Url(_) => "invalid_value",
        EndpointError::Secret(_) => "internal",
        EndpointError::Store(_) => "store_unavailable",
    }
}
