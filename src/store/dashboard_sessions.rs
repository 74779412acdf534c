//! Browsers that are signed in to the dashboard.

use super::audit::insert_audit;
use super::database::{binds, row, transaction};
use super::{Store, StoreError, sql};
use crate::model::AuditRow;

/// How long a use of a session is not written again.
const USE_INTERVAL_MS: i64 = 60_000;

row! {
    /// A signed-in browser.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DashboardSession {
        /// The hash of the id in its cookie.
        pub id: String,
        /// The name of the API token that was exchanged for it.
        pub token: String,
        /// Depends on that token's value.
        pub binding: String,
        pub made_at_ms: i64,
        /// When it was last used, to the minute.
        pub seen_at_ms: i64,
        /// It ends at this time.
        pub until_ms: i64,
    }
}

impl DashboardSession {
    /// Whether a use at this time is to be written.
    pub fn is_note_due(&self, now_ms: i64) -> bool {
        self.seen_at_ms <= now_ms.saturating_sub(USE_INTERVAL_MS)
    }
}

impl Store {
    /// Stores a new session and writes the audit row. Of the token's sessions, the newest `max` stay.
    pub async fn begin_dashboard_session(
        &self,
        new: &DashboardSession,
        max: u32,
        act: &AuditRow,
    ) -> Result<(), StoreError> {
        let values = binds![
            &*new.id,
            &*new.token,
            &*new.binding,
            new.made_at_ms,
            new.seen_at_ms,
            new.until_ms,
        ];
        transaction!(self.database, |tx| {
            tx.execute(sql::INSERT_DASHBOARD_SESSION, values).await?;
            let surplus = binds![&*new.token, i64::from(max)];
            tx.execute(sql::DELETE_SURPLUS_DASHBOARD_SESSIONS, surplus).await?;
            insert_audit(&mut tx, act).await?;
        })
    }

    /// The session by the hash of the id in its cookie; `None` if it was ended.
    pub async fn dashboard_session(
        &self,
        id: &str,
    ) -> Result<Option<DashboardSession>, StoreError> {
        self.database.optional(sql::DASHBOARD_SESSION, binds![id]).await
    }

    /// Notes that a session was used, once a minute at most.
    pub async fn note_dashboard_session_used(
        &self,
        id: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let values = binds![id, now_ms, now_ms.saturating_sub(USE_INTERVAL_MS)];
        self.database.execute(sql::NOTE_DASHBOARD_SESSION_USED, values).await.map(drop)
    }

    /// Ends a session and writes the audit row. False if it was ended before.
    pub async fn end_dashboard_session(
        &self,
        id: &str,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        self.execute_audited(sql::END_DASHBOARD_SESSION, binds![id], act).await
    }

    /// Deletes sessions that have reached their end. Returns how many.
    pub async fn prune_dashboard_sessions(&self, now_ms: i64) -> Result<u64, StoreError> {
        self.delete_before(sql::PRUNE_DASHBOARD_SESSIONS, now_ms, &[]).await
    }
}
