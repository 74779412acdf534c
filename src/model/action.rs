//! The actions that rtmsd asks Zoom to take on a session's stream, and their records.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Chosen, Session, SessionId, StreamRecord};

/// What Zoom can be asked to do with the stream of a session (rtms-protocol.md section 14.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Start,
    Stop,
    Pause,
    Resume,
}

impl Action {
    pub const ALL: [Self; 4] = [Self::Start, Self::Stop, Self::Pause, Self::Resume];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// Our own id of a request to Zoom: a UUID v7, so that ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ActionId(pub Uuid);

/// One request to Zoom, asked for by a program or by a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionRecord {
    pub id: ActionId,
    pub session_id: SessionId,
    pub action: Action,
    /// `api:` and the token's name, or the policy's name.
    pub asked_by: String,
    /// What made a policy ask: it asks once for one cause. None for programs.
    pub cause: Option<String>,
    pub status: ActionStatus,
    pub asked_at_ms: i64,
    /// When somebody has to look at it: to do it, or to give up waiting.
    pub due_at_ms: Option<i64>,
    /// How often it was taken up.
    pub attempts: u32,
    pub answered_at_ms: Option<i64>,
    pub answer: Option<Answer>,
}

/// Where a request to Zoom stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionStatus {
    /// To be done when its time has come.
    Due,
    Running,
    /// Zoom said yes.
    Accepted,
    /// It had its effect: the stream was announced, or has ended.
    Confirmed,
    Refused,
    /// Zoom said yes, and it had no effect.
    TimedOut,
    /// Its reason had gone when its time came.
    Skipped,
}

impl ActionStatus {
    pub const ALL: [Self; 7] = [
        Self::Due,
        Self::Running,
        Self::Accepted,
        Self::Confirmed,
        Self::Refused,
        Self::TimedOut,
        Self::Skipped,
    ];

    /// Whether it is still to be carried out.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Due | Self::Running)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Running => "running",
            Self::Accepted => "accepted",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Skipped => "skipped",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// What came of a request to Zoom, in our words and in Zoom's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Our word for the error; none when Zoom said yes.
    pub code: Option<String>,
    /// One sentence on what to do about it.
    pub detail: Option<String>,
    /// None when Zoom was not asked or did not answer.
    pub zoom: Option<ZoomAnswer>,
    /// The token that the request used, and why that one; none if no token was chosen.
    #[serde(default)]
    pub chosen: Option<Chosen>,
}

/// What Zoom's REST API answered (section 14.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoomAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Zoom's own number for the error.
    pub code: Option<i64>,
    pub message: Option<String>,
    /// What Zoom's support asks for.
    pub tracking_id: Option<String>,
}

/// A request that a policy wants made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub action: Action,
    /// The policy's name.
    pub asked_by: &'static str,
    /// A second plan with the same cause is the same plan.
    pub cause: String,
    pub due_at_ms: i64,
}

/// Everything that decisions about a session look at.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSnapshot {
    pub session: Session,
    /// By ordinal.
    pub streams: Vec<StreamRecord>,
    /// In the order in which they were asked for.
    pub actions: Vec<ActionRecord>,
}
