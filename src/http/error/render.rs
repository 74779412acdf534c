//! Writes an error as the body and headers of a response.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use super::ApiError;

impl ApiError {
    /// Writes the status, headers and body for the client. Headers that were set before, such as `allow`, stay.
    pub fn render(&self, response: &mut Response, request_id: &str) {
        let status = self.status();
        let mut envelope = json!({
            "status": false,
            "message": self.message(),
            "error": {
                "code": self.code(),
                "detail": self.to_string(),
                "retryable": self.is_retryable(),
                "zoom": self.zoom(),
                "request_id": request_id,
            },
        });
        if let Some(installations) = self.installations() {
            envelope["error"]["installations"] = json!(installations);
        }
        // Built here, because the body needs the request id, which handlers do not know.
        *response.body_mut() = Body::from(envelope.to_string());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        // It belongs to the empty body from before.
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait_s) = self.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
        }
        if let Self::RangeNotSatisfiable { bytes } = self {
            // RFC 9110, section 15.5.17: a 416 says the actual length.
            let range = HeaderValue::try_from(format!("bytes */{bytes}"));
            headers.insert(header::CONTENT_RANGE, range.expect("a number is plain ASCII"));
        }
        if matches!(self, Self::UpgradeRequired) {
            // RFC 9110, section 15.5.22: a 426 must name the protocol.
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2: a 401 must carry a challenge.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retryable_errors_say_so_and_when() {
        let mut response = Response::default();
        ApiError::TooManySubscribers.render(&mut response, "r1");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let mut response = Response::default();
        ApiError::TooManyFailures { wait_s: 6 }.render(&mut response, "r1");
        assert_eq!(response.headers()[header::RETRY_AFTER], "6");
        let mut response = Response::default();
        ApiError::UnknownSession.render(&mut response, "r1");
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
    }
}
