//! An extractor for request bodies, bounded in size and in time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use tokio::time::timeout;

use super::state::SimulatorState;

/// The largest body. The bodies that Zoom documents are below 1 kB.
const MAX_BODY_BYTES: usize = 64 << 10;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The whole body. This extractor must be the last argument of a handler; it rejects with 408 or 413.
pub(super) struct Body(pub Bytes);

impl FromRequest<Arc<SimulatorState>> for Body {
    type Rejection = StatusCode;

    async fn from_request(request: Request, _: &Arc<SimulatorState>) -> Result<Self, StatusCode> {
        match timeout(BODY_TIMEOUT, to_bytes(request.into_body(), MAX_BODY_BYTES)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            // A broken connection ends here too; that client does not see the status.
            Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        }
    }
}
