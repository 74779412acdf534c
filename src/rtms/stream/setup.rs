use std::time::Duration;

use crate::model::{Instance, StreamId};
use crate::rtms::endpoint::Policy;
use crate::rtms::params::Params;
use crate::secret::Secret;

/// What a stream needs to know from the start.
#[derive(Debug, Clone)]
pub struct Setup {
    pub stream_id: StreamId,
    pub instance: Instance,
    /// Section 5.1; the same on every link.
    pub signature: Secret<String>,
    pub params: Params,
    pub policy: Policy,
    pub timings: Timings,
}

/// How long we wait (section 11). The defaults are Zoom's windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// Until a connection, with TLS and upgrade, must stand.
    pub dial: Duration,
    /// Until a handshake must be answered.
    pub handshake: Duration,
    /// A link that has been silent this long is dead.
    pub silence: Duration,
    /// How long a link must stay up before its earlier losses are forgotten.
    pub stable: Duration,
    /// Zoom waits so long for signaling to come back.
    pub signaling_window: Duration,
    /// Zoom waits so long for a media link to come back.
    pub media_window: Duration,
    /// After our own close request: how long we wait for Zoom's end.
    pub close: Duration,
    /// After Zoom's end: how long a stream waits for the next frame or line. Ten times as long in all.
    pub drain: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            dial: Duration::from_secs(10),
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
