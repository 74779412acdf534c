//! Where streams go beside the store and live subscribers: recordings, brokers, webhooks of others, sockets of
//! others.

/// Events to other people's endpoints.
pub mod webhooks;
