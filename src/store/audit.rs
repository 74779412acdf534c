//! What was done, by whom: written once, never changed.

use super::database::{Bind, Connection, binds, row};
use super::{Store, StoreError, sql};
use crate::model::AuditRow;

impl Store {
    /// Notes an act.
    pub async fn audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        self.database.execute(sql::INSERT_AUDIT, &values_of(row)).await.map(drop)
    }

    /// The newest acts first.
    pub async fn audit_trail(&self, limit: u32) -> Result<Vec<Audited>, StoreError> {
        let rows: Vec<Audited> = self.database.all(sql::AUDIT, binds![i64::from(limit)]).await?;
        Ok(rows)
    }
}

row! {
    /// An act as it was noted: see [`AuditRow`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Audited {
        pub at_ms: i64,
        pub actor: String,
        pub action: String,
        pub subject: String,
        pub outcome: String,
        /// A JSON object.
        pub detail: String,
    }
}

/// Notes an act together with what was done.
pub(super) async fn insert_audit(
    tx: &mut Connection<'_>,
    row: &AuditRow,
) -> Result<(), StoreError> {
    tx.execute(sql::INSERT_AUDIT, &values_of(row)).await.map(drop)
}

fn values_of(row: &AuditRow) -> [Bind<'_>; 7] {
    [
        Bind::from(uuid::Uuid::now_v7().to_string()),
        Bind::from(row.at_ms),
        Bind::from(&*row.actor),
        Bind::from(row.action),
        Bind::from(&*row.subject),
        Bind::from(&*row.outcome),
        Bind::from(row.detail.to_string()),
    ]
}
