use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Cursor, SessionId};

/// Our own id of a forward: a UUID v7, so that ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ForwardId(pub Uuid);

impl ForwardId {
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for ForwardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A server that a session's frames and entries are sent to.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    pub id: ForwardId,
    pub session_id: SessionId,
    /// It was allowed when it was made; that is checked again before it is dialled.
    pub url: String,
    /// What is sent, by the names of live consumers.
    pub asked: Map<String, Value>,
    /// The last entry of each stream that is known to have arrived.
    pub cursor: Cursor,
    pub created_at_ms: i64,
}
