//! One daemon as a process, and its way to the database.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::process::Child;
use tokio::time::sleep;

use super::daemon::{self, Variables, serve, set_clock, signal};
use super::faults::{Fault, Halt, Wire};
use super::proxy::Proxy;
use super::zoom::{Problem, free_port, http};

pub(crate) const API_TOKEN: &str = "fence-token-of-the-bench";
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct Node {
    pub address: SocketAddr,
    /// Whether nothing is wrong with it at the moment.
    pub is_well: Arc<AtomicBool>,
    process: Process,
    proxy: Proxy,
    http: reqwest::Client,
}

struct Process {
    variables: Variables,
    folder: std::path::PathBuf,
    child: Child,
}

impl Node {
    /// Starts a daemon whose clock is this many seconds ahead.
    pub(crate) async fn start(
        folder: &Path,
        database_url: &str,
        clock_s: i32,
    ) -> Result<Self, Problem> {
        std::fs::create_dir_all(folder)?;
        let proxy = Proxy::open().await;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port().await?));
        let mut variables = variables(folder, address, &proxy.url(database_url));
        set_clock(&mut variables, clock_s)?;
        let child = serve(&[], &variables, folder)?;
        Ok(Self {
            address,
            is_well: Arc::new(AtomicBool::new(true)),
            process: Process { variables, folder: folder.to_owned(), child },
            proxy,
            http: http()?,
        })
    }

    pub(crate) async fn is_ready(&self) -> bool {
        let request = self.http.get(format!("http://{}/health/ready", self.address));
        let answer = request.timeout(REQUEST_LIMIT).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The streams of a session with their ledgers.
    pub(crate) async fn ledger<T: DeserializeOwned>(&self, session: &str) -> Result<T, Problem> {
        let url = format!("http://{}/api/v1/sdk/sessions/{session}/ledger", self.address);
        let request = self.http.get(url).bearer_auth(API_TOKEN).timeout(REQUEST_LIMIT);
        let mut answer: Value = request.send().await?.error_for_status()?.json().await?;
        Ok(serde_json::from_value(answer["data"]["streams"].take())?)
    }

    /// Carries out the faults one after the other, each to its end.
    pub(crate) async fn suffer(&mut self, faults: &[Fault]) -> Result<(), Problem> {
        for fault in faults {
            sleep(fault.pause).await;
            self.is_well.store(false, Ordering::Relaxed);
            let (process, proxy) = (&mut self.process, &mut self.proxy);
            let (halted, ()) = tokio::join!(process.halt(fault.halt), spoil(proxy, fault.wire));
            halted?;
            self.process.revive()?;
            self.is_well.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Process {
    async fn halt(&mut self, halt: Option<(Halt, Duration)>) -> Result<(), Problem> {
        match halt {
            None => {}
            Some((Halt::Suspend, length)) => {
                signal(&self.child, "STOP")?;
                sleep(length).await;
                signal(&self.child, "CONT")?;
            }
            Some((Halt::Kill, length)) => {
                self.child.kill().await?;
                sleep(length).await;
                self.child = serve(&[], &self.variables, &self.folder)?;
            }
        }
        Ok(())
    }

    /// Starts it again if it found no database at its start and ended.
    fn revive(&mut self) -> Result<(), Problem> {
        if self.child.try_wait()?.is_some() {
            self.child = serve(&[], &self.variables, &self.folder)?;
        }
        Ok(())
    }
}

async fn spoil(proxy: &mut Proxy, wire: Option<(Wire, Duration)>) {
    let Some((wire, length)) = wire else { return };
    match wire {
        Wire::Cut => proxy.shut().await,
        Wire::Stall | Wire::StallAndCut => proxy.stall(),
        Wire::Slow(bytes_per_s) => proxy.limit(Some(bytes_per_s)),
    }
    sleep(length).await;
    match wire {
        Wire::Cut => proxy.reopen().await,
        Wire::Stall => proxy.resume(),
        Wire::StallAndCut => {
            proxy.shut().await;
            proxy.reopen().await;
        }
        Wire::Slow(_) => proxy.limit(None),
    }
}

fn variables(folder: &Path, address: SocketAddr, database_url: &str) -> Variables {
    let token = format!("fence:{API_TOKEN}:read");
    let others = [
        ("API_TOKENS", &*token),
        ("API_RATE_LIMIT_PER_SECOND", "10000"),
        ("RTMS_ALLOWED_HOSTS", "127.0.0.1"),
        ("RTMS_ALLOW_WS", "true"),
        ("MEDIA_TYPES", "transcript,audio"),
        ("AUDIO_STREAMS", "mixed"),
        ("AUDIO_SEND_RATE_MS", "100"),
    ];
    daemon::variables(folder, address, database_url, others)
}
