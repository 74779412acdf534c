//! One round: a receiver in a process of its own, the simulator in this one, and what the streams cost the receiver.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rtmsd::net::listen;
use rtmsd::secret::Secret;
use rtmsd::simulator::{self, Report, Script, Settings, Simulator, StreamReport, ZoomApp};
use tempfile::TempDir;
use tokio::process::Child;
use tokio::time::sleep;

use crate::Args;
use crate::account;
use crate::process::{cpu_us, resident_kb};
use crate::programs::{self, Programs};
use crate::receiver::{CLIENT_ID, CLIENT_SECRET, Receiver, SECRET_TOKEN, free_port};
use crate::subscribers::{self, Subscribers};

/// How long all streams may take to be live.
const RAMP_LIMIT: Duration = Duration::from_secs(120);
/// After the ramp: until the cost of new connections has passed.
pub(crate) const SETTLE: Duration = Duration::from_secs(3);
/// The seeds of the ids of the measured meetings, and of the one before them.
const SEED: u64 = 1;
const FIRST_SEED: u64 = 2;

/// A receiver and the meetings that it receives.
pub(crate) struct Running {
    /// Deleted when this is dropped.
    pub(crate) _folder: TempDir,
    pub(crate) port: u16,
    pub(crate) process: Child,
    pub(crate) pid: u32,
    pub(crate) zoom: Simulator,
    /// In how many meetings audio flows.
    pub(crate) live: usize,
    /// When it flowed in all of them.
    pub(crate) live_after: Option<Duration>,
}

impl Running {
    /// Starts the receiver, then all meetings at once, and waits until audio flows in each, or for the limit.
    pub(crate) async fn start(args: &Args, receiver: &Receiver) -> Self {
        Ready::start(args, receiver).await.receive(args, receiver).await
    }
}

/// A receiver before its meetings.
struct Ready {
    folder: TempDir,
    port: u16,
    process: Child,
    pid: u32,
}

impl Ready {
    async fn start(args: &Args, receiver: &Receiver) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the run");
        let port = free_port().await;
        // The simulator makes its authority first: the receiver reads it when it starts.
        drop(start_zoom(args, (0, SEED), folder.path(), receiver.webhook_url(port)).await);
        let process = receiver.start(folder.path(), port, &args.set).await;
        let pid = process.id().expect("the receiver runs");
        Self { folder, port, process, pid }
    }

    /// Starts one meeting first, so that what all streams share is in memory already. It stays live and is measured, too.
    async fn receive_first(&self, args: &Args, receiver: &Receiver) -> Simulator {
        let (folder, url) = (self.folder.path(), receiver.webhook_url(self.port));
        let zoom = start_zoom(args, (1, FIRST_SEED), folder, url).await;
        wait_until_live(&zoom, 1).await;
        sleep(SETTLE).await;
        zoom
    }

    async fn receive(self, args: &Args, receiver: &Receiver) -> Running {
        let Self { folder, port, process, pid } = self;
        let (began, url) = (Instant::now(), receiver.webhook_url(port));
        let zoom = start_zoom(args, (args.streams, SEED), folder.path(), url).await;
        let live = wait_until_live(&zoom, args.streams as usize).await;
        let live_after = (live == args.streams as usize).then(|| began.elapsed());
        Running { _folder: folder, port, process, pid, zoom, live, live_after }
    }
}

/// What one round measured.
pub(crate) struct Round {
    pub(crate) live_after: Option<Duration>,
    pub(crate) live: usize,
    pub(crate) messages_a_second: f64,
    pub(crate) cpu_us_a_message: f64,
    /// Growth from the idle process, for each stream.
    pub(crate) kb_a_stream: f64,
    /// Growth from the process with one stream, for each further stream.
    pub(crate) kb_a_further_stream: f64,
    /// How long each answer to a keep-alive took, in order.
    pub(crate) keep_alives_us: Vec<u64>,
    pub(crate) subscribers: Option<Subscribers>,
    pub(crate) programs: Option<Programs>,
    pub(crate) sent: u64,
    /// What the daemon counted; the other receivers count nothing.
    pub(crate) received: Option<u64>,
    pub(crate) breaches: u64,
    /// Webhooks that the receiver refused or did not answer within 3 s. They are sent again after five minutes.
    pub(crate) failed_webhooks: u64,
}

/// A window in which nothing changes: how much CPU the receiver took, and how many messages it was sent.
pub(crate) struct Window {
    pub(crate) length: Duration,
    pub(crate) cpu_us: u64,
    messages: u64,
}

impl Round {
    pub(crate) async fn run(args: &Args, receiver: &Receiver) -> Self {
        let ready = Ready::start(args, receiver).await;
        let idle_kb = resident_kb(ready.pid);
        let first = ready.receive_first(args, receiver).await;
        let first_kb = resident_kb(ready.pid);
        let running = ready.receive(args, receiver).await;
        let Running { port, mut process, pid, zoom, live, live_after, _folder } = running;
        sleep(SETTLE).await;
        let window = Window::measure(args, [&zoom, &first], pid).await;
        let loaded_kb = resident_kb(pid);
        let mut keep_alives_us = keep_alives(&zoom.report());
        keep_alives_us.sort_unstable();
        let subscribers = match receiver {
            Receiver::Daemon(_) if args.subscribers > 0 => {
                Some(subscribers::measure(args, port, pid, &window).await)
            }
            _ => None,
        };
        let programs = match receiver {
            Receiver::Daemon(_) if args.programs > 0 => {
                let streams = zoom.report().streams;
                Some(programs::measure(args, &streams, (port, pid), &window).await)
            }
            _ => None,
        };
        let report = zoom.shutdown().await;
        // Without a live stream, the daemon's counts are final.
        first.shutdown().await;
        let received = match receiver {
            Receiver::Daemon(_) => Some(received_of(&report, port).await),
            _ => None,
        };
        process.kill().await.expect("the receiver can be ended");
        let kb_from = |before: u64| loaded_kb.saturating_sub(before) as f64;
        Self {
            live_after,
            live,
            messages_a_second: window.messages as f64 / window.length.as_secs_f64(),
            cpu_us_a_message: window.cpu_us as f64 / window.messages as f64,
            kb_a_stream: kb_from(idle_kb) / f64::from(args.streams + 1),
            kb_a_further_stream: kb_from(first_kb) / f64::from(args.streams),
            keep_alives_us,
            subscribers,
            programs,
            sent: sent(&report),
            received,
            breaches: report.breaches,
            failed_webhooks: report.webhooks.failed_attempts + report.webhooks.given_up,
        }
    }

    pub(crate) fn keep_alive_ms(&self, share: f64) -> f64 {
        quantile(&self.keep_alives_us, share) as f64 / 1000.0
    }
}

impl Window {
    async fn measure(args: &Args, zooms: [&Simulator; 2], pid: u32) -> Self {
        let sent = || zooms.iter().map(|zoom| sent(&zoom.report())).sum::<u64>();
        let (before, cpu_before, since) = (sent(), cpu_us(pid), Instant::now());
        sleep(Duration::from_secs(args.seconds.into())).await;
        let (after, cpu_after) = (sent(), cpu_us(pid));
        Self { length: since.elapsed(), cpu_us: cpu_after - cpu_before, messages: after - before }
    }
}

/// The clock of the timestamps in audio frames: Unix microseconds.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Of values in ascending order; 0 if there are none.
pub(crate) fn quantile(sorted: &[u64], share: f64) -> u64 {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index).or(sorted.last()).copied().unwrap_or(0)
}

/// What the daemon has counted of these streams.
async fn received_of(report: &Report, port: u16) -> u64 {
    let received = account::received(port).await;
    report.streams.iter().filter_map(|stream| received.get(&stream.stream_id)).sum()
}

async fn start_zoom(
    args: &Args,
    (meetings, seed): (u32, u64),
    tls_dir: &Path,
    webhook_url: String,
) -> Simulator {
    let length = RAMP_LIMIT.as_secs() as u32 + 4 * args.seconds;
    let settings = Settings {
        app: ZoomApp {
            client_id: CLIENT_ID.to_owned(),
            client_secret: Secret::new(CLIENT_SECRET.to_owned()),
            secret_token: Secret::new(SECRET_TOKEN.to_owned()),
            webhook_url: Some(webhook_url),
            is_server_to_server: false,
        },
        skip_url_validation: true,
        script: Script::load(length).with_timestamps(now_us),
        meetings,
        seed,
        tls_dir: Some(tls_dir.to_owned()),
        ..Settings::default()
    };
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    simulator::start(settings, listener).await.expect("the simulator starts")
}

/// Waits until audio flows in every stream, or for the limit. Returns in how many it flows.
async fn wait_until_live(zoom: &Simulator, streams: usize) -> usize {
    let deadline = Instant::now() + RAMP_LIMIT;
    loop {
        let report = zoom.report();
        let has_audio = |stream: &StreamReport| stream.media.contains_key("audio");
        let live = report.streams.iter().filter(|stream| has_audio(stream)).count();
        if live >= streams || Instant::now() >= deadline {
            return live;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Media frames and transcript lines that left the simulator.
pub(crate) fn sent(report: &Report) -> u64 {
    report.streams.iter().map(sent_in).sum()
}

/// The same of one stream.
pub(crate) fn sent_in(stream: &StreamReport) -> u64 {
    stream.media.values().map(|medium| medium.frames).sum()
}

/// How long the receiver took to answer, as Zoom sees it.
pub(crate) fn keep_alives(report: &Report) -> Vec<u64> {
    report.streams.iter().flat_map(|stream| &stream.keep_alives.took_us).copied().collect()
}
