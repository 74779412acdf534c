//! The commands of a stream's owner to its driver.

use futures_channel::mpsc;

use crate::hub::Offer;
use crate::model::{StopReason, UserId};
use crate::rtms::endpoint::Endpoint;

/// A stream's command queue. Unlike Tokio's, it allocates per message, so an empty queue takes no memory.
pub(in crate::sessions) type Commands = mpsc::Receiver<Command>;
pub(in crate::sessions) type CommandSender = mpsc::Sender<Command>;

/// Creates a queue of `capacity` + 1 commands. (futures-channel adds one per sender.)
pub(in crate::sessions) fn command_queue(capacity: usize) -> (CommandSender, Commands) {
    mpsc::channel(capacity)
}

/// A command from the stream's owner to its driver.
#[derive(Debug)]
pub(in crate::sessions) enum Command {
    /// Zoom announced the stream again: the new server, and the number of announcements so far.
    Moved {
        endpoint: Endpoint,
        generation: i64,
    },
    Interrupted,
    Stopped {
        reason: Option<StopReason>,
    },
    /// Subscribe to this participant's video.
    PinVideo(UserId),
    /// The lease has changed.
    Leased,
    /// Entries that other daemons received while they ran the stream.
    HandedOver(Vec<Offer>),
    /// End the stream with a close request to Zoom.
    Close,
    /// Drop the sockets without a close request: Zoom waits, and a daemon picks the stream up.
    Leave,
    /// The same, because Zoom's server does not answer here: another daemon picks the stream up.
    GiveUp,
}
