//! API tokens that were made over the API.

use super::database::{binds, row};
use super::{Store, StoreError, rows, sql};
use crate::model::{ApiTokenId, AuditRow, StoredToken};

/// How long a use of a token is not written again.
const USE_INTERVAL_MS: i64 = 60_000;

impl Store {
    /// Stores a new token and writes the audit row. False if there are `max` of the same apps already.
    pub async fn create_api_token(
        &self,
        new: &StoredToken,
        max: u32,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let values = binds![
            new.id.to_string(),
            &*new.name,
            &*new.hash,
            &*new.scopes,
            new.installations.as_deref(),
            rows::apps_text(&new.apps),
            new.created_at_ms,
            new.expires_at_ms,
            i64::from(max),
        ];
        self.execute_audited(sql::INSERT_API_TOKEN, values, act).await
    }

    /// All tokens, oldest first, expired ones included.
    pub async fn api_tokens(&self) -> Result<Vec<StoredToken>, StoreError> {
        let rows: Vec<Row> = self.database.all(sql::API_TOKENS, binds![]).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Deletes a token and writes the audit row. False if the id is unknown.
    pub async fn delete_api_token(
        &self,
        id: ApiTokenId,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        self.execute_audited(sql::DELETE_API_TOKEN, binds![id.to_string()], act).await
    }

    /// Notes that a token was used, once a minute at most.
    pub async fn note_token_used(&self, id: ApiTokenId, now_ms: i64) -> Result<(), StoreError> {
        let before_ms = now_ms.saturating_sub(USE_INTERVAL_MS);
        let values = binds![id.to_string(), now_ms, before_ms];
        self.database.execute(sql::NOTE_TOKEN_USED, values).await.map(drop)
    }
}

row! {
    struct Row {
        id: String,
        name: String,
        hash: String,
        scopes: String,
        installations: Option<String>,
        apps: Option<String>,
        created_at_ms: i64,
        expires_at_ms: Option<i64>,
        last_used_ms: Option<i64>,
    }
}

impl TryFrom<Row> for StoredToken {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: rows::read_text("API token id", &row.id, ApiTokenId::parse)?,
            name: row.name,
            hash: row.hash,
            scopes: row.scopes,
            installations: row.installations,
            apps: rows::read_apps(row.apps.as_deref()),
            created_at_ms: row.created_at_ms,
            expires_at_ms: row.expires_at_ms,
            last_used_ms: row.last_used_ms,
        })
    }
}
