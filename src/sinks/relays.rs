//! Relays serve streams to other programs in Zoom's own protocol. A program that was written for Zoom's SDK changes
//! only its credentials and the sender of its webhooks.
//!
//! Relays are rows of the store. The daemon that runs a stream announces it to the program of every matching relay, and
//! serves it while it runs there. A program can come back at any time. A slow program loses frames; the others do not.

mod deliver;
mod dispatch;
mod gaps;
mod known;
mod program;
mod request;
mod secrets;
mod socket;
mod wire;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::{Notify, Semaphore, mpsc};
use uuid::Uuid;

use self::dispatch::{Begun, RelayRunner};
pub(in crate::sinks) use self::known::OpenRelay;
use self::program::ProgramHandle;
pub use self::program::ProgramStatus;
pub use self::request::{AskedRelay, FIELDS, FieldProblem};
pub use self::secrets::rotate_keys;
pub use self::socket::{Arriving, Door, websocket_config};
use super::webhooks::Client;
use super::webhooks::address::{AddressPolicy, UrlError};
use super::{Context, Runner};
use crate::hub::Hub;
use crate::model::{
    AppScope, AuditRow, EndpointSource, Relay, RelayFilter, RelayId, SessionId, StreamId, UserId,
};
use crate::rtms::server::keep_alive::KeepAliveTimings;
use crate::seal::{KeyRing, OpenError};
use crate::store::{LoggedRelayEvent, NewRelay, RelayStream, Store, StoreError, StoredRelay};
use crate::zoom::app::Apps;

/// The most relays of the same apps.
pub const MAX_RELAYS: u32 = 50;
/// How many streams and webhooks of a relay the API shows.
const SHOWN: u32 = 100;

/// The settings of relays.
pub struct Settings {
    /// Seals the secrets.
    pub ring: KeyRing,
    /// The allowed webhook URLs.
    pub policy: Arc<AddressPolicy>,
    /// The address of `/relay/` as programs reach it: `wss://rtmsd.example.com`, without a trailing slash.
    pub public_url: String,
    /// The most bytes of each medium that wait for one program.
    pub buffer_bytes: usize,
    pub apps: Apps,
    pub timings: Timings,
}

/// The intervals and limits of relays.
#[derive(Debug, Clone)]
pub struct Timings {
    /// The interval of keep-alives, and how many in a row a program may leave unanswered.
    pub keep_alive: Duration,
    pub missed_keep_alives: u32,
    /// How long a program may take to answer a webhook, and when it is sent again if it did not (section 13.5).
    pub webhook_deadline: Duration,
    pub retries: [Duration; 3],
    /// How long a program is away before the stream is announced again.
    pub away: Duration,
    /// How often the store is polled.
    pub poll: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        Self {
            keep_alive: Duration::from_secs(10),
            missed_keep_alives: 3,
            webhook_deadline: Duration::from_secs(3),
            retries: [5, 20, 60].map(|minutes| Duration::from_secs(minutes * MINUTE)),
            // As long as Zoom waits for a program before it ends a stream.
            away: Duration::from_secs(65),
            poll: Duration::from_secs(2),
        }
    }
}

impl Timings {
    fn keep_alives(&self) -> KeepAliveTimings {
        KeepAliveTimings { every: self.keep_alive, missed: self.missed_keep_alives }
    }
}

/// A relay of `RTMS_RELAYS`.
#[derive(Debug, Clone)]
pub struct ConfiguredRelay {
    /// Determines the id.
    pub name: String,
    pub asked: AskedRelay,
}

/// Why an operation on a relay failed.
#[derive(Debug, Error)]
pub enum RelayError {
    #[error("there is no relay with this id")]
    Unknown,
    #[error("this relay is configured in RTMS_RELAYS: change it there")]
    Configured,
    #[error("there are {MAX_RELAYS} relays already: delete one first")]
    TooMany,
    #[error("another change came in between: try again")]
    Changed,
    #[error("webhook_url {0}")]
    Url(#[from] UrlError),
    #[error(transparent)]
    Secret(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A program's position in a stream, and its state on this daemon.
#[derive(Debug, Clone, Serialize)]
pub struct ShownStream {
    #[serde(skip)]
    pub stored: RelayStream,
    /// `None` if the stream does not run here.
    pub status: Option<ProgramStatus>,
}

/// The relays of this daemon: cheap to clone, shared by all.
#[derive(Clone)]
pub struct Relays(Arc<Inner>);

struct Inner {
    store: Store,
    hub: Arc<Hub>,
    settings: Settings,
    now_ms: fn() -> i64,
    known: RwLock<Arc<[Arc<OpenRelay>]>>,
    programs: Mutex<HashMap<(RelayId, StreamId), ProgramHandle>>,
    /// The participants that programs chose for individual video, the newest last.
    video: Mutex<HashMap<StreamId, Vec<(RelayId, u32)>>>,
    /// Streams that begin to run here.
    begun: mpsc::UnboundedSender<Begun>,
    /// Notified after a change of the relays.
    changed: Notify,
    /// Notified when this process stores a webhook.
    events: Notify,
    last_socket: AtomicU64,
    /// Taken by sockets that have not sent their first message.
    arriving: Arc<Semaphore>,
}

/// The most sockets that have not sent their first message: anybody can open one.
const MAX_ARRIVING: usize = 256;

/// Builds the sink. It knows its relays after [`Relays::configure`].
pub fn build(settings: Settings, context: &Context) -> (Relays, Box<dyn Runner>) {
    let (begun, begins) = mpsc::unbounded_channel();
    let client = Client::new(&context.network, Arc::clone(&settings.policy));
    let relays = Relays(Arc::new(Inner {
        store: context.store.clone(),
        hub: Arc::clone(&context.hub),
        settings,
        now_ms: context.now_ms,
        known: RwLock::new(Arc::new([])),
        programs: Mutex::default(),
        video: Mutex::default(),
        begun,
        changed: Notify::new(),
        events: Notify::new(),
        last_socket: AtomicU64::new(0),
        arriving: Arc::new(Semaphore::new(MAX_ARRIVING)),
    }));
    // Weak: the hub is a part of what it would keep alive.
    let begin = Arc::downgrade(&relays.0);
    context.hub.on_begin(move |record| {
        if let Some(inner) = begin.upgrade() {
            Relays(inner).begins(record);
        }
    });
    let runner = RelayRunner::new(relays.clone(), begins, client);
    (relays, Box::new(runner))
}

impl Relays {
    /// Creates a relay and records it in the audit trail.
    ///
    /// # Panics
    /// When the description lacks a field that [`AskedRelay::read_new`] requires.
    pub async fn create(&self, asked: AskedRelay, act: &AuditRow) -> Result<Relay, RelayError> {
        let id = RelayId(Uuid::now_v7());
        let url = asked.webhook_url.as_deref().unwrap_or_default();
        let url = self.0.settings.policy.read(url)?.into();
        let new = self.described(id, EndpointSource::Api, &asked, url);
        let act = AuditRow { app: new.filter.apps.only().cloned(), ..act.on(&id.to_string()) };
        if !self.0.store.create_relay(&new, MAX_RELAYS, &act).await? {
            return Err(RelayError::TooMany);
        }
        self.0.changed.notify_one();
        self.relay(id).await
    }

    /// The relays that serve streams of these apps only, oldest first.
    pub async fn relays(&self, apps: &AppScope) -> Result<Vec<Relay>, StoreError> {
        let relays = self.0.store.relays().await?.into_iter().map(|stored| stored.relay);
        // There are few, so they are filtered in memory.
        Ok(relays.filter(|relay| apps.covers(&relay.filter.apps)).collect())
    }

    pub async fn relay(&self, id: RelayId) -> Result<Relay, RelayError> {
        Ok(self.stored(id).await?.relay)
    }

    /// Changes the described fields. The program keeps its place in every stream.
    pub async fn change(
        &self,
        id: RelayId,
        asked: &AskedRelay,
        act: &AuditRow,
    ) -> Result<Relay, RelayError> {
        let StoredRelay { relay, secrets: sealed } = self.own(id).await?;
        let open = secrets::open_secrets(&self.0.settings.ring, id, &sealed)?;
        let secret = |asked: &Option<crate::secret::Secret<String>>, old: &str| {
            asked.as_ref().map_or_else(|| old.to_owned(), |secret| secret.expose().clone())
        };
        let client_secret = secret(&asked.client_secret, &open.client_secret);
        let secret_token = secret(&asked.secret_token, &open.secret_token);
        let webhook_url = match &asked.webhook_url {
            Some(url) => self.0.settings.policy.read(url)?.into(),
            None => relay.webhook_url,
        };
        let ring = &self.0.settings.ring;
        let new = NewRelay {
            id,
            source: relay.source,
            name: asked.name.clone().unwrap_or(relay.name),
            webhook_url,
            client_id: asked.client_id.clone().unwrap_or(relay.client_id),
            secrets: secrets::seal_secrets(ring, id, &client_secret, &secret_token),
            filter: asked.filter(relay.filter),
            catch_up: asked.catch_up.unwrap_or(relay.catch_up),
        };
        if !self.0.store.change_relay(&new, relay.updated_at_ms, act).await? {
            return Err(RelayError::Changed);
        }
        self.0.changed.notify_one();
        self.relay(id).await
    }

    /// Deletes a relay; its program is disconnected.
    pub async fn remove(&self, id: RelayId, act: &AuditRow) -> Result<(), RelayError> {
        self.own(id).await?;
        self.0.store.delete_relay(id, act).await?;
        self.0.changed.notify_one();
        Ok(())
    }

    /// The streams of a relay, newest first.
    pub async fn streams(&self, id: RelayId) -> Result<Vec<ShownStream>, RelayError> {
        self.stored(id).await?;
        let stored = self.0.store.relay_streams(id, SHOWN).await?;
        let programs = self.programs();
        let shown = |stored: RelayStream| {
            let running = programs.get(&(id, stored.stream_id.clone()));
            ShownStream { status: running.map(ProgramHandle::status), stored }
        };
        Ok(stored.into_iter().map(shown).collect())
    }

    /// The webhooks to a relay's program, newest first.
    pub async fn events(&self, id: RelayId) -> Result<Vec<LoggedRelayEvent>, RelayError> {
        self.stored(id).await?;
        Ok(self.0.store.relay_events(id, SHOWN).await?)
    }

    /// Makes the configured relays match the configuration, and reads all of them: a stream that begins is announced to
    /// every relay that is known by then.
    pub async fn configure(&self, configured: &[ConfiguredRelay]) -> Result<(), StoreError> {
        let new: Vec<NewRelay> = configured
            .iter()
            .map(|ConfiguredRelay { name, asked }| {
                let url = asked.webhook_url.clone().unwrap_or_default();
                self.described(configured_id(name), EndpointSource::Configuration, asked, url)
            })
            .collect();
        self.0.store.configure_relays(&new, self.now_ms()).await?;
        self.refresh().await
    }

    fn described(
        &self,
        id: RelayId,
        source: EndpointSource,
        asked: &AskedRelay,
        webhook_url: String,
    ) -> NewRelay {
        let secret = |secret: &Option<crate::secret::Secret<String>>| {
            secret.as_ref().expect("`read_new` requires it").expose().clone()
        };
        let (client_secret, secret_token) =
            (secret(&asked.client_secret), secret(&asked.secret_token));
        let ring = &self.0.settings.ring;
        NewRelay {
            id,
            source,
            name: asked.name.clone().unwrap_or_default(),
            webhook_url,
            client_id: asked.client_id.clone().unwrap_or_default(),
            secrets: secrets::seal_secrets(ring, id, &client_secret, &secret_token),
            filter: asked.filter(RelayFilter::default()),
            catch_up: asked.catch_up.unwrap_or(false),
        }
    }

    async fn stored(&self, id: RelayId) -> Result<StoredRelay, RelayError> {
        self.0.store.relay(id).await?.ok_or(RelayError::Unknown)
    }

    /// A relay that the API may change.
    async fn own(&self, id: RelayId) -> Result<StoredRelay, RelayError> {
        let stored = self.stored(id).await?;
        match stored.relay.source {
            EndpointSource::Api => Ok(stored),
            EndpointSource::Configuration => Err(RelayError::Configured),
        }
    }

    /// The signaling URL in the announcements to a relay's program.
    fn signaling_url(&self, id: RelayId) -> String {
        format!("{}/relay/{id}/signaling", self.0.settings.public_url)
    }

    fn inner(&self) -> &Inner {
        &self.0
    }

    fn now_ms(&self) -> i64 {
        (self.0.now_ms)()
    }

    fn next_socket(&self) -> u64 {
        self.0.last_socket.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn programs(&self) -> MutexGuard<'_, HashMap<(RelayId, StreamId), ProgramHandle>> {
        self.0.programs.lock().expect("nothing panics while holding the programs")
    }

    /// Combines the choices of individual video: Zoom sends one participant at a time, so the newest choice counts, and
    /// when it ends, the one before. Returns the participant to request, if that changes.
    fn choose_video(&self, relay: RelayId, stream: &StreamId, user_id: Option<u32>) -> Option<u32> {
        let mut video = self.0.video.lock().expect("nothing panics while holding the choices");
        let choices = video.entry(stream.clone()).or_default();
        let newest = |choices: &[(RelayId, u32)]| choices.last().map(|(_, user_id)| *user_id);
        let before = newest(choices);
        choices.retain(|(other, _)| *other != relay);
        choices.extend(user_id.map(|user_id| (relay, user_id)));
        let now = newest(choices);
        if choices.is_empty() {
            video.remove(stream);
        }
        now.filter(|_| now != before)
    }

    /// Requests the video of a participant from Zoom, as the API does.
    async fn request_video(&self, session: SessionId, user_id: u32) {
        let subject = session.to_string();
        let act = AuditRow::new(self.now_ms(), "rtmsd", "video.subscribe", &subject);
        let pinned = self.0.store.pin_video(session, UserId(user_id.into()), &act).await;
        if let Err(error) = pinned {
            tracing::warn!(%error, "cannot request the video that a program chose; it may choose again");
        }
    }
}

/// The id of a configured relay: the same at every start and on every daemon.
fn configured_id(name: &str) -> RelayId {
    // The prefix keeps these ids apart from hashes for other purposes.
    let hash = Sha256::new().chain_update("rtmsd relay ").chain_update(name).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    RelayId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
