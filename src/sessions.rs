//! Live streams: one owned task per stream, started, moved and stopped as the store's rows say.
//!
//! The rows of the store are the desired state, and the tasks are the actual state. A webhook changes a row and
//! names its stream to the supervisor, which reads the row and acts. The supervisor also polls all rows
//! periodically, so that a lost name, a crash between the two steps, and a stream whose daemon died are all
//! found in the same way. Of several daemons, the one with the least load takes a stream.

mod capturing;
pub mod check;
mod cpu_meter;
mod dial_threads;
mod driver;
mod placement;
mod pulse;
mod run_on;
mod stream_task;
mod stream_threads;
mod streams_per_meeting;
mod supervisor;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::pulse::Pulse;
use self::stream_threads::StreamThreads;
pub use self::stream_threads::Threads;
pub use self::supervisor::Supervisor;

use crate::hub::Hub;
use crate::model::{NodeId, StreamId};
use crate::net::Network;
use crate::rtms::stream::Timings;
use crate::store::Store;
use crate::zoom::app::{Apps, Occupancy};

/// How many names of changed streams may wait for the supervisor. Polling finds those that find no room.
pub const CHANGES_QUEUE: usize = 1024;

/// The settings that all streams of this daemon share.
#[derive(Clone)]
pub struct Settings {
    pub node: NodeId,
    pub apps: Apps,
    pub timings: Timings,
    pub network: Network,
    /// The threads that drive streams.
    pub threads: Threads,
    /// What runs here, and how much of it may.
    pub occupancy: Occupancy,
    pub leases: Leases,
    pub at_shutdown: AtShutdown,
    /// How long the streams may take to end after the stop.
    pub grace: Duration,
}

/// How daemons that share a store divide the streams among them.
#[derive(Debug, Clone, Copy)]
pub struct Leases {
    /// How long a stream stays this daemon's without a renewal. After that another daemon takes it.
    pub lease: Duration,
    /// How often this daemon's leases are renewed and its rows read. A small part of `lease`, so that one failed poll
    /// costs no stream.
    pub poll_interval: Duration,
    /// How often a daemon reports its load and looks for streams that no daemon runs.
    pub place_interval: Duration,
    /// A stream for which Zoom's server has not answered for this long is given to another daemon.
    pub unreachable_after: Duration,
    /// Whether the CPU time of the process counts as load. Not with several daemons in one process.
    pub counts_cpu_time: bool,
}

impl Default for Leases {
    fn default() -> Self {
        // A dead daemon's streams are picked up within 10 s, well inside Zoom's 60 s for a rejoin (rtms-protocol.md
        // section 3.6). Four polls fit in a lease.
        Self {
            lease: Duration::from_secs(9),
            poll_interval: Duration::from_secs(2),
            place_interval: Duration::from_secs(1),
            // A part of the 60 s that is left to the other daemon.
            unreachable_after: Duration::from_secs(10),
            counts_cpu_time: true,
        }
    }
}

/// What the daemon does with live streams when it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtShutdown {
    /// Drop the sockets without a close request. The next start picks the streams up within Zoom's rejoin
    /// windows.
    Leave,
    /// End them with a close request to Zoom.
    Close,
}

/// Creates a supervisor and the sender that names changed streams to it.
///
/// # Errors
/// The system starts no more threads.
pub fn supervisor(
    settings: Settings,
    store: Store,
    hub: Arc<Hub>,
    stop: CancellationToken,
) -> io::Result<(Supervisor, mpsc::Sender<StreamId>)> {
    let threads = StreamThreads::start(settings.threads)?;
    let (sender, changes) = mpsc::channel(CHANGES_QUEUE);
    Ok((Supervisor::new(settings, threads, store, hub, changes, stop), sender))
}
