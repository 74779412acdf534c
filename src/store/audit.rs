//! The audit trail: each action is recorded in the transaction that executes it.

use super::database::{Bind, Connection, binds, row, transaction};
use super::{Store, StoreError, rows, sql};
use crate::model::{AppName, AppScope, AuditRow};

/// Selects a page of the audit trail.
#[derive(Debug, Clone, Default)]
pub struct AuditPage<'a> {
    /// Only rows older than the one with this id.
    pub before: Option<&'a str>,
    pub limit: u32,
    /// Only rows of this actor.
    pub actor: Option<&'a str>,
    /// Only rows of this action.
    pub action: Option<&'a str>,
    /// Only rows about this subject.
    pub subject: Option<&'a str>,
    /// Only rows with this outcome.
    pub outcome: Option<&'a str>,
    /// Only rows that concern this app.
    pub app: Option<&'a str>,
    /// Only rows from this time on, and before the other one. Unix milliseconds.
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
    /// Only rows that concern one of these apps.
    pub apps: AppScope,
}

impl Store {
    /// Records something that changed nothing else in the store, such as a refused request.
    pub async fn audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        let id = new_id();
        self.database.execute(sql::INSERT_AUDIT, &values_of(&id, row)).await.map(drop)
    }

    /// One page of audit rows, newest first.
    pub async fn audit_page(&self, page: &AuditPage<'_>) -> Result<Vec<Audited>, StoreError> {
        let values = binds![
            page.before,
            page.actor,
            page.action,
            i64::from(page.limit),
            rows::apps_text(&page.apps),
            page.subject,
            page.outcome,
            page.app,
            page.from_ms,
            page.to_ms,
        ];
        let rows: Vec<Audited> = self.database.all(sql::AUDIT, values).await?;
        Ok(rows)
    }

    /// Runs one statement and, if it changed a row, writes the audit row in the same transaction. Returns whether it
    /// changed a row.
    pub(super) async fn execute_audited(
        &self,
        statement: &'static str,
        values: &[Bind<'_>],
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        transaction!(self.database, |tx| {
            execute_audited(&mut tx, statement, values, act).await?
        })
    }
}

/// The same inside a transaction.
pub(super) async fn execute_audited(
    tx: &mut Connection<'_>,
    statement: &'static str,
    values: &[Bind<'_>],
    act: &AuditRow,
) -> Result<bool, StoreError> {
    let is_done = tx.execute(statement, values).await? > 0;
    if is_done {
        insert_audit(tx, act).await?;
    }
    Ok(is_done)
}

row! {
    /// A recorded action: see [`AuditRow`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Audited {
        pub id: String,
        pub at_ms: i64,
        pub actor: String,
        pub address: Option<String>,
        /// The name of the app that it concerns, if it concerns one.
        pub app: Option<String>,
        pub action: String,
        pub subject: String,
        pub outcome: String,
        /// Details as a JSON object.
        pub detail: String,
    }
}

/// Writes an audit row inside the action's transaction.
pub(super) async fn insert_audit(
    tx: &mut Connection<'_>,
    row: &AuditRow,
) -> Result<(), StoreError> {
    insert_audit_as(tx, &new_id(), row).await
}

/// Writes an audit row under an id, for [`settle_audit`].
pub(super) async fn insert_audit_as(
    tx: &mut Connection<'_>,
    id: &str,
    row: &AuditRow,
) -> Result<(), StoreError> {
    tx.execute(sql::INSERT_AUDIT, &values_of(id, row)).await.map(drop)
}

/// Writes the outcome of an action that was recorded as [`ASKED`]; does nothing if there is none.
pub(super) async fn settle_audit(
    tx: &mut Connection<'_>,
    id: &str,
    outcome: &str,
    detail: &serde_json::Value,
) -> Result<(), StoreError> {
    let values = binds![id, outcome, detail.to_string(), ASKED];
    tx.execute(sql::SETTLE_AUDIT, values).await.map(drop)
}

/// The outcome of a request to Zoom until Zoom has answered; it stays if the daemon dies before that.
pub(super) const ASKED: &str = "asked";

/// Ids follow the order of the actions.
fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn values_of<'a>(id: &'a str, row: &'a AuditRow) -> [Bind<'a>; 9] {
    [
        Bind::from(id),
        Bind::from(row.at_ms),
        Bind::from(&*row.actor),
        Bind::from(row.address.map(|address| address.to_string())),
        Bind::from(row.action),
        Bind::from(&*row.subject),
        Bind::from(&*row.outcome),
        Bind::from(row.detail.to_string()),
        Bind::from(row.app.as_ref().map(AppName::as_str)),
    ]
}
