//! Decides which requests may be sent to Zoom, and plans the requests of the daemon's own policies (pure).

use thiserror::Error;

use super::capacity::Room;
use crate::model::{
    Action, ActionId, ActionRecord, ActionStatus, Outcome, Planned, SessionSnapshot, SessionStatus,
    StreamRecord, StreamStatus, ms,
};
use crate::named::named;
use crate::zoom::app::{AutoStart, Policies};

/// How long a stream must have run for its earlier technical ends to be forgotten.
const STABLE_MS: i64 = 5 * 60 * 1000;
/// The factor by which the wait grows from one restart to the next.
const RESTART_GROWTH: i64 = 3;

named! {
    /// Why a request is not sent to Zoom. The names are the API's error codes; the texts say what to do.
    #[derive(Error)]
    pub enum Refusal {
        /// A start, while a stream is live.
        #[error("the stream is already live")]
        AlreadyLive: "already_live",
        /// A start, while an earlier one awaits its stream.
        #[error("a start was requested, and its stream may still arrive: wait for it")]
        AlreadyRequested: "already_requested",
        /// A pause of a paused stream.
        #[error("the stream is already paused")]
        AlreadyPaused: "already_paused",
        /// A stop, pause or resume without a stream.
        #[error("this session has no stream now: start one first")]
        NoStream: "no_stream",
        /// A start, while a stop awaits the end of its stream.
        #[error("a stop was requested, and its stream has not ended yet: try again later")]
        Stopping: "stopping",
        /// Only a start was planned, and this request dropped it.
        #[error("the planned start was dropped")]
        PlanDropped: "plan_dropped",
        /// A start for a session that has ended.
        #[error("this meeting is over: create a session for the next one")]
        SessionEnded: "session_ended",
        /// A request for one participant's video, while the media parameters do not permit it (section 6.19).
        #[error("this session's media parameters must include video with select individual")]
        VideoNotIndividual: "video_not_individual",
        /// A request without the meeting's number, which the REST API takes (section 14.1).
        #[error("Zoom needs the meeting's number, and no webhook contained it: create a session with it")]
        NumberUnknown: "meeting_number_unknown",
    }
}

/// Whether a request may be sent now. `own` is the request itself, if the snapshot contains it.
pub(super) fn admit(
    action: Action,
    snapshot: &SessionSnapshot,
    own: Option<ActionId>,
) -> Result<(), Refusal> {
    let stream = active_stream(snapshot);
    let others = || snapshot.actions.iter().filter(|other| Some(other.id) != own);
    let is_start_pending =
        others().any(|other| other.action == Action::Start && is_under_way(other.status));
    let is_start_planned =
        others().any(|other| other.action == Action::Start && other.status == ActionStatus::Due);
    match (action, stream) {
        (Action::Start, _) if is_stopping(snapshot, stream) => Err(Refusal::Stopping),
        (Action::Start, Some(_)) => Err(Refusal::AlreadyLive),
        (Action::Start, None) if is_start_pending => Err(Refusal::AlreadyRequested),
        (Action::Pause, Some(stream)) if stream.status == StreamStatus::Paused => {
            Err(Refusal::AlreadyPaused)
        }
        (Action::Start, None) if snapshot.session.status == SessionStatus::Ended => {
            Err(Refusal::SessionEnded)
        }
        (Action::Stop, None) if is_start_pending => number_known(snapshot),
        (Action::Stop, None) if is_start_planned => Err(Refusal::PlanDropped),
        (Action::Stop | Action::Pause | Action::Resume, None) => Err(Refusal::NoStream),
        _ => number_known(snapshot),
    }
}

fn is_under_way(status: ActionStatus) -> bool {
    matches!(status, ActionStatus::Running | ActionStatus::Accepted)
}

/// Whether a stop is being requested, or Zoom accepted one and the stream has not ended yet.
fn is_stopping(snapshot: &SessionSnapshot, stream: Option<&StreamRecord>) -> bool {
    snapshot.actions.iter().any(|action| {
        let has_effect_to_come =
            stream.is_some_and(|stream| action.asked_at_ms >= stream.created_at_ms);
        action.action == Action::Stop
            && (action.status == ActionStatus::Running
                || (action.status == ActionStatus::Accepted && has_effect_to_come))
    })
}

fn number_known(snapshot: &SessionSnapshot) -> Result<(), Refusal> {
    snapshot.session.target().map(drop).ok_or(Refusal::NumberUnknown)
}

/// The newest stream that has not ended.
pub(super) fn active_stream(snapshot: &SessionSnapshot) -> Option<&StreamRecord> {
    let goes_on =
        |stream: &&StreamRecord| stream.ended_at_ms.is_none() && stream.stop_seen_at_ms.is_none();
    snapshot.streams.iter().rev().find(goes_on)
}

/// Whether a planned action may be executed now: its cause still holds, and nothing prevents it.
pub(super) fn admit_planned(
    action: &ActionRecord,
    snapshot: &SessionSnapshot,
    plans: &[Planned],
) -> Result<(), NotNow> {
    let is_wanted = plans
        .iter()
        .any(|plan| plan.action == action.action && Some(&plan.cause) == action.cause.as_ref());
    if !is_wanted {
        return Err(NotNow::CauseGone);
    }
    admit(action.action, snapshot, Some(action.id)).map_err(NotNow::Refused)
}

/// Why a planned action is not executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotNow {
    CauseGone,
    Refused(Refusal),
    /// No daemon has room for the stream.
    NoRoom(Room),
}

/// The actions that the policies plan for a session. The same snapshot always gives the same plans.
pub(super) fn planned_actions(snapshot: &SessionSnapshot, policies: &Policies) -> Vec<Planned> {
    if snapshot.session.meeting_ended_at_ms.is_some() {
        return Vec::new();
    }
    let plans = [
        auto_start(snapshot, policies),
        auto_stop(snapshot, policies),
        plan_restart(snapshot, policies),
    ];
    plans.into_iter().flatten().collect()
}

fn auto_start(snapshot: &SessionSnapshot, policies: &Policies) -> Option<Planned> {
    let session = &snapshot.session;
    let is_wanted = match (&policies.auto_start, &session.host_id) {
        (AutoStart::Off, _) | (AutoStart::Hosts(_), None) => false,
        (AutoStart::All, _) => true,
        (AutoStart::Hosts(hosts), Some(host)) => hosts.contains(host),
    };
    let began_at_ms = session.meeting_started_at_ms?;
    // A stream that has ended is not started again here: `plan_restart` does so after a technical end.
    (is_wanted && snapshot.streams.is_empty()).then(|| Planned {
        action: Action::Start,
        asked_by: "auto_start",
        cause: "auto_start".to_owned(),
        due_at_ms: began_at_ms,
    })
}

fn auto_stop(snapshot: &SessionSnapshot, policies: &Policies) -> Option<Planned> {
    let after = policies.auto_stop_after?;
    let stream = active_stream(snapshot)?;
    Some(Planned {
        action: Action::Stop,
        asked_by: "auto_stop",
        cause: format!("auto_stop:{}", stream.stream_id),
        due_at_ms: stream.created_at_ms.saturating_add(ms(after)),
    })
}

/// Plans a restart after a technical end (section 12.3): a bounded number, each later than the one before, and none
/// after a requested stop.
fn plan_restart(snapshot: &SessionSnapshot, policies: &Policies) -> Option<Planned> {
    // A stream that a policy left out says nothing of those that are joined.
    let was_tried = |stream: &&StreamRecord| stream.outcome != Some(Outcome::LeftOut);
    let tried = || snapshot.streams.iter().rev().filter(was_tried);
    let last = tried().next()?;
    let ended_at_ms = last.ended_at_ms?;
    let is_over = snapshot.session.status == SessionStatus::Ended;
    if is_over || !is_technical_end(last) || active_stream(snapshot).is_some() {
        return None;
    }
    let stop_was_asked = snapshot.actions.iter().any(|action| {
        action.action == Action::Stop
            && action.asked_at_ms >= last.created_at_ms
            && !matches!(
                action.status,
                ActionStatus::Refused | ActionStatus::Skipped | ActionStatus::Due
            )
    });
    let in_a_row = tried().take_while(|stream| died_young(stream)).count();
    // The first of them was not a restart.
    let restarts = u32::try_from(in_a_row.saturating_sub(1)).unwrap_or(u32::MAX);
    if stop_was_asked || restarts >= policies.restarts {
        return None;
    }
    let factor = RESTART_GROWTH.saturating_pow(restarts);
    let wait_ms = ms(policies.restart_after).saturating_mul(factor);
    Some(Planned {
        action: Action::Start,
        asked_by: "restart",
        cause: format!("restart:{}", last.stream_id),
        due_at_ms: ended_at_ms.saturating_add(wait_ms),
    })
}

fn died_young(stream: &StreamRecord) -> bool {
    let lived_ms = stream.ended_at_ms.map(|ended| ended.saturating_sub(stream.created_at_ms));
    is_technical_end(stream) && lived_ms.is_some_and(|lived| lived < STABLE_MS)
}

fn is_technical_end(stream: &StreamRecord) -> bool {
    match stream.stop_reason {
        Some(reason) => reason.is_technical(),
        // Zoom has given no reason, so the daemon's own outcome decides.
        None => matches!(stream.outcome, Some(Outcome::WindowExpired | Outcome::Gone)),
    }
}

#[cfg(test)]
mod tests;
