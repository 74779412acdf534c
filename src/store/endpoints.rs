//! Endpoints of outgoing webhooks, created by administrators or by the configuration.

use super::audit::execute_audited;
use super::database::{Bind, Connection, binds, row, transaction};
use super::outgoing::{begin_if_wanted, lock_wants};
use super::status_events::emit;
use super::{Store, StoreError, rows, sql};
use crate::model::{
    AppScope, AuditRow, EndpointId, EndpointSource, EndpointStatus, EventKind, OutgoingEvent,
    WebhookEndpoint,
};

/// The most deliveries deleted in one statement, so that other writers are not held up.
const FORGET_ROWS: u32 = 500;

/// An endpoint's secrets as stored: sealed to their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecrets {
    pub current: String,
    /// Also signs until [`WebhookEndpoint::previous_until_ms`], or without limit if that is `None`.
    pub previous: Option<String>,
}

/// An endpoint with its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEndpoint {
    pub endpoint: WebhookEndpoint,
    pub secrets: SealedSecrets,
}

#[derive(Debug, Clone)]
pub struct NewEndpoint {
    pub id: EndpointId,
    pub source: EndpointSource,
    pub url: String,
    pub description: String,
    /// Empty means all.
    pub events: Vec<EventKind>,
    /// The apps whose events it receives.
    pub apps: AppScope,
    pub secrets: SealedSecrets,
}

/// Changes of an endpoint. `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointChange {
    pub url: Option<String>,
    pub description: Option<String>,
    pub events: Option<Vec<EventKind>>,
    pub apps: Option<AppScope>,
    pub is_enabled: Option<bool>,
}

impl Store {
    /// Creates an endpoint and writes the audit row. False if there are `max` of the same apps already.
    pub async fn create_endpoint(
        &self,
        new: &NewEndpoint,
        max: u32,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let mut values = values_of(new, act.at_ms);
        values.push(i64::from(max).into());
        self.change_wants(sql::INSERT_ENDPOINT, &values, act).await
    }

    /// All endpoints, oldest first.
    pub async fn endpoints(&self) -> Result<Vec<StoredEndpoint>, StoreError> {
        let rows: Vec<Row> = self.database.all(sql::ENDPOINTS, binds![]).await?;
        Ok(rows::readable_rows(rows))
    }

    /// The current state of an endpoint; `None` if the id is unknown.
    pub async fn endpoint(&self, id: EndpointId) -> Result<Option<StoredEndpoint>, StoreError> {
        let row: Option<Row> =
            self.database.optional(sql::ENDPOINT, binds![id.to_string()]).await?;
        row.map(StoredEndpoint::try_from).transpose()
    }

    /// Changes an endpoint and writes the audit row. False if the id is unknown.
    pub async fn change_endpoint(
        &self,
        id: EndpointId,
        change: &EndpointChange,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let status = change.is_enabled.map(|is_enabled| match is_enabled {
            true => EndpointStatus::Enabled,
            false => EndpointStatus::Disabled,
        });
        let values = binds![
            id.to_string(),
            change.url.as_deref(),
            change.description.as_deref(),
            change.events.as_deref().map(events_column),
            status.map(EndpointStatus::as_str),
            act.at_ms,
            i64::from(change.apps.is_some()),
            change.apps.as_ref().and_then(rows::apps_text),
        ];
        self.change_wants(sql::CHANGE_ENDPOINT, values, act).await
    }

    /// Runs one statement that may change which entries are wanted and, if it changed a row, writes the audit row.
    /// Returns whether it changed a row.
    async fn change_wants(
        &self,
        statement: &'static str,
        values: &[Bind<'_>],
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        transaction!(self.database, |tx| {
            let wanted_before = lock_wants(&mut tx).await?;
            let is_done = execute_audited(&mut tx, statement, values, act).await?;
            if is_done {
                begin_if_wanted(&mut tx, wanted_before).await?;
            }
            is_done
        })
    }

    /// Replaces an endpoint's secrets and writes the audit row, if the current secret is still `old`.
    pub async fn rotate_secret(
        &self,
        id: EndpointId,
        old: &str,
        secrets: &SealedSecrets,
        previous_until_ms: i64,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let SealedSecrets { current, previous } = secrets;
        let (current, previous) = (current.as_str(), previous.as_deref());
        let values = binds![id.to_string(), old, current, previous, previous_until_ms, act.at_ms];
        self.execute_audited(sql::ROTATE_SECRET, values, act).await
    }

    /// Stores the same secrets under another seal. False if they were replaced meanwhile.
    pub async fn reseal_secrets(
        &self,
        id: EndpointId,
        old: &str,
        secrets: &SealedSecrets,
    ) -> Result<bool, StoreError> {
        let SealedSecrets { current, previous } = secrets;
        let values = binds![id.to_string(), old, current.as_str(), previous.as_deref()];
        Ok(self.database.execute(sql::RESEAL_SECRETS, values).await? == 1)
    }

    /// Deletes an endpoint with its deliveries and writes the audit row. False if the id is unknown.
    pub async fn delete_endpoint(
        &self,
        id: EndpointId,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let text = id.to_string();
        let is_done = self.execute_audited(sql::DELETE_ENDPOINT, binds![text], act).await?;
        // After the endpoint, so that no event is addressed to it in between.
        self.forget_deliveries_to(id).await?;
        Ok(is_done)
    }

    /// Deletes the deliveries to a removed endpoint. Any that a crash leaves are never sent, and expire.
    async fn forget_deliveries_to(&self, id: EndpointId) -> Result<(), StoreError> {
        let values = binds![id.to_string(), i64::from(FORGET_ROWS)];
        while self.database.execute(sql::FORGET_DELIVERIES_OF_ENDPOINT, values).await?
            == u64::from(FORGET_ROWS)
        {}
        Ok(())
    }

    /// Makes the configured endpoints match `configured`, and deletes those that are not in it.
    pub async fn configure_endpoints(
        &self,
        configured: &[NewEndpoint],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        for stored in self.endpoints().await? {
            let StoredEndpoint { endpoint, .. } = stored;
            let is_kept = configured.iter().any(|new| new.id == endpoint.id);
            if endpoint.source == EndpointSource::Configuration && !is_kept {
                let id = endpoint.id;
                // No audit row: the configuration changed, and no caller of the API.
                self.database.execute(sql::DELETE_ENDPOINT, binds![id.to_string()]).await?;
                self.forget_deliveries_to(id).await?;
            }
        }
        for new in configured {
            transaction!(self.database, |tx| {
                let wanted_before = lock_wants(&mut tx).await?;
                tx.execute(sql::CONFIGURE_ENDPOINT, &values_of(new, now_ms)).await?;
                begin_if_wanted(&mut tx, wanted_before).await?;
            })?;
        }
        Ok(())
    }

    /// Disables an endpoint and emits the event for the others. False if it was disabled or is unknown.
    pub async fn disable_endpoint(
        &self,
        id: EndpointId,
        why: EndpointStatus,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let values = binds![id.to_string(), why.as_str(), now_ms];
        let data = serde_json::json!({ "endpoint_id": id, "reason": why });
        let event = OutgoingEvent::new(EventKind::EndpointDisabled, &id.to_string(), now_ms, data);
        transaction!(self.database, |tx| {
            let is_done = tx.execute(sql::DISABLE_ENDPOINT, values).await? == 1;
            if let (true, Some(disabled)) = (is_done, read_endpoint(&mut tx, id).await?) {
                let app = disabled.endpoint.apps.only().cloned();
                let event = OutgoingEvent { app, ..event.clone() };
                // After the change, so that the event does not go to the disabled endpoint.
                emit(&mut tx, &event, now_ms).await?;
            }
            is_done
        })
    }
}

/// Reads an endpoint inside a transaction.
pub(super) async fn read_endpoint(
    tx: &mut Connection<'_>,
    id: EndpointId,
) -> Result<Option<StoredEndpoint>, StoreError> {
    let row: Option<Row> = tx.optional(sql::ENDPOINT, binds![id.to_string()]).await?;
    row.map(StoredEndpoint::try_from).transpose()
}

pub(super) fn endpoint_id(text: &str) -> Result<EndpointId, StoreError> {
    rows::read_text("endpoint id", text, EndpointId::parse)
}

/// Formats the kinds for their column; empty means all.
fn events_column(events: &[EventKind]) -> String {
    sql::between_commas(events.iter().map(|kind| kind.as_str()))
}

/// Skips kinds that this version does not know.
pub(super) fn parse_events(events: &str) -> Vec<EventKind> {
    events.split(',').filter_map(EventKind::parse).collect()
}

fn values_of(new: &NewEndpoint, now_ms: i64) -> Vec<Bind<'_>> {
    vec![
        new.id.to_string().into(),
        new.source.as_str().into(),
        new.url.as_str().into(),
        new.description.as_str().into(),
        events_column(&new.events).into(),
        new.secrets.current.as_str().into(),
        new.secrets.previous.as_deref().into(),
        EndpointStatus::Enabled.as_str().into(),
        now_ms.into(),
        rows::apps_text(&new.apps).into(),
    ]
}

row! {
    struct Row {
        id: String,
        source: String,
        url: String,
        description: String,
        events: String,
        apps: Option<String>,
        secret: String,
        previous_secret: Option<String>,
        previous_until_ms: Option<i64>,
        status: String,
        failing_since_ms: Option<i64>,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

impl TryFrom<Row> for StoredEndpoint {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(StoredEndpoint {
            endpoint: WebhookEndpoint {
                id: endpoint_id(&row.id)?,
                source: rows::read_text("endpoint source", &row.source, EndpointSource::parse)?,
                url: row.url,
                description: row.description,
                events: parse_events(&row.events),
                apps: rows::read_apps(row.apps.as_deref()),
                status: rows::read_text("endpoint status", &row.status, EndpointStatus::parse)?,
                failing_since_ms: row.failing_since_ms,
                previous_until_ms: row.previous_until_ms,
                created_at_ms: row.created_at_ms,
                updated_at_ms: row.updated_at_ms,
            },
            secrets: SealedSecrets { current: row.secret, previous: row.previous_secret },
        })
    }
}
