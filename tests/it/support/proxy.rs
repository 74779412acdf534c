//! A proxy to Postgres that a test can close, open, slow down or silence.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::postgres;

pub(crate) struct Proxy {
    address: SocketAddr,
    socket: PathBuf,
    serving: Option<JoinHandle<()>>,
    silent: watch::Sender<bool>,
    /// How many bytes each connection passes to Postgres per tick.
    bytes_per_tick: Arc<AtomicUsize>,
}

const TICKS_PER_S: usize = 20;

impl Proxy {
    pub(crate) async fn open() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = postgres::socket_folder().join(".s.PGSQL.5432");
        let (silent, _) = watch::channel(false);
        let bytes_per_tick = Arc::new(AtomicUsize::new(usize::MAX));
        let mut proxy = Self { address, socket, serving: None, silent, bytes_per_tick };
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

    /// Keeps every connection open, takes new ones, and lets nothing through any more.
    pub(crate) fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// Limits each connection to this rate towards Postgres from now on.
    pub(crate) fn slow_down(&self, bytes_per_s: usize) {
        self.bytes_per_tick.store(bytes_per_s / TICKS_PER_S, Ordering::Relaxed);
    }

    /// On the address that it had.
    pub(crate) async fn reopen(&mut self) {
        self.silent.send_replace(false);
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let bytes_per_tick = Arc::clone(&self.bytes_per_tick);
        let serving = serve(listener, self.socket.clone(), self.silent.subscribe(), bytes_per_tick);
        self.serving = Some(tokio::spawn(serving));
    }
}

async fn serve(
    listener: TcpListener,
    socket: PathBuf,
    silent: watch::Receiver<bool>,
    bytes_per_tick: Arc<AtomicUsize>,
) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        let Ok(server) = UnixStream::connect(&socket).await else { return };
        connections.spawn(relay(client, server, silent.clone(), Arc::clone(&bytes_per_tick)));
    }
}

async fn relay(
    client: TcpStream,
    server: UnixStream,
    mut silent: watch::Receiver<bool>,
    bytes_per_tick: Arc<AtomicUsize>,
) {
    let falls_silent = async { silent.wait_for(|silent| *silent).await.map(drop) };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::select! {
        biased;
        _ = falls_silent => std::future::pending().await,
        _ = copy_slowly(&mut from_client, &mut to_server, &bytes_per_tick) => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}

async fn copy_slowly(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    bytes_per_tick: &AtomicUsize,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let most = bytes_per_tick.load(Ordering::Relaxed);
        let (count, is_slow) = (most.min(buffer.len()), most < usize::MAX);
        let read = from.read(&mut buffer[..count]).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        if is_slow {
            sleep(Duration::from_secs(1) / TICKS_PER_S as u32).await;
        }
    }
}
