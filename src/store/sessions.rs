//! Sessions: found or made by webhooks, in a state that follows from their streams.

use super::database::{Connection, binds};
use super::rows::{self, SessionRow};
use super::{SessionPage, Store, StoreError, sql};
use crate::model::{Instance, Session, SessionId, StreamStarted};

impl Store {
    /// One page of sessions, newest first.
    pub async fn sessions(&self, page: &SessionPage) -> Result<Vec<Session>, StoreError> {
        let before = page.before.map(|id| id.to_string());
        let status = page.status.map(|status| status.as_str());
        let values = binds![before, status, i64::from(page.limit)];
        let rows: Vec<SessionRow> = self.database.all(sql::SESSIONS, values).await?;
        rows.into_iter().map(Session::try_from).collect()
    }

    /// A session as it now is; none when there is none of that id.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let values = binds![id.to_string()];
        let row: Option<SessionRow> = self.database.optional(sql::SESSION, values).await?;
        row.map(Session::try_from).transpose()
    }
}

/// Finds or makes the session of `instance` and locks it until the transaction ends.
/// `started` fills in what it knows.
pub(super) async fn upsert_session(
    tx: &mut Connection<'_>,
    instance: &Instance,
    started: Option<&StreamStarted>,
    now_ms: i64,
) -> Result<SessionId, StoreError> {
    let values = binds![
        uuid::Uuid::now_v7().to_string(),
        instance.product.as_str(),
        instance.key.as_str(),
        instance.id(),
        started.and_then(|started| started.account_id.as_deref()),
        started.and_then(|started| started.meeting_id.as_deref()),
        started.and_then(|started| started.operator_id.as_deref()),
        now_ms,
    ];
    let (id,): (String,) = tx.one(sql::UPSERT_SESSION, values).await?;
    rows::session_id(&id)
}

/// Derives a session's state from its streams, after one of them changed.
pub(super) async fn refresh_session(
    tx: &mut Connection<'_>,
    id: SessionId,
    now_ms: i64,
) -> Result<(), StoreError> {
    tx.execute(sql::REFRESH_SESSION, binds![id.to_string(), now_ms]).await.map(drop)
}
