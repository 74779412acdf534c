//! Deletes events for outgoing webhooks with their deliveries and answers: parts of a deletion, and old ones.

use super::database::{Bind, Connection, binds, transaction};
use super::rows::{self, EventRow, SessionRow};
use super::{Store, StoreError, sql};
use crate::model::{Content, Cutoffs, EventKind, OutgoingEvent, Session};

/// The most events deleted in one transaction, with their deliveries, so that other writers are not held up.
const PRUNE_ROWS: u32 = 200;

/// The most answers deleted in one transaction.
const ANSWERS_PER_STEP: u32 = 500;
/// The most events that one transaction of a deletion deletes, with their deliveries.
const EVENTS_PER_STEP: u32 = 200;

impl Store {
    /// Deletes events written before their app's time, with their deliveries. Those that still wait for an endpoint stay
    /// unless they were written before `waiting_before_ms`. Returns how many were deleted.
    pub async fn prune_events(
        &self,
        cutoffs: &Cutoffs,
        waiting_before_ms: i64,
    ) -> Result<u64, StoreError> {
        let (mut pruned, limit) = (0, i64::from(PRUNE_ROWS));
        for (app, before_ms) in self.due_apps(sql::NEXT_APP_OF_EVENTS, cutoffs).await? {
            pruned += match &app {
                Some(app) => {
                    let values = binds![before_ms, limit, waiting_before_ms, &**app];
                    self.prune_events_by(sql::PRUNE_EVENTS, values).await?
                }
                None => {
                    let values = binds![before_ms, limit, waiting_before_ms];
                    self.prune_events_by(sql::PRUNE_EVENTS_OF_NO_APP, values).await?
                }
            };
        }
        Ok(pruned)
    }

    async fn prune_events_by(
        &self,
        statement: &'static str,
        values: &[Bind<'_>],
    ) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            let rows = transaction!(self.database, |tx| {
                forget_events(&mut tx, statement, values).await?
            })?;
            if rows > 0 {
                self.note_deleted();
            }
            pruned += rows;
            if rows < u64::from(PRUNE_ROWS) {
                return Ok(pruned);
            }
        }
    }
}

/// Deletes part of what endpoints answered about a stream, because it may repeat the stream's content. True if more is
/// left.
pub(super) async fn blank_some_answers(
    tx: &mut Connection<'_>,
    stream: &str,
) -> Result<bool, StoreError> {
    let values = binds![stream, i64::from(ANSWERS_PER_STEP)];
    Ok(tx.execute(sql::BLANK_ANSWERS, values).await? == u64::from(ANSWERS_PER_STEP))
}

/// Deletes part of a stream's events: those about people, and delivered ones. Waiting events about the stream's status
/// only are still sent. True if more is left.
pub(super) async fn forget_some_events_of_stream(
    tx: &mut Connection<'_>,
    stream: &str,
) -> Result<bool, StoreError> {
    let values = binds![stream, i64::from(EVENTS_PER_STEP)];
    let events = forget_events(tx, sql::FORGET_EVENTS_OF_STREAM, values).await?;
    Ok(events == u64::from(EVENTS_PER_STEP))
}

/// Deletes part of a session's events with their deliveries: those that `deletion` collected, or all events without a
/// deletion. True if more is left.
pub(super) async fn forget_some_of_session(
    tx: &mut Connection<'_>,
    session: &str,
    deletion: Option<&str>,
) -> Result<bool, StoreError> {
    let values = binds![session, i64::from(EVENTS_PER_STEP), deletion];
    let events = forget_events(tx, sql::FORGET_EVENTS_OF_SESSION, values).await?;
    Ok(events == u64::from(EVENTS_PER_STEP))
}

/// Rewrites the events about a session as a whole after its row has changed, because they repeat it.
pub(super) async fn rewrite_session_events(
    tx: &mut Connection<'_>,
    session: &str,
) -> Result<(), StoreError> {
    let row: Option<SessionRow> = tx.optional(sql::SESSION, binds![session]).await?;
    let Some(row) = row else { return Ok(()) };
    let session = Session::try_from(row)?;
    let values = binds![session.id.to_string()];
    let rows: Vec<EventRow> = tx.all(sql::EVENTS_ABOUT_SESSION, values).await?;
    for row in rows {
        let kind = rows::read_text("event kind", &row.kind, EventKind::parse)?;
        let event = OutgoingEvent::of_session(kind, &session, row.at_ms);
        if let Content::Data(data) = event.content {
            tx.execute(sql::REWRITE_EVENT, binds![&*row.id, data.to_string()]).await?;
        }
        // Answers may repeat the names that the endpoint was sent.
        tx.execute(sql::BLANK_ANSWERS_TO_EVENT, binds![&*row.id]).await?;
    }
    Ok(())
}

/// Deletes events by a statement that returns their ids, and then the deliveries of exactly these events. Returns how
/// many.
pub(super) async fn forget_events(
    tx: &mut Connection<'_>,
    statement: &'static str,
    values: &[Bind<'_>],
) -> Result<u64, StoreError> {
    let events: Vec<(String,)> = tx.all(statement, values).await?;
    for (event,) in &events {
        tx.execute(sql::FORGET_DELIVERIES_OF_EVENT, binds![&**event]).await?;
    }
    Ok(events.len() as u64)
}
