//! Where streams go beside the store and live subscribers: recordings, brokers, webhooks of others, sockets of
//! others.

/// Recordings: every stream as files that ordinary tools play.
pub mod record;
/// Every stored entry, in order and at least once, to one sink.
pub mod relay;
