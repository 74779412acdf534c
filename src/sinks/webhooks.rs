//! Outgoing webhooks: events to other parties' endpoints, signed according to Standard Webhooks, each at least once.
//!
//! Events are stored with one row for each subscribed endpoint; the daemon that claims a row first sends it. Emitting
//! an event never waits for an endpoint.

// The allowed addresses (pure).
pub mod address;
mod body;
mod client;
// The times of retries (pure).
pub mod schedule;
mod secrets;
// The signatures (pure).
pub mod signature;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::address::{AddressPolicy, UrlError};
pub(in crate::sinks) use self::client::{Answer, Client};
pub use self::secrets::rotate_keys;
use self::worker::Worker;
use super::relay::{Relay, Relayed};
use super::{Context, Runner};
use crate::metrics::Metrics;
use crate::model::{
    AppScope, AuditRow, EndpointId, EndpointSource, EndpointStatus, EventKind, OutgoingEvent,
    WebhookEndpoint,
};
use crate::seal::{KeyRing, OpenError};
use crate::secret::Secret;
use crate::store::{
    EndpointChange, LoggedDelivery, NewEndpoint, Store, StoreError, StoredEndpoint, WEBHOOKS_SINK,
};

/// The most endpoints: each has a few requests at a time of its own, and this bounds them all.
pub const MAX_ENDPOINTS: u32 = 50;
/// How long the previous secret also signs after a rotation.
const ROTATION_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Seals the secrets.
    pub ring: KeyRing,
    pub policy: Arc<AddressPolicy>,
    /// How often the store is polled for due deliveries, because other daemons write some too.
    pub poll_interval: Duration,
}

/// An endpoint of `WEBHOOKS_OUT`.
#[derive(Debug, Clone)]
pub struct ConfiguredEndpoint {
    /// The id is derived from it.
    pub name: String,
    pub url: String,
    /// Empty means all.
    pub events: Vec<EventKind>,
    /// The apps whose events it receives.
    pub apps: AppScope,
    pub secret: Secret<String>,
    /// Also signs, as long as it is set.
    pub previous_secret: Option<Secret<String>>,
}

/// An endpoint as a client asks for it.
#[derive(Debug)]
pub struct AskedEndpoint {
    pub url: String,
    pub description: String,
    /// Empty means all.
    pub events: Vec<EventKind>,
    /// The apps whose events it receives.
    pub apps: AppScope,
}

/// Why an operation on an endpoint failed.
#[derive(Debug, Error)]
pub enum EndpointError {
    #[error("there is no webhook endpoint with this id")]
    Unknown,
    #[error("this endpoint has no delivery of this event: see its list of deliveries")]
    UnknownDelivery,
    #[error("this endpoint is configured in WEBHOOKS_OUT: change it there")]
    Configured,
    #[error("this endpoint is switched off: enable it first")]
    SwitchedOff,
    #[error("there are {MAX_ENDPOINTS} endpoints already: delete one first")]
    TooMany,
    #[error("another rotation came in between: try again")]
    Rotated,
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Secret(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The endpoints and their events: cheap to clone, shared by all.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    store: Store,
    settings: Settings,
    now_ms: fn() -> i64,
    metrics: Metrics,
    /// Notified when this process stores an event.
    news: Notify,
}

/// Builds the sink. Its task emits the events of stored entries and sends what is due.
pub fn build(settings: Settings, context: &Context) -> (Webhooks, Box<dyn Runner>) {
    let webhooks = Webhooks(Arc::new(Inner {
        store: context.store.clone(),
        settings,
        now_ms: context.now_ms,
        metrics: context.hub.metrics().clone(),
        news: Notify::new(),
    }));
    let worker = Worker::new(webhooks.clone(), &context.network);
    let task = Task { webhooks: webhooks.clone(), context: context.clone(), worker };
    (webhooks, Box::new(task))
}

struct Task {
    webhooks: Webhooks,
    context: Context,
    worker: Worker,
}

impl Runner for Task {
    fn name(&self) -> &'static str {
        WEBHOOKS_SINK
    }

    /// Requests that run at the stop are cancelled after a while, and are due again.
    fn run(&mut self, stop: CancellationToken) -> BoxFuture<'_, ()> {
        let webhooks = &self.webhooks;
        let emit =
            move |entries: Vec<Relayed>| async move { webhooks.emit_entries(&entries).await };
        let relay = Relay::new(&self.context, WEBHOOKS_SINK);
        let send = self.worker.run(stop.clone());
        Box::pin(async move {
            tokio::join!(relay.run(stop, || webhooks.0.store.wants_entries(), emit), send);
        })
    }
}

impl Webhooks {
    /// Stores events for every subscribed endpoint. An event that exists is not sent again.
    pub async fn emit(&self, events: &[OutgoingEvent]) -> Result<(), StoreError> {
        self.0.store.enqueue_events(events, self.now_ms()).await?;
        // After the commit: before it, the worker would find nothing.
        self.0.news.notify_one();
        Ok(())
    }

    /// Stores the events of stored entries.
    pub async fn emit_entries(&self, entries: &[Relayed]) -> Result<(), StoreError> {
        let event = |relayed: &Relayed| OutgoingEvent::of_entry(&relayed.entry, &relayed.app);
        self.emit(&entries.iter().filter_map(event).collect::<Vec<_>>()).await
    }

    /// Makes the configured endpoints match the configuration.
    pub async fn configure(&self, endpoints: &[ConfiguredEndpoint]) -> Result<(), StoreError> {
        let new: Vec<NewEndpoint> = endpoints.iter().map(|it| self.configured(it)).collect();
        self.0.store.configure_endpoints(&new, self.now_ms()).await
    }

    /// Creates an endpoint, the subject of the audit row. Only this answer contains its secret.
    pub async fn create(
        &self,
        asked: AskedEndpoint,
        act: &AuditRow,
    ) -> Result<(WebhookEndpoint, Zeroizing<String>), EndpointError> {
        let AskedEndpoint { url, description, events, apps } = asked;
        let url = self.0.settings.policy.read(&url)?.into();
        let (id, secret) = (EndpointId(Uuid::now_v7()), secrets::make_secret());
        let sealed = secrets::seal_secrets(&self.0.settings.ring, id, &secret, None);
        let source = EndpointSource::Api;
        let act = AuditRow { app: apps.only().cloned(), ..act.on(&id.to_string()) };
        let new = NewEndpoint { id, source, url, description, events, apps, secrets: sealed };
        if !self.0.store.create_endpoint(&new, MAX_ENDPOINTS, &act).await? {
            return Err(EndpointError::TooMany);
        }
        Ok((self.endpoint(id).await?, secret))
    }

    /// The endpoints that receive events of these apps only, oldest first.
    pub async fn endpoints(&self, apps: &AppScope) -> Result<Vec<WebhookEndpoint>, StoreError> {
        let stored = self.0.store.endpoints().await?;
        let endpoints = stored.into_iter().map(|stored| stored.endpoint);
        // There are few, so they are filtered in memory.
        Ok(endpoints.filter(|endpoint| apps.covers(&endpoint.apps)).collect())
    }

    pub async fn endpoint(&self, id: EndpointId) -> Result<WebhookEndpoint, EndpointError> {
        Ok(self.stored(id).await?.endpoint)
    }

    pub async fn change(
        &self,
        id: EndpointId,
        mut change: EndpointChange,
        act: &AuditRow,
    ) -> Result<WebhookEndpoint, EndpointError> {
        self.own(id).await?;
        if let Some(url) = &change.url {
            change.url = Some(self.0.settings.policy.read(url)?.into());
        }
        self.0.store.change_endpoint(id, &change, act).await?;
        self.0.news.notify_one();
        self.endpoint(id).await
    }

    /// Deletes an endpoint, its deliveries and its log.
    pub async fn remove(&self, id: EndpointId, act: &AuditRow) -> Result<(), EndpointError> {
        self.own(id).await?;
        self.0.store.delete_endpoint(id, act).await?;
        Ok(())
    }

    /// Creates a new secret, which only this answer contains. The previous one also signs for a day.
    pub async fn rotate_secret(
        &self,
        id: EndpointId,
        act: &AuditRow,
    ) -> Result<(WebhookEndpoint, Zeroizing<String>), EndpointError> {
        let StoredEndpoint { secrets: old, .. } = self.own(id).await?;
        let ring = &self.0.settings.ring;
        let open = secrets::open_secrets(ring, id, &old)?;
        let new = secrets::make_secret();
        let sealed = secrets::seal_secrets(ring, id, &new, Some(&open.current));
        let until_ms = act.at_ms.saturating_add(ROTATION_MS);
        // Compares with the old secret: two rotations at once must not each show a secret of which one is lost.
        if !self.0.store.rotate_secret(id, &old.current, &sealed, until_ms, act).await? {
            return Err(EndpointError::Rotated);
        }
        Ok((self.endpoint(id).await?, new))
    }

    /// Sends a `test` to one endpoint, whatever its filter. Returns the event's id.
    pub async fn test(&self, id: EndpointId, act: &AuditRow) -> Result<String, EndpointError> {
        let endpoint = self.enabled(id).await?;
        let data = json!({ "endpoint_id": id });
        // Each test is a separate event.
        let subject = Uuid::new_v4().to_string();
        let event = OutgoingEvent {
            app: endpoint.apps.only().cloned(),
            ..OutgoingEvent::new(EventKind::Test, &subject, self.now_ms(), data)
        };
        self.0.store.enqueue_test(id, &event, act).await?;
        self.0.news.notify_one();
        Ok(event.id)
    }

    /// Sends an event of one of these apps again under the same id, whatever its outcome.
    pub async fn resend(
        &self,
        id: EndpointId,
        event_id: &str,
        apps: &AppScope,
        act: &AuditRow,
    ) -> Result<(), EndpointError> {
        self.enabled(id).await?;
        if !self.0.store.resend_delivery(id, event_id, apps, act).await? {
            return Err(EndpointError::UnknownDelivery);
        }
        self.0.news.notify_one();
        Ok(())
    }

    /// One page of an endpoint's deliveries of events of these apps, newest first, after the one of the event `before`.
    pub async fn deliveries(
        &self,
        id: EndpointId,
        apps: &AppScope,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<LoggedDelivery>, EndpointError> {
        self.stored(id).await?;
        Ok(self.0.store.deliveries_of_endpoint(id, apps, before, limit).await?)
    }

    fn now_ms(&self) -> i64 {
        (self.0.now_ms)()
    }

    async fn stored(&self, id: EndpointId) -> Result<StoredEndpoint, EndpointError> {
        self.0.store.endpoint(id).await?.ok_or(EndpointError::Unknown)
    }

    /// An endpoint that the API may change.
    async fn own(&self, id: EndpointId) -> Result<StoredEndpoint, EndpointError> {
        let stored = self.stored(id).await?;
        match stored.endpoint.source {
            EndpointSource::Api => Ok(stored),
            EndpointSource::Configuration => Err(EndpointError::Configured),
        }
    }

    async fn enabled(&self, id: EndpointId) -> Result<WebhookEndpoint, EndpointError> {
        let StoredEndpoint { endpoint, .. } = self.stored(id).await?;
        match endpoint.status {
            EndpointStatus::Enabled => Ok(endpoint),
            _ => Err(EndpointError::SwitchedOff),
        }
    }

    fn configured(&self, endpoint: &ConfiguredEndpoint) -> NewEndpoint {
        let id = configured_id(&endpoint.name);
        let previous = endpoint.previous_secret.as_ref().map(|secret| secret.expose().as_str());
        let current = endpoint.secret.expose();
        NewEndpoint {
            id,
            source: EndpointSource::Configuration,
            url: endpoint.url.clone(),
            description: endpoint.name.clone(),
            events: endpoint.events.clone(),
            apps: endpoint.apps.clone(),
            secrets: secrets::seal_secrets(&self.0.settings.ring, id, current, previous),
        }
    }
}

/// The same at every start and on every daemon.
fn configured_id(name: &str) -> EndpointId {
    // The prefix keeps these ids apart from hashes for other purposes.
    let hash = Sha256::new().chain_update("rtmsd webhook endpoint ").chain_update(name).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    EndpointId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
