//! Starts the HTTP layer for a test.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rtmsd::config::AppDefaults;
use rtmsd::control::{self, Control};
use rtmsd::doctor::{self, Doctor};
use rtmsd::events::{Changes, Receiver};
use rtmsd::http::auth::{
    ApiTokens, Browsers, Failures, OneTimeCodes, SessionLimits, TokenRegistry,
};
use rtmsd::http::cors::AllowedOrigins;
use rtmsd::http::download;
use rtmsd::http::server::{Limits, serve};
use rtmsd::http::tickets::TicketKeys;
use rtmsd::http::{
    AppState, Arrivals, Documents, RateLimit, Readiness, SignatureWarnings, StoreFiguresCache,
    TrustedProxies, router,
};
use rtmsd::hub::{Feed, Hub, WriterSettings};
use rtmsd::metrics::Metrics;
use rtmsd::model::{
    AppName, CaptureMode, MediaSet, MeetingPicture, NodeId, Outcome, Product, RecordSet, Retention,
    StopReason, StreamId, StreamRecord,
};
use rtmsd::seal::KeyRing;
use rtmsd::secret::Secret;
use rtmsd::sinks::forward::{self, Targets};
use rtmsd::sinks::live::Live;
use rtmsd::sinks::record::layout::Layout;
use rtmsd::sinks::record::target::{Access, Place};
use rtmsd::sinks::record::{self, Recordings};
use rtmsd::sinks::relays;
use rtmsd::sinks::webhooks;
use rtmsd::sinks::webhooks::address::AddressPolicy;
use rtmsd::sinks::{Context, Runner};
use rtmsd::store::{Location, Store};
use rtmsd::telemetry::{LogControl, LogSettings};
use rtmsd::zoom::api::Api;
use rtmsd::zoom::app::{App, AppSources, Apps, Describe, ManagedApps, Occupancy, Policies, Quotas};
use rtmsd::zoom::client::ZoomClient;
use rtmsd::zoom::install::Installer;
use rtmsd::zoom::oauth::OAuth;
use rtmsd::zoom::retry::Pauses;
use rtmsd::zoom::signature::WebhookKey;
use rtmsd::zoom::token::{Configured, Tokens};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::support::apps::app;
use crate::support::client::{Answer, TIMEOUT, exchange, head};
use crate::support::network::network;
use crate::support::sinks::context;

/// The clock of these tests is fixed at the time of the documented signature.
pub(crate) const NOW_S: i64 = 1_732_313_172;
pub(crate) const READER: (&str, &str) = ("authorization", "Bearer read-token-of-tests");

pub(crate) struct Server {
    pub address: SocketAddr,
    pub state: Arc<AppState>,
    pub changes: mpsc::Receiver<StreamId>,
    /// The task of outgoing webhooks, which runs only if a test starts it.
    pub webhook_sender: Option<Box<dyn Runner>>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    writing: JoinHandle<()>,
    pub folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
        self.writing.abort();
    }
}

pub(crate) const TOKENS: &str = "reader:read-token-of-tests:read,controller:control-token-of-tests:control,\
     operator:operator-token-of-tests:read+control,boss:boss-token-of-tests:admin,\
     page:sla/sh=token-of-tests:read,acme:acme-token-of-tests:admin@acme,own:default-token-of-tests:admin@default,\
     scraper:scrape-token-of-tests:metrics,acme-scraper:acme-scrape-token-of-tests:metrics@acme";
/// The queue of a live subscriber.
pub(crate) const LIVE_BUFFER_BYTES: usize = 64 * 1024;
/// The most live subscribers: of one token, and in total.
pub(crate) const SUBSCRIBERS: usize = 8;
pub(crate) const ALL_SUBSCRIBERS: usize = 12;

/// When browsers are signed out of the dashboard.
pub(crate) const LIMITS: SessionLimits =
    SessionLimits { idle: Duration::from_secs(600), longest: Duration::from_secs(3600) };

pub(crate) fn key() -> WebhookKey {
    WebhookKey::new(&Secret::new("demoSecretToken01".into()))
}

/// The parts that a test may replace.
pub(crate) struct Wiring {
    pub limits: Limits,
    pub body_timeout: Duration,
    pub now_ms: fn() -> i64,
    pub requests_per_s: u32,
    /// Like `CORS_ALLOWED_ORIGINS`.
    pub origins: String,
    pub policies: Policies,
    pub start_timeout: Duration,
    pub pauses: Pauses,
    pub occupancy: Occupancy,
    /// Those of the app `acme`.
    pub quotas: Quotas,
    /// The address of Zoom's REST API, and the token for it.
    pub zoom: (String, Configured),
    pub dashboard: Option<SessionLimits>,
    /// The keys of the dashboard.
    pub ring: KeyRing,
}

impl Default for Wiring {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            body_timeout: Duration::from_secs(10),
            now_ms: || NOW_S * 1000,
            requests_per_s: 100_000,
            origins: String::new(),
            policies: app("default", "unused").policies,
            start_timeout: Duration::from_secs(30),
            pauses: Pauses::default(),
            occupancy: Occupancy::new(1000),
            quotas: Quotas::default(),
            // No server listens there.
            zoom: ("http://127.0.0.1:9".into(), Configured::None),
            dashboard: Some(LIMITS),
            ring: ring(),
        }
    }
}

fn record_settings(folder: &Path) -> record::Settings {
    record::Settings {
        record: RecordSet::default(),
        received: MediaSet::default(),
        picture: MeetingPicture::Speaker,
        place: Place::Folder(folder.join("recordings")),
        layout: Layout::RtmsSamples,
        spools: folder.join("spool"),
        spool_bytes: u64::MAX,
        stream_percent: 100,
        access: Access::Owner,
        capture: CaptureMode::Off,
        capture_bytes: 1024 * 1024,
    }
}

/// Recordings that never run.
fn recordings(context: &Context, apps: &Apps, folder: &Path) -> Recordings {
    record::build(&record_settings(folder), apps, context).expect("a folder").0
}

/// A doctor of a daemon at a URL where no server listens.
fn doctor(store: &Store, apps: &Apps, folder: &Path, now_ms: fn() -> i64) -> Doctor {
    let network = network();
    Doctor::new(doctor::Settings {
        public_url: "http://127.0.0.1:9".into(),
        webhook_url: Arc::new(|app| format!("http://127.0.0.1:9/webhook/{}", app.name)),
        webhook_tolerance_s: 300,
        apps: apps.clone(),
        database: Location::Sqlite(folder.join("rtmsd.sqlite")),
        store: Some(store.clone()),
        tokens: None,
        recordings: record_settings(folder),
        nats: None,
        zoom: ZoomClient::new(&network, Metrics::default()),
        network,
        ca_file: None,
        notes: Vec::new(),
        now_ms,
    })
}

fn live(context: &Context, stop: &CancellationToken) -> Live {
    Live {
        hub: Arc::clone(&context.hub),
        store: context.store.clone(),
        stop: stop.clone(),
        buffer_bytes: LIVE_BUFFER_BYTES,
        now_ms: context.now_ms,
    }
}

fn loopback() -> TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket option");
    TcpListener::from_std(listener).expect("a socket")
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::wired(Wiring::default()).await
    }

    pub(crate) async fn start_with(limits: Limits, body_timeout: Duration) -> Self {
        Self::wired(Wiring { limits, body_timeout, ..Wiring::default() }).await
    }

    pub(crate) async fn wired(wiring: Wiring) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let location = Location::Sqlite(folder.path().join("rtmsd.sqlite"));
        let store = Store::open(&location).await.expect("a store");
        Self::assemble(store, folder, wiring, TOKENS)
    }

    /// Another server on the store of this one, with other tokens.
    pub(crate) async fn beside(&self, tokens: &str) -> Self {
        self.beside_wired(tokens, Wiring::default()).await
    }

    pub(crate) async fn beside_wired(&self, tokens: &str, wiring: Wiring) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::assemble(self.state.store.clone(), folder, wiring, tokens)
    }

    fn assemble(store: Store, folder: TempDir, wiring: Wiring, tokens: &str) -> Self {
        let (streams, changes) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let Wiring { limits, body_timeout, now_ms, .. } = wiring;
        let batch_interval = Duration::from_millis(5);
        let settings = WriterSettings { batch_interval, now_ms, ..Default::default() };
        let metrics = settings.metrics.clone();
        let (hub, writer) = Hub::new(store.clone(), ALL_SUBSCRIBERS, settings);
        let writing = tokio::spawn(writer.run());
        let managed_apps = managed_apps(&wiring, &store);
        let apps = managed_apps.apps();
        let (control, installer) = zoom_side(&store, &wiring, &apps);
        let context = Context { now_ms, ..context(&store, Arc::clone(&hub), 1) };
        let recordings = recordings(&context, &apps, folder.path());
        let doctor = doctor(&store, &apps, folder.path(), now_ms);
        let draining = CancellationToken::new();
        let live = live(&context, &draining);
        let targets = Targets::new(vec!["127.0.0.1".into()], true);
        let forward_settings =
            forward::Settings { targets, live: live.clone(), apps: apps.clone() };
        let (forwards, _) = forward::build(forward_settings, &context);
        let (webhooks, webhook_sender) = webhooks::build(webhook_settings(), &context);
        let (relays, _) = relays::build(relay_settings(&apps), &context);
        let state = Arc::new(AppState {
            store: store.clone(),
            hub,
            recordings,
            receiver: Receiver::new(
                store.clone(),
                Changes::new(Arc::clone(&control), streams),
                metrics.clone(),
            ),
            control,
            doctor,
            webhooks,
            api_tokens: TokenRegistry::new(ApiTokens::parse(tokens).expect("tokens")),
            ticket_keys: TicketKeys::new(&ring()),
            answer_keys: ring(),
            refusals: Arc::default(),
            cors: AllowedOrigins::parse(&wiring.origins).expect("origins"),
            rate_limit: RateLimit::new(wiring.requests_per_s),
            browsers: wiring.dashboard.map(|limits| {
                Browsers::new(&wiring.ring, OneTimeCodes::default(), limits, false, "")
            }),
            failures: Failures::default(),
            trusted_proxies: TrustedProxies::default(),
            downloads: download::permits(limits.connections),
            webhook_path: "/webhook".into(),
            apps,
            occupancy: wiring.occupancy.clone(),
            managed_apps,
            webhook_tolerance_s: 300,
            signature_warnings: SignatureWarnings::default(),
            arrivals: Arrivals::default(),
            node: NodeId(uuid::Uuid::from_u128(1)),
            started_ms: now_ms(),
            broker: None,
            installer,
            is_https: true,
            body_timeout,
            log: LogControl::without_log(LogSettings::default()),
            now_ms,
            draining,
            forwards,
            relays,
            live,
            live_connections: TaskTracker::new(),
            metrics,
            store_figures: StoreFiguresCache::default(),
            documents: Documents::default(),
            readiness: Readiness::default(),
            requests: TaskTracker::new(),
        });
        let listener = loopback();
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(serve(listener, router(state.clone()), limits, stop.clone()));
        let webhook_sender = Some(webhook_sender);
        Self { address, state, changes, webhook_sender, stop, serving, writing, folder }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[READER]).await
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        exchange(self.address, &head(method, path, headers)).await
    }

    /// Sends a webhook as Zoom does.
    pub(crate) async fn webhook(&self, body: &[u8]) -> Answer {
        let now_s = (self.state.now_ms)() / 1000;
        let signature = key().sign(now_s, body);
        self.post(body, &[signed_at(&now_s.to_string()), ("x-zm-signature", &signature)]).await
    }

    pub(crate) async fn post(&self, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        self.post_to("/webhook", body, headers).await
    }

    pub(crate) async fn post_to(
        &self,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Answer {
        self.send("POST", path, body, headers).await
    }

    /// Any request with a body.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Answer {
        let length = body.len().to_string();
        let headers = [headers, &[("content-length", &length)]].concat();
        let mut request = head(method, path, &headers);
        request.extend_from_slice(body);
        exchange(self.address, &request).await
    }

    /// Announces a stream and returns its row.
    pub(crate) async fn start_stream(&self, meeting: &str, stream: &str) -> StreamRecord {
        self.start_stream_at(meeting, stream, NOW_S * 1000).await
    }

    pub(crate) async fn start_stream_at(
        &self,
        meeting: &str,
        stream: &str,
        at_ms: i64,
    ) -> StreamRecord {
        let body = json!({
            "event": "meeting.rtms_started",
            "event_ts": at_ms,
            "payload": {
                "meeting_uuid": meeting,
                "meeting_id": "91234567890",
                "rtms_stream_id": stream,
                "server_urls": "wss://a.zoom.us",
            },
        });
        assert_eq!(self.webhook(body.to_string().as_bytes()).await.status, 200);
        self.stream(stream).await
    }

    pub(crate) async fn stream(&self, stream: &str) -> StreamRecord {
        let id = StreamId::parse(stream).expect("an id");
        self.state.store.stream(&id).await.expect("the store works").expect("a stream")
    }

    /// The log of a new stream.
    pub(crate) fn feed(&self, stream: &StreamRecord) -> Feed {
        self.feed_after(stream, 0)
    }

    /// The log of a stream that has entries.
    pub(crate) fn feed_after(&self, stream: &StreamRecord, last_seq: u64) -> Feed {
        Feed::new(Arc::clone(&self.state.hub), stream, last_seq, MediaSet::default())
    }

    /// Ends a stream because the meeting is over, and stores all pending entries.
    pub(crate) async fn end_stream(&self, meeting: &str, stream: &StreamRecord) {
        self.state.hub.flush().await;
        let now_ms = (self.state.now_ms)();
        let body = json!({
            "event": "meeting.rtms_stopped",
            "event_ts": now_ms,
            "payload": {"meeting_uuid": meeting, "rtms_stream_id": stream.stream_id, "stop_reason": 6},
        });
        assert_eq!(self.webhook(body.to_string().as_bytes()).await.status, 200);
        let store = &self.state.store;
        let (id, generation) = (&stream.stream_id, stream.generation);
        let ended =
            store.finish_stream(id, 0, generation, Outcome::Stopped, Some(StopReason(6)), now_ms);
        let last_entry = ended.await.expect("the store works").expect("the stream was running");
        self.state.hub.publish(vec![last_entry]);
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stopped(mut self) {
        self.state.draining.cancel();
        self.stop.cancel();
        tokio::time::timeout(TIMEOUT, &mut self.serving)
            .await
            .expect("it stops")
            .expect("no panic");
    }
}

fn ring() -> KeyRing {
    KeyRing::parse(&"07".repeat(32)).expect("a key")
}

/// Settings that allow outgoing webhooks to loopback.
fn relay_settings(apps: &Apps) -> relays::Settings {
    let webhooks::Settings { ring, policy, .. } = webhook_settings();
    relays::Settings {
        ring,
        policy,
        public_url: "ws://127.0.0.1:9".into(),
        buffer_bytes: 64 * 1024,
        apps: apps.clone(),
        timings: relays::Timings::default(),
    }
}

fn webhook_settings() -> webhooks::Settings {
    webhooks::Settings {
        ring: ring(),
        policy: Arc::new(AddressPolicy::parse("127.0.0.1").expect("a policy")),
        poll_interval: Duration::from_millis(20),
    }
}

/// The app of the wiring, and beside it a Video SDK app and another one for meetings, `acme`.
pub(crate) fn apps(wiring: &Wiring) -> Vec<App> {
    let (api_base_url, configured) = wiring.zoom.clone();
    let products = [Product::Meeting, Product::Webinar, Product::ContactCenter, Product::Phone];
    let default = App {
        products: products.to_vec(),
        oauth_base_url: api_base_url.clone(),
        api_base_url,
        configured,
        policies: wiring.policies.clone(),
        ..app("default", "demoSecretToken01")
    };
    let video = App {
        products: vec![Product::VideoSdk],
        name: AppName::parse("video").expect("a name"),
        secret_tokens: vec![Secret::new("demoVideoToken01".into())],
        ..default.clone()
    };
    let acme = AppName::parse("acme").expect("a name");
    let acme = App { name: acme, quotas: wiring.quotas, ..default.clone() };
    vec![default, video, acme]
}

/// Those apps, and what is added over the API.
fn managed_apps(wiring: &Wiring, store: &Store) -> ManagedApps {
    let describe: Describe = Arc::new(|name, fields| AppDefaults::default().describe(name, fields));
    let sources =
        AppSources { configured: apps(wiring), describe, retention: Retention::default() };
    ManagedApps::new(sources, store.clone(), ring())
}

/// The parts that send requests to Zoom.
pub(crate) fn zoom_side(store: &Store, wiring: &Wiring, apps: &Apps) -> (Arc<Control>, Installer) {
    let zoom = ZoomClient::new(&network(), Metrics::default());
    let oauth = OAuth::new(zoom.clone());
    let (ring, clock) = (ring(), rtmsd::clock::now_ms);
    let tokens = Tokens::new(store.clone(), ring.clone(), oauth.clone(), apps.clone(), clock);
    let installer = Installer::new(store.clone(), ring, oauth, apps.clone(), tokens.clone(), clock);
    let api = Api::new(zoom, tokens, wiring.pauses.clone(), clock);
    let settings = control::Settings {
        node: NodeId(Uuid::nil()),
        apps: apps.clone(),
        occupancy: wiring.occupancy.clone(),
        start_timeout: wiring.start_timeout,
        poll_interval: Duration::from_millis(20),
        now_ms: wiring.now_ms,
    };
    (Arc::new(Control::new(store.clone(), api, settings)), installer)
}

pub(crate) fn signed_at(timestamp: &str) -> (&'static str, &str) {
    ("x-zm-request-timestamp", timestamp)
}
