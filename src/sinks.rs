//! Where streams go beside the store and live subscribers: recordings, brokers, webhooks of others, sockets of
//! others.

/// Every stored entry, in order and at least once, to one sink.
pub mod relay;
/// Events to other people's endpoints.
pub mod webhooks;
