//! Everything that decisions about a session depend on, read in one transaction.

use super::database::{Connection, binds};
use super::rows::{self, ActionRow, SessionRow, StreamRow};
use super::{Store, StoreError, sql};
use crate::model::{Session, SessionId, SessionSnapshot};

/// Decisions consider only this many of a session's actions, the newest.
const MAX_ACTIONS: i64 = 500;

impl Store {
    /// Everything that decisions about a session depend on; `None` if the session is unknown.
    pub async fn snapshot(&self, id: SessionId) -> Result<Option<SessionSnapshot>, StoreError> {
        self.database
            .run(|| async {
                let mut reader = self.database.reader().await?;
                read_snapshot(&mut reader.connection(), id).await
            })
            .await
    }
}

pub(super) async fn lock_snapshot(
    tx: &mut Connection<'_>,
    id: SessionId,
) -> Result<Option<SessionSnapshot>, StoreError> {
    let locked: Option<(String,)> = tx.optional(sql::LOCK_SESSION, binds![id.to_string()]).await?;
    match locked {
        Some(_) => read_snapshot(tx, id).await,
        None => Ok(None),
    }
}

async fn read_snapshot(
    tx: &mut Connection<'_>,
    id: SessionId,
) -> Result<Option<SessionSnapshot>, StoreError> {
    let text = id.to_string();
    let row: Option<SessionRow> = tx.optional(sql::SESSION, binds![&*text]).await?;
    let Some(row) = row else { return Ok(None) };
    let streams: Vec<StreamRow> = tx.all(sql::STREAMS_OF_SESSION, binds![&*text]).await?;
    let actions: Vec<ActionRow> =
        tx.all(sql::ACTIONS_OF_SESSION, binds![&*text, MAX_ACTIONS]).await?;
    Ok(Some(SessionSnapshot {
        session: Session::try_from(row)?,
        streams: rows::readable_rows(streams),
        actions: rows::readable_rows(actions),
    }))
}
