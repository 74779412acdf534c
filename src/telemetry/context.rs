//! What log lines are about: each line below a span carries its fields.
//!
//! The spans have the level of errors, so that no level of the log removes the context from the lines that it shows.

use tracing::{Span, error_span};

use crate::model::{AppName, Product, Recording, Session, SessionId, StreamId, StreamRecord};

/// The context of lines about a stream.
pub fn stream_span(stream: &StreamRecord) -> Span {
    let StreamRecord { session_id, stream_id, app, instance, .. } = stream;
    stream_span_of(*session_id, stream_id, instance.product, app)
}

/// The context of lines about a stream, of which only these are known.
pub fn stream_span_of(
    session_id: SessionId,
    stream_id: &StreamId,
    product: Product,
    app: &AppName,
) -> Span {
    error_span!("stream", %session_id, %stream_id, product = product.as_str(), %app)
}

/// The context of lines about a recording. Its session may be gone, and with it the product.
pub fn recording_span(recording: &Recording) -> Span {
    let Recording { session_id, stream_id, app, .. } = recording;
    error_span!("recording", %session_id, %stream_id, %app)
}

/// The context of lines about a session.
pub fn session_span(session: &Session) -> Span {
    session_span_of(session.id, session.instance.product, &session.app)
}

/// The context of lines about a session, of which only these are known.
pub fn session_span_of(session_id: SessionId, product: Product, app: &AppName) -> Span {
    error_span!("session", %session_id, product = product.as_str(), %app)
}

/// The context of lines about a request.
pub fn request_span(request_id: &str) -> Span {
    error_span!("request", request_id)
}
