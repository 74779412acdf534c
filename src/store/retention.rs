//! Retention: deletes the logs of ended streams, old sessions and old audit rows.

use super::database::{Connection, binds, row, transaction};
use super::erase::{delete_rows_of_session, delete_some_entries};
use super::erase_events::{blank_some_answers, forget_some_of_session};
use super::{Store, StoreError, sql};

/// The statement for entries to delete when their retention is over.
const DOOMED: &str = sql::DELETE_SOME_EARLIER_ENTRIES;

/// The most rows deleted in one statement, so that webhooks are not held up and a statement does not grow with the
/// backlog.
const ROWS_PER_STATEMENT: u32 = 500;
/// The sessions examined in one statement.
const SESSIONS_PER_PAGE: u32 = 200;

row! {
    /// An old session, and whether it is over and nothing else is stored of it.
    struct OldSession {
        id: String,
        created_at_ms: i64,
        is_over: i64,
    }
}

impl Store {
    /// Deletes a bounded part of the logs of streams that ended before `before_ms`. False if there is none.
    pub async fn expire_entries(&self, before_ms: i64, now_ms: i64) -> Result<bool, StoreError> {
        // Without a lock: if two daemons choose the same stream, each deletes a part of it.
        let oldest: Option<(String,)> =
            self.database.optional(sql::STREAM_TO_EXPIRE, binds![before_ms]).await?;
        let Some((stream,)) = oldest else { return Ok(false) };
        transaction!(self.database, |tx| {
            let (_, is_empty) = delete_some_entries(&mut tx, &stream, DOOMED).await?;
            if is_empty && !blank_some_answers(&mut tx, &stream).await? {
                tx.execute(sql::MARK_EMPTIED, binds![&*stream, now_ms]).await?;
            }
        })?;
        self.note_deleted();
        Ok(true)
    }

    /// Deletes sessions that ended before `before_ms` and have no other stored data: no entries, no recordings, nothing
    /// that still waits. In small transactions; a session that cannot be deleted does not block others. Returns how
    /// many were deleted.
    pub async fn expire_sessions(&self, before_ms: i64) -> Result<u64, StoreError> {
        let (mut after, mut gone, mut failed) = ((i64::MIN, String::new()), 0, None);
        loop {
            let page = i64::from(SESSIONS_PER_PAGE);
            let values = binds![before_ms, after.0, &*after.1, page];
            let sessions: Vec<OldSession> =
                self.database.all(sql::SESSIONS_TO_EXPIRE, values).await?;
            let Some(last) = sessions.last() else { break };
            after = (last.created_at_ms, last.id.clone());
            for session in sessions.iter().filter(|session| session.is_over != 0) {
                match self.expire_session(&session.id, before_ms).await {
                    Ok(is_gone) => gone += u64::from(is_gone),
                    // Every other session would fail for the same reason.
                    Err(error @ StoreError::Unavailable(_)) => return Err(error),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        failed.map_or(Ok(gone), Err)
    }

    /// False if the session has changed since.
    async fn expire_session(&self, session: &str, before_ms: i64) -> Result<bool, StoreError> {
        loop {
            let step = transaction!(self.database, |tx| {
                expire_some(&mut tx, session, before_ms).await?
            });
            match step? {
                Step::Kept => return Ok(false),
                Step::Some => self.note_deleted(),
                Step::Gone => {
                    self.note_deleted();
                    return Ok(true);
                }
            }
        }
    }

    /// Deletes audit rows from before `before_ms`, in small transactions. The row of a deletion stays until every sink
    /// that a daemon has held since then has relayed it. Returns how many were deleted.
    pub async fn expire_audit(&self, before_ms: i64) -> Result<u64, StoreError> {
        self.delete_before(sql::EXPIRE_AUDIT, before_ms).await
    }

    /// Deletes rows from before a time by a statement that takes the time and the most rows, until it finds fewer.
    /// Returns how many were deleted. After an error, some are deleted and the next call continues.
    pub(super) async fn delete_before(
        &self,
        statement: &'static str,
        before_ms: i64,
    ) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let values = binds![before_ms, i64::from(ROWS_PER_STATEMENT)];
            let rows = self.database.execute(statement, values).await?;
            if rows > 0 {
                self.note_deleted();
            }
            deleted += rows;
            if rows < u64::from(ROWS_PER_STATEMENT) {
                return Ok(deleted);
            }
        }
    }
}

/// The result of a step.
enum Step {
    /// The session is not over.
    Kept,
    /// More of it is left.
    Some,
    Gone,
}

async fn expire_some(
    tx: &mut Connection<'_>,
    session: &str,
    before_ms: i64,
) -> Result<Step, StoreError> {
    tx.execute(sql::LOCK_SESSION, binds![session]).await?;
    // It may have changed since the page was read.
    let over: Option<(i64,)> =
        tx.optional(sql::SESSION_IS_OVER, binds![before_ms, session]).await?;
    if over.is_none_or(|(is_over,)| is_over == 0) {
        return Ok(Step::Kept);
    }
    let streams: Vec<(String,)> = tx.all(sql::STREAM_IDS_OF_SESSION, binds![session]).await?;
    for (stream,) in &streams {
        let (_, is_empty) = delete_some_entries(tx, stream, DOOMED).await?;
        if !is_empty {
            return Ok(Step::Some);
        }
    }
    if forget_some_of_session(tx, session, None).await? {
        return Ok(Step::Some);
    }
    delete_rows_of_session(tx, session).await?;
    Ok(Step::Gone)
}
