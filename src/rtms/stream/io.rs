//! What goes into the state machine of a stream and what comes out.

use bytes::Bytes;

use super::{LossKind, LossReason};
use crate::model::{EntryBody, Outcome, StopReason, UserId};
use crate::rtms::LinkId;
use crate::rtms::endpoint::Endpoint;
use crate::rtms::ledger::Change;
use crate::rtms::message::{MediaFrame, Outgoing};

/// An event that the state machine handles.
#[derive(Debug)]
pub enum Input {
    /// The driver connected the link's socket, after the WebSocket upgrade.
    Opened(LinkId),
    /// A whole message arrived.
    Received(LinkId, Bytes),
    /// A message too large to be read, with its first bytes.
    TooLarge(LinkId, Bytes),
    /// The link's socket closed, or its dial failed.
    Lost(LinkId, LossReason),
    /// Zoom announced the stream again, on the same server or another (rtms-protocol.md section 3.6, case A).
    Moved(Endpoint),
    /// Zoom's webhook reports that it lost the signaling connection (case B).
    Interrupted,
    /// Zoom's webhook reports the end of the stream.
    Stopped {
        /// Zoom's reason (rtms-protocol.md section 10.6), if it gave one.
        reason: Option<StopReason>,
    },
    /// An API client chose a participant: subscribe to their video.
    PinVideo(UserId),
    /// An API request or the shutdown ends the stream.
    Close,
}

/// An action for the driver.
#[derive(Debug)]
pub enum Output {
    /// Connect. An older socket of this link was hung up before.
    Dial(LinkId, Endpoint),
    /// Send a message on the link's socket.
    Send(LinkId, Outgoing),
    /// Drop the socket or the dial. Nothing more is read from it.
    HangUp(LinkId, HangUp),
    /// A media message.
    Frame(MediaFrame),
    /// The next entry. `at_ms` is Zoom's time. Without it the feed uses the time of arrival.
    Note {
        /// When it happened, Unix milliseconds.
        at_ms: Option<i64>,
        /// The content of the entry.
        body: EntryBody,
    },
    /// A change of the links, for the ledger.
    Ledger(Change),
    /// The last output.
    Finished(End),
    /// Also a last output: another daemon is connected to the stream, which has not ended.
    LeftToOwner,
}

/// A change of a link, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEvent {
    /// Zoom accepted the link's handshake.
    Up(LinkId),
    /// The link was lost or could not be established. Every failed try is one.
    Lost(LinkId, LossKind),
}

/// Whether a Close frame ends the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// With a Close frame: Zoom treats it as leaving the stream (rtms-protocol.md section 22).
    Politely,
    /// Without one: Zoom treats it as an interruption, and the link may come back.
    Silently,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// What ended the stream: Zoom, rtmsd or a failure.
    pub outcome: Outcome,
    /// Zoom's reason (rtms-protocol.md section 10.6), if it gave one.
    pub stop_reason: Option<StopReason>,
    /// For the log: the last error. Empty for a normal end.
    pub detail: String,
}
