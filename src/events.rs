//! Zoom's events, by webhook or over an event socket: records each with its effects. For each app, one of the daemons
//! that share a store holds the event socket.

mod changes;
mod holder;
mod intake;
mod questions;
mod receiver;
mod sockets;
mod status;

use std::time::Duration;

use crate::zoom::event_socket;

pub use self::changes::Changes;
pub use self::receiver::{ReceiveError, Receiver};
pub use self::sockets::{EventSockets, Settings};

/// How daemons hold event sockets.
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    pub socket: event_socket::Timings,
    /// How long a lease lasts without a renewal. Then another daemon takes the event socket.
    pub lease: Duration,
    /// How often a lease is renewed, and how often a daemon without it tries to get it.
    pub poll_interval: Duration,
    /// The bound of the wait before the first new connection; it doubles with each further one.
    pub first_wait: Duration,
    /// The longest bound of a wait.
    pub longest_wait: Duration,
    /// How long a connection must stay up before earlier failures are forgotten.
    pub stable: Duration,
    /// How long after its start a meeting may still be unknown to Zoom's REST API (section 14.1).
    pub new_meeting: Duration,
    /// How long a replaced connection is still read, at most.
    pub overlap: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        // A dead daemon's event socket is taken over within 6 s and one poll.
        Self {
            socket: event_socket::Timings::default(),
            lease: Duration::from_secs(6),
            poll_interval: Duration::from_millis(1500),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(15),
            stable: Duration::from_secs(30),
            new_meeting: Duration::from_secs(120),
            overlap: Duration::from_secs(3),
        }
    }
}
