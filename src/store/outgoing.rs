//! Events for outgoing webhooks and their deliveries: written with the change that they report, sent by the daemon that
//! claims them first.

use std::collections::HashSet;

use uuid::Uuid;

use super::audit::insert_audit;
use super::database::{Connection, binds, row, transaction};
use super::endpoints::{endpoint_id, parse_events, read_endpoint};
use super::rows::{self, EventRow};
use super::sinks::{begin_sink, lock_sink};
use super::status_events::emit;
use super::{Store, StoreError, StoredEndpoint, sql};
use crate::model::{AppName, AppScope, AuditRow, Content, EndpointId, EventKind, OutgoingEvent};
use crate::named::named;

/// The name of the sink for outgoing webhooks: its positions say which entries were reported to endpoints.
pub const WEBHOOKS_SINK: &str = "webhooks";
/// The most events written in one transaction, which must end within the store's limit.
const EVENTS_PER_TRANSACTION: usize = 100;
/// A delivery claimed by this caller until its lease expires.
#[derive(Debug, Clone)]
pub struct ClaimedDelivery {
    pub endpoint: StoredEndpoint,
    pub event: OutgoingEvent,
    /// The number of attempts, this one included.
    pub attempts: u32,
    claim: String,
}

named! {
    /// The state of a delivery.
    pub enum DeliveryStatus {
        /// To be sent, for the first time or again.
        Waiting: "waiting",
        /// The receiver accepted it.
        Delivered: "delivered",
        /// Every attempt has failed.
        Failed: "failed",
        /// The data that it reports was deleted before it was sent.
        Withdrawn: "withdrawn",
    }
}

/// The result of an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub error: Option<&'static str>,
    /// The beginning of the answer.
    pub answer: Option<String>,
}

/// A delivery in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedDelivery {
    pub event_id: String,
    pub kind: EventKind,
    /// The app that the event is about.
    pub app: Option<AppName>,
    pub status: DeliveryStatus,
    pub attempts: u32,
    /// When it is sent next; `None` while it is being sent.
    pub due_at_ms: Option<i64>,
    pub last_at_ms: Option<i64>,
    pub last_status: Option<u16>,
    pub last_error: Option<String>,
    pub last_answer: Option<String>,
    pub created_at_ms: i64,
}

impl Store {
    /// Writes events for every endpoint that subscribes to them. An existing event stays as it is. `now_ms` is the time
    /// of writing; the events are due at once, by the database's clock.
    pub async fn enqueue_events(
        &self,
        events: &[OutgoingEvent],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        // Read outside the transaction, to skip it for most entries. `INSERT_EVENT` checks again.
        let wanted = self.wanted_events().await?;
        let wanted: Vec<_> = events.iter().filter(|event| wanted.contains(&event.kind)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        for events in wanted.chunks(EVENTS_PER_TRANSACTION) {
            transaction!(self.database, |tx| {
                for event in events {
                    emit(&mut tx, event, now_ms).await?;
                }
            })?;
        }
        Ok(())
    }

    /// Whether an enabled endpoint subscribes to events that report entries.
    pub async fn wants_entries(&self) -> Result<bool, StoreError> {
        Ok(reports_entries(&self.wanted_events().await?))
    }

    async fn wanted_events(&self) -> Result<HashSet<EventKind>, StoreError> {
        let filters = self.database.all(sql::WANTED_EVENTS, binds![]).await?;
        Ok(kinds_of_filters(&filters))
    }

    /// Writes an event for one endpoint, whatever its filter.
    pub async fn enqueue_test(
        &self,
        endpoint: EndpointId,
        event: &OutgoingEvent,
        act: &AuditRow,
    ) -> Result<(), StoreError> {
        let Content::Data(data) = &event.content else { return Ok(()) };
        let (id, kind, at_ms) = (&*event.id, event.kind.as_str(), event.at_ms);
        let data = data.to_string();
        let app = event.app.as_ref().map(AppName::as_str);
        transaction!(self.database, |tx| {
            let values = binds![id, kind, at_ms, &*data, app];
            tx.execute(sql::INSERT_TEST_EVENT, values).await?;
            let due_at_ms = tx.now_ms().await?;
            let values = binds![endpoint.to_string(), id, at_ms, due_at_ms];
            tx.execute(sql::ADDRESS_TEST_EVENT, values).await?;
            insert_audit(&mut tx, act).await?;
        })
    }

    /// The enabled endpoints with due deliveries.
    pub async fn endpoints_with_due_deliveries(&self) -> Result<Vec<EndpointId>, StoreError> {
        self.database
            .run(|| async {
                let mut reader = self.database.reader().await?;
                let now_ms = reader.connection().now_ms().await?;
                let due = sql::ENDPOINTS_WITH_DUE_DELIVERIES;
                let ids: Vec<(String,)> = reader.connection().all(due, binds![now_ms]).await?;
                ids.iter().map(|(id,)| endpoint_id(id)).collect()
            })
            .await
    }

    /// Claims up to `limit` due deliveries of an endpoint for `lease_ms`. Deliveries that can never be sent end here,
    /// so that they do not block others.
    pub async fn claim_deliveries(
        &self,
        id: EndpointId,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<ClaimedDelivery>, StoreError> {
        // New for each call, so that a late result of an expired claim is not recorded under the next one.
        let claim = Uuid::new_v4().to_string();
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let until_ms = now_ms.saturating_add(lease_ms);
            let values = binds![id.to_string(), now_ms, until_ms, &*claim, i64::from(limit)];
            let rows: Vec<(String, i64)> = tx.all(sql::CLAIM_OUTGOING, values).await?;
            let endpoint = read_endpoint(&mut tx, id).await?;
            // The endpoint was deleted meanwhile. No commit, so the claims are rolled back.
            let Some(endpoint) = endpoint else { return Ok(Vec::new()) };
            let mut claimed = Vec::with_capacity(rows.len());
            for (event_id, attempts) in rows {
                let event = read_event(&mut tx, id, &event_id, now_ms).await?;
                let Some(event) = event else { continue };
                // Its apps were changed after the event was addressed to it.
                if !endpoint.endpoint.may_receive(&event) {
                    tx.execute(sql::WITHDRAW, binds![id.to_string(), &*event_id]).await?;
                    continue;
                }
                claimed.push(ClaimedDelivery {
                    endpoint: endpoint.clone(),
                    event,
                    attempts: rows::read_number("attempts", attempts)?,
                    claim: claim.clone(),
                });
            }
            claimed
        })
    }

    /// Records the result of an attempt. If the delivery still waits, the next attempt is due after `wait_ms`. Does
    /// nothing if the claim was lost, because the lease expired or the event is sent again. Returns how long the
    /// endpoint has been failing, in milliseconds.
    pub async fn settle_delivery(
        &self,
        delivery: &ClaimedDelivery,
        status: DeliveryStatus,
        wait_ms: Option<i64>,
        attempt: &Attempt,
    ) -> Result<Option<i64>, StoreError> {
        let id = delivery.endpoint.endpoint.id.to_string();
        // An empty answer holds nothing that would have to be deleted.
        let answer = attempt.answer.as_deref().filter(|answer| !answer.is_empty());
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let values = binds![
                &*id,
                &*delivery.event.id,
                &*delivery.claim,
                status.as_str(),
                wait_ms.map(|wait_ms| now_ms.saturating_add(wait_ms)),
                now_ms,
                attempt.status.map(i64::from),
                attempt.error,
                answer,
            ];
            if tx.execute(sql::SETTLE_OUTGOING, values).await? == 0 {
                // Nor does a late result say whether the endpoint works now.
                return Ok(None);
            }
            let failing = note_health(&mut tx, &id, status, now_ms).await?;
            failing.map(|since_ms| now_ms.saturating_sub(since_ms))
        })
    }

    /// Releases an interrupted delivery.
    pub async fn release_delivery(&self, delivery: &ClaimedDelivery) -> Result<(), StoreError> {
        let id = delivery.endpoint.endpoint.id.to_string();
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let values = binds![&*id, &*delivery.event.id, &*delivery.claim, now_ms];
            tx.execute(sql::RELEASE_OUTGOING, values).await?;
        })
    }

    /// Sends an event of one of these apps again under the same id, whatever its outcome. False if it is unknown.
    pub async fn resend_delivery(
        &self,
        id: EndpointId,
        event_id: &str,
        apps: &AppScope,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let values = binds![id.to_string(), event_id, now_ms, rows::apps_text(apps)];
            let is_known = tx.execute(sql::RESEND_OUTGOING, values).await? == 1;
            if is_known {
                insert_audit(&mut tx, act).await?;
            }
            is_known
        })
    }

    /// The number of deliveries that wait for an endpoint, up to `limit`.
    pub async fn count_waiting(&self, id: EndpointId, limit: u32) -> Result<u64, StoreError> {
        let values = binds![id.to_string(), i64::from(limit)];
        let row: Option<(i64,)> = self.database.optional(sql::COUNT_WAITING, values).await?;
        rows::read_number("count", row.map_or(0, |(count,)| count))
    }

    /// One page of an endpoint's deliveries of events of these apps, newest first, after that of the event `before`.
    pub async fn deliveries_of_endpoint(
        &self,
        id: EndpointId,
        apps: &AppScope,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<LoggedDelivery>, StoreError> {
        let values = binds![id.to_string(), before, i64::from(limit), rows::apps_text(apps)];
        let rows: Vec<LogRow> = self.database.all(sql::DELIVERIES_OF_ENDPOINT, values).await?;
        Ok(rows::readable_rows(rows))
    }
}

async fn note_health(
    tx: &mut Connection<'_>,
    id: &str,
    status: DeliveryStatus,
    now_ms: i64,
) -> Result<Option<i64>, StoreError> {
    match status {
        // Nothing was sent, which says nothing about the endpoint.
        DeliveryStatus::Withdrawn => Ok(None),
        DeliveryStatus::Delivered => {
            tx.execute(sql::ENDPOINT_SUCCEEDED, binds![id]).await?;
            Ok(None)
        }
        DeliveryStatus::Waiting | DeliveryStatus::Failed => {
            let since: Option<(Option<i64>,)> =
                tx.optional(sql::ENDPOINT_FAILED, binds![id, now_ms]).await?;
            Ok(since.and_then(|(since,)| since))
        }
    }
}

/// `None` if there is nothing to send: the event was deleted, or this version cannot read it; a newer version may send
/// it again.
async fn read_event(
    tx: &mut Connection<'_>,
    endpoint: EndpointId,
    id: &str,
    now_ms: i64,
) -> Result<Option<OutgoingEvent>, StoreError> {
    let row: Option<EventRow> = tx.optional(sql::OUTGOING_EVENT, binds![id]).await?;
    let Some(row) = row else {
        tx.execute(sql::FORGET_DELIVERIES_OF_EVENT, binds![id]).await?;
        return Ok(None);
    };
    match OutgoingEvent::try_from(row) {
        Ok(event) => Ok(Some(event)),
        Err(error) => {
            tracing::error!(%endpoint, event = id, %error, "cannot read a webhook's event; the delivery has failed");
            tx.execute(sql::FAIL_UNREADABLE, binds![endpoint.to_string(), id, now_ms]).await?;
            Ok(None)
        }
    }
}

/// Prepares a change of the endpoints: no other one runs until the transaction ends. Returns whether an endpoint wants
/// entries before it.
pub(super) async fn lock_wants(tx: &mut Connection<'_>) -> Result<bool, StoreError> {
    let is_known = lock_sink(tx, WEBHOOKS_SINK).await?;
    Ok(is_known && wants_entries(tx).await?)
}

/// Ends a change of the endpoints: if they want entries only since then, they receive those of now on.
pub(super) async fn begin_if_wanted(
    tx: &mut Connection<'_>,
    wanted_before: bool,
) -> Result<(), StoreError> {
    if !wanted_before && wants_entries(tx).await? {
        begin_sink(tx, WEBHOOKS_SINK).await?;
    }
    Ok(())
}

async fn wants_entries(tx: &mut Connection<'_>) -> Result<bool, StoreError> {
    let filters: Vec<(String,)> = tx.all(sql::WANTED_EVENTS, binds![]).await?;
    Ok(reports_entries(&kinds_of_filters(&filters)))
}

fn kinds_of_filters(filters: &[(String,)]) -> HashSet<EventKind> {
    let kinds = |(filter,): &(String,)| match filter.is_empty() {
        true => EventKind::ALL.to_vec(),
        false => parse_events(filter),
    };
    filters.iter().flat_map(kinds).collect()
}

fn reports_entries(kinds: &HashSet<EventKind>) -> bool {
    kinds.iter().any(|kind| kind.reports_entries())
}

row! {
    struct LogRow {
        event_id: String,
        kind: String,
        app: Option<String>,
        status: String,
        attempts: i64,
        due_at_ms: Option<i64>,
        last_at_ms: Option<i64>,
        last_status: Option<i64>,
        last_error: Option<String>,
        last_answer: Option<String>,
        created_at_ms: i64,
    }
}

impl TryFrom<LogRow> for LoggedDelivery {
    type Error = StoreError;

    fn try_from(row: LogRow) -> Result<Self, StoreError> {
        Ok(Self {
            kind: rows::read_text("event kind", &row.kind, EventKind::parse)?,
            app: row.app.as_deref().map(rows::app_name).transpose()?,
            status: rows::read_text("delivery status", &row.status, DeliveryStatus::parse)?,
            attempts: rows::read_number("attempts", row.attempts)?,
            due_at_ms: row.due_at_ms,
            last_at_ms: row.last_at_ms,
            last_status: row
                .last_status
                .map(|status| rows::read_number("status", status))
                .transpose()?,
            last_error: row.last_error,
            last_answer: row.last_answer,
            created_at_ms: row.created_at_ms,
            event_id: row.event_id,
        })
    }
}
