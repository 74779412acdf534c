//! What an attacker costs: the compiled daemon is attacked over loopback in the ways that once hurt it, and its memory is
//! read before and after each attack. While the attack goes on, signed webhooks and health checks are counted.
//!
//!     cargo bench --bench attacks
//!
//! Linux only: memory is read from `/proc`.

#[path = "attacks/daemon.rs"]
mod daemon;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use self::daemon::{API_TOKEN, Daemon};

/// An attack that is refused may wait, but not longer.
const LIMIT: Duration = Duration::from_secs(10);
const LENGTH: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    println!("{:<44} {:>8} {:>8}  {:>12} {:>12}", "attack", "MB", "MB after", "webhooks", "health");
    measure("nothing", async |_: Arc<Daemon>| sleep(LENGTH).await).await?;
    measure("100 silent connections a second", silent_connections).await?;
    measure("100 half bodies a second", half_bodies).await?;
    measure("120 live sockets with 1,024 unknown cursors", live_cursors).await?;
    measure("336 live sockets with 1,024 idle sessions", live_sessions).await?;
    measure("500 forged webhooks a second, 64 KiB each", forged_webhooks).await?;
    measure("500 wrong API tokens a second", wrong_tokens).await?;
    measure("250 OAuth callbacks a second", oauth_callbacks).await
}

/// Attacks a daemon of its own, and prints what it cost and who was served meanwhile.
async fn measure(name: &str, attack: impl AsyncFnOnce(Arc<Daemon>)) -> std::io::Result<()> {
    let daemon = Arc::new(Daemon::start().await?);
    let before = daemon.memory_mb()?;
    let served = Arc::new(Served::default());
    let bystanders = tokio::spawn(served.clone().count(daemon.clone()));
    attack(daemon.clone()).await;
    let after = daemon.memory_mb()?;
    bystanders.abort();
    let Served { webhooks, webhooks_sent, health, health_sent } = &*served;
    let share = |done: &AtomicU64, all: &AtomicU64| {
        format!("{} of {}", done.load(Ordering::Relaxed), all.load(Ordering::Relaxed))
    };
    let (webhooks, health) = (share(webhooks, webhooks_sent), share(health, health_sent));
    println!("{name:<44} {before:>8.1} {after:>8.1}  {webhooks:>12} {health:>12}");
    Ok(())
}

/// Signed webhooks answered within Zoom's three seconds, and health checks within the two of a container.
#[derive(Default)]
struct Served {
    webhooks: AtomicU64,
    webhooks_sent: AtomicU64,
    health: AtomicU64,
    health_sent: AtomicU64,
}

impl Served {
    async fn count(self: Arc<Self>, daemon: Arc<Daemon>) {
        loop {
            self.webhooks_sent.fetch_add(1, Ordering::Relaxed);
            let webhook = timeout(Duration::from_secs(3), daemon.webhook()).await;
            self.webhooks.fetch_add(u64::from(matches!(webhook, Ok(true))), Ordering::Relaxed);
            self.health_sent.fetch_add(1, Ordering::Relaxed);
            let health = timeout(Duration::from_secs(2), daemon.is_healthy()).await;
            self.health.fetch_add(u64::from(matches!(health, Ok(true))), Ordering::Relaxed);
            sleep(Duration::from_millis(250)).await;
        }
    }
}

/// Does `one` so many times a second, and drops everything at the end.
async fn each_second<F>(count: u32, daemon: Arc<Daemon>, one: impl Fn(Arc<Daemon>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (start, mut tasks) = (Instant::now(), JoinSet::new());
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / count);
    while start.elapsed() < LENGTH {
        ticks.tick().await;
        tasks.spawn(one(daemon.clone()));
    }
}

async fn silent_connections(daemon: Arc<Daemon>) {
    each_second(100, daemon, async |daemon| say_and_wait(&daemon, b"").await).await;
}

async fn half_bodies(daemon: Arc<Daemon>) {
    let request =
        b"POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n{\"event\":";
    each_second(100, daemon, async |daemon| say_and_wait(&daemon, request).await).await;
}

async fn say_and_wait(daemon: &Daemon, bytes: &[u8]) {
    let Ok(mut socket) = TcpStream::connect(daemon.address).await else { return };
    if socket.write_all(bytes).await.is_ok() {
        // Ends when the daemon closes the connection.
        let _ = socket.read(&mut [0; 1024]).await;
    }
}

async fn live_cursors(daemon: Arc<Daemon>) {
    let mut sockets = JoinSet::new();
    for socket in 0..120_u128 {
        let id = move |number| uuid::Uuid::from_u128((socket << 64) + number).to_string();
        sockets.spawn(live_socket(daemon.clone(), (0..1024).map(id).collect()));
    }
    sleep(LENGTH).await;
}

/// As many sockets as a token may have, all with cursors of the same sessions, which exist.
async fn live_sessions(daemon: Arc<Daemon>) {
    let mut ids = Vec::new();
    for meeting in 0..1024 {
        ids.extend(daemon.create_session(91_000_000_000 + meeting).await);
    }
    assert_eq!(ids.len(), 1024, "the sessions of the attack exist");
    let mut sockets = JoinSet::new();
    for _ in 0..336 {
        sockets.spawn(live_socket(daemon.clone(), ids.clone()));
    }
    sleep(LENGTH).await;
}

async fn live_socket(daemon: Arc<Daemon>, ids: Vec<String>) {
    let from: Map<String, Value> = ids.into_iter().map(|id| (id, json!("1:1"))).collect();
    let url = format!("ws://{}/api/v1/live", daemon.address);
    let Ok(mut request) = url.into_client_request() else { return };
    let bearer = format!("Bearer {API_TOKEN}").parse().expect("a header");
    request.headers_mut().insert("authorization", bearer);
    let Ok(tcp) = TcpStream::connect(daemon.address).await else { return };
    let Ok((mut live, _)) = tokio_tungstenite::client_async(request, tcp).await else { return };
    let first = json!({"media": "transcript", "from": from}).to_string();
    if live.send(first.into()).await.is_ok() {
        while let Some(Ok(_)) = live.next().await {}
    }
}

async fn forged_webhooks(daemon: Arc<Daemon>) {
    let body = format!("{{\"event\":\"meeting.rtms_started\",\"pad\":\"{}\"}}", "x".repeat(65_000));
    let body = Arc::new(body);
    each_second(500, daemon, |daemon| {
        let body = body.clone();
        async move { drop(timeout(LIMIT, daemon.forged_webhook(&body)).await) }
    })
    .await;
}

async fn wrong_tokens(daemon: Arc<Daemon>) {
    let path = "/api/v1/sdk/sessions";
    each_second(500, daemon, async move |daemon| {
        drop(timeout(LIMIT, daemon.get(path, "Bearer a-token-that-nobody-has")).await);
    })
    .await;
}

async fn oauth_callbacks(daemon: Arc<Daemon>) {
    let path = "/api/v1/zoom/oauth/callback?code=guessed&state=guessed";
    each_second(250, daemon, async move |daemon| {
        drop(timeout(LIMIT, daemon.get(path, "")).await);
    })
    .await;
}
