//! Retention: deletes the logs of ended streams, old sessions and old audit rows.

use super::database::{Bind, Connection, binds, row, transaction};
use super::erase::{delete_rows_of_session, delete_some_entries};
use super::erase_events::{blank_some_answers, forget_some_of_session};
use super::{Store, StoreError, sql};
use crate::model::{AppName, Cutoffs};

/// The statement for entries to delete when their retention is over.
const DOOMED: &str = sql::DELETE_SOME_EARLIER_ENTRIES;

/// The most rows deleted in one statement, so that webhooks are not held up and a statement does not grow with the
/// backlog.
const ROWS_PER_STATEMENT: u32 = 500;
/// The sessions and streams examined in one statement.
const SESSIONS_PER_PAGE: u32 = 200;
const STREAMS_PER_PAGE: u32 = 1000;

row! {
    /// An old session, and whether it is over and nothing else is stored of it.
    struct OldSession {
        id: String,
        created_at_ms: i64,
        app: String,
        is_over: i64,
    }
}

row! {
    /// A stream with a log, and the app of its session.
    struct OldStream {
        stream_id: String,
        ended_at_ms: i64,
        app: String,
    }
}

impl Store {
    /// Deletes the logs of streams that ended before their app's time, in small transactions, so that live streams can
    /// write in between. A log that cannot be deleted does not block others. Returns how many were deleted.
    pub async fn expire_entries(&self, cutoffs: &Cutoffs, now_ms: i64) -> Result<u64, StoreError> {
        let Some(latest_ms) = cutoffs.latest() else { return Ok(0) };
        let (mut after, mut emptied, mut failed) = ((i64::MIN, String::new()), 0, None);
        loop {
            let values = binds![latest_ms, after.0, &*after.1, i64::from(STREAMS_PER_PAGE)];
            let streams: Vec<OldStream> = self.database.all(sql::STREAMS_TO_EXPIRE, values).await?;
            let Some(last) = streams.last() else { break };
            after = (last.ended_at_ms, last.stream_id.clone());
            let is_due = |stream: &&OldStream| is_before(cutoffs, &stream.app, stream.ended_at_ms);
            for stream in streams.iter().filter(is_due) {
                match self.empty_stream(&stream.stream_id, now_ms).await {
                    Ok(()) => emptied += 1,
                    // Every other stream would fail for the same reason.
                    Err(error @ StoreError::Unavailable(_)) => return Err(error),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        failed.map_or(Ok(emptied), Err)
    }

    /// Deletes the log of an ended stream but for its last entry.
    async fn empty_stream(&self, stream: &str, now_ms: i64) -> Result<(), StoreError> {
        loop {
            // Without a lock: if two daemons choose the same stream, each deletes a part of it.
            let is_done = transaction!(self.database, |tx| {
                let (_, is_empty) = delete_some_entries(&mut tx, stream, DOOMED).await?;
                let is_done = is_empty && !blank_some_answers(&mut tx, stream).await?;
                if is_done {
                    tx.execute(sql::MARK_EMPTIED, binds![stream, now_ms]).await?;
                }
                is_done
            });
            self.note_deleted();
            if is_done? {
                return Ok(());
            }
        }
    }

    /// Deletes sessions that ended before their app's time and have no other stored data: no entries, no recordings,
    /// nothing that still waits. In small transactions; a session that cannot be deleted does not block others. Returns
    /// how many were deleted.
    pub async fn expire_sessions(&self, cutoffs: &Cutoffs) -> Result<u64, StoreError> {
        let Some(latest_ms) = cutoffs.latest() else { return Ok(0) };
        let (mut after, mut gone, mut failed) = ((i64::MIN, String::new()), 0, None);
        loop {
            let values = binds![latest_ms, after.0, &*after.1, i64::from(SESSIONS_PER_PAGE)];
            let sessions: Vec<OldSession> =
                self.database.all(sql::SESSIONS_TO_EXPIRE, values).await?;
            let Some(last) = sessions.last() else { break };
            after = (last.created_at_ms, last.id.clone());
            for session in sessions.iter().filter(|session| session.is_over != 0) {
                let Some(before_ms) = cutoff_of(cutoffs, &session.app) else { continue };
                if session.created_at_ms >= before_ms {
                    continue;
                }
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

    /// Deletes audit rows from before their app's time, in small transactions. The row of a deletion stays until every
    /// sink that a daemon has held since then has relayed it. Returns how many were deleted.
    pub async fn expire_audit(&self, cutoffs: &Cutoffs) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for (app, before_ms) in self.due_apps(sql::NEXT_APP_OF_AUDIT, cutoffs).await? {
            deleted += match &app {
                Some(app) => {
                    self.delete_before(sql::EXPIRE_AUDIT, before_ms, binds![&**app]).await?
                }
                None => self.delete_before(sql::EXPIRE_AUDIT_OF_NO_APP, before_ms, &[]).await?,
            };
        }
        Ok(deleted)
    }

    /// The apps in a table of which data may be due, each with its time, and last the time of data of no app. `next`
    /// finds the next app in the table's index.
    pub(super) async fn due_apps(
        &self,
        next: &'static str,
        cutoffs: &Cutoffs,
    ) -> Result<Vec<(Option<String>, i64)>, StoreError> {
        let (mut due, mut after) = (Vec::new(), String::new());
        loop {
            let row: Option<(Option<String>,)> =
                self.database.optional(next, binds![&*after]).await?;
            let Some((Some(app),)) = row else { break };
            due.extend(cutoff_of(cutoffs, &app).map(|before_ms| (Some(app.clone()), before_ms)));
            after = app;
        }
        due.extend(cutoffs.of(None).map(|before_ms| (None, before_ms)));
        Ok(due)
    }

    /// Deletes rows from before a time by a statement that takes the time, the most rows and `more`, until it finds
    /// fewer. Returns how many were deleted. After an error, some are deleted and the next call continues.
    pub(super) async fn delete_before(
        &self,
        statement: &'static str,
        before_ms: i64,
        more: &[Bind<'_>],
    ) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let values = [binds![before_ms, i64::from(ROWS_PER_STATEMENT)], more].concat();
            let rows = self.database.execute(statement, &values).await?;
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

/// The time of the data of an app, as a row names it.
fn cutoff_of(cutoffs: &Cutoffs, app: &str) -> Option<i64> {
    // A name that cannot be read is one of no app here.
    cutoffs.of(AppName::parse(app).ok().as_ref())
}

/// Whether data of an app is from before the app's time.
pub(super) fn is_before(cutoffs: &Cutoffs, app: &str, at_ms: i64) -> bool {
    cutoff_of(cutoffs, app).is_some_and(|before_ms| at_ms < before_ms)
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
