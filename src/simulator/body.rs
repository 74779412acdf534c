//! The body of a request, bounded in length and in time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use tokio::time::timeout;

use super::state::SimulatorState;

/// The longest body: Zoom's own are far shorter.
const MAX_BODY_BYTES: usize = 64 << 10;
/// For a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The whole body. An extractor that goes last; refuses with 408 and 413.
pub(super) struct Body(pub Bytes);

impl FromRequest<Arc<SimulatorState>> for Body {
    type Rejection = StatusCode;

    async fn from_request(request: Request, _: &Arc<SimulatorState>) -> Result<Self, StatusCode> {
        match timeout(BODY_TIMEOUT, to_bytes(request.into_body(), MAX_BODY_BYTES)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        }
    }
}
