//! Request bodies, bounded in size and time.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::error::ApiError;

/// Reads a whole body. A length that is announced too large is refused before a byte is read.
pub async fn read(body: Body, limit_bytes: usize, deadline: Duration) -> Result<Bytes, ApiError> {
    let announced = body.size_hint().lower();
    if usize::try_from(announced).map_or(true, |announced| announced > limit_bytes) {
        return Err(ApiError::TooLarge { limit_bytes });
    }
    let collected = Limited::new(body, limit_bytes).collect();
    match tokio::time::timeout(deadline, collected).await {
        Err(_) => Err(ApiError::BodyTimeout),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge { limit_bytes }),
        Ok(Err(_)) => Err(ApiError::BodyCut),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}
