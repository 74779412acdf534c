//! The names of a stream's links: signaling, and one media link for each medium or for all (rtms-protocol.md section 3.3).

use crate::model::Medium;

/// One link of a stream. A link keeps its name when its socket is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkId {
    /// The link that carries the handshake, the events and the state of the stream.
    Signaling,
    /// A link that carries media.
    Media(Lane),
}

/// What a media link carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Every medium of the stream.
    All,
    /// One medium.
    Only(Medium),
}

impl LinkId {
    /// The name in entries and logs: `signaling`, `all`, or the medium's.
    pub fn as_str(self) -> &'static str {
        match self {
            LinkId::Signaling => "signaling",
            LinkId::Media(Lane::All) => "all",
            LinkId::Media(Lane::Only(medium)) => medium.as_str(),
        }
    }
}
