//! The binary under a service manager: what it reports, when it pings the watchdog, and sockets that it inherits.

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener as StdTcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixDatagram;
use tokio::process::{ChildStderr, Command};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};

use crate::support::kit::{
    API_TOKEN, Api, Home, TIMEOUT, Zoom, endless, eventually, send_webhook, stopped, zoom,
};
use crate::support::process::Process;

/// A message: its lines by name.
type Fields = HashMap<String, String>;

/// The socket of a service manager, and what came to it.
struct Manager {
    folder: TempDir,
    messages: Arc<Mutex<Vec<(Instant, Fields)>>>,
    reading: JoinHandle<()>,
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Manager {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(path_in(&folder)).unwrap();
        let messages: Arc<Mutex<Vec<_>>> = Arc::default();
        let kept = Arc::clone(&messages);
        let reading = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer).await {
                let text = std::str::from_utf8(&buffer[..length]).unwrap();
                let fields = text.lines().map(|line| line.split_once('=').expect("NAME=value"));
                let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
                kept.lock().unwrap().push((Instant::now(), fields.collect()));
            }
        });
        Self { folder, messages, reading }
    }

    fn home(&self, watchdog: Duration) -> Home {
        Home::sqlite()
            .set("NOTIFY_SOCKET", path_in(&self.folder).to_str().unwrap())
            .set("WATCHDOG_USEC", &watchdog.as_micros().to_string())
    }

    fn count(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    /// The first message with such a field behind those that came before.
    async fn message(&self, before: usize, name: &str, value: &str) -> Fields {
        eventually(&format!("{name}={value}"), async || {
            let messages = self.messages.lock().unwrap();
            let mut fields = messages[before..].iter().map(|(_, fields)| fields);
            let found = fields.find(|it| it.get(name).is_some_and(|own| own.contains(value)));
            found.cloned()
        })
        .await
    }

    /// How long ago the last ping came.
    fn silence(&self) -> Duration {
        let messages = self.messages.lock().unwrap();
        let mut pings = messages.iter().filter(|(_, fields)| fields.contains_key("WATCHDOG"));
        pings.next_back().map_or(Duration::ZERO, |(at, _)| at.elapsed())
    }
}

fn path_in(folder: &TempDir) -> PathBuf {
    folder.path().join("notify")
}

fn write_env(folder: &Path, text: &str) {
    let path = folder.join(".env");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn monotonic_us() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

#[tokio::test]
async fn it_reports_that_it_serves_its_streams_a_reload_and_its_stop() {
    let manager = Manager::open();
    let (process, api) = Process::serve(&manager.home(Duration::from_secs(2))).await;
    let ready = manager.message(0, "READY", "1").await;
    assert_eq!(ready["STATUS"], "streams: 0");
    assert_eq!(api.get("/health/ready").await.unwrap().status, 200);
    let zoom = Zoom::open(zoom(endless(200))).await;
    zoom.post.deliver_to(api.0);
    manager.message(0, "STATUS", "streams: 1").await;

    let (before, asked_us) = (manager.count(), monotonic_us());
    process.signal("HUP");
    let reloading = manager.message(before, "RELOADING", "1").await;
    let at_us: i64 = reloading["MONOTONIC_USEC"].parse().unwrap();
    assert!((asked_us..=monotonic_us()).contains(&at_us), "{asked_us} {at_us}");
    manager.message(before, "READY", "1").await;

    let before = manager.count();
    process.signal("TERM");
    manager.message(before, "STOPPING", "1").await;
    assert_eq!(process.ended().await.code(), 0);
    let messages = manager.messages.lock().unwrap();
    let of = |name: &str| messages.iter().filter(|(_, fields)| fields.contains_key(name)).count();
    assert_eq!((of("READY"), of("RELOADING"), of("STOPPING")), (2, 1, 1));
}

#[tokio::test]
async fn a_reload_with_a_mistake_ends_and_the_status_says_so_until_it_is_mended() {
    let manager = Manager::open();
    let home = manager.home(Duration::from_secs(1)).without("MEDIA_TYPES");
    let (process, _) = Process::serve(&home).await;
    manager.message(0, "READY", "1").await;
    write_env(home.folder(), "MEDIA_TYPES=smell\n");
    let before = manager.count();
    process.signal("HUP");
    let reloaded = manager.message(before, "READY", "1").await;
    assert!(reloaded["STATUS"].contains("have mistakes and are ignored"), "{reloaded:?}");
    let after = manager.count();
    manager.message(after, "STATUS", "have mistakes and are ignored").await;
    write_env(home.folder(), "MEDIA_TYPES=audio\n");
    let before = manager.count();
    process.signal("HUP");
    assert_eq!(manager.message(before, "READY", "1").await["STATUS"], "streams: 0");
}

/// Nothing reads the log, so threads that write to it are blocked once the pipe is full.
#[tokio::test]
async fn the_watchdog_is_not_pinged_while_the_runtime_is_blocked() {
    const WATCHDOG: Duration = Duration::from_secs(1);
    let manager = Manager::open();
    let home = manager.home(WATCHDOG).set("RUST_LOG", "trace");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmsd"));
    command.arg("serve").env_clear().current_dir(home.folder());
    command.envs(home.variables().iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut log = child.stderr.take().unwrap();
    tokio::select! {
        _ = manager.message(0, "WATCHDOG", "1") => {}
        () = read_all(&mut log) => panic!("the daemon ended"),
    }
    eventually("the pings stop", async || (manager.silence() > 3 * WATCHDOG).then_some(())).await;
    let before = manager.count();
    tokio::select! {
        _ = manager.message(before, "WATCHDOG", "1") => {}
        () = read_all(&mut log) => panic!("the daemon ended"),
    }
    child.kill().await.unwrap();
}

async fn read_all(pipe: &mut ChildStderr) {
    let mut buffer = vec![0; 1 << 20];
    while pipe.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}

/// A server without tokens on a socket of the name metrics, and the API on the other one.
#[tokio::test]
async fn inherited_sockets_are_used_by_their_names_instead_of_addresses() {
    let taken = [(); 2].map(|()| StdTcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [0, 1].map(|index: usize| taken[index].local_addr().unwrap());
    let home = Home::sqlite()
        .set("PORT", &addresses[0].port().to_string())
        .set("METRICS_ADDR", &addresses[1].to_string());
    let sockets = [(); 2].map(|()| StdTcpListener::bind("127.0.0.1:0").unwrap());
    let [main, metrics] = [0, 1].map(|index: usize| Api(sockets[index].local_addr().unwrap()));
    let process = Process::with_sockets(&home, "http:metrics", &sockets.map(OwnedFd::from));
    assert_eq!(process.listening().await.0, main.0);
    assert!(main.get("/health/ready").await.unwrap().text().contains("\"ready\""));
    assert!(metrics.get("/metrics").await.unwrap().text().contains("process_open_fds"));
    assert_eq!(metrics.get("/api/v1/sdk/sessions").await.unwrap().status, 404);
    assert!(process.err().contains("another port than PORT"), "{}", process.err());
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

#[tokio::test]
async fn sockets_that_cannot_be_used_stop_the_start() {
    let home = Home::sqlite();
    let listening = || StdTcpListener::bind("127.0.0.1:0").unwrap();
    let file = fs::File::open("/dev/null").unwrap();
    let ended = Process::with_sockets(&home, "http", &[OwnedFd::from(file)]).ended().await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.err.contains("passed a socket \"http\" that cannot be used"), "{ended:?}");
    let two = [listening(), listening()].map(OwnedFd::from);
    let ended = Process::with_sockets(&home, "http:web", &two).ended().await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.err.contains("two sockets for one purpose"), "{ended:?}");
    assert!(!home.data().exists(), "nothing else began");
}

/// Posts webhooks, each over a connection of its own, from before a restart until after it.
#[tokio::test]
async fn a_restart_behind_an_inherited_socket_refuses_no_webhook() {
    let home = Home::sqlite();
    let socket = StdTcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let socket = [OwnedFd::from(socket)];
    let process = Process::with_sockets(&home, "http", &socket);
    process.listening().await;

    let (answered, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut senders = JoinSet::new();
    for sender in 0..4 {
        let (answered, is_over) = (Arc::clone(&answered), Arc::clone(&is_over));
        senders.spawn(async move {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                let body = stopped(&format!("s-{sender}-{sent}"), 6);
                assert_eq!(send_webhook(address, &body).await, 200, "{sender} {sent}");
                answered.fetch_add(1, Ordering::Relaxed);
                sent += 1;
            }
        });
    }
    let reach = async |count: usize| {
        let reached = || answered.load(Ordering::Relaxed) >= count;
        eventually("webhooks are answered", async || reached().then_some(())).await;
    };
    reach(50).await;
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
    // Nobody accepts now: these wait.
    let mut waiting = JoinSet::new();
    for n in 0..50 {
        waiting.spawn(async move { send_webhook(address, &stopped(&format!("w-{n}"), 6)).await });
    }
    let process = Process::with_sockets(&home, "http", &socket);
    let statuses = timeout(TIMEOUT, waiting.join_all()).await.expect("they are answered");
    assert_eq!(statuses, [200; 50]);
    reach(answered.load(Ordering::Relaxed) + 50).await;
    is_over.store(true, Ordering::Relaxed);
    senders.join_all().await;
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

#[tokio::test]
async fn secrets_are_read_from_systemds_credentials() {
    let credentials = tempfile::tempdir().unwrap();
    fs::write(credentials.path().join("ZOOM_CLIENT_SECRET"), "demoClientSecret01\n").unwrap();
    let tokens = format!("tests:{API_TOKEN}:read\n");
    fs::write(credentials.path().join("API_TOKENS"), tokens).unwrap();
    let home = Home::sqlite().without("ZOOM_CLIENT_SECRET").without("API_TOKENS");
    let check = Process::spawn(&["check"], home.variables(), home.folder()).ended().await;
    assert!(check.err.contains("ZOOM_CLIENT_SECRET"), "{check:?}");
    let home = home.set("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap());
    let (_process, api) = Process::serve(&home).await;
    assert_eq!(api.get("/api/v1/sdk/sessions").await.unwrap().status, 200);
}
