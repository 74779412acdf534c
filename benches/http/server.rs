//! The daemon that is measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use rtmsd::secret::Secret;
use rtmsd::store::Location;
use tokio::process::Child;
use tokio::time::sleep;

use super::client::Client;
use super::zoom::{Problem, free_port};
use super::{Args, daemon, process};

pub(crate) const API_TOKEN: &str = "token-of-the-http-bench";
/// The simulator's default secret token.
pub(crate) const SECRET_TOKEN: &str = "demoSecretToken01";
const START_LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    pub address: SocketAddr,
    pid: u32,
    /// Killed when it is dropped.
    _child: Child,
}

/// Where the daemon in this folder keeps its store.
pub(crate) fn location(args: &Args, folder: &Path) -> Result<Location, Problem> {
    let data = folder.join("data");
    std::fs::create_dir_all(&data)?;
    Ok(match args.database() {
        Some(url) => Location::Postgres(Secret::new(url.to_owned())),
        None => Location::Sqlite(data.join("rtmsd.db")),
    })
}

impl Server {
    pub(crate) async fn start(args: &Args, folder: &Path) -> Result<Self, Problem> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().await?));
        let tokens = format!("bench:{API_TOKEN}:read");
        let own = [
            ("API_TOKENS", &*tokens),
            ("API_RATE_LIMIT_PER_SECOND", "10000"),
            // The daemon dials one stream only, at an address where nothing listens; the others wait in the store. The log
            // has a line for each webhook, and none for these streams.
            ("MAX_STREAMS", "1"),
            ("RTMS_ALLOWED_HOSTS", "127.0.0.1"),
            ("RUST_LOG", "info,rtmsd::sessions=off"),
        ];
        let database = args.database().unwrap_or_default();
        let mut variables = daemon::variables(folder, address, database, own);
        variables.extend(args.set.iter().cloned());
        if args.set.iter().any(|(name, _)| name == "LOG_LEVEL") {
            // It would take precedence.
            variables.retain(|(name, _)| name != "RUST_LOG");
        }
        let child = daemon::serve_as(args.binary(), &[], &variables, folder)?;
        let pid = child.id().ok_or("the daemon has ended by itself")?;
        wait_until_ready(address).await?;
        Ok(Self { address, pid, _child: child })
    }

    /// How long its threads have run, in microseconds.
    pub(crate) fn cpu_us(&self) -> u64 {
        process::cpu_us(self.pid)
    }
}

async fn wait_until_ready(address: SocketAddr) -> Result<(), Problem> {
    let began = Instant::now();
    let request = get("/health/ready");
    loop {
        match Client::new(address).exchange(&request).await {
            Ok(_) => return Ok(()),
            Err(problem) if began.elapsed() > START_LIMIT => return Err(problem),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A request of the API.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {API_TOKEN}\r\n\r\n")
        .into()
}
