//! A proxy to Postgres that a test can close, open, slow down or stall.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::postgres;

pub(crate) struct Proxy {
    pub address: SocketAddr,
    socket: PathBuf,
    serving: Option<JoinHandle<()>>,
    is_stalled: watch::Sender<bool>,
    /// The most bytes that each connection passes to Postgres per tick; `usize::MAX` is no limit.
    bytes_per_tick: Arc<AtomicUsize>,
}

const TICKS_PER_S: usize = 20;

impl Proxy {
    pub(crate) async fn open() -> Self {
        Self::open_at(Ipv4Addr::LOCALHOST).await
    }

    /// At this address of the machine.
    pub(crate) async fn open_at(host: Ipv4Addr) -> Self {
        let address = SocketAddr::from((host, 0));
        let socket = postgres::socket_folder().join(".s.PGSQL.5432");
        let (is_stalled, _) = watch::channel(false);
        let bytes_per_tick = Arc::new(AtomicUsize::new(usize::MAX));
        let mut proxy = Self { address, socket, serving: None, is_stalled, bytes_per_tick };
        proxy.reopen().await;
        proxy
    }

    /// The same database, through the proxy.
    pub(crate) fn url(&self, database_url: &str) -> String {
        let (path, _) = database_url.split_once('?').unwrap();
        let name = path.rsplit('/').next().unwrap();
        format!("postgres://postgres@{}/{name}", self.address)
    }

    /// Ends every connection and refuses new ones.
    pub(crate) async fn shut(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            assert!(serving.await.unwrap_err().is_cancelled());
        }
    }

    /// Keeps every connection open and accepts new ones, but passes nothing.
    pub(crate) fn stall(&self) {
        self.is_stalled.send_replace(true);
    }

    /// Passes everything that was sent during a stall.
    pub(crate) fn resume(&self) {
        self.is_stalled.send_replace(false);
    }

    /// Limits each connection to this rate towards Postgres, or lifts the limit.
    pub(crate) fn limit(&self, bytes_per_s: Option<usize>) {
        let bytes_per_tick = bytes_per_s.map_or(usize::MAX, |bytes| bytes / TICKS_PER_S);
        self.bytes_per_tick.store(bytes_per_tick, Ordering::Relaxed);
    }

    /// Accepts connections again, at the same address.
    pub(crate) async fn reopen(&mut self) {
        self.resume();
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let link = Link {
            is_stalled: self.is_stalled.subscribe(),
            bytes_per_tick: Arc::clone(&self.bytes_per_tick),
        };
        self.serving = Some(tokio::spawn(serve(listener, self.socket.clone(), link)));
    }
}

async fn serve(listener: TcpListener, socket: PathBuf, link: Link) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        // Postgres may be starting.
        let Ok(server) = UnixStream::connect(&socket).await else { continue };
        connections.spawn(link.clone().relay(client, server));
    }
}

/// What is wrong with the connections.
#[derive(Clone)]
struct Link {
    is_stalled: watch::Receiver<bool>,
    bytes_per_tick: Arc<AtomicUsize>,
}

impl Link {
    async fn relay(self, client: TcpStream, server: UnixStream) {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let no_limit = AtomicUsize::new(usize::MAX);
        tokio::select! {
            _ = self.copy(from_client, to_server, &self.bytes_per_tick) => {}
            _ = self.copy(from_server, to_client, &no_limit) => {}
        }
    }

    /// Copies until one side closes. A stall holds back the close, too.
    async fn copy(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        bytes_per_tick: &AtomicUsize,
    ) -> std::io::Result<()> {
        let (mut buffer, mut is_stalled) = (vec![0; 64 * 1024], self.is_stalled.clone());
        loop {
            let most = bytes_per_tick.load(Ordering::Relaxed);
            let count = most.min(buffer.len());
            let read = from.read(&mut buffer[..count]).await;
            // The proxy outlives its connections.
            let _ = is_stalled.wait_for(|is_stalled| !is_stalled).await;
            match read? {
                0 => return Ok(()),
                read => to.write_all(&buffer[..read]).await?,
            }
            if most < usize::MAX {
                sleep(Duration::from_secs(1) / TICKS_PER_S as u32).await;
            }
        }
    }
}
