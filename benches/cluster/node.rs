//! One daemon as a process, and its ways to the database and to Zoom.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::super::connect_proxy::{ConnectProxy, Manner};
use super::super::daemon::{faketime, serve, signal};
use super::super::proxy::Proxy;
use super::super::zoom::{Problem, free_port, http};
use super::pair::ZOOM_HOST;

const START_LIMIT: Duration = Duration::from_secs(60);
/// Longer than any stop.
const STOP_LIMIT: Duration = Duration::from_secs(90);

pub(super) struct Node {
    pub address: SocketAddr,
    pub store: Proxy,
    pub zoom: ConnectProxy,
    /// Whether the balancer sends it webhooks.
    pub is_well: Arc<AtomicBool>,
    variables: Vec<(String, String)>,
    folder: PathBuf,
    child: Child,
    http: reqwest::Client,
}

impl Node {
    /// Starts a daemon with a clock that is this many seconds ahead, and waits until it is ready.
    pub(super) async fn start(
        folder: &Path,
        database_url: &str,
        ca: &Path,
        clock_s: i32,
    ) -> Result<Self, Problem> {
        std::fs::create_dir_all(folder)?;
        let (store, zoom) = (Proxy::open().await, ConnectProxy::start(Manner::Open).await);
        let port = free_port().await?;
        let mut variables = variables(folder, port, &store.url(database_url), ca);
        variables.push(("HTTPS_PROXY".to_owned(), format!("http://{}", zoom.address)));
        if clock_s != 0 {
            let clock = [
                ("LD_PRELOAD", faketime()?),
                ("FAKETIME", format!("{clock_s:+}s")),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ];
            variables.extend(clock.map(|(name, value)| (name.to_owned(), value)));
        }
        let child = serve(&variables, folder)?;
        let node = Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            store,
            zoom,
            is_well: Arc::new(AtomicBool::new(true)),
            variables,
            folder: folder.to_owned(),
            child,
            http: http()?,
        };
        node.until_ready().await?;
        Ok(node)
    }

    pub(super) fn signal(&self, name: &str) -> Result<(), Problem> {
        signal(&self.child, name)
    }

    pub(super) fn set_well(&self, is_well: bool) {
        self.is_well.store(is_well, Ordering::Relaxed);
    }

    /// Waits for the end of a daemon that was asked to stop, and starts it again.
    pub(super) async fn restart(&mut self) -> Result<(), Problem> {
        let ended = timeout(STOP_LIMIT, self.child.wait()).await??;
        if !ended.success() {
            return Err(format!("the daemon ended with {ended}").into());
        }
        self.child = serve(&self.variables, &self.folder)?;
        self.until_ready().await?;
        self.set_well(true);
        Ok(())
    }

    async fn until_ready(&self) -> Result<(), Problem> {
        let (url, began) = (format!("http://{}/health/ready", self.address), Instant::now());
        while !self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if began.elapsed() > START_LIMIT {
                return Err("a daemon is not ready".into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

fn variables(folder: &Path, port: u16, database_url: &str, ca: &Path) -> Vec<(String, String)> {
    let variables = [
        ("HOST", "127.0.0.1"),
        ("PORT", &port.to_string()),
        ("DATA_DIR", &folder.join("data").display().to_string()),
        ("DATABASE_URL", database_url),
        // The simulator's defaults.
        ("ZOOM_CLIENT_ID", "demoClientId01"),
        ("ZOOM_CLIENT_SECRET", "demoClientSecret01"),
        ("ZOOM_SECRET_TOKEN", "demoSecretToken01"),
        ("API_TOKENS", "cluster:cluster-token-of-the-bench:read"),
        ("TOKEN_ENCRYPTION_KEYS", &"42".repeat(32)),
        ("RTMS_ALLOWED_HOSTS", ZOOM_HOST),
        ("RTMS_CA_FILE", &ca.display().to_string()),
        ("MEDIA_TYPES", "transcript"),
        // The bench itself keeps the machine busy.
        ("MAX_CPU_PERCENT", "100"),
        ("LOG_LEVEL", "info"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
