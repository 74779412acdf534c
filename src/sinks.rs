//! Consumers of streams beside the store: live subscribers, recordings, brokers, outgoing webhooks and forwards.
//!
//! A sink has one function `build(settings, &Context)`. It returns the handle that HTTP calls, if there is one, and a
//! [`Runner`], which the daemon runs until it stops.

// Relays entries, deletions and frames to any broker.
pub mod broker;
// Frames and entries on WebSockets that the daemon opens to other servers.
pub mod forward;
// Frames and entries on WebSockets of subscribers.
pub mod live;
// Messages for any broker (pure).
pub mod message;
// NATS: entries to JetStream, frames to core subjects.
pub mod nats;
// Recordings: every stream as files that common tools play.
pub mod record;
// Streams on to other programs in Zoom's own protocol.
pub mod relays;
// Relays every stored entry to one sink, in order and at least once.
pub mod relay;
// Outgoing webhooks: events to endpoints of other parties.
pub mod webhooks;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::model::NodeId;
use crate::net::Network;
use crate::store::Store;

/// What every sink is built from.
#[derive(Clone)]
pub struct Context {
    pub store: Store,
    pub hub: Arc<Hub>,
    pub network: Network,
    /// This daemon among those that share the store.
    pub node: NodeId,
    pub relay: relay::Settings,
    /// The wall clock, Unix milliseconds.
    pub now_ms: fn() -> i64,
}

/// The task of a sink.
pub trait Runner: Send + Sync {
    /// The name in logs and in the count of restarts.
    fn name(&self) -> &'static str;

    /// When the daemon stops it.
    fn stops(&self) -> Stops {
        Stops::AfterStreams
    }

    /// Runs until `stop`, then delivers the rest in bounded time. It runs again after a panic, so what must survive
    /// one belongs to `self`.
    fn run(&mut self, stop: CancellationToken) -> BoxFuture<'_, ()>;
}

/// When a stopping daemon stops a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stops {
    /// At once, like live subscribers, who can connect to another daemon.
    WithSubscribers,
    /// After the streams, whose last entries and frames it still gets.
    AfterStreams,
}
