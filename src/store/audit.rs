//! The audit trail: each act in the transaction that carries it out.

use super::database::{Bind, Connection, binds, row};
use super::{Store, StoreError, sql};
use crate::model::AuditRow;

/// Which rows of the audit trail a page has.
#[derive(Debug, Clone, Default)]
pub struct AuditPage<'a> {
    /// Only rows older than the one of this id.
    pub before: Option<&'a str>,
    pub limit: u32,
    /// Only rows of this actor.
    pub actor: Option<&'a str>,
    /// Only rows of this action.
    pub action: Option<&'a str>,
}

impl Store {
    /// Notes something that changed nothing else in the store, such as a refused request.
    pub async fn audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        let id = new_id();
        self.database.execute(sql::INSERT_AUDIT, &values_of(&id, row)).await.map(drop)
    }

    /// One page of acts, the newest first.
    pub async fn audit_page(&self, page: &AuditPage<'_>) -> Result<Vec<Audited>, StoreError> {
        let values = binds![page.before, page.actor, page.action, i64::from(page.limit)];
        let rows: Vec<Audited> = self.database.all(sql::AUDIT, values).await?;
        Ok(rows)
    }

    /// The newest acts first.
    pub async fn audit_trail(&self, limit: u32) -> Result<Vec<Audited>, StoreError> {
        self.audit_page(&AuditPage { limit, ..AuditPage::default() }).await
    }

    /// Runs one statement and notes the act in the same transaction, if the statement changed a row. Returns whether
    /// it did.
    pub(super) async fn execute_audited(
        &self,
        statement: &'static str,
        values: &[Bind<'_>],
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                let is_done = tx.connection().execute(statement, values).await? > 0;
                if is_done {
                    insert_audit(&mut tx.connection(), act).await?;
                }
                tx.commit().await?;
                Ok(is_done)
            })
            .await
    }
}

row! {
    /// An act as it was noted: see [`AuditRow`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Audited {
        pub id: String,
        pub at_ms: i64,
        pub actor: String,
        pub address: Option<String>,
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
    insert_audit_as(tx, &new_id(), row).await
}

/// Notes an act under an id by which [`settle_audit`] finds it.
pub(super) async fn insert_audit_as(
    tx: &mut Connection<'_>,
    id: &str,
    row: &AuditRow,
) -> Result<(), StoreError> {
    tx.execute(sql::INSERT_AUDIT, &values_of(id, row)).await.map(drop)
}

/// Writes the outcome of an act that was noted as [`ASKED`]; changes nothing where there is none.
pub(super) async fn settle_audit(
    tx: &mut Connection<'_>,
    id: &str,
    outcome: &str,
    detail: &serde_json::Value,
) -> Result<(), StoreError> {
    let values = binds![id, outcome, detail.to_string(), ASKED];
    tx.execute(sql::SETTLE_AUDIT, values).await.map(drop)
}

/// The outcome of an act at Zoom's until Zoom has answered; it stays when the daemon dies before that.
pub(super) const ASKED: &str = "asked";

/// Ids follow the order of the acts.
fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn values_of<'a>(id: &'a str, row: &'a AuditRow) -> [Bind<'a>; 8] {
    [
        Bind::from(id),
        Bind::from(row.at_ms),
        Bind::from(&*row.actor),
        Bind::from(row.address.map(|address| address.to_string())),
        Bind::from(row.action),
        Bind::from(&*row.subject),
        Bind::from(&*row.outcome),
        Bind::from(row.detail.to_string()),
    ]
}
