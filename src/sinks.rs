//! Consumers of streams beside the store: live subscribers, recordings, brokers, outgoing webhooks and forwards.

/// Frames and entries on WebSockets that the daemon opens to other servers.
pub mod forward;
/// Frames and entries on WebSockets of subscribers.
pub mod live;
/// Messages for any broker (pure).
pub mod message;
/// NATS: entries to JetStream, frames to core subjects.
pub mod nats;
/// Recordings: every stream as files that common tools play.
pub mod record;
/// Relays every stored entry to one sink, in order and at least once.
pub mod relay;
/// Outgoing webhooks: events to endpoints of other parties.
pub mod webhooks;
