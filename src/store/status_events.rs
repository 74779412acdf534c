//! Emits the webhook event for a status change, exactly once, in the transaction that makes the change.

use super::database::{Connection, binds};
use super::outgoing::emit;
use super::rows::SessionRow;
use super::{StoreError, sql};
use crate::model::{
    EventKind, Outcome, OutgoingEvent, Session, SessionId, SessionStatus, StreamRecord,
    StreamStatus,
};

/// The event of a session with this status, if `last_emitted` was its last event.
pub(super) fn of_session(last_emitted: Option<&str>, status: &str) -> Option<EventKind> {
    match (last_emitted.and_then(EventKind::parse), SessionStatus::parse(status)?) {
        (None, SessionStatus::Live) => Some(EventKind::SessionStarted),
        // A session without any event may be a deleted one that Zoom still reports.
        (Some(EventKind::SessionStarted), SessionStatus::Ended) => Some(EventKind::SessionEnded),
        _ => None,
    }
}

/// The event of a stream with this status, if `last_emitted` was its last event. A stream that is announced after it
/// was live is joined again by a restarted daemon.
fn of_stream(last_emitted: Option<EventKind>, status: StreamStatus) -> Option<EventKind> {
    use EventKind as Kind;
    let kind = match (last_emitted, status) {
        (None | Some(Kind::StreamEnded), StreamStatus::Live) => Kind::StreamStarted,
        (None, StreamStatus::Ended) => Kind::StreamEnded,
        (None | Some(Kind::StreamEnded), _) => return None,
        (Some(Kind::StreamPaused | Kind::StreamInterrupted), StreamStatus::Live) => {
            Kind::StreamResumed
        }
        (Some(_), StreamStatus::Live) => return None,
        (Some(_), StreamStatus::Announced | StreamStatus::Interrupted) => Kind::StreamInterrupted,
        (Some(_), StreamStatus::Paused) => Kind::StreamPaused,
        (Some(_), StreamStatus::Ended) => Kind::StreamEnded,
    };
    Some(kind).filter(|kind| last_emitted != Some(*kind))
}

pub(super) async fn emit_session(
    tx: &mut Connection<'_>,
    id: SessionId,
    kind: EventKind,
    now_ms: i64,
) -> Result<(), StoreError> {
    let id = id.to_string();
    tx.execute(sql::TELL_SESSION, binds![&*id, kind.as_str()]).await?;
    let row: SessionRow = tx.one(sql::SESSION, binds![&*id]).await?;
    let session = Session::try_from(row)?;
    emit(tx, &OutgoingEvent::of_session(kind, &session, now_ms), now_ms).await
}

/// Emits the event for a stream's current status, if it is new. The stream's session must be locked.
pub(super) async fn emit_stream(
    tx: &mut Connection<'_>,
    stream: &StreamRecord,
    status: StreamStatus,
    end: Option<(Outcome, Option<i64>)>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let id = stream.stream_id.as_str();
    let (last_emitted,): (Option<String>,) = tx.one(sql::STREAM_TOLD, binds![id]).await?;
    let Some(kind) = of_stream(last_emitted.as_deref().and_then(EventKind::parse), status) else {
        return Ok(());
    };
    tx.execute(sql::TELL_STREAM, binds![id, kind.as_str()]).await?;
    emit(tx, &OutgoingEvent::of_stream(kind, stream, end, now_ms), now_ms).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events_of(statuses: &[StreamStatus]) -> Vec<&'static str> {
        let mut last_emitted = None;
        let mut all = Vec::new();
        for status in statuses {
            if let Some(kind) = of_stream(last_emitted, *status) {
                last_emitted = Some(kind);
                all.push(kind.as_str());
            }
        }
        all
    }

    #[test]
    fn every_step_of_a_streams_life_is_emitted_once() {
        use StreamStatus::{Announced, Ended, Interrupted, Live, Paused};
        assert_eq!(
            events_of(&[
                Announced,
                Live,
                Live,
                Interrupted,
                Interrupted,
                Live,
                Paused,
                Live,
                Ended
            ]),
            [
                "stream.started",
                "stream.interrupted",
                "stream.resumed",
                "stream.paused",
                "stream.resumed",
                "stream.ended"
            ]
        );
        assert_eq!(events_of(&[Announced, Ended, Ended]), ["stream.ended"]);
        assert_eq!(events_of(&[Paused, Interrupted, Live]), ["stream.started"]);
        let restarted = events_of(&[Live, Announced, Live]);
        assert_eq!(restarted, ["stream.started", "stream.interrupted", "stream.resumed"]);
        let revived = events_of(&[Live, Ended, Announced, Live]);
        assert_eq!(revived, ["stream.started", "stream.ended", "stream.started"]);
    }

    #[test]
    fn a_session_emits_events_when_it_is_first_live_and_when_it_is_over() {
        assert_eq!(of_session(None, "connecting"), None);
        assert_eq!(of_session(None, "live"), Some(EventKind::SessionStarted));
        let (started, ended) = (Some("session.started"), Some("session.ended"));
        assert_eq!(of_session(started, "stopped"), None);
        assert_eq!(of_session(started, "live"), None);
        assert_eq!(of_session(started, "ended"), Some(EventKind::SessionEnded));
        assert_eq!(of_session(None, "ended"), None, "it was never announced");
        assert_eq!(of_session(ended, "live"), None);
        assert_eq!(of_session(ended, "ended"), None);
    }
}
