//! The one place where an error becomes an HTTP status and a body.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use thiserror::Error;

use super::oauth::Refusal;
use crate::store::StoreError;
use crate::zoom::event::EventError;
use crate::zoom::signature::SignatureError;

/// How long a client waits before it tries again after 503, in seconds.
const RETRY_AFTER_S: u16 = 2;

/// What a client did wrong or we could not do. The text is for the client: it says what to do, and
/// holds nothing secret.
#[derive(Debug, Clone, Error)]
pub enum ApiError {
    #[error("there is nothing at this path")]
    UnknownRoute,
    #[error("this path does not take this method: see the header allow")]
    MethodNotAllowed,
    #[error("there is no session with this id")]
    UnknownSession,
    #[error("there is no installation with this id")]
    UnknownInstallation,
    #[error("{0}")]
    Install(Refusal),
    #[error("send the header authorization: Bearer with one of the tokens of API_TOKENS")]
    Unauthenticated,
    #[error("this token lacks the scope {0}")]
    Forbidden(&'static str),
    #[error("{name} {problem}")]
    InvalidValue { name: &'static str, problem: &'static str },
    #[error("this resource can be had as {0}")]
    NotAcceptable(&'static str),
    #[error("the body is longer than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("the body could not be read to its end")]
    BodyCut,
    #[error("{0}")]
    Signature(SignatureError),
    #[error("{0}")]
    Event(EventError),
    #[error("as many subscribers as allowed are connected: try again later")]
    TooManySubscribers,
    /// The cause is for the log.
    #[error("the store cannot be used now: try again")]
    Store(Arc<StoreError>),
    #[error("a fault of this server, noted under the request id")]
    Panicked,
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl ApiError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Event(_) | Self::BodyCut => StatusCode::BAD_REQUEST,
            Self::Signature(_) | Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::UnknownRoute | Self::UnknownSession | Self::UnknownInstallation => {
                StatusCode::NOT_FOUND
            }
            Self::Install(refusal) => refusal.status(),
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidValue { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooManySubscribers | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The stable name that programs look at.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownRoute => "route_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnknownSession => "session_not_found",
            Self::UnknownInstallation => "installation_not_found",
            Self::Install(refusal) => refusal.code(),
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::InvalidValue { .. } => "invalid_value",
            Self::NotAcceptable(_) => "not_acceptable",
            Self::TooLarge { .. } => "too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyCut => "body_cut",
            Self::Signature(SignatureError::OutOfWindow { .. }) => "timestamp_out_of_window",
            Self::Signature(_) => "signature_invalid",
            Self::Event(_) => "malformed",
            Self::TooManySubscribers => "too_many_subscribers",
            Self::Store(_) => "store_unavailable",
            Self::Panicked => "internal",
        }
    }

    fn message(&self) -> &'static str {
        match self.status() {
            StatusCode::UNAUTHORIZED => "not authenticated",
            StatusCode::FORBIDDEN => "not allowed",
            StatusCode::NOT_FOUND => "not found",
            StatusCode::SERVICE_UNAVAILABLE => "not available now",
            StatusCode::INTERNAL_SERVER_ERROR => "internal error",
            _ => "the request was refused",
        }
    }

    /// Makes the response what the client sees. Headers that were set on the way, such as `allow`, stay.
    pub fn render(&self, response: &mut Response, request_id: &str) {
        let status = self.status();
        let retryable = status == StatusCode::SERVICE_UNAVAILABLE;
        let envelope = json!({
            "status": false,
            "message": self.message(),
            "error": {
                "code": self.code(),
                "detail": self.to_string(),
                "retryable": retryable,
                "zoom": null,
                "request_id": request_id,
            },
        });
        *response.body_mut() = Body::from(envelope.to_string());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        // That of the empty body before.
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if retryable {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        if matches!(self, Self::Unauthenticated) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
}

impl IntoResponse for ApiError {
    /// Only carries the error: `request::observe` renders it, because it knows the request's id.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_tried_again_says_so_and_when() {
        let mut response = Response::default();
        ApiError::TooManySubscribers.render(&mut response, "r1");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let mut response = Response::default();
        ApiError::UnknownSession.render(&mut response, "r1");
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
    }

    #[test]
    fn the_stores_own_words_do_not_reach_a_client() {
        let error = ApiError::from(StoreError::Row("the password is hunter2".into()));
        assert!(!error.to_string().contains("hunter2"));
    }
}
