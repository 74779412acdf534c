//! Forwards: the delivery of a session's media and entries to another server.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Cursor, SessionId};

/// rtmsd's own id of a forward: a UUID v7, so that ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ForwardId(pub Uuid);

impl ForwardId {
    /// Parses a UUID in any form that the `uuid` crate reads; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for ForwardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A server to which a session's frames and entries are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// The id under which the API shows the forward.
    pub id: ForwardId,
    /// The session whose frames and entries are sent.
    pub session_id: SessionId,
    /// The URL was allowed when the forward was created. It is checked again before each connection.
    pub url: String,
    /// What to send, with the parameter names of live consumers.
    pub asked: Map<String, Value>,
    /// The position up to which entries are known to have arrived.
    pub cursor: Cursor,
    /// When it was created, Unix milliseconds.
    pub created_at_ms: i64,
}
