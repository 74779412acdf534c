//! One daemon as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::super::daemon::{self, Variables, serve, set_clock, signal};
use super::super::zoom::{Problem, free_port, http};
use super::network::{Network, Wires};
use super::pair::ZOOM_HOST;

const START_LIMIT: Duration = Duration::from_secs(60);
/// Longer than any stop.
const STOP_LIMIT: Duration = Duration::from_secs(90);

pub(super) struct Node {
    pub address: SocketAddr,
    /// Whether the balancer sends it webhooks.
    pub is_well: Arc<AtomicBool>,
    variables: Variables,
    folder: PathBuf,
    // Ends before its network.
    child: Child,
    pub network: Network,
    http: reqwest::Client,
}

impl Node {
    /// Starts a daemon with a clock that is this many seconds ahead, and waits until it is ready.
    pub(super) async fn start(
        folder: &Path,
        wires: Wires,
        database_url: &str,
        ca: &Path,
        clock_s: i32,
    ) -> Result<Self, Problem> {
        std::fs::create_dir_all(folder)?;
        let network = Network::open(wires).await?;
        let address = SocketAddr::from((network.address, free_port().await?));
        let mut variables = variables(folder, &network, address, database_url, ca);
        if clock_s != 0 {
            set_clock(&mut variables, clock_s)?;
        }
        let child = serve(&network.entry(), &variables, folder)?;
        let node = Self {
            address,
            is_well: Arc::new(AtomicBool::new(true)),
            variables,
            folder: folder.to_owned(),
            child,
            network,
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
        self.child = serve(&self.network.entry(), &self.variables, &self.folder)?;
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

fn variables(
    folder: &Path,
    network: &Network,
    address: SocketAddr,
    url: &str,
    ca: &Path,
) -> Variables {
    let (ca, proxy) = (ca.display().to_string(), format!("http://{}", network.zoom.address));
    let others = [
        ("API_TOKENS", "cluster:cluster-token-of-the-bench:read"),
        ("RTMS_ALLOWED_HOSTS", ZOOM_HOST),
        ("RTMS_CA_FILE", &*ca),
        ("HTTPS_PROXY", &proxy),
        ("MEDIA_TYPES", "transcript"),
        // The bench itself keeps the machine busy.
        ("MAX_CPU_PERCENT", "100"),
        ("LOG_LEVEL", "info"),
    ];
    daemon::variables(folder, address, &network.store.url(url), others)
}
