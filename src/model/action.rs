//! The actions that rtmsd asks Zoom to take on a session's stream, and their records.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Chosen, Session, SessionId, StreamRecord};
use crate::named::named;

named! {
    /// A request to Zoom about the stream of a session (rtms-protocol.md section 14.1).
    #[derive(Hash)]
    pub enum Action {
        /// Start a stream.
        Start: "start",
        /// Stop the stream.
        Stop: "stop",
        /// Pause the stream (rtms-protocol.md section 3.5).
        Pause: "pause",
        /// Resume the paused stream (section 3.5).
        Resume: "resume",
    }
}

/// rtmsd's own id of a request to Zoom: a UUID v7, so that ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ActionId(pub Uuid);

/// One request to Zoom, made by an API client or by a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionRecord {
    /// The id under which the API shows the request.
    pub id: ActionId,
    /// The session whose stream the request starts, stops, pauses or resumes.
    pub session_id: SessionId,
    /// What Zoom is asked to do.
    pub action: Action,
    /// `api:` and the token's name, or the policy's name.
    pub asked_by: String,
    /// What made a policy ask. A policy asks only once for each cause. None for API clients.
    pub cause: Option<String>,
    /// How far the request has come.
    pub status: ActionStatus,
    /// When it was made, Unix milliseconds.
    pub asked_at_ms: i64,
    /// When the next step is due: sending the request, or giving up the wait for its effect.
    pub due_at_ms: Option<i64>,
    /// How many times it was attempted.
    pub attempts: u32,
    /// When the result became known, Unix milliseconds; none until then.
    pub answered_at_ms: Option<i64>,
    /// The result; none until it is known.
    pub answer: Option<Answer>,
}

named! {
    /// The status of a request to Zoom.
    #[derive(Hash)]
    pub enum ActionStatus {
        /// To be sent when `due_at_ms` is reached.
        Due: "due",
        /// It is being sent.
        Running: "running",
        /// Zoom accepted it.
        Accepted: "accepted",
        /// It took effect: the stream was announced or has ended.
        Confirmed: "confirmed",
        /// It was not carried out. The answer says why.
        Refused: "refused",
        /// Zoom accepted it, but it had no effect in time.
        TimedOut: "timed_out",
        /// Its reason had disappeared when it was due.
        Skipped: "skipped",
    }
}

impl ActionStatus {
    /// Whether it is still to be carried out.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Due | Self::Running)
    }
}

/// The result of a request to Zoom: rtmsd's error code and Zoom's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// rtmsd's code for the error; none if Zoom accepted the request.
    pub code: Option<String>,
    /// One sentence on what to do about it.
    pub detail: Option<String>,
    /// None if Zoom was not asked or did not answer.
    pub zoom: Option<ZoomAnswer>,
    /// The token that the request used, and why that one; none if no token was chosen.
    #[serde(default)]
    pub chosen: Option<Chosen>,
}

/// The answer of Zoom's REST API (rtms-protocol.md section 14.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoomAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Zoom's error number.
    pub code: Option<i64>,
    /// Zoom's text for the error.
    pub message: Option<String>,
    /// Zoom's tracking id, for which Zoom's support asks.
    pub tracking_id: Option<String>,
}

/// A request that a policy wants to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What Zoom is to be asked.
    pub action: Action,
    /// The policy's name.
    pub asked_by: &'static str,
    /// A second plan with the same cause is the same plan.
    pub cause: String,
    /// When the request is due, Unix milliseconds.
    pub due_at_ms: i64,
}

/// Everything on which decisions about a session depend.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSnapshot {
    /// The session itself.
    pub session: Session,
    /// Streams in order of their ordinals.
    pub streams: Vec<StreamRecord>,
    /// Requests in the order in which they were made.
    pub actions: Vec<ActionRecord>,
}
