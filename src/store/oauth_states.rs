//! Used OAuth states: each works once, in any replica.

use super::database::binds;
use super::{Store, StoreError, sql};
use crate::model::AppName;

impl Store {
    /// Whether this state of an install of `app` is used for the first time. Expired ones may be forgotten.
    pub async fn use_oauth_state(
        &self,
        app: &AppName,
        id: &str,
        expires_at_ms: i64,
    ) -> Result<bool, StoreError> {
        let values = binds![id, expires_at_ms, app];
        Ok(self.database.execute(sql::USE_OAUTH_STATE, values).await? == 1)
    }

    /// Deletes states that expired before `before_ms`. Returns how many.
    pub async fn prune_oauth_states(&self, before_ms: i64) -> Result<u64, StoreError> {
        self.delete_before(sql::PRUNE_OAUTH_STATES, before_ms, &[]).await
    }
}
