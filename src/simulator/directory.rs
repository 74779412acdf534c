//! The directory of meetings and streams: inboxes of the live ones, and the reports of all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};

use super::control::{ControlError, MeetingAction};
use super::frame_log::FrameLog;
use super::lock;
use super::meeting::Input;
use super::report::StreamReport;
use super::shared::Shared;

/// The most meetings, and the most streams, that one simulator creates; their reports are kept until it ends.
const MAX_STREAMS: usize = 100_000;

/// Which tasks of a meeting perform an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    All,
    /// Those of the app with this index.
    App(usize),
    /// The one of this operator of the app, or else of the app's first operator.
    Operator(usize, String),
}

/// One task of a meeting.
struct Player {
    app: usize,
    operator_id: String,
    inbox: mpsc::Sender<Input>,
}

/// Meetings and streams by id. The lock is held only for a look-up, never across an await.
#[derive(Default)]
pub(super) struct Directory(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    meetings_made: u64,
    /// The tasks of live meetings by meeting number.
    meetings: HashMap<String, Vec<Player>>,
    /// Meeting numbers by instance id.
    instances: HashMap<String, String>,
    /// Live streams by stream id. The inbox is that of the stream's meeting.
    streams: HashMap<String, mpsc::Sender<Input>>,
    /// The report of every stream, live or ended, in order of announcement.
    reports: Vec<Arc<Mutex<StreamReport>>>,
    /// Frame logs by stream id, live or ended; empty unless the settings ask for them.
    frame_logs: HashMap<String, Arc<Mutex<FrameLog>>>,
}

impl Directory {
    /// Counts one more meeting and returns its index, starting from 0.
    pub(super) fn next_meeting(&self) -> Result<u64, ControlError> {
        let mut entries = lock(&self.0);
        if entries.meetings_made as usize >= MAX_STREAMS {
            return Err(ControlError::Full);
        }
        entries.meetings_made += 1;
        Ok(entries.meetings_made - 1)
    }

    /// Adds one task of a meeting.
    pub(super) fn add_meeting(&self, shared: &Shared, inbox: mpsc::Sender<Input>) {
        let (identity, app) = (&shared.identity, shared.app.index);
        let player = Player { app, operator_id: shared.operator_id.clone(), inbox };
        let mut entries = lock(&self.0);
        entries.meetings.entry(identity.meeting_id.clone()).or_default().push(player);
        entries.instances.insert(identity.instance_id.clone(), identity.meeting_id.clone());
    }

    /// Removes one task of a meeting, and the meeting with its last.
    pub(super) fn remove_meeting(&self, shared: &Shared) {
        let identity = &shared.identity;
        let mut entries = lock(&self.0);
        let Some(players) = entries.meetings.get_mut(&identity.meeting_id) else { return };
        players.retain(|player| {
            player.app != shared.app.index || player.operator_id != shared.operator_id
        });
        if players.is_empty() {
            entries.meetings.remove(&identity.meeting_id);
            entries.instances.remove(&identity.instance_id);
        }
    }

    pub(super) fn meeting_of_instance(&self, instance_id: &str) -> Option<String> {
        lock(&self.0).instances.get(instance_id).cloned()
    }

    /// The instance id of a live meeting.
    pub(super) fn instance_of_meeting(&self, meeting_id: &str) -> Option<String> {
        let entries = lock(&self.0);
        let mut found = entries.instances.iter().filter(|(_, number)| *number == meeting_id);
        found.next().map(|(instance_id, _)| instance_id.clone())
    }

    pub(super) fn live_meetings(&self) -> Vec<String> {
        let mut ids: Vec<_> = lock(&self.0).meetings.keys().cloned().collect();
        ids.sort();
        ids
    }

    /// Performs an action on a live meeting and waits for the result. With several tasks, one success is enough.
    pub(super) async fn perform(
        &self,
        meeting_id: &str,
        address: &Address,
        action: MeetingAction,
    ) -> Result<(), ControlError> {
        let mut result = Err(ControlError::NoMeeting);
        for inbox in self.inboxes_of(meeting_id, address) {
            let (answer, answered) = oneshot::channel();
            let input = Input::Perform { action: action.clone(), answer };
            // A meeting that ends drops its inbox, and with it the sender of the answer.
            let sent = inbox.send(input).await.is_ok();
            let outcome = answered.await.ok().filter(|_| sent);
            let outcome = outcome.unwrap_or(Err(ControlError::NoMeeting));
            result = if result.is_ok() { result } else { outcome };
        }
        result
    }

    /// Cloned, because an inbox may be full and the lock must not be held while waiting for room.
    fn inboxes_of(&self, meeting_id: &str, address: &Address) -> Vec<mpsc::Sender<Input>> {
        let entries = lock(&self.0);
        let players = entries.meetings.get(meeting_id).map_or(&[][..], Vec::as_slice);
        let of_app = |app: usize| players.iter().filter(move |player| player.app == app);
        let chosen: Vec<&Player> = match address {
            Address::All => players.iter().collect(),
            Address::App(app) => of_app(*app).collect(),
            Address::Operator(app, operator) => {
                let own = of_app(*app).find(|player| player.operator_id == *operator);
                own.or_else(|| of_app(*app).next()).into_iter().collect()
            }
        };
        chosen.into_iter().map(|player| player.inbox.clone()).collect()
    }

    pub(super) fn add_stream(
        &self,
        report: StreamReport,
        inbox: mpsc::Sender<Input>,
    ) -> Result<Arc<Mutex<StreamReport>>, ControlError> {
        let mut entries = lock(&self.0);
        if entries.reports.len() >= MAX_STREAMS {
            return Err(ControlError::Full);
        }
        // Before `rtms_started` is sent, since a client may connect at once.
        entries.streams.insert(report.stream_id.clone(), inbox);
        let report = Arc::new(Mutex::new(report));
        entries.reports.push(report.clone());
        Ok(report)
    }

    /// Creates the frame log of a stream.
    pub(super) fn add_frame_log(&self, stream_id: &str) -> Arc<Mutex<FrameLog>> {
        lock(&self.0).frame_logs.entry(stream_id.to_owned()).or_default().clone()
    }

    pub(super) fn frame_log_of(&self, stream_id: &str) -> Option<FrameLog> {
        let log = lock(&self.0).frame_logs.get(stream_id).cloned()?;
        // The directory's lock is free again: copying a log of a million frames must not block other meetings.
        Some(lock(&log).clone())
    }

    pub(super) fn remove_stream(&self, stream_id: &str) {
        lock(&self.0).streams.remove(stream_id);
    }

    pub(super) fn inbox_of_stream(&self, stream_id: &str) -> Option<mpsc::Sender<Input>> {
        lock(&self.0).streams.get(stream_id).cloned()
    }

    pub(super) fn reports(&self) -> Vec<StreamReport> {
        lock(&self.0).reports.iter().map(|report| lock(report).clone()).collect()
    }
}
