//! What a stream knows from the start: its identity, its parameters and its timeouts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::params::Params;
use crate::model::{Instance, StreamId};
use crate::rtms::endpoint::Policy;
use crate::secret::Secret;

/// Everything that a stream needs from the start.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Zoom's id of the stream, `rtms_stream_id`.
    pub stream_id: StreamId,
    /// The conversation that the stream belongs to.
    pub instance: Instance,
    /// The handshake's signature (rtms-protocol.md section 5.1); the same on every link.
    pub signature: Secret<String>,
    /// The media to request, with their formats.
    pub params: Params,
    /// Decides which URLs the stream may dial.
    pub policy: Policy,
    /// How long the stream waits for Zoom.
    pub timings: Timings,
}

/// Timeouts of a stream (rtms-protocol.md section 11). The defaults are Zoom's windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// How long a dial may take, with TLS and upgrade.
    pub dial: Duration,
    /// How long Zoom may take to answer a handshake.
    pub handshake: Duration,
    /// A link that has been silent this long is dead.
    pub silence: Duration,
    /// How long a link must stay up before its earlier losses are forgotten.
    pub stable: Duration,
    /// How long Zoom waits for signaling to come back.
    pub signaling_window: Duration,
    /// How long Zoom waits for a media link to come back.
    pub media_window: Duration,
    /// How long to wait for Zoom's end after a close request.
    pub close: Duration,
    /// How long to wait for the next frame or line after Zoom's end. The whole wait is at most ten times as
    /// long.
    pub drain: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            dial: Duration::from_secs(10),
            // Not published. Zoom's own windows are longer, so a late answer costs a redial and not the stream.
            handshake: Duration::from_secs(10),
            silence: Duration::from_secs(65),
            stable: Duration::from_secs(10),
            signaling_window: Duration::from_secs(60),
            media_window: Duration::from_secs(65),
            close: Duration::from_secs(3),
            drain: Duration::from_secs(1),
        }
    }
}
