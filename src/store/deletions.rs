//! Deletions of a user's, a session's or a revoked stream's data: requested in one transaction, executed in small ones,
//! and recorded at the end. After a restart, the daemon continues where it stopped.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::audit::insert_audit;
use super::database::{Connection, binds, row, transaction};
use super::erase::{
    Gone, Of, erase_deleted_session, erase_session, erase_some_about_user, erase_some_of_stream,
};
use super::outgoing::forget_some_of_session;
use super::rows::{self, read_text};
use super::sessions::refresh_session;
use super::status_events::emit;
use super::{Store, StoreError, sql};
use crate::model::{AuditRow, EventKind, OutgoingEvent, SessionId, StreamId};
use crate::named::named;

/// The value of `is_collected` if the request itself collected the deletion's items and erased its session. Older
/// versions did less.
const PREPARED: i64 = 2;

/// How long a user's deletion waits for the revoked streams of the user to end. A stopped daemon's streams end when
/// another has claimed them.
const WAIT_FOR_STREAMS_MS: i64 = 60_000;

/// The audit outcome of a deletion that found nothing.
pub(super) const NOTHING_FOUND: &str = "nothing found";

impl Store {
    /// Executes a bounded part of the oldest deletion that can make progress. False if nothing is left to delete or
    /// every deletion waits; an error if no deletion can make progress.
    pub async fn delete_some(&self, now_ms: i64) -> Result<bool, StoreError> {
        let (mut after, mut failed) = (String::new(), None);
        while let Some(id) = self.next_deletion(&after).await? {
            match self.step_deletion(&id, now_ms).await {
                Ok(Step::Waits) => {}
                Ok(step) => {
                    self.note_deleted();
                    if let Step::Over(done) = step {
                        done.log();
                    }
                    return Ok(true);
                }
                // A deletion that fails must not block the others.
                Err(error) => failed = failed.or(Some(error)),
            }
            after = id;
        }
        failed.map_or(Ok(false), Err)
    }

    async fn next_deletion(&self, after: &str) -> Result<Option<String>, StoreError> {
        let next: Option<(String,)> =
            self.database.optional(sql::NEXT_DELETION, binds![after]).await?;
        Ok(next.map(|(id,)| id))
    }

    async fn step_deletion(&self, id: &str, now_ms: i64) -> Result<Step, StoreError> {
        transaction!(self.database, |tx| { delete_part(&mut tx, id, now_ms).await? })
    }
}

/// A completed deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    pub id: String,
    pub at_ms: i64,
    /// `user`, `session` or `stream`.
    pub scope: String,
    /// The id of the user, session or stream.
    pub subject: String,
}

row! {
    struct DeletedRow {
        id: String,
        at_ms: i64,
        subject: String,
        detail: String,
    }
}

impl From<DeletedRow> for Deleted {
    fn from(row: DeletedRow) -> Self {
        #[derive(Default, Deserialize)]
        struct Detail {
            scope: Option<String>,
        }
        let DeletedRow { id, at_ms, subject, detail } = row;
        let detail: Detail = serde_json::from_str(&detail).unwrap_or_default();
        // Rows without a scope are deletions of users: older versions had no others.
        let scope = detail.scope.unwrap_or_else(|| Scope::User.as_str().to_owned());
        Self { id, at_ms, scope, subject }
    }
}

impl Store {
    /// Deletions completed after the one with this time and id, in order.
    pub async fn deletions_after(
        &self,
        at_ms: i64,
        id: &str,
        limit: u32,
    ) -> Result<Vec<Deleted>, StoreError> {
        let values = binds![at_ms, id, i64::from(limit)];
        let rows: Vec<DeletedRow> = self.database.all(sql::DELETIONS_AFTER, values).await?;
        Ok(rows.into_iter().map(Deleted::from).collect())
    }
}

named! {
    /// The scope of a deletion.
    enum Scope {
        /// The data of a Zoom user's streams from before the request, and everything else that names the user.
        User: "user",
        /// A session with all its data.
        Session: "session",
        /// The rest of a revoked stream, after its personal entries.
        Stream: "stream",
    }
}

impl Scope {
    /// The statement for the next stream to empty.
    fn next_stream(self) -> &'static str {
        match self {
            Self::User => sql::STREAM_OF_USER_TO_EMPTY,
            Self::Session => sql::STREAM_OF_SESSION_TO_EMPTY,
            Self::Stream => sql::STREAM_TO_EMPTY,
        }
    }

    /// The statement for entries to delete before the rest goes with its session.
    fn entries(self) -> &'static str {
        match self {
            Self::User | Self::Stream => sql::DELETE_SOME_PERSONAL_ENTRIES,
            Self::Session => sql::DELETE_SOME_EARLIER_ENTRIES,
        }
    }
}

/// The result of a request to delete a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionDeletion {
    Asked,
    Unknown,
    /// A stream of the session still runs.
    Live,
}

impl Store {
    /// Schedules the deletion of a session and its stored data ([`Store::delete_some`]).
    pub async fn delete_session(
        &self,
        id: SessionId,
        act: &AuditRow,
    ) -> Result<SessionDeletion, StoreError> {
        transaction!(self.database, |tx| { ask_session_deletion(&mut tx, id, act).await? })
    }
}

async fn ask_session_deletion(
    tx: &mut Connection<'_>,
    id: SessionId,
    act: &AuditRow,
) -> Result<SessionDeletion, StoreError> {
    let id = id.to_string();
    let session: Option<(String,)> = tx.optional(sql::LOCK_SESSION_TO_DELETE, binds![&*id]).await?;
    if session.is_none() {
        return Ok(SessionDeletion::Unknown);
    }
    // Under the lock: no stream can start between this check and the request.
    let (running,): (i64,) = tx.one(sql::RUNNING_STREAMS_OF_SESSION, binds![&*id]).await?;
    if running > 0 {
        return Ok(SessionDeletion::Live);
    }
    let asked: Option<(String,)> = tx.optional(sql::SESSION_DELETION, binds![&*id]).await?;
    match asked {
        None => {
            let deletion = insert_deletion(tx, Scope::Session, &id, &act.actor, act.at_ms).await?;
            prepare(tx, Scope::Session, &deletion, &id, act.at_ms).await?;
        }
        // A repeated request also covers what has arrived since the first.
        Some((deletion,)) => {
            collect_items(tx, Scope::Session, &deletion, &id).await?;
            erase_deleted_session(tx, &id, &deletion, act.at_ms).await?;
            // From the first stream again, because ids do not follow the order of arrival.
            add_counts(tx, &deletion, "", &Gone::default()).await?;
        }
    }
    insert_audit(tx, act).await?;
    Ok(SessionDeletion::Asked)
}

/// Schedules the deletion of the rest of a revoked stream.
pub(super) async fn ask_stream_deletion(
    tx: &mut Connection<'_>,
    stream: &StreamId,
    actor: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    insert_deletion(tx, Scope::Stream, stream.as_str(), actor, now_ms).await.map(drop)
}

async fn insert_deletion(
    tx: &mut Connection<'_>,
    scope: Scope,
    subject: &str,
    actor: &str,
    now_ms: i64,
) -> Result<String, StoreError> {
    let id = Uuid::now_v7().to_string();
    let values = binds![&*id, scope.as_str(), subject, actor, now_ms];
    tx.execute(sql::INSERT_DELETION, values).await?;
    collect_items(tx, scope, &id, subject).await?;
    Ok(id)
}

/// Erases the people that a session names when its deletion is requested. What it learns afterwards stays.
async fn prepare(
    tx: &mut Connection<'_>,
    scope: Scope,
    id: &str,
    subject: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    if scope == Scope::Session {
        let gone = erase_deleted_session(tx, subject, id, now_ms).await?;
        add_counts(tx, id, "", &gone).await?;
    }
    Ok(())
}

/// Stores the ids of everything that a deletion covers at this moment.
async fn collect_items(
    tx: &mut Connection<'_>,
    scope: Scope,
    id: &str,
    subject: &str,
) -> Result<(), StoreError> {
    let statement = match scope {
        Scope::User => sql::COLLECT_ITEMS_OF_USER,
        Scope::Session => sql::COLLECT_ITEMS_OF_SESSION,
        // It covers one stream, its subject.
        Scope::Stream => return Ok(()),
    };
    tx.execute(statement, binds![id, subject]).await.map(drop)
}

/// Ends a user's running streams as revoked and schedules the deletion of the stored data. Returns how many streams
/// this ended.
pub(super) async fn ask_deletion(
    tx: &mut Connection<'_>,
    user_id: &str,
    actor: &str,
    now_ms: i64,
) -> Result<u64, StoreError> {
    // Sessions before their streams: every transaction that locks both uses this order, which prevents deadlocks.
    let _sessions: Vec<(String,)> = tx.all(sql::LOCK_SESSIONS_OF_OPERATOR, binds![user_id]).await?;
    let streams_stopped =
        tx.execute(sql::REVOKE_STREAMS_OF_OPERATOR, binds![user_id, now_ms]).await?;
    insert_deletion(tx, Scope::User, user_id, actor, now_ms).await?;
    Ok(streams_stopped)
}

row! {
    /// A running deletion and what it has deleted so far.
    struct Pending {
        scope: String,
        subject: String,
        actor: String,
        asked_at_ms: i64,
        after_stream: String,
        streams: i64,
        sessions: i64,
        entries: i64,
        deliveries: i64,
        recordings: i64,
        is_collected: i64,
    }
}

/// A finished deletion.
struct Done {
    id: String,
    scope: Scope,
    gone: Gone,
    is_found: bool,
}

impl Done {
    /// Logs without the subject, because it may be a user's id.
    fn log(&self) {
        let Self { id, scope, gone, is_found } = self;
        let (scope, Gone { streams, sessions, entries, deliveries, recordings }) =
            (scope.as_str(), gone);
        if !is_found {
            tracing::warn!(deletion = id, scope, "a deletion found no data; nothing was deleted");
            return;
        }
        tracing::info!(
            deletion = id,
            scope,
            streams,
            sessions,
            entries,
            deliveries,
            recordings_to_remove = recordings,
            "a deletion is complete"
        );
    }
}

/// The result of executing one part of a deletion.
enum Step {
    /// More of it is left.
    Part,
    /// The user's revoked streams have not ended yet.
    Waits,
    Over(Done),
}

/// Whether a user's deletion has to wait for the user's revoked streams, which could still write after its end.
async fn waits(
    tx: &mut Connection<'_>,
    id: &str,
    pending: &Pending,
    now_ms: i64,
) -> Result<bool, StoreError> {
    if now_ms >= pending.asked_at_ms.saturating_add(WAIT_FOR_STREAMS_MS) {
        return Ok(false);
    }
    let values = binds![&*pending.subject, id];
    let (running,): (i64,) = tx.one(sql::RUNNING_STREAMS_OF_USER, values).await?;
    Ok(running > 0)
}

/// Executes one part of a deletion.
async fn delete_part(tx: &mut Connection<'_>, id: &str, now_ms: i64) -> Result<Step, StoreError> {
    let pending: Option<Pending> = tx.optional(sql::LOCK_DELETION, binds![id]).await?;
    // Another daemon has finished it.
    let Some(pending) = pending else { return Ok(Step::Part) };
    let scope = read_text("deletion scope", &pending.scope, Scope::parse)?;
    // An older version recorded the request: prepare it now.
    if pending.is_collected < PREPARED {
        if pending.is_collected == 0 {
            collect_items(tx, scope, id, &pending.subject).await?;
        }
        prepare(tx, scope, id, &pending.subject, now_ms).await?;
        tx.execute(sql::MARK_PREPARED, binds![id]).await?;
        return Ok(Step::Part);
    }
    if scope == Scope::User && waits(tx, id, &pending, now_ms).await? {
        return Ok(Step::Waits);
    }
    let user_id = (scope == Scope::User).then_some(&*pending.subject);
    let of = Of { deletion: id, user_id, asked_at_ms: pending.asked_at_ms, now_ms };
    let values = binds![&*pending.subject, &*pending.after_stream, id];
    let stream: Option<(String,)> = tx.optional(scope.next_stream(), values).await?;
    if let Some((stream,)) = stream {
        let gone = delete_stream_part(tx, scope, &stream, &of).await?;
        // Moves past a stream only when it is empty.
        let after = if gone.streams > 0 { &*stream } else { &*pending.after_stream };
        add_counts(tx, id, after, &gone).await?;
        return Ok(Step::Part);
    }
    if let Some(user_id) = user_id
        && let Some(gone) = erase_some_about_user(tx, user_id, &of).await?
    {
        add_counts(tx, id, &pending.after_stream, &gone).await?;
        return Ok(Step::Part);
    }
    if scope == Scope::Session && forget_some_of_session(tx, &pending.subject, Some(id)).await? {
        return Ok(Step::Part);
    }
    end_deletion(tx, id, scope, &pending, now_ms).await.map(Step::Over)
}

/// Deletes part of a stream's data. The last part also erases the people that its session names.
async fn delete_stream_part(
    tx: &mut Connection<'_>,
    scope: Scope,
    stream: &str,
    of: &Of<'_>,
) -> Result<Gone, StoreError> {
    let session: Option<(String,)> =
        tx.optional(sql::LOCK_SESSION_OF_STREAM, binds![stream]).await?;
    let mut gone = erase_some_of_stream(tx, stream, scope.entries(), of).await?;
    // Deleting a session has erased it already, in `prepare`.
    if let (Some((session,)), true, true) = (session, gone.streams > 0, scope != Scope::Session) {
        let more = erase_session(tx, &session, of).await?;
        gone.sessions += more.sessions;
        gone.deliveries += more.deliveries;
    }
    Ok(gone)
}

async fn add_counts(
    tx: &mut Connection<'_>,
    id: &str,
    after_stream: &str,
    gone: &Gone,
) -> Result<(), StoreError> {
    let Gone { streams, sessions, entries, deliveries, recordings } = *gone;
    let [streams, sessions, entries, deliveries, recordings] =
        [streams, sessions, entries, deliveries, recordings].map(to_i64);
    let values = binds![id, after_stream, streams, sessions, entries, deliveries, recordings];
    tx.execute(sql::COUNT_DELETED, values).await.map(drop)
}

fn to_i64(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Deletes a session's rows. Its streams must be empty.
pub(super) async fn delete_rows_of_session(
    tx: &mut Connection<'_>,
    session: &str,
) -> Result<Gone, StoreError> {
    delete_streams_of_session(tx, session, None).await?;
    delete_row_of_session(tx, session).await
}

/// Deletes the rows of a session that a deletion collected. A session that has been used since the request stays,
/// without those rows.
async fn delete_collected_rows(
    tx: &mut Connection<'_>,
    session: &str,
    deletion: &str,
    now_ms: i64,
) -> Result<Gone, StoreError> {
    let entries = delete_streams_of_session(tx, session, Some(deletion)).await?;
    let (is_used,): (i64,) = tx.one(sql::SESSION_IS_USED, binds![session, deletion]).await?;
    if is_used > 0 {
        tx.execute(sql::CLOSE_COLLECTED_ACTIONS, binds![session, deletion]).await?;
        refresh_session(tx, rows::session_id(session)?, now_ms).await?;
        return Ok(Gone { entries, ..Gone::default() });
    }
    let gone = delete_row_of_session(tx, session).await?;
    Ok(Gone { entries, ..gone })
}

/// Deletes a session's ended streams with their last entries. Returns the number of these entries.
async fn delete_streams_of_session(
    tx: &mut Connection<'_>,
    session: &str,
    deletion: Option<&str>,
) -> Result<u64, StoreError> {
    // Under the lock, a stream that is announced again either keeps its last entry or starts anew.
    tx.execute(sql::LOCK_SESSION, binds![session]).await?;
    let entries =
        tx.execute(sql::DELETE_LAST_ENTRIES_OF_SESSION, binds![session, deletion]).await?;
    tx.execute(sql::DELETE_STREAMS_OF_SESSION, binds![session, deletion]).await?;
    Ok(entries)
}

async fn delete_row_of_session(tx: &mut Connection<'_>, session: &str) -> Result<Gone, StoreError> {
    let deliveries = tx.execute(sql::BLANK_DELIVERIES_OF_SESSION, binds![session]).await?;
    tx.execute(sql::FORGET_KEPT_ANSWERS, binds![session]).await?;
    tx.execute(sql::DELETE_ACTIONS_OF_SESSION, binds![session]).await?;
    tx.execute(sql::DELETE_SESSION, binds![session]).await?;
    Ok(Gone { deliveries, ..Gone::default() })
}

async fn end_deletion(
    tx: &mut Connection<'_>,
    id: &str,
    scope: Scope,
    pending: &Pending,
    now_ms: i64,
) -> Result<Done, StoreError> {
    let mut gone = pending.gone();
    if scope == Scope::Session {
        // The session was counted when it was erased.
        let last = delete_collected_rows(tx, &pending.subject, id, now_ms).await?;
        gone.entries += last.entries;
        gone.deliveries += last.deliveries;
    }
    tx.execute(sql::END_DELETION, binds![id]).await?;
    let is_found = gone != Gone::default();
    // The daemon that has a recording's files removes them, which may take longer.
    let data = json!({
        "scope": scope.as_str(), "subject": pending.subject, "recordings_to_remove": gone.recordings,
    });
    emit(tx, &OutgoingEvent::new(EventKind::DataDeleted, id, now_ms, data), now_ms).await?;
    let audit = AuditRow {
        outcome: if is_found { "ok" } else { NOTHING_FOUND }.to_owned(),
        detail: pending.detail(scope, &gone),
        ..AuditRow::new(now_ms, &pending.actor, "data.deleted", &pending.subject)
    };
    insert_audit(tx, &audit).await?;
    Ok(Done { id: id.to_owned(), scope, gone, is_found })
}

impl Pending {
    fn gone(&self) -> Gone {
        let count = i64::unsigned_abs;
        Gone {
            streams: count(self.streams),
            sessions: count(self.sessions),
            entries: count(self.entries),
            deliveries: count(self.deliveries),
            recordings: count(self.recordings),
        }
    }

    fn detail(&self, scope: Scope, gone: &Gone) -> serde_json::Value {
        let Gone { streams, sessions, entries, deliveries, recordings } = gone;
        json!({
            "scope": scope.as_str(), "asked_at_ms": self.asked_at_ms, "streams": streams,
            "sessions": sessions, "entries": entries, "deliveries": deliveries,
            "recordings_to_remove": recordings,
        })
    }
}
