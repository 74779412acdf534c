//! Relays: created by administrators or by the configuration, and how far their programs are with each stream.

use super::database::{Bind, binds, row, transaction};
use super::relay_events::NewRelayEvent;
use super::{Store, StoreError, rows, sql};
use crate::model::{
    AuditRow, EndpointSource, MediaSet, Product, Relay, RelayFilter, RelayGap, RelayId, SessionId,
    StreamId,
};

/// A relay's secrets as stored: sealed to their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaySecrets {
    pub client_secret: String,
    pub secret_token: String,
}

/// A relay with its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRelay {
    pub relay: Relay,
    pub secrets: RelaySecrets,
}

/// What is stored of a relay that is created or changed.
#[derive(Debug, Clone)]
pub struct NewRelay {
    pub id: RelayId,
    pub source: EndpointSource,
    pub name: String,
    pub webhook_url: String,
    pub client_id: String,
    pub secrets: RelaySecrets,
    pub filter: RelayFilter,
    pub catch_up: bool,
}

/// How far a program is with a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct RelayStream {
    pub relay_id: RelayId,
    pub stream_id: StreamId,
    pub session_id: SessionId,
    /// The URL in the last `rtms_started`.
    pub server_url: String,
    /// How many `rtms_started` were sent.
    pub announcements: i64,
    /// The number of the last entry that the program is known to have.
    pub acknowledged: u64,
    pub gaps: Vec<RelayGap>,
    /// The event types that the program subscribed to.
    pub subscriptions: Vec<u64>,
    /// Whether the program asked for the end of its stream.
    pub has_left: bool,
    /// Unix milliseconds.
    pub updated_at_ms: i64,
}

impl Store {
    /// Creates a relay and writes the audit row. False if there are `max` of the same apps already.
    pub async fn create_relay(
        &self,
        new: &NewRelay,
        max: u32,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let mut values = values_of(new, act.at_ms);
        values.push(i64::from(max).into());
        self.execute_audited(sql::INSERT_RELAY, &values, act).await
    }

    /// All relays, oldest first.
    pub async fn relays(&self) -> Result<Vec<StoredRelay>, StoreError> {
        let rows: Vec<RelayRow> = self.database.all(sql::RELAYS, binds![]).await?;
        Ok(rows::readable_rows(rows))
    }

    /// The current state of a relay; `None` if the id is unknown.
    pub async fn relay(&self, id: RelayId) -> Result<Option<StoredRelay>, StoreError> {
        let row: Option<RelayRow> =
            self.database.optional(sql::RELAY, binds![id.to_string()]).await?;
        row.map(StoredRelay::try_from).transpose()
    }

    /// Replaces a relay that is still as it was at `read_at_ms` and writes the audit row. False if it has changed.
    pub async fn change_relay(
        &self,
        new: &NewRelay,
        read_at_ms: i64,
        act: &AuditRow,
    ) -> Result<bool, StoreError> {
        let mut values = values_of(new, act.at_ms.max(read_at_ms.saturating_add(1)));
        // The source does not change.
        values.remove(1);
        values.push(read_at_ms.into());
        self.execute_audited(sql::CHANGE_RELAY, &values, act).await
    }

    /// Deletes a relay with what is stored for its program, and writes the audit row. False if the id is unknown.
    pub async fn delete_relay(&self, id: RelayId, act: &AuditRow) -> Result<bool, StoreError> {
        self.execute_audited(sql::DELETE_RELAY, binds![id.to_string()], act).await
    }

    /// Makes the configured relays match `configured`, and deletes those that are not in it.
    pub async fn configure_relays(
        &self,
        configured: &[NewRelay],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        for StoredRelay { relay, .. } in self.relays().await? {
            let is_kept = configured.iter().any(|new| new.id == relay.id);
            if relay.source == EndpointSource::Configuration && !is_kept {
                // No audit row: the configuration changed, and no caller of the API.
                self.database.execute(sql::DELETE_RELAY, binds![relay.id.to_string()]).await?;
            }
        }
        for new in configured {
            self.database.execute(sql::CONFIGURE_RELAY, &values_of(new, now_ms)).await?;
        }
        Ok(())
    }

    /// Stores the same secrets under another seal. False if they were replaced meanwhile.
    pub async fn reseal_relay(
        &self,
        id: RelayId,
        old: &str,
        secrets: &RelaySecrets,
    ) -> Result<bool, StoreError> {
        let RelaySecrets { client_secret, secret_token } = secrets;
        let values = binds![id.to_string(), old, client_secret.as_str(), secret_token.as_str()];
        Ok(self.database.execute(sql::RESEAL_RELAY, values).await? == 1)
    }

    /// Records the result of a URL validation.
    pub async fn note_relay_validation(
        &self,
        id: RelayId,
        at_ms: i64,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        let values = binds![id.to_string(), at_ms, error];
        self.database.execute(sql::NOTE_RELAY_VALIDATION, values).await.map(drop)
    }

    /// How far a program is with a stream; `None` before its first announcement.
    pub async fn relay_stream(
        &self,
        id: RelayId,
        stream_id: &StreamId,
    ) -> Result<Option<RelayStream>, StoreError> {
        let values = binds![id.to_string(), stream_id.as_str()];
        let row: Option<StreamRow> = self.database.optional(sql::RELAY_STREAM, values).await?;
        row.map(RelayStream::try_from).transpose()
    }

    /// The streams of a relay, up to `limit`, newest first.
    pub async fn relay_streams(
        &self,
        id: RelayId,
        limit: u32,
    ) -> Result<Vec<RelayStream>, StoreError> {
        let values = binds![id.to_string(), i64::from(limit)];
        let rows: Vec<StreamRow> = self.database.all(sql::RELAY_STREAMS, values).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Stores how far a program is, unless the relay or the session is gone.
    pub async fn put_relay_stream(&self, stream: &RelayStream) -> Result<(), StoreError> {
        self.database.execute(sql::PUT_RELAY_STREAM, &stream.values()).await.map(drop)
    }

    /// Stores how far a program is together with a webhook to it.
    pub async fn announce_relay_stream(
        &self,
        stream: &RelayStream,
        event: &NewRelayEvent,
    ) -> Result<(), StoreError> {
        transaction!(self.database, |tx| {
            tx.execute(sql::PUT_RELAY_STREAM, &stream.values()).await?;
            tx.execute(sql::INSERT_RELAY_EVENT, &event.values()).await?;
        })
    }

    /// Announced streams that have ended since `since_ms` without a webhook that says so, up to `limit`.
    pub async fn relay_streams_to_end(
        &self,
        since_ms: i64,
        limit: u32,
    ) -> Result<Vec<RelayStream>, StoreError> {
        let values = binds![i64::from(limit), since_ms];
        let rows: Vec<StreamRow> = self.database.all(sql::RELAY_STREAMS_TO_END, values).await?;
        Ok(rows::readable_rows(rows))
    }
}

impl RelayStream {
    fn values(&self) -> Vec<Bind<'_>> {
        vec![
            self.relay_id.to_string().into(),
            self.stream_id.as_str().into(),
            self.session_id.to_string().into(),
            self.server_url.as_str().into(),
            self.announcements.into(),
            i64::try_from(self.acknowledged).unwrap_or(i64::MAX).into(),
            rows::json_text(&self.gaps).into(),
            rows::json_text(&self.subscriptions).into(),
            i64::from(self.has_left).into(),
            self.updated_at_ms.into(),
        ]
    }
}

fn values_of(new: &NewRelay, now_ms: i64) -> Vec<Bind<'_>> {
    let filter = &new.filter;
    vec![
        new.id.to_string().into(),
        new.source.as_str().into(),
        new.name.as_str().into(),
        new.webhook_url.as_str().into(),
        new.client_id.as_str().into(),
        new.secrets.client_secret.as_str().into(),
        new.secrets.secret_token.as_str().into(),
        filter.media.to_string().into(),
        filter.product.map(Product::as_str).into(),
        rows::json_text(&filter.host_ids).into(),
        rows::json_text(&filter.metadata).into(),
        rows::apps_text(&filter.apps).into(),
        i64::from(new.catch_up).into(),
        now_ms.into(),
    ]
}

pub(super) fn relay_id(text: &str) -> Result<RelayId, StoreError> {
    rows::read_text("relay id", text, RelayId::parse)
}

row! {
    struct RelayRow {
        id: String,
        source: String,
        name: String,
        webhook_url: String,
        client_id: String,
        client_secret: String,
        secret_token: String,
        media: String,
        product: Option<String>,
        host_ids: String,
        metadata: String,
        apps: Option<String>,
        catch_up: i64,
        validated_at_ms: Option<i64>,
        validation_error: Option<String>,
        created_at_ms: i64,
        updated_at_ms: i64,
    }
}

impl TryFrom<RelayRow> for StoredRelay {
    type Error = StoreError;

    fn try_from(row: RelayRow) -> Result<Self, StoreError> {
        let product = |name: String| rows::read_text("product", &name, Product::parse);
        let filter = RelayFilter {
            media: rows::read_text("media", &row.media, MediaSet::parse)?,
            product: row.product.map(product).transpose()?,
            host_ids: rows::read_text("host ids", &row.host_ids, from_json)?,
            metadata: rows::read_text("metadata", &row.metadata, from_json)?,
            apps: rows::read_apps(row.apps.as_deref()),
        };
        let error = row.validation_error;
        Ok(Self {
            relay: Relay {
                id: relay_id(&row.id)?,
                source: rows::read_text("relay source", &row.source, EndpointSource::parse)?,
                name: row.name,
                webhook_url: row.webhook_url,
                client_id: row.client_id,
                filter,
                catch_up: row.catch_up != 0,
                validation: row.validated_at_ms.map(|at_ms| (at_ms, error)),
                created_at_ms: row.created_at_ms,
                updated_at_ms: row.updated_at_ms,
            },
            secrets: RelaySecrets {
                client_secret: row.client_secret,
                secret_token: row.secret_token,
            },
        })
    }
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

row! {
    struct StreamRow {
        relay_id: String,
        stream_id: String,
        session_id: String,
        server_url: String,
        announcements: i64,
        acknowledged: i64,
        gaps: String,
        subscriptions: String,
        has_left: i64,
        updated_at_ms: i64,
    }
}

impl TryFrom<StreamRow> for RelayStream {
    type Error = StoreError;

    fn try_from(row: StreamRow) -> Result<Self, StoreError> {
        Ok(Self {
            relay_id: relay_id(&row.relay_id)?,
            stream_id: rows::stream_id(&row.stream_id)?,
            session_id: rows::session_id(&row.session_id)?,
            server_url: row.server_url,
            announcements: row.announcements,
            acknowledged: rows::read_number("acknowledged", row.acknowledged)?,
            gaps: rows::read_text("gaps", &row.gaps, from_json)?,
            subscriptions: rows::read_text("subscriptions", &row.subscriptions, from_json)?,
            has_left: row.has_left != 0,
            updated_at_ms: row.updated_at_ms,
        })
    }
}
