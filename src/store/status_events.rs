//! Emits webhook events, each in the transaction of the change that it reports, and the event of a status change exactly
//! once.

use super::database::{Connection, binds};
use super::rows::SessionRow;
use super::{StoreError, sql};
use crate::model::{
    AppName, Content, EventKind, Outcome, OutgoingEvent, Session, SessionId, SessionStatus,
    StopReason, StreamId, StreamRecord, StreamStatus,
};

/// Writes an event in the transaction of the change that it reports, at `now_ms`. It is due at once, by the database's
/// clock, because the sending daemon's clock may differ from the writer's.
pub(super) async fn emit(
    tx: &mut Connection<'_>,
    event: &OutgoingEvent,
    now_ms: i64,
) -> Result<(), StoreError> {
    let (seq, data) = match &event.content {
        Content::Entry { seq } => (Some(i64::try_from(*seq).unwrap_or(i64::MAX)), None),
        Content::Data(data) => (None, Some(data.to_string())),
    };
    let (id, kind) = (&*event.id, event.kind.as_str());
    let app = event.app.as_ref().map(AppName::as_str);
    let values = binds![
        id,
        kind,
        event.at_ms,
        event.session_id.map(|id| id.to_string()),
        event.stream_id.as_ref().map(StreamId::as_str),
        seq,
        data,
        now_ms,
        app,
    ];
    if tx.execute(sql::INSERT_EVENT, values).await? == 0 {
        // No endpoint subscribes to it.
        return Ok(());
    }
    // An existing event is addressed to endpoints that subscribed since.
    let due_at_ms = tx.now_ms().await?;
    tx.execute(sql::ADDRESS_EVENT, binds![id, kind, now_ms, due_at_ms, app]).await.map(drop)
}

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
        // Before a stream is live, there is nothing to report but its end.
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
    end: Option<(Outcome, Option<StopReason>)>,
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
