//! Deletions of a user's, a session's or a revoked stream's data: requested in one transaction, executed in small ones,
//! and recorded at the end. After a restart, the daemon continues where it stopped.

mod execute;

use serde::Deserialize;
use uuid::Uuid;

use super::audit::insert_audit;
use super::database::{Connection, binds, row, transaction};
use super::erase::{Gone, erase_deleted_session};
use super::{Store, StoreError, rows, sql};
use crate::model::{AppName, AuditRow, SessionId, StreamRecord};
use crate::named::named;

/// The audit outcome of a deletion that found nothing.
pub(super) const NOTHING_FOUND: &str = "nothing found";

/// A completed deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    pub id: String,
    pub at_ms: i64,
    /// `user`, `session` or `stream`.
    pub scope: String,
    /// The id of the user, session or stream.
    pub subject: String,
    /// The app that the data belonged to; `None` for deletions of earlier versions.
    pub app: Option<AppName>,
}

row! {
    struct DeletedRow {
        id: String,
        at_ms: i64,
        app: Option<String>,
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
        let DeletedRow { id, at_ms, app, subject, detail } = row;
        let detail: Detail = serde_json::from_str(&detail).unwrap_or_default();
        // Rows without a scope are deletions of users: older versions had no others.
        let scope = detail.scope.unwrap_or_else(|| Scope::User.as_str().to_owned());
        let app = app.and_then(|app| AppName::parse(&app).ok());
        Self { id, at_ms, scope, subject, app }
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

/// What a deletion is about.
struct Subject<'a> {
    scope: Scope,
    /// The id of the user, session or stream.
    id: &'a str,
    /// A user's data in other apps stays.
    app: &'a AppName,
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
    let Some((app,)) = session else { return Ok(SessionDeletion::Unknown) };
    let app = rows::app_name(&app)?;
    // Under the lock: no stream can start between this check and the request.
    let (running,): (i64,) = tx.one(sql::RUNNING_STREAMS_OF_SESSION, binds![&*id]).await?;
    if running > 0 {
        return Ok(SessionDeletion::Live);
    }
    let subject = Subject { scope: Scope::Session, id: &id, app: &app };
    let asked: Option<(String,)> = tx.optional(sql::SESSION_DELETION, binds![&*id]).await?;
    match asked {
        None => {
            let deletion = insert_deletion(tx, &subject, &act.actor, act.at_ms).await?;
            prepare(tx, Scope::Session, &deletion, &id, act.at_ms).await?;
        }
        // A repeated request also covers what has arrived since the first.
        Some((deletion,)) => {
            collect_items(tx, &subject, &deletion).await?;
            erase_deleted_session(tx, &id, &deletion, act.at_ms).await?;
            // From the first stream again, because ids do not follow the order of arrival.
            add_counts(tx, &deletion, "", &Gone::default()).await?;
        }
    }
    insert_audit(tx, &act.clone().of_app(&app)).await?;
    Ok(SessionDeletion::Asked)
}

/// Schedules the deletion of the rest of a revoked stream.
pub(super) async fn ask_stream_deletion(
    tx: &mut Connection<'_>,
    stream: &StreamRecord,
    actor: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let id = stream.stream_id.as_str();
    let subject = Subject { scope: Scope::Stream, id, app: &stream.app };
    insert_deletion(tx, &subject, actor, now_ms).await.map(drop)
}

async fn insert_deletion(
    tx: &mut Connection<'_>,
    subject: &Subject<'_>,
    actor: &str,
    now_ms: i64,
) -> Result<String, StoreError> {
    let id = Uuid::now_v7().to_string();
    let values = binds![&*id, subject.scope.as_str(), subject.id, actor, now_ms, subject.app];
    tx.execute(sql::INSERT_DELETION, values).await?;
    collect_items(tx, subject, &id).await?;
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
    subject: &Subject<'_>,
    deletion: &str,
) -> Result<(), StoreError> {
    let values = binds![deletion, subject.id, subject.app];
    match subject.scope {
        Scope::User => tx.execute(sql::COLLECT_ITEMS_OF_USER, values).await.map(drop),
        Scope::Session => tx.execute(sql::COLLECT_ITEMS_OF_SESSION, &values[..2]).await.map(drop),
        // It covers one stream, its subject.
        Scope::Stream => Ok(()),
    }
}

/// Ends a user's running streams in an app as revoked and schedules the deletion of the stored data. Returns how many streams
/// this ended.
pub(super) async fn ask_deletion(
    tx: &mut Connection<'_>,
    app: &AppName,
    user_id: &str,
    actor: &str,
    now_ms: i64,
) -> Result<u64, StoreError> {
    // Sessions before their streams: every transaction that locks both uses this order, which prevents deadlocks.
    let _sessions: Vec<(String,)> =
        tx.all(sql::LOCK_SESSIONS_OF_OPERATOR, binds![user_id, app]).await?;
    let streams_stopped =
        tx.execute(sql::REVOKE_STREAMS_OF_OPERATOR, binds![user_id, now_ms, app]).await?;
    insert_deletion(tx, &Subject { scope: Scope::User, id: user_id, app }, actor, now_ms).await?;
    Ok(streams_stopped)
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
