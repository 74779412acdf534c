//! Reads request bodies, bounded in size and time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;

use super::error::ApiError;

/// How much of an oversized body is read and discarded. Closing a connection with unread bytes resets it, and the
/// sender may then never see the answer.
const DISCARD_BYTES: usize = 8 * 1024 * 1024;

/// Reads a whole body.
pub(super) async fn read_body(
    body: Body,
    limit_bytes: usize,
    timeout: Duration,
) -> Result<Bytes, ApiError> {
    tokio::time::timeout(timeout, collect_frames(body, limit_bytes))
        .await
        .unwrap_or(Err(ApiError::BodyTimeout))
}

async fn collect_frames(mut body: Body, limit_bytes: usize) -> Result<Bytes, ApiError> {
    let mut kept = Vec::new();
    let mut received: usize = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::BodyCut)?;
        let Some(data) = frame.data_ref() else { continue };
        received = received.saturating_add(data.len());
        if received <= limit_bytes {
            // Past the limit the loop only counts, so memory stays bounded.
            kept.extend_from_slice(data);
        } else if received > limit_bytes.saturating_add(DISCARD_BYTES) {
            break;
        }
    }
    if received > limit_bytes { Err(ApiError::TooLarge { limit_bytes }) } else { Ok(kept.into()) }
}
