//! Where streams go beside the store and live subscribers: recordings, brokers, webhooks of others, sockets of
//! others.

/// The same to servers that we dial.
pub mod forward;
/// Frames and entries on a WebSocket.
pub mod live;
/// What a broker is handed, whichever it is (pure).
pub mod message;
/// NATS: entries to JetStream, frames to core subjects.
pub mod nats;
/// Recordings: every stream as files that ordinary tools play.
pub mod record;
/// Every stored entry, in order and at least once, to one sink.
pub mod relay;
/// Events to other people's endpoints.
pub mod webhooks;
