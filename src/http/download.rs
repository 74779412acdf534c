//! Answers that are streamed for as long as the client reads: their number is bounded, in total and per API token.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::AppState;
use super::auth::Caller;
use super::error::ApiError;
use crate::hub::{Permit, Permits};

/// One download for this many requests that may be answered at once.
const REQUESTS_PER_DOWNLOAD: usize = 2;

/// The permits for downloads where `max_requests` may be answered at once.
pub fn permits(max_requests: usize) -> Permits {
    Permits::new((max_requests / REQUESTS_PER_DOWNLOAD).max(1))
}

/// Takes a permit for a download.
///
/// # Errors
/// [`ApiError::TooManyDownloads`] when the caller's token or all of them hold as many as allowed.
pub(super) fn acquire_permit(state: &AppState, caller: &Caller) -> Result<Permit, ApiError> {
    state.downloads.enter(caller.entrant()).ok_or(ApiError::TooManyDownloads)
}

/// A body that holds its permit until the client has read it or is gone.
pub(super) fn permitted_body<E>(
    permit: Permit,
    content: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Body
where
    E: Into<axum::BoxError> + 'static,
{
    let permit = Arc::new(permit);
    // The closure owns the permit and is dropped with the body, whether it was read or not.
    Body::from_stream(content.inspect(move |_| {
        let _held = &permit;
    }))
}
