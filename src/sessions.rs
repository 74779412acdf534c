//! What is live: one owned task per stream, started, moved and stopped by what the store says.
//!
//! The rows of the store are what should be; the tasks are what is. A webhook changes a row and names its
//! stream; the supervisor looks at the row and acts. It also looks at all rows now and then, so that a name
//! that got lost, a crash between the two, and a stream whose daemon died are all found the same way.

mod driver;
mod run;
mod supervisor;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use supervisor::Supervisor;

use crate::hub::Hub;
use crate::model::{NodeId, StreamId};
use crate::net::Network;
use crate::rtms::endpoint::Policy;
use crate::rtms::params::Params;
use crate::rtms::stream::Timings;
use crate::store::Store;
use crate::zoom::Credentials;
use crate::zoom::signature::HandshakeIds;

/// How many names of changed streams may wait for the supervisor; the rest is found by looking.
pub const CHANGES_QUEUE: usize = 1024;

/// What every stream of this daemon has in common.
#[derive(Clone)]
pub struct Settings {
    pub node: NodeId,
    pub client: Credentials,
    /// Of the Video SDK app; without it `client` signs for Video SDK sessions, too.
    pub video_sdk: Option<Credentials>,
    pub handshake_ids: HandshakeIds,
    pub params: Params,
    pub policy: Policy,
    pub timings: Timings,
    pub network: Network,
    pub max_streams: usize,
    pub leases: Leases,
    pub at_shutdown: AtShutdown,
    /// How long the streams have to end after the stop.
    pub grace: Duration,
}

/// How daemons that share a store divide the streams among them.
#[derive(Debug, Clone, Copy)]
pub struct Leases {
    /// How long a stream stays ours without a sign of life; another daemon takes it after that.
    pub lease: Duration,
    /// How often all rows are looked at. A small part of `lease`.
    pub look_every: Duration,
}

impl Default for Leases {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), look_every: Duration::from_secs(3) }
    }
}

/// What becomes of live streams when the daemon stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtShutdown {
    /// Drop the sockets without a word; the next start picks the streams up inside Zoom's windows.
    Leave,
    /// End them at Zoom's.
    Close,
}

/// A supervisor, and the sender that names changed streams to it.
pub fn supervisor(
    settings: Settings,
    store: Store,
    hub: Arc<Hub>,
    stop: CancellationToken,
) -> (Supervisor, mpsc::Sender<StreamId>) {
    let (sender, changes) = mpsc::channel(CHANGES_QUEUE);
    (Supervisor::new(settings, store, hub, changes, stop), sender)
}
