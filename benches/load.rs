//! A load run: the release daemon in a process of its own, the simulator in this one, N meetings with 20 ms of
//! audio and a transcript line a second over wss. Prints what a message and a stream cost the daemon.
//!
//!     cargo bench --bench load -- --streams 1000 --seconds 20
//!     cargo bench --bench load -- --streams 20 --subscribers 10 --format binary

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::StreamExt;
use rtmsd::secret::Secret;
use rtmsd::simulator::{self, Report, Script, Settings, Simulator, ZoomApp};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// How long all streams may take to be live.
const RAMP_LIMIT: Duration = Duration::from_secs(120);
/// After the ramp: until the cost of new connections has passed.
const SETTLE: Duration = Duration::from_secs(3);
/// The kernel's unit in /proc/…/stat.
const TICK_US: u64 = 10_000;
const API_TOKEN: &str = "token-of-the-load-bench";

#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 200)]
    streams: u32,
    /// How long to measure
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// split (a socket for audio and one for transcripts) or unified (one for both)
    #[arg(long, default_value = "split")]
    mode: String,
    /// Live consumers of each stream's audio, who read in this process; what they cost is measured after the rest
    #[arg(long, default_value_t = 0)]
    subscribers: u32,
    /// What they ask for: json, binary or twilio
    #[arg(long, default_value = "binary")]
    format: String,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    // This program's own HTTP client, unlike the daemon's, takes the process's default.
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("no provider is installed yet");
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit of open files can be raised");
    let folder = tempfile::tempdir().expect("a folder for the run");
    let port = free_port().await;
    let tls_dir = folder.path().join("tls");
    std::fs::create_dir(&tls_dir).expect("a folder for certificates");
    // The simulator makes its authority first: the daemon reads it when it starts.
    drop(start_zoom(&args, 0, &tls_dir, port).await);
    let mut daemon = start_daemon(&args, folder.path(), &tls_dir, port);
    let pid = daemon.id().expect("the daemon runs");
    wait_until_ready(port).await;
    let idle_kb = resident_kb(pid);

    let began = Instant::now();
    let zoom = start_zoom(&args, args.streams, &tls_dir, port).await;
    wait_until_live(&zoom, &args).await;
    let ramp = began.elapsed();
    sleep(SETTLE).await;
    let (before, cpu_before, since) = (zoom.report(), cpu_us(pid), Instant::now());
    sleep(Duration::from_secs(args.seconds.into())).await;
    let (after, cpu_after, window) = (zoom.report(), cpu_us(pid), since.elapsed());
    let loaded_kb = resident_kb(pid);
    print_result(
        &args,
        ramp,
        window,
        sent(&after) - sent(&before),
        cpu_after - cpu_before,
        loaded_kb - idle_kb,
    );

    print_keep_alives(&after);
    if args.subscribers > 0 {
        measure_subscribers(&args, port, pid, cpu_after - cpu_before, window).await;
    }
    let report = zoom.shutdown().await;
    print_account(&report, received(port).await);
    stop(&mut daemon).await;
}

/// What the daemon's CPU is above that of the window without subscribers, by frames that were read.
async fn measure_subscribers(args: &Args, port: u16, pid: u32, idle_cpu_us: u64, idle: Duration) {
    let frames = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    for session in sessions(port).await {
        for _ in 0..args.subscribers {
            let path =
                format!("/api/v1/sdk/sessions/{session}/live?media=audio&format={}", args.format);
            readers.spawn(read(port, path, Arc::clone(&frames)));
        }
    }
    sleep(SETTLE).await;
    let (before, cpu_before, since) = (frames.load(Ordering::Relaxed), cpu_us(pid), Instant::now());
    sleep(Duration::from_secs(args.seconds.into())).await;
    let (after, cpu_after, window) = (frames.load(Ordering::Relaxed), cpu_us(pid), since.elapsed());
    let idle_cpu_us = idle_cpu_us as f64 * window.as_secs_f64() / idle.as_secs_f64();
    let delivered = after - before;
    println!("subscribers            {} ({})", readers.len(), args.format);
    println!("delivered a second     {:.0}", delivered as f64 / window.as_secs_f64());
    let cost_us = ((cpu_after - cpu_before) as f64 - idle_cpu_us) / delivered as f64;
    println!("CPU a delivered frame  {cost_us:.1} µs");
}

async fn sessions(port: u16) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}/api/v1/sdk/sessions?limit=200&status=live");
    let answer = reqwest::Client::new().get(url).bearer_auth(API_TOKEN).send().await;
    let page: serde_json::Value = answer.expect("an answer").json().await.expect("JSON");
    let sessions = page["data"]["sessions"].as_array().expect("sessions");
    sessions.iter().map(|session| session["id"].as_str().expect("an id").to_owned()).collect()
}

/// Reads without end, and counts messages of a frame's size.
async fn read(port: u16, path: String, frames: Arc<AtomicU64>) {
    const SMALLEST_FRAME: usize = 250;
    let url = format!("ws://127.0.0.1:{port}{path}");
    let mut request = url.into_client_request().expect("a URL");
    let token = format!("Bearer {API_TOKEN}").parse().expect("a header");
    request.headers_mut().insert("authorization", token);
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("the daemon listens");
    let (mut socket, _) =
        tokio_tungstenite::client_async(request, tcp).await.expect("a live consumer is let in");
    while let Some(Ok(message)) = socket.next().await {
        frames.fetch_add(u64::from(message.len() > SMALLEST_FRAME), Ordering::Relaxed);
    }
}

async fn start_zoom(args: &Args, meetings: u32, tls_dir: &Path, port: u16) -> Simulator {
    let length = RAMP_LIMIT.as_secs() as u32 + args.seconds;
    let settings = Settings {
        app: ZoomApp {
            client_secret: Secret::new("bench-secret".into()),
            secret_token: Secret::new("token-of-the-load-bench".into()),
            webhook_url: Some(format!("http://127.0.0.1:{port}/webhook")),
            ..ZoomApp::default()
        },
        skip_url_validation: true,
        script: Script::load(length),
        meetings,
        tls_dir: Some(tls_dir.to_owned()),
        ..Settings::default()
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    simulator::start(settings, listener).await.expect("the simulator starts")
}

fn start_daemon(args: &Args, folder: &Path, tls_dir: &Path, port: u16) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rtmsd"))
        .current_dir(folder)
        .env("ZOOM_CLIENT_ID", "demoClientId01")
        .env("ZOOM_CLIENT_SECRET", "bench-secret")
        .env("ZOOM_SECRET_TOKEN", "token-of-the-load-bench")
        .env("API_TOKENS", format!("bench:{API_TOKEN}"))
        .env("TOKEN_ENCRYPTION_KEYS", "42".repeat(32))
        .env("PORT", port.to_string())
        .env("DATA_DIR", folder.join("data"))
        .env("MEDIA_TYPES", "audio,transcript")
        .env("MEDIA_SOCKET_CONNECTION_MODE", &args.mode)
        .env("RTMS_ALLOWED_HOSTS", "localhost")
        .env("RTMS_CA_FILE", tls_dir.join("ca.pem"))
        .env("API_RATE_LIMIT_PER_SECOND", "10000")
        .env("LOG_LEVEL", "warn")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the daemon starts")
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

async fn wait_until_ready(port: u16) {
    for _ in 0..100 {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/health/ready")).await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the daemon is not ready");
}

async fn wait_until_live(zoom: &Simulator, args: &Args) {
    let sockets = if args.mode == "unified" { 1 } else { 2 };
    let deadline = Instant::now() + RAMP_LIMIT;
    loop {
        let report = zoom.report();
        let live = report.streams.iter().filter(|stream| stream.ready_acks >= sockets).count();
        if live == args.streams as usize {
            return;
        }
        assert!(Instant::now() < deadline, "only {live} of {} streams are live", args.streams);
        sleep(Duration::from_millis(200)).await;
    }
}

/// Media frames and transcript lines that left the simulator.
fn sent(report: &Report) -> u64 {
    report.streams.iter().flat_map(|stream| stream.media.values()).map(|medium| medium.frames).sum()
}

fn print_result(
    args: &Args,
    ramp: Duration,
    window: Duration,
    messages: u64,
    cpu_us: u64,
    kb: u64,
) {
    let streams = u64::from(args.streams);
    println!(
        "streams                {streams} ({} sockets each)",
        if args.mode == "unified" { 2 } else { 3 }
    );
    println!("all live after         {:.1} s", ramp.as_secs_f64());
    println!("messages a second      {:.0}", messages as f64 / window.as_secs_f64());
    println!("CPU a message          {:.1} µs", cpu_us as f64 / messages as f64);
    println!("CPU of one core        {:.0} %", cpu_us as f64 / window.as_micros() as f64 * 100.0);
    println!("memory a stream        {:.0} kB", kb as f64 / streams as f64);
}

/// How long the daemon took to answer, as Zoom sees it.
fn print_keep_alives(report: &Report) {
    let times = report.streams.iter().flat_map(|stream| &stream.keep_alives.took_us);
    let mut times: Vec<u64> = times.copied().collect();
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last());
    let ms = |share| at(share).map_or(0.0, |us| *us as f64 / 1000.0);
    println!(
        "keep-alive answers     {}: p50 {:.1} ms, p99 {:.1} ms, the slowest {:.1} ms",
        times.len(),
        ms(0.5),
        ms(0.99),
        ms(1.0)
    );
}

fn print_account(report: &Report, received: u64) {
    let sent = sent(report);
    println!("sent in all            {sent}");
    println!("received in all        {received} ({:+})", received as i64 - sent as i64);
    println!("breaches               {}", report.breaches);
}

/// What the daemon counted, over its own API, once every stream has ended.
async fn received(port: u16) -> u64 {
    let base = format!("http://127.0.0.1:{port}/api/v1/sdk/sessions");
    let client = reqwest::Client::new();
    let get = async |url: String| -> serde_json::Value {
        let answer = client.get(url).bearer_auth(API_TOKEN).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    };
    for _ in 0..60 {
        let live = get(format!("{base}?limit=1&status=live")).await;
        if live["data"]["sessions"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    let (mut total, mut before) = (0, String::new());
    loop {
        let page = get(format!("{base}?limit=200{before}")).await["data"].take();
        for session in page["sessions"].as_array().expect("sessions") {
            let id = session["id"].as_str().expect("an id");
            let detail = get(format!("{base}/{id}")).await;
            for stream in detail["data"]["streams"].as_array().expect("streams") {
                for medium in ["audio", "transcript"] {
                    total += stream["tally"][medium]["frames"].as_u64().unwrap_or(0);
                }
            }
        }
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return total,
        }
    }
}

fn cpu_us(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the daemon lives");
    // The command's name, in parentheses, may hold spaces; user and system time are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<u64>().expect("a number of ticks");
    (ticks(11) + ticks(12)) * TICK_US
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number of kB")
}

async fn stop(daemon: &mut Child) {
    daemon.kill().await.expect("the daemon can be ended");
}
