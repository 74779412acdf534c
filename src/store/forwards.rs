//! Forwards: added and removed over the API, run by the daemon that runs their session's stream.

use super::database::{binds, row};
use super::{Store, StoreError, rows, sql};
use crate::model::{AuditRow, Cursor, Forward, ForwardId, SessionId};

impl Store {
    /// Adds a forward and writes the audit row. False if the session has `max` forwards already.
    pub async fn add_forward(
        &self,
        forward: &Forward,
        max: u32,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let asked = serde_json::to_string(&forward.asked).expect("an object of texts and lists");
        let values = binds![
            forward.id.to_string(),
            forward.session_id.to_string(),
            &*forward.url,
            asked,
            forward.cursor.to_string(),
            forward.created_at_ms,
            i64::from(max),
        ];
        self.execute_audited(sql::INSERT_FORWARD, values, act).await
    }

    /// The forwards of a session, oldest first.
    pub async fn forwards_of(&self, session: SessionId) -> Result<Vec<Forward>, StoreError> {
        let values = binds![session.to_string()];
        let rows: Vec<ForwardRow> = self.database.all(sql::FORWARDS_OF_SESSION, values).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Up to `limit` forwards, oldest first, of all sessions with a stream that runs or has run since `since_ms`.
    pub async fn forwards(&self, since_ms: i64, limit: u32) -> Result<Vec<Forward>, StoreError> {
        let values = binds![since_ms, i64::from(limit)];
        let rows: Vec<ForwardRow> = self.database.all(sql::FORWARDS, values).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Stores the position of delivered entries.
    pub async fn note_forwarded(&self, id: ForwardId, cursor: &Cursor) -> Result<(), StoreError> {
        let values = binds![id.to_string(), cursor.to_string()];
        self.database.execute(sql::NOTE_FORWARDED, values).await.map(drop)
    }

    /// Removes a forward and writes the audit row. False if it is unknown or belongs to another session.
    pub async fn remove_forward(
        &self,
        session: SessionId,
        id: ForwardId,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let values = binds![id.to_string(), session.to_string()];
        self.execute_audited(sql::DELETE_FORWARD, values, act).await
    }

    /// Deletes forwards from before this time, if no stream runs or has run since.
    pub async fn prune_forwards(&self, before_ms: i64) -> Result<u64, StoreError> {
        self.database.execute(sql::PRUNE_FORWARDS, binds![before_ms]).await
    }
}

row! {
    struct ForwardRow {
        id: String,
        session_id: String,
        url: String,
        asked: String,
        cursor: String,
        created_at_ms: i64,
    }
}

impl TryFrom<ForwardRow> for Forward {
    type Error = StoreError;

    fn try_from(row: ForwardRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: rows::read_text("forward id", &row.id, ForwardId::parse)?,
            session_id: rows::session_id(&row.session_id)?,
            asked: rows::read_text("what is forwarded", &row.asked, |text| {
                serde_json::from_str(text).ok()
            })?,
            cursor: rows::read_text("cursor", &row.cursor, |text| text.parse().ok())?,
            url: row.url,
            created_at_ms: row.created_at_ms,
        })
    }
}
