//! Zoom apps that were added over the API, with their descriptions sealed.

use super::audit::insert_audit;
use super::database::{binds, row, transaction};
use super::{Store, StoreError, rows, sql};
use crate::model::{AppName, AuditRow};

/// An app as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredApp {
    pub name: AppName,
    /// Its description as JSON, sealed to this row. A change seals it anew, so the text also is its version.
    pub settings: String,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

/// Changes with every change of an app: their number, and the sum of the times of their last changes.
pub type AppsVersion = (i64, i64);

impl Store {
    /// The version of all apps, to be compared with an earlier one.
    pub async fn apps_version(&self) -> Result<AppsVersion, StoreError> {
        let version = self.database.optional(sql::APPS_VERSION, binds![]).await?;
        Ok(version.unwrap_or_default())
    }

    /// All apps, by name.
    pub async fn apps(&self) -> Result<Vec<StoredApp>, StoreError> {
        let rows: Vec<Row> = self.database.all(sql::APPS, binds![]).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Adds an app and writes the audit row. False if the name is taken, or if there are `max` apps.
    pub async fn add_app(
        &self,
        name: &AppName,
        settings: &str,
        max: u32,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let values = binds![name, settings, act.at_ms, i64::from(max)];
        self.execute_audited(sql::INSERT_APP, values, act).await
    }

    /// Replaces the settings of an app, if they are still `old`, and writes the audit row.
    pub async fn change_app(
        &self,
        name: &AppName,
        old: &str,
        settings: &str,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let values = binds![name, old, settings, act.at_ms];
        self.execute_audited(sql::CHANGE_APP, values, act).await
    }

    /// Deletes an app, stops its streams and writes the audit row. False if there is none, or if a stream of it runs and
    /// `force` is not set. What belongs to the app stays.
    pub async fn delete_app(
        &self,
        name: &AppName,
        force: bool,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let (values, stop) = (binds![name, i64::from(force)], binds![name, act.at_ms]);
        transaction!(self.database, |tx| {
            let is_done = tx.execute(sql::DELETE_APP, values).await? > 0;
            if is_done {
                // Their end is not reported later: Zoom's webhooks for the app are refused.
                tx.execute(sql::STOP_STREAMS_OF_APP, stop).await?;
                insert_audit(&mut tx, act).await?;
            }
            is_done
        })
    }

    /// Stores the same settings under another seal. False if they were replaced meanwhile.
    pub async fn reseal_app(
        &self,
        name: &AppName,
        old: &str,
        settings: &str,
    ) -> Result<bool, StoreError> {
        Ok(self.database.execute(sql::RESEAL_APP, binds![name, old, settings]).await? == 1)
    }
}

row! {
    struct Row {
        name: String,
        settings: String,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

impl TryFrom<Row> for StoredApp {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let Row { name, settings, created_at_ms, updated_at_ms } = row;
        Ok(Self { name: rows::app_name(&name)?, settings, created_at_ms, updated_at_ms })
    }
}
