//! Entries and frames from a stream to whoever wants them; never waits for one.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::model::{Entry, SessionId};

/// Where live subscribers find stored entries.
pub struct Hub {}

#[allow(unused_variables)]
impl Hub {
    /// Entries of a session from now on, each once, after it was stored. A receiver that falls behind
    /// gets `Lagged` and reads what it missed from the store. `None` when there are too many subscribers.
    pub fn subscribe(&self, session: SessionId) -> Option<Subscription> {
        todo!()
    }
}

/// A live subscription; counts as one subscriber until it is dropped.
pub struct Subscription {
    pub entries: broadcast::Receiver<Arc<Entry>>,
}
