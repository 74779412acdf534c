//! A way to Postgres that a test can close, open, and make silent.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::postgres;

pub struct Proxy {
    address: SocketAddr,
    socket: PathBuf,
    serving: Option<JoinHandle<()>>,
    silent: watch::Sender<bool>,
}

impl Proxy {
    pub async fn open() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = postgres::socket_folder().join(".s.PGSQL.5432");
        let (silent, _) = watch::channel(false);
        let mut proxy = Self { address, socket, serving: None, silent };
        proxy.reopen().await;
        proxy
    }

    /// The same database, through the proxy.
    pub fn url(&self, database_url: &str) -> String {
        let (path, _) = database_url.split_once('?').unwrap();
        let name = path.rsplit('/').next().unwrap();
        format!("postgres://postgres@{}/{name}", self.address)
    }

    /// Ends every connection and refuses new ones.
    pub async fn shut(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            assert!(serving.await.unwrap_err().is_cancelled());
        }
    }

    /// Keeps every connection open, takes new ones, and lets nothing through any more.
    pub fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// On the address that it had.
    pub async fn reopen(&mut self) {
        self.silent.send_replace(false);
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let serving = serve(listener, self.socket.clone(), self.silent.subscribe());
        self.serving = Some(tokio::spawn(serving));
    }
}

async fn serve(listener: TcpListener, socket: PathBuf, silent: watch::Receiver<bool>) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        let Ok(server) = UnixStream::connect(&socket).await else { return };
        connections.spawn(relay(client, server, silent.clone()));
    }
}

async fn relay(mut client: TcpStream, mut server: UnixStream, mut silent: watch::Receiver<bool>) {
    let falls_silent = async { silent.wait_for(|silent| *silent).await.map(drop) };
    tokio::select! {
        biased;
        _ = falls_silent => std::future::pending().await,
        _ = copy_bidirectional(&mut client, &mut server) => {}
    }
}
