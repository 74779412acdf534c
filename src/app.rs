//! The composition root: builds every part, runs until the stop, and stops the parts in order.

mod listeners;
mod parts;
mod settings;
mod shutdown;
mod sinks;
mod upkeep;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock;
use crate::config::Config;
use crate::control::Control;
use crate::doctor::Doctor;
use crate::events::{self, Changes, EventSockets, Receiver};
use crate::http::auth::{Browsers, Failures, OneTimeCodes, TokenRegistry};
use crate::http::download;
use crate::http::server::Limits;
use crate::http::tickets::TicketKeys;
use crate::http::{
    AppState, Arrivals, Documents, RateLimit, Readiness, SignatureWarnings, StoreFiguresCache,
};
use crate::hub::{Hub, Writer};
use crate::metrics::Metrics;
use crate::model::{AppName, NodeId, Product};
use crate::net::{Network, Resolver};
use crate::rtms::stream::Timings;
use crate::seal::KeyRing;
use crate::sessions::{Leases, Pulse, Supervisor, supervisor};
use crate::sinks::forward::Forwards;
use crate::sinks::live::Live;
use crate::sinks::nats::{self, NatsError};
use crate::sinks::record::Recordings;
use crate::sinks::record::target::PlaceError;
use crate::sinks::relays::Relays;
use crate::sinks::webhooks::Webhooks;
use crate::sinks::{Context, Runner, Stops, relay};
use crate::store::{Store, StoreError};
use crate::telemetry;
use crate::tls::{TlsError, client_config};
use crate::zoom::api::Api;
use crate::zoom::app::{Apps, ManagedApps, Occupancy};
use crate::zoom::client::ZoomClient;
use crate::zoom::install::Installer;
use crate::zoom::oauth::OAuth;
use crate::zoom::retry::Pauses;
use crate::zoom::retry_policy;
use crate::zoom::token::Tokens;

pub(crate) use self::settings::{app_sources, doctor_settings};

use self::listeners::{Listeners, serve_http};
use self::parts::Parts;
use self::shutdown::{end_requests, end_sinks, flush_refusals, hand_over, wait_finished};
use self::sinks::Sinks;

/// How long a request's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Error)]
pub enum AppError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Nats(#[from] NatsError),
    #[error(
        "TOKEN_ENCRYPTION_KEYS is not set, and tokens are not stored without it: \
         make a key with `openssl rand -hex 32`"
    )]
    NoTokenKeys,
    #[error("RECORDINGS_URL must be {0}")]
    Recordings(#[from] PlaceError),
    #[error(
        "cannot start the threads that drive streams (STREAM_THREADS) or open their connections: {0}"
    )]
    Threads(#[from] io::Error),
    #[error("a part of the daemon ended by itself: {0}")]
    Part(&'static str),
}

/// The daemon, built but not running.
pub struct App {
    pub store: Store,
    pub hub: Arc<Hub>,
    pub tokens: Tokens,
    pub recordings: Recordings,
    pub webhooks: Webhooks,
    forwards: Arc<Forwards>,
    relays: Relays,
    live: Live,
    pub managed_apps: ManagedApps,
    pub api_tokens: TokenRegistry,
    apps: Apps,
    /// What runs here.
    pub occupancy: Occupancy,
    installer: Installer,
    /// Codes of links that sign a browser in to the dashboard.
    pub sign_in_codes: OneTimeCodes,
    ticket_keys: TicketKeys,
    answer_keys: KeyRing,
    control: Arc<Control>,
    doctor: Doctor,
    config: Config,
    node: NodeId,
    broker: Option<nats::Handle>,
    writer: Writer,
    supervisor: Supervisor,
    runners: Vec<Box<dyn Runner>>,
    receiver: Receiver,
    event_sockets: events::Settings,
    admin: Option<TcpListener>,
    metrics_listener: Option<TcpListener>,
    /// Ends live subscribers and forwards. Cancelled right after the daemon's stop.
    draining: CancellationToken,
    /// Stops the streams. Cancelled right after the daemon's stop.
    stop_streams: CancellationToken,
}

impl App {
    /// Opens the store, migrates its schema, and builds everything else. Starts nothing. `resolver` resolves
    /// every host except those of the database and the broker.
    pub async fn build(
        config: Config,
        timings: Timings,
        leases: Leases,
        resolver: Resolver,
    ) -> Result<Self, AppError> {
        let ring = config.install.token_keys.clone().ok_or(AppError::NoTokenKeys)?;
        let tls = client_config(config.ca_file.as_deref())?;
        let rtms_tls = client_config(config.rtms_ca_file.as_deref())?;
        let metrics = Metrics::default();
        let network = Network::new(Arc::clone(&tls), resolver, config.proxy.clone());
        let zoom = ZoomClient::new(&network, metrics.clone());
        telemetry::send_traces_with(network.http_client());
        let store = Store::open(&config.database).await?;
        let managed_apps = load_apps(&config, &store, &ring).await?;
        let apps = managed_apps.apps();
        let occupancy = Occupancy::new(config.max_streams).overloaded_from(config.max_cpu_percent);
        let writer_settings = settings::writer_settings(&config, &apps, metrics);
        let (hub, writer) = Hub::new(store.clone(), config.max_subscribers, writer_settings);
        let node = NodeId(Uuid::new_v4());
        let context = sink_context(&store, &hub, &network, node);
        let draining = CancellationToken::new();
        let Sinks { recordings, webhooks, forwards, relays, live, broker, runners } =
            sinks::build(&config, &context, &apps, &ring, draining.clone()).await?;
        let oauth = OAuth::new(zoom.clone());
        let (tokens, installer) = grants(&oauth, &store, &ring, &apps);
        let (own, granted) = (Some(store.clone()), Some(tokens.clone()));
        let checked = doctor_settings(&config, &apps, own, granted, &network, &zoom);
        let streams = settings::stream_settings(
            &config,
            &apps,
            &occupancy,
            node,
            timings,
            leases,
            network.with_websocket_tls(rtms_tls),
        );
        let api = Api::new(zoom, tokens.clone(), Pauses::default(), clock::now_ms);
        let control_settings = settings::control_settings(&config, &apps, &occupancy, node);
        let control = Arc::new(Control::new(store.clone(), api, control_settings));
        let events_network = network.clone();
        let stop_streams = CancellationToken::new();
        let (supervisor, streams) =
            supervisor(streams, store.clone(), Arc::clone(&hub), stop_streams.clone())?;
        let metrics = hub.metrics().clone();
        let changes = Changes::new(Arc::clone(&control), streams);
        let receiver = Receiver::new(store.clone(), changes, metrics.clone());
        let event_sockets = events::Settings {
            store: store.clone(),
            receiver: receiver.clone(),
            control: Arc::clone(&control),
            apps: apps.clone(),
            oauth,
            network: events_network,
            metrics,
            node,
            timings: events::Timings::default(),
            now_ms: clock::now_ms,
        };
        Ok(Self {
            store,
            hub,
            tokens,
            recordings,
            webhooks,
            forwards,
            relays,
            live,
            managed_apps,
            api_tokens: TokenRegistry::new(config.api_tokens.clone()),
            apps,
            occupancy,
            installer,
            sign_in_codes: OneTimeCodes::default(),
            ticket_keys: TicketKeys::new(&ring),
            answer_keys: ring,
            receiver,
            event_sockets,
            control,
            doctor: Doctor::new(checked),
            config,
            node,
            broker,
            writer,
            supervisor,
            runners,
            admin: None,
            metrics_listener: None,
            draining,
            stop_streams,
        })
    }

    /// Adds a listener for health checks, with a connection limit of its own.
    pub fn with_admin(self, listener: Option<TcpListener>) -> Self {
        Self { admin: listener, ..self }
    }

    /// Adds a listener for metrics, which asks for no token.
    pub fn with_metrics(self, listener: Option<TcpListener>) -> Self {
        Self { metrics_listener: listener, ..self }
    }

    /// Replaces the waits of event sockets.
    pub fn with_event_timings(mut self, timings: events::Timings) -> Self {
        self.event_sockets.timings = timings;
        self
    }

    /// Shows whether the daemon makes progress, while it runs.
    pub fn pulse(&self) -> Pulse {
        self.supervisor.pulse()
    }

    /// Serves until `stop`. Then the streams end or are left and their last entries are stored, while HTTP
    /// still takes webhooks and reports that it drains. HTTP ends last.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> Result<(), AppError> {
        let limits = Limits {
            connections: self.config.max_connections,
            grace: self.config.shutdown_grace,
            ..Limits::default()
        };
        let (stop_http, state) = (CancellationToken::new(), self.state());
        // Sinks start before the streams, so that they miss no first frame.
        let stop_sinks = CancellationToken::new();
        let parts = Parts { metrics: state.metrics.clone() };
        let mut sinks = JoinSet::new();
        for runner in self.runners {
            let stop = match runner.stops() {
                Stops::WithSubscribers => &self.draining,
                Stops::AfterStreams => &stop_sinks,
            };
            sinks.spawn(parts.sink(runner, stop));
        }
        let mut background = JoinSet::new();
        background.spawn(self.writer.run());
        background.spawn(parts.retention(self.store.clone(), self.apps.clone()));
        background.spawn(parts.apps(self.managed_apps.clone()));
        background.spawn(parts.log_level(telemetry::log_control()));
        background.spawn(parts.idle_refresh(self.tokens.clone()));
        background.spawn(parts.deletions(self.store.clone()));
        background.spawn(parts.memory());
        background.spawn(parts.refusals(Arc::clone(&state.refusals), self.store.clone()));
        let event_sockets = EventSockets::new(self.event_sockets);
        let event_sockets = tokio::spawn(parts.event_sockets(event_sockets, &stop));
        let mut control = tokio::spawn(parts.control(Arc::clone(&self.control), &stop));
        let mut streams = tokio::spawn(self.supervisor.run());
        let (requests, live_connections) = (state.requests.clone(), state.live_connections.clone());
        let refusals = Arc::clone(&state.refusals);
        let stopped = stop_http.clone();
        let listeners =
            Listeners { main: listener, admin: self.admin, metrics: self.metrics_listener };
        let mut http = tokio::spawn(serve_http(listeners, state, limits, stopped));
        let ended_early = tokio::select! {
            // `biased`: the other parts end at the stop, too, and that is not an early end.
            biased;
            () = stop.cancelled() => None,
            _ = &mut streams => Some("streams"),
            _ = &mut http => Some("http"),
            _ = &mut control => Some("control"),
            _ = background.join_next() => Some("store writer"),
            Some(_) = sinks.join_next() => Some("a sink"),
        };
        // After an early end, every other part must stop as if asked.
        stop.cancel();
        self.draining.cancel();
        self.stop_streams.cancel();
        wait_finished(streams).await;
        // At once: another daemon waits for the streams.
        let handed_over = hand_over(&self.hub, &self.store, self.node);
        tokio::join!(handed_over, wait_finished(event_sockets));
        // Only after the last entries are stored: the sinks relay them, too.
        stop_sinks.cancel();
        end_sinks(sinks).await;
        // Only now: until here a probe must see that the daemon drains, and webhooks must find it.
        stop_http.cancel();
        wait_finished(http).await;
        wait_finished(control).await;
        end_requests(live_connections, requests).await;
        let grants = async { tokio::join!(self.installer.finish_all(), self.tokens.finish()) };
        if timeout(retry_policy::FINISH_LIMIT, grants).await.is_err() {
            tracing::error!("Zoom did not answer in time: an installation may need a reconnect");
        }
        // The writer ends here, after everything that adds entries.
        background.shutdown().await;
        flush_refusals(&refusals, &self.store).await;
        self.store.close().await;
        ended_early.map_or(Ok(()), |part| Err(AppError::Part(part)))
    }

    fn browsers(&self) -> Option<Browsers> {
        let (config, ring) = (&self.config, &self.answer_keys);
        let (public_url, codes) = (&config.install.public_url, self.sign_in_codes.clone());
        Some(Browsers::new(ring, codes, config.dashboard?, config.is_https(), public_url))
    }

    fn state(&self) -> Arc<AppState> {
        Arc::new(AppState {
            store: self.store.clone(),
            hub: Arc::clone(&self.hub),
            recordings: self.recordings.clone(),
            control: Arc::clone(&self.control),
            doctor: self.doctor.clone(),
            webhooks: self.webhooks.clone(),
            api_tokens: self.api_tokens.clone(),
            log: telemetry::log_control(),
            ticket_keys: self.ticket_keys.clone(),
            answer_keys: self.answer_keys.clone(),
            refusals: Arc::default(),
            cors: self.config.cors.clone(),
            rate_limit: RateLimit::new(self.config.api_rate_limit_per_s),
            browsers: self.browsers(),
            failures: Failures::default(),
            signature_warnings: SignatureWarnings::default(),
            arrivals: Arrivals::default(),
            trusted_proxies: self.config.trusted_proxies.clone(),
            downloads: download::permits(self.config.max_connections),
            webhook_path: self.config.webhook_path.clone(),
            apps: self.apps.clone(),
            occupancy: self.occupancy.clone(),
            managed_apps: self.managed_apps.clone(),
            webhook_tolerance_s: self.config.webhook_tolerance_s,
            installer: self.installer.clone(),
            node: self.node,
            started_ms: clock::now_ms(),
            broker: self.broker.clone(),
            is_https: self.config.is_https(),
            body_timeout: BODY_TIMEOUT,
            now_ms: clock::now_ms,
            receiver: self.receiver.clone(),
            metrics: self.hub.metrics().clone(),
            store_figures: StoreFiguresCache::default(),
            documents: Documents::default(),
            readiness: Readiness::default(),
            forwards: Arc::clone(&self.forwards),
            relays: self.relays.clone(),
            live: self.live.clone(),
            live_connections: TaskTracker::new(),
            draining: self.draining.clone(),
            requests: TaskTracker::new(),
        })
    }
}

/// The apps of the settings and of the store.
async fn load_apps(
    config: &Config,
    store: &Store,
    ring: &KeyRing,
) -> Result<ManagedApps, AppError> {
    let managed_apps = ManagedApps::new(app_sources(config), store.clone(), ring.clone());
    managed_apps.refresh().await?;
    move_video_sessions(store, &managed_apps.apps()).await?;
    Ok(managed_apps)
}

/// The tokens that users granted, and the installer that receives them.
fn grants(oauth: &OAuth, store: &Store, ring: &KeyRing, apps: &Apps) -> (Tokens, Installer) {
    let (store, ring, apps) = (store.clone(), ring.clone(), apps.clone());
    let oauth = oauth.clone();
    let tokens =
        Tokens::new(store.clone(), ring.clone(), oauth.clone(), apps.clone(), clock::now_ms);
    let installer = Installer::new(store, ring, oauth, apps, tokens.clone(), clock::now_ms);
    (tokens, installer)
}

fn sink_context(store: &Store, hub: &Arc<Hub>, network: &Network, node: NodeId) -> Context {
    Context {
        store: store.clone(),
        hub: Arc::clone(hub),
        network: network.clone(),
        node,
        relay: relay::Settings::default(),
        now_ms: clock::now_ms,
    }
}

/// Gives the Video SDK app the sessions that it had before apps had names.
async fn move_video_sessions(store: &Store, apps: &Apps) -> Result<(), StoreError> {
    let Some(video) = apps.successor_for_video() else { return Ok(()) };
    let (product, default) = (Product::VideoSdk, AppName::default());
    let moved = store.move_product_sessions(product, &default, &video.name).await?;
    if moved > 0 {
        tracing::info!(moved, app = %video.name, "moved the Video SDK sessions of the default app to their own app");
    }
    Ok(())
}
