//! The health of the daemon in detail, as the API and the dashboard show it: what is wrong and what to do, then the
//! figures. Everything is asked at the same time and in bounded time: what does not answer is a finding.

mod findings;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::timeout;

pub(super) use self::findings::{Finding, Severity};
use super::AppState;
use super::auth::Caller;
use super::envelope::rfc3339;
use super::zoom_urls::{ZoomEndpoint, read_endpoints};
use crate::model::{AppName, AppScope};
use crate::store::{AppCount, Replica, StatusCount, StoreFigures};
use crate::zoom::token::Configured;

/// How long the store and the file system may take for a question.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The health of the daemon.
#[derive(Debug, Serialize)]
pub(super) struct HealthReport {
    /// `ok`, `degraded` or `failing`: the worst of the findings.
    pub status: &'static str,
    /// The worst first.
    pub findings: Vec<Finding>,
    pub daemon: Daemon,
    pub store: StoreHealth,
    pub streams: Streams,
    pub recordings: Recordings,
    pub outgoing: Outgoing,
    /// By status; null without an answer of the store.
    pub installations: Option<BTreeMap<String, i64>>,
    pub broker: Option<Broker>,
    pub clock: Clock,
    /// The URLs of the webhooks; empty without an answer of the store.
    pub zoom: Vec<ZoomEndpoint>,
    /// What the findings also look at.
    #[serde(skip)]
    pub signs: Signs,
}

/// This process.
#[derive(Debug, Default, Serialize)]
pub(super) struct Daemon {
    pub version: &'static str,
    pub node: String,
    pub started_at: Option<String>,
    pub uptime_seconds: i64,
    /// Whether it is stopping.
    pub draining: bool,
    /// Parts that were started again after a panic, and how often.
    pub restarts: BTreeMap<String, u64>,
    pub panics: u64,
    pub public_url_is_https: bool,
}

/// The store.
#[derive(Debug, Default, Serialize)]
pub(super) struct StoreHealth {
    pub kind: &'static str,
    /// Whether it answers and has the schema of this version.
    pub ok: bool,
    pub latency_ms: Option<u64>,
    /// Rows that this process could not read and skipped.
    pub unreadable_rows: u64,
}

/// The streams that run, here and elsewhere.
#[derive(Debug, Default, Serialize)]
pub(super) struct Streams {
    pub running_here: usize,
    pub max_here: usize,
    /// Streams that Zoom announced and no daemon runs; null without an answer of the store.
    pub unclaimed: Option<i64>,
    /// Starts by policy that wait until a daemon has room; null without an answer of the store.
    pub waiting_starts: Option<i64>,
    /// Entries that wait to be stored, in bytes, and the most that may wait.
    pub waiting_bytes: usize,
    pub max_waiting_bytes: usize,
    /// The daemons that are alive or have streams.
    pub daemons: Vec<ReplicaView>,
}

/// A daemon that shares the store.
#[derive(Debug, Serialize)]
pub(super) struct ReplicaView {
    pub node: String,
    /// Whether it is the one that answers.
    pub is_this: bool,
    pub streams: i64,
    /// The most streams that it runs; 0 while it takes none, null if it does not report itself.
    pub max_streams: Option<i64>,
    /// How full it is: its streams as a share of `max_streams`; null while it takes none.
    pub load_percent: Option<i64>,
    /// The share of its machine's CPU time that it uses.
    pub cpu_percent: Option<i64>,
    pub oldest_stream_at: Option<String>,
    pub lease_until: Option<String>,
}

/// Recordings that are not stored yet, and the disk that they wait on.
#[derive(Debug, Default, Serialize)]
pub(super) struct Recordings {
    pub spool_bytes: Option<u64>,
    pub spool_max_bytes: Option<u64>,
    pub disk_free_bytes: Option<u64>,
    /// By status; null without an answer of the store.
    pub by_status: Option<BTreeMap<String, i64>>,
}

/// Outgoing webhooks that wait.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outgoing {
    /// Counted up to 10,000; null without an answer of the store.
    pub waiting: Option<i64>,
    pub oldest_seconds: Option<i64>,
}

/// The broker.
#[derive(Debug, Serialize)]
pub(super) struct Broker {
    pub connected: bool,
    /// Entries that it has not taken yet; null without an answer of the store.
    pub waiting_entries: Option<i64>,
}

/// The clock of this daemon.
#[derive(Debug, Default, Serialize)]
pub(super) struct Clock {
    /// How far it is ahead of Zoom's, by the app where that is most; null before the first webhook.
    pub difference_seconds: Option<i64>,
    /// The largest difference at which webhooks are accepted.
    pub tolerance_seconds: u32,
}

/// Facts that only the findings use; the answer leaves them out.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// Why streams wait, in words.
    pub shortage: Option<String>,
    /// Apps with a token that expires within an hour.
    pub apps_with_static_tokens: Vec<String>,
    pub now_ms: i64,
}

/// Reads the health of the daemon, and of the apps that the caller may see.
pub(super) async fn read_health(state: &AppState, caller: &Caller) -> HealthReport {
    let is_everything = caller.apps == AppScope::All;
    let (store, figures, replicas, spool, zoom) = tokio::join!(
        ask_store(state),
        state.store_figures.read(&state.store, (state.now_ms)()),
        timeout(TIMEOUT, state.store.replicas()),
        ask_disk(state),
        timeout(TIMEOUT, read_endpoints(state, caller)),
    );
    let figures = figures.as_deref();
    let replicas = replicas.ok().and_then(Result::ok).filter(|_| is_everything);
    let now_ms = (state.now_ms)();
    let mut report = HealthReport {
        status: "ok",
        findings: Vec::new(),
        daemon: daemon(state, now_ms),
        store,
        streams: streams(state, figures, replicas.unwrap_or_default(), caller),
        recordings: Recordings {
            by_status: figures.map(|it| by_status(&it.recordings, caller)),
            ..spool
        },
        outgoing: outgoing(figures, caller, now_ms),
        installations: figures.map(|it| by_status(&it.installations, caller)),
        broker: state.broker.as_ref().filter(|_| is_everything).map(|broker| Broker {
            connected: broker.is_up(),
            waiting_entries: figures.map(|it| it.sink_lags.iter().map(|lag| lag.count).sum()),
        }),
        clock: Clock {
            difference_seconds: state.arrivals.largest_clock_difference_s(),
            tolerance_seconds: state.webhook_tolerance_s,
        },
        zoom: zoom.ok().and_then(Result::ok).unwrap_or_default(),
        signs: signs(state, caller, now_ms),
    };
    report.findings = findings::find(&report);
    report.status = findings::status_of(&report.findings);
    report
}

fn daemon(state: &AppState, now_ms: i64) -> Daemon {
    Daemon {
        version: env!("CARGO_PKG_VERSION"),
        node: state.node.to_string(),
        started_at: rfc3339(state.started_ms),
        uptime_seconds: now_ms.saturating_sub(state.started_ms) / 1000,
        draining: state.draining.is_cancelled(),
        restarts: state.metrics.part_restarts.by_value(),
        panics: state.metrics.panics.get([]),
        public_url_is_https: state.is_https,
    }
}

async fn ask_store(state: &AppState) -> StoreHealth {
    let began = Instant::now();
    let answer = timeout(TIMEOUT, state.store.ping()).await;
    let ok = matches!(answer, Ok(Ok(())));
    let latency_ms = u64::try_from(began.elapsed().as_millis()).ok().filter(|_| ok);
    let (kind, unreadable_rows) = (state.store.kind(), state.store.passed_over());
    StoreHealth { kind, ok, latency_ms, unreadable_rows }
}

async fn ask_disk(state: &AppState) -> Recordings {
    let recordings = state.recordings.clone();
    // On a thread of its own, because a disk may hang.
    let load = tokio::task::spawn_blocking(move || recordings.spool_load());
    match timeout(TIMEOUT, load).await {
        Ok(Ok(load)) => Recordings {
            spool_bytes: Some(load.bytes),
            spool_max_bytes: Some(load.max_bytes),
            disk_free_bytes: load.free_bytes,
            by_status: None,
        },
        _ => Recordings::default(),
    }
}

fn streams(
    state: &AppState,
    figures: Option<&StoreFigures>,
    replicas: Vec<Replica>,
    caller: &Caller,
) -> Streams {
    let load = state.hub.queue_load();
    let max_here = state.occupancy.max_streams();
    let count = |rows: &[AppCount]| {
        let own = rows.iter().filter(|row| may_see(caller, &row.app));
        own.map(|row| row.count).sum()
    };
    Streams {
        running_here: max_here.saturating_sub(state.occupancy.room()),
        max_here,
        unclaimed: figures.map(|figures| count(&figures.unclaimed_streams)),
        waiting_starts: figures.map(|figures| count(&figures.waiting_starts)),
        waiting_bytes: load.bytes,
        max_waiting_bytes: load.max_bytes,
        daemons: replicas.into_iter().map(|replica| view(state, replica)).collect(),
    }
}

fn view(state: &AppState, replica: Replica) -> ReplicaView {
    let Replica { node, streams, max_streams, busy_permille, oldest_ms, lease_until_ms } = replica;
    let is_this = node == state.node.to_string();
    // A daemon with SQLite reports itself to nobody.
    let max_streams = max_streams.or_else(|| {
        let own = i64::try_from(state.occupancy.max_streams());
        is_this.then(|| own.unwrap_or(i64::MAX))
    });
    let busy_permille =
        busy_permille.or_else(|| is_this.then(|| state.occupancy.busy_permille().into()));
    ReplicaView {
        node,
        is_this,
        streams,
        max_streams,
        load_percent: max_streams.filter(|max| *max > 0).map(|max| percent(streams, max)),
        cpu_percent: busy_permille.map(|permille| percent(permille, 1000)),
        oldest_stream_at: oldest_ms.and_then(rfc3339),
        // With SQLite a lease says nothing about the daemon: it lasts an hour.
        lease_until: lease_until_ms.filter(|_| state.store.is_shared()).and_then(rfc3339),
    }
}

/// Rounded.
fn percent(part: i64, whole: i64) -> i64 {
    (part.saturating_mul(200) / whole + 1) / 2
}

fn outgoing(figures: Option<&StoreFigures>, caller: &Caller, now_ms: i64) -> Outgoing {
    let Some(figures) = figures else { return Outgoing::default() };
    let own = figures.waiting_deliveries.iter().filter(|row| may_see(caller, &row.app));
    let oldest_ms = own.clone().map(|row| row.oldest_ms).min();
    Outgoing {
        waiting: Some(own.map(|row| row.count).sum()),
        oldest_seconds: oldest_ms.map(|at_ms| now_ms.saturating_sub(at_ms).max(0) / 1000),
    }
}

fn by_status(rows: &[StatusCount], caller: &Caller) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for row in rows.iter().filter(|row| may_see(caller, &row.app)) {
        *counts.entry(row.status.clone()).or_default() += row.count;
    }
    counts
}

/// Whether a count is of an app that the caller may see; a count of no app is for callers of all apps.
fn may_see(caller: &Caller, app: &str) -> bool {
    match AppName::parse(app) {
        Ok(app) => caller.apps.includes(&app),
        Err(_) => caller.apps == AppScope::All,
    }
}

fn signs(state: &AppState, caller: &Caller, now_ms: i64) -> Signs {
    let apps = state.apps.all();
    let own = apps.values().filter(|app| caller.apps.includes(&app.name));
    let static_tokens = own.filter(|app| matches!(app.configured, Configured::Static(_)));
    Signs {
        shortage: state.occupancy.shortage(&state.apps).filter(|_| caller.apps == AppScope::All),
        apps_with_static_tokens: static_tokens.map(|app| app.name.to_string()).collect(),
        now_ms,
    }
}
