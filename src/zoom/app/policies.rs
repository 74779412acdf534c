//! The policies of an app: the requests that the daemon sends to Zoom by itself, and the streams that it joins.

use std::time::Duration;

use crate::named::named;

/// The requests that the daemon sends to Zoom by itself, and the streams that it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    pub auto_start: AutoStart,
    /// When to stop a stream, counted from its announcement; `None` for never.
    pub auto_stop_after: Option<Duration>,
    /// How often in a row a stream that ended for a technical reason is requested again.
    pub restarts: u32,
    /// The wait before the first restart; later ones wait longer.
    pub restart_after: Duration,
    pub streams_per_meeting: StreamsPerMeeting,
}

named! {
    /// The streams of a meeting that are joined: Zoom gives one for each user who brings the app.
    pub enum StreamsPerMeeting {
        All: "all",
        /// A stream is left out while an earlier one of another user has not ended.
        First: "first",
        /// Only the host's is joined. While the host is unknown, every stream is.
        Host: "host",
    }
}

/// The meetings for which a stream is requested when they begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AutoStart {
    Off,
    All,
    /// The meetings of these hosts, by their Zoom user ids.
    Hosts(Vec<String>),
}
