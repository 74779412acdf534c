//! Notifies the parts that act on changes in the store.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::control::Control;
use crate::model::StreamId;

/// Notifies the control and the supervisor of changes that a request made. Never waits. Both also poll the store, so a
/// notice that finds the queue full only causes a delay.
#[derive(Clone)]
pub struct Changes {
    control: Arc<Control>,
    streams: mpsc::Sender<StreamId>,
}

impl Changes {
    /// `streams` names changed streams to the supervisor.
    pub fn new(control: Arc<Control>, streams: mpsc::Sender<StreamId>) -> Self {
        Self { control, streams }
    }

    /// A session or its streams have changed: its policies are to be reviewed.
    pub fn notify_control(&self) {
        self.control.wake();
    }

    /// The row of a stream has changed.
    pub fn notify_stream(&self, stream_id: StreamId) {
        let _ = self.streams.try_send(stream_id);
    }
}
