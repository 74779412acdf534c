//! Webhooks to the programs of relays: each is stored first, and sent by the daemon that claims it.

use super::database::{Bind, binds, row, transaction};
use super::relays::relay_id;
use super::{Store, StoreError, rows, sql};
use crate::model::{RelayId, SessionId, StreamId};

/// A webhook to a program.
#[derive(Debug, Clone)]
pub struct NewRelayEvent {
    /// The same event has the same id.
    pub id: String,
    pub relay_id: RelayId,
    pub stream_id: StreamId,
    pub session_id: SessionId,
    /// Zoom's name of the event.
    pub name: String,
    /// The JSON that is sent.
    pub body: String,
    /// Unix milliseconds.
    pub created_at_ms: i64,
}

/// An event that this caller may send until its claim expires.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRelayEvent {
    pub id: String,
    pub relay_id: RelayId,
    pub body: String,
    /// This attempt, from 1.
    pub attempts: u32,
}

/// The result of an attempt.
#[derive(Debug, Clone, Default)]
pub struct RelayAttempt {
    pub is_delivered: bool,
    /// When it is tried again; `None` if it is settled. Unix milliseconds.
    pub due_at_ms: Option<i64>,
    pub at_ms: i64,
    pub status: Option<u16>,
    pub error: Option<String>,
}

/// An event as the API shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedRelayEvent {
    pub id: String,
    pub stream_id: StreamId,
    pub session_id: SessionId,
    pub name: String,
    pub attempts: u32,
    /// When it is tried next; `None` if it is settled. Unix milliseconds.
    pub due_at_ms: Option<i64>,
    pub is_delivered: bool,
    pub last_at_ms: Option<i64>,
    pub last_status: Option<u16>,
    pub last_error: Option<String>,
    pub created_at_ms: i64,
}

impl NewRelayEvent {
    pub(super) fn values(&self) -> Vec<Bind<'_>> {
        vec![
            self.id.as_str().into(),
            self.relay_id.to_string().into(),
            self.stream_id.as_str().into(),
            self.session_id.to_string().into(),
            self.name.as_str().into(),
            self.body.as_str().into(),
            self.created_at_ms.into(),
        ]
    }
}

impl Store {
    /// Stores an event to be sent at once, unless it exists, or its relay or session is gone.
    pub async fn add_relay_event(&self, event: &NewRelayEvent) -> Result<(), StoreError> {
        self.database.execute(sql::INSERT_RELAY_EVENT, &event.values()).await.map(drop)
    }

    /// Claims up to `limit` due events until `until_ms`.
    pub async fn claim_relay_events(
        &self,
        now_ms: i64,
        until_ms: i64,
        limit: u32,
    ) -> Result<Vec<ClaimedRelayEvent>, StoreError> {
        let values = binds![now_ms, until_ms, i64::from(limit)];
        let rows: Vec<ClaimedRow> =
            transaction!(self.database, |tx| { tx.all(sql::CLAIM_RELAY_EVENTS, values).await? })?;
        Ok(rows::readable_rows(rows))
    }

    /// Records the result of an attempt, unless the event was claimed again since.
    pub async fn settle_relay_event(
        &self,
        event: &ClaimedRelayEvent,
        attempt: &RelayAttempt,
    ) -> Result<(), StoreError> {
        let values = binds![
            event.id.as_str(),
            i64::from(event.attempts),
            attempt.due_at_ms,
            i64::from(attempt.is_delivered),
            attempt.at_ms,
            attempt.status.map(i64::from),
            attempt.error.as_deref(),
        ];
        self.database.execute(sql::SETTLE_RELAY_EVENT, values).await.map(drop)
    }

    /// The events of a relay, up to `limit`, newest first.
    pub async fn relay_events(
        &self,
        id: RelayId,
        limit: u32,
    ) -> Result<Vec<LoggedRelayEvent>, StoreError> {
        let values = binds![id.to_string(), i64::from(limit)];
        let rows: Vec<LoggedRow> = self.database.all(sql::RELAY_EVENTS, values).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Whether an event was delivered.
    pub async fn is_relay_event_delivered(&self, id: &str) -> Result<bool, StoreError> {
        let row: Option<(String,)> =
            self.database.optional(sql::IS_RELAY_EVENT_DELIVERED, binds![id]).await?;
        Ok(row.is_some())
    }

    /// Deletes events from before this time.
    pub async fn prune_relay_events(&self, before_ms: i64) -> Result<u64, StoreError> {
        self.database.execute(sql::PRUNE_RELAY_EVENTS, binds![before_ms]).await
    }
}

row! {
    struct ClaimedRow {
        id: String,
        relay_id: String,
        body: String,
        attempts: i64,
    }
}

impl TryFrom<ClaimedRow> for ClaimedRelayEvent {
    type Error = StoreError;

    fn try_from(row: ClaimedRow) -> Result<Self, StoreError> {
        Ok(Self {
            relay_id: relay_id(&row.relay_id)?,
            attempts: rows::read_number("attempts", row.attempts)?,
            id: row.id,
            body: row.body,
        })
    }
}

row! {
    struct LoggedRow {
        id: String,
        stream_id: String,
        session_id: String,
        name: String,
        attempts: i64,
        due_at_ms: Option<i64>,
        is_delivered: i64,
        last_at_ms: Option<i64>,
        last_status: Option<i64>,
        last_error: Option<String>,
        created_at_ms: i64,
    }
}

impl TryFrom<LoggedRow> for LoggedRelayEvent {
    type Error = StoreError;

    fn try_from(row: LoggedRow) -> Result<Self, StoreError> {
        Ok(Self {
            stream_id: rows::stream_id(&row.stream_id)?,
            session_id: rows::session_id(&row.session_id)?,
            attempts: rows::read_number("attempts", row.attempts)?,
            last_status: row.last_status.and_then(|status| status.try_into().ok()),
            id: row.id,
            name: row.name,
            due_at_ms: row.due_at_ms,
            is_delivered: row.is_delivered != 0,
            last_at_ms: row.last_at_ms,
            last_error: row.last_error,
            created_at_ms: row.created_at_ms,
        })
    }
}
