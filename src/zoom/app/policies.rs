//! The policies of an app: the requests that the daemon sends to Zoom by itself.

use std::time::Duration;

/// The requests that the daemon sends to Zoom by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    pub auto_start: AutoStart,
    /// When to stop a stream, counted from its announcement; `None` for never.
    pub auto_stop_after: Option<Duration>,
    /// How often in a row a stream that ended for a technical reason is requested again.
    pub restarts: u32,
    /// The wait before the first restart; later ones wait longer.
    pub restart_after: Duration,
}

/// The meetings for which a stream is requested when they begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AutoStart {
    Off,
    All,
    /// The meetings of these hosts, by their Zoom user ids.
    Hosts(Vec<String>),
}
