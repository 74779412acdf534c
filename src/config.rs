//! Settings from the environment, `.env` and a file: every mistake at once, by name, and never a value.

mod apps;
mod credentials;
mod dotenv;
mod dump;
mod file;
mod install;
mod media;
mod nats;
mod policies;
mod products;
mod quotas;
mod read;
mod record;
mod redact;
mod relays;
mod reread;
mod retention;
mod serve;
mod server;
mod source;
mod traces;
mod value_files;
mod variables;
mod webhooks;

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::http::TrustedProxies;
use crate::http::auth::{ApiTokens, SessionLimits};
use crate::http::cors::AllowedOrigins;
use crate::model::{Keep, Retention};
use crate::net::proxy::ProxyRules;
use crate::rtms::endpoint::Policy;
use crate::secret::Secret;
use crate::sessions::{AtShutdown, Threads};
use crate::sinks;
use crate::sinks::forward::Targets;
use crate::store::Location;
use crate::telemetry::{LogFormat, LogSettings, TraceSettings};
use crate::zoom::app::App;

pub use self::apps::AppDefaults;
pub use self::dump::{Dumped, dump};
pub use self::install::InstallSettings;
use self::read::Reader;
pub use self::read::{ConfigErrors, Mistake};
pub use self::relays::RelaySettings;
pub use self::reread::Fingerprint;
pub use self::source::Source;
pub use self::value_files::read_value;
pub use self::variables::{SECTIONS, Secrecy, Section, Variable, variables};
pub use self::webhooks::WebhookSettings;

/// The settings of `rtmsd serve`.
#[derive(Debug, Clone)]
pub struct Config {
    pub address: SocketAddr,
    /// A second address that answers only health checks.
    pub admin_address: Option<SocketAddr>,
    /// An address that answers only metrics, without a token.
    pub metrics_address: Option<SocketAddr>,
    pub database: Location,
    pub api_tokens: ApiTokens,
    pub api_rate_limit_per_s: u32,
    /// When browsers are signed out of the dashboard; `None` without a dashboard.
    pub dashboard: Option<SessionLimits>,
    /// The origins of pages that may use the API from a browser.
    pub cors: AllowedOrigins,
    pub webhook_path: String,
    pub webhook_tolerance_s: u32,
    pub apps: Vec<App>,
    /// What an app has that is described over the API.
    pub app_defaults: AppDefaults,
    pub install: InstallSettings,
    /// An additional certificate authority for Zoom's RTMS servers.
    pub rtms_ca_file: Option<PathBuf>,
    /// An additional certificate authority for every other connection.
    pub ca_file: Option<PathBuf>,
    /// The proxy for connections to Zoom and to object stores.
    pub proxy: ProxyRules,
    pub start_timeout: Duration,
    pub at_shutdown: AtShutdown,
    pub shutdown_grace: Duration,
    pub entry_batch_interval: Duration,
    pub entry_buffer_bytes: usize,
    pub max_streams: usize,
    /// From this share of the machine's CPU time on, new streams are left to other daemons; `None` for never.
    pub max_cpu_percent: Option<u32>,
    /// The threads that drive streams.
    pub stream_threads: Threads,
    pub max_connections: usize,
    pub trusted_proxies: TrustedProxies,
    pub max_subscribers: usize,
    pub recordings: crate::sinks::record::Settings,
    pub live_buffer_bytes: usize,
    pub targets: Targets,
    pub retention: Retention,
    /// `None` without a broker.
    pub nats: Option<sinks::nats::Settings>,
    pub webhooks: WebhookSettings,
    pub relays: RelaySettings,
    pub log: LogSettings,
    /// `None` if nothing is traced.
    pub traces: Option<TraceSettings>,
    /// Recognizes settings that have changed.
    pub fingerprint: Fingerprint,
}

impl Config {
    /// Reads every variable through `lookup`. An empty value counts as unset.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut read = Reader::new(&lookup);
        let config = Self::read(&mut read);
        read.finish(config)
    }

    /// Reads the settings for `rtmsd serve`, which requires more than other commands. `rtmsd check` uses this too.
    pub fn to_serve(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut read = Reader::new(&lookup);
        let config = Self::read(&mut read);
        serve::require_secrets(&mut read);
        read.finish(config)
    }

    /// Whether browsers use https, so that cookies are restricted to it.
    pub fn is_https(&self) -> bool {
        let is_https = |url: &str| url.starts_with("https://");
        is_https(&self.install.public_url)
            || self.apps.iter().any(|app| is_https(&app.redirect_url))
    }

    fn read(read: &mut Reader<'_>) -> Option<Self> {
        // Read all of them before the first `?`, so that every mistake is found.
        let address = server::listen_address(read);
        let admin_address = server::side_address(read, "ADMIN_ADDR");
        let metrics_address = server::side_address(read, "METRICS_ADDR");
        let database = read_database(read);
        let api_tokens = server::api_tokens(read);
        let api_rate_limit = read.number("API_RATE_LIMIT_PER_SECOND", 1..=1_000_000);
        let dashboard = server::dashboard(read);
        let cors = server::read_cors(read);
        let webhook_path = server::webhook_path(read);
        let webhook_tolerance_s = read.number("WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS", 1..=86_400);
        let install = install::read_settings(read, address.map(|address| address.port()));
        let public_url = install.as_ref().map(|install| &*install.public_url);
        let apps = apps::read_apps(read, public_url);
        let params = media::read_params(read);
        let rtms_ca_file = read.optional("RTMS_CA_FILE").map(PathBuf::from);
        let ca_file = read.optional("CA_FILE").map(PathBuf::from);
        let proxy = read_proxy(read);
        let start_timeout_s = read.number("RTMS_START_TIMEOUT_SECONDS", 1..=3600);
        let at_shutdown = at_shutdown(read);
        let shutdown_grace_s = read.number("SHUTDOWN_GRACE_SECONDS", 0..=600);
        let entry_batch_ms = read.number("ENTRY_BATCH_MS", 1..=60_000);
        let entry_buffer_bytes = read.number("ENTRY_BUFFER_BYTES", 64 * 1024..=usize::MAX as u64);
        let max_streams = read.number("MAX_STREAMS", 1..=1_000_000);
        let max_cpu_percent = read.number("MAX_CPU_PERCENT", 10..=100);
        let stream_threads = read_threads(read);
        let max_connections = read.number("MAX_CONNECTIONS", 1..=1_000_000);
        let trusted_proxies = server::trusted_proxies(read);
        let max_subscribers = server::max_subscribers(read, max_connections);
        let retention = retention::read_settings(read);
        // After a mistake in the apps, any may keep media.
        let keeps = |app: &App| app.retention.media != Keep::Nothing;
        let keeps_media = apps.as_ref().is_none_or(|read| read.apps.iter().any(keeps));
        let recordings = record::read_settings(read, keeps_media, params.as_ref());
        let live_buffer_bytes = read.number("LIVE_BUFFER_BYTES", 64 * 1024..=1 << 30);
        let targets = read_targets(read);
        let nats = nats::read_settings(read);
        let webhooks = webhooks::read_settings(read);
        let relays = relays::read_settings(read, public_url, webhooks.as_ref());
        let log = read_log(read);
        let traces = traces::read_settings(read);
        let apps = apps?;
        Some(Self {
            address: address?,
            admin_address: admin_address?,
            metrics_address: metrics_address?,
            database: database?,
            api_tokens: api_tokens?,
            api_rate_limit_per_s: u32::try_from(api_rate_limit?).ok()?,
            dashboard: dashboard?,
            cors: cors?,
            webhook_path: webhook_path?,
            webhook_tolerance_s: u32::try_from(webhook_tolerance_s?).ok()?,
            apps: apps.apps,
            app_defaults: apps.defaults,
            install: install?,
            rtms_ca_file,
            ca_file,
            proxy: proxy?,
            start_timeout: Duration::from_secs(start_timeout_s?),
            at_shutdown: at_shutdown?,
            shutdown_grace: Duration::from_secs(shutdown_grace_s?),
            entry_batch_interval: Duration::from_millis(entry_batch_ms?),
            entry_buffer_bytes: usize::try_from(entry_buffer_bytes?).ok()?,
            max_streams: usize::try_from(max_streams?).ok()?,
            max_cpu_percent: u32::try_from(max_cpu_percent?).ok().filter(|percent| *percent < 100),
            stream_threads: stream_threads?,
            trusted_proxies: trusted_proxies?,
            max_connections: usize::try_from(max_connections?).ok()?,
            max_subscribers: usize::try_from(max_subscribers?).ok()?,
            recordings: recordings?,
            live_buffer_bytes: usize::try_from(live_buffer_bytes?).ok()?,
            targets: targets?,
            retention: retention?,
            nats: nats?,
            webhooks: webhooks?,
            relays: relays?,
            log: log?,
            traces: traces?,
            fingerprint: Fingerprint::of(read.environment()),
        })
    }
}

/// The address for health checks: `ADMIN_ADDR`, else the main address.
pub fn health_address(lookup: impl Fn(&str) -> Option<String>) -> Result<SocketAddr, ConfigErrors> {
    let mut read = Reader::new(&lookup);
    let main = server::listen_address(&mut read);
    let admin = server::side_address(&mut read, "ADMIN_ADDR");
    read.finish(main.zip(admin).map(|(main, admin)| admin.unwrap_or(main)))
}

/// Where the store is. Reads no other setting, so that a backup needs no credentials of Zoom's.
pub fn store_location(lookup: impl Fn(&str) -> Option<String>) -> Result<Location, ConfigErrors> {
    let mut read = Reader::new(&lookup);
    let location = read_database(&mut read);
    read.finish(location)
}

/// The port and the data folder of a daemon with these settings.
pub fn local_daemon(
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<(u16, PathBuf), ConfigErrors> {
    let mut read = Reader::new(&lookup);
    let address = server::listen_address(&mut read);
    let folder = data_dir(&mut read);
    read.finish(address.map(|address| (address.port(), folder)))
}

/// Reads only the settings of the proxy.
pub fn proxy_rules(lookup: impl Fn(&str) -> Option<String>) -> Result<ProxyRules, ConfigErrors> {
    let mut read = Reader::new(&lookup);
    let rules = read_proxy(&mut read);
    read.finish(rules)
}

/// Reads only the settings of the log, so that mistakes in the others can be logged.
pub fn log_settings(lookup: impl Fn(&str) -> Option<String>) -> LogSettings {
    // `Config` reports the mistakes.
    read_log(&mut Reader::new(&lookup)).unwrap_or_default()
}

/// Reads only the settings of traces. None after a mistake, which `Config` reports.
pub fn trace_settings(lookup: impl Fn(&str) -> Option<String>) -> Option<TraceSettings> {
    let mut read = Reader::new(&lookup);
    let settings = traces::read_settings(&mut read);
    read.finish(settings).ok().flatten()
}

fn data_dir(read: &mut Reader<'_>) -> PathBuf {
    PathBuf::from(read.text("DATA_DIR"))
}

fn read_database(read: &mut Reader<'_>) -> Option<Location> {
    let data_dir = data_dir(read);
    let Some(url) = read.optional("DATABASE_URL") else {
        return Some(Location::Sqlite(data_dir.join("rtmsd.db")));
    };
    if !matches!(url.split_once("://"), Some(("postgres" | "postgresql", _))) {
        return read.wrong(
            "DATABASE_URL",
            "a postgres:// URL; leave it out for the embedded SQLite file in DATA_DIR",
        );
    }
    match credentials::unescaped_advice(&url) {
        Some(form) => read.wrong("DATABASE_URL", form),
        None if Url::parse(&url).is_err() => read.wrong(
            "DATABASE_URL",
            "a valid postgres:// URL: in the user name and password, every character except letters, digits and - . _ ~ \
            must be percent-encoded (: is %3A, @ is %40)",
        ),
        None => Some(Location::Postgres(Secret::new(url))),
    }
}

fn read_policy(read: &mut Reader<'_>) -> Option<Policy> {
    let hosts = read_hosts(read, "RTMS_ALLOWED_HOSTS");
    let allow_ws = read.flag("RTMS_ALLOW_WS");
    match hosts? {
        none if none.is_empty() => read.wrong("RTMS_ALLOWED_HOSTS", HOSTS_FORM),
        hosts => Some(Policy::new(hosts, allow_ws?)),
    }
}

fn read_proxy(read: &mut Reader<'_>) -> Option<ProxyRules> {
    let no_proxy = read.text("NO_PROXY");
    let Some(url) = read.optional("HTTPS_PROXY") else { return Some(ProxyRules::default()) };
    if let Some(form) = credentials::unescaped_advice(&url) {
        return read.wrong("HTTPS_PROXY", form);
    }
    match ProxyRules::read(&url, &no_proxy) {
        Ok(rules) => Some(rules),
        Err(form) => read.wrong("HTTPS_PROXY", form.to_string()),
    }
}

/// The servers to which sessions may be forwarded.
fn read_targets(read: &mut Reader<'_>) -> Option<Targets> {
    let hosts = read_hosts(read, "FORWARD_ALLOWED_HOSTS");
    let allow_ws = read.flag("FORWARD_ALLOW_WS");
    Some(Targets::new(hosts?, allow_ws?))
}

const HOSTS_FORM: &str = "host names, or suffixes that begin with a dot, separated by commas";

fn read_hosts(read: &mut Reader<'_>, name: &'static str) -> Option<Vec<String>> {
    let text = read.text(name);
    let hosts: Vec<String> =
        text.split(',').map(|host| host.trim().to_owned()).filter(|h| !h.is_empty()).collect();
    let is_host = |host: &String| {
        host.trim_start_matches('.').chars().all(|c| c.is_ascii_alphanumeric() || "-.:".contains(c))
    };
    if hosts.iter().all(is_host) { Some(hosts) } else { read.wrong(name, HOSTS_FORM) }
}

/// Reads the threads that drive streams: one for each core, unless their number is set.
fn read_threads(read: &mut Reader<'_>) -> Option<Threads> {
    let count = read.optional_number("STREAM_THREADS", 1..=1024);
    let pause_ms = read.number("STREAM_PAUSE_MS", 0..=20);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let count = count?.and_then(|count| usize::try_from(count).ok()).unwrap_or(cores);
    Some(Threads { count, dials: cores, pause: Duration::from_millis(pause_ms?) })
}

fn at_shutdown(read: &mut Reader<'_>) -> Option<AtShutdown> {
    let choices = [("leave", AtShutdown::Leave), ("close", AtShutdown::Close)];
    read.one_of("SHUTDOWN_STREAMS", &choices)
}

fn read_log(read: &mut Reader<'_>) -> Option<LogSettings> {
    let level = read.text("LOG_LEVEL").to_ascii_lowercase();
    // Zoom's SDK calls its text format progressive.
    let formats = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("progressive", LogFormat::Text),
    ];
    let format = read.one_of("LOG_FORMAT", &formats);
    let directives = read.optional("RUST_LOG");
    let level = if LogSettings::LEVELS.contains(&level.as_str()) {
        Some(level)
    } else {
        read.wrong("LOG_LEVEL", "trace, debug, info, warn, error or off")
    };
    if directives.as_deref().is_some_and(|text| !LogSettings::is_filter(text)) {
        return read.wrong("RUST_LOG", "a filter, such as info,rtmsd=debug");
    }
    Some(LogSettings { level: level?, directives, format: format? })
}

#[cfg(test)]
mod tests;
