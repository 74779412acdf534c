//! A way to Postgres that a test can close and open.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use super::postgres;

pub struct Proxy {
    address: SocketAddr,
    socket: PathBuf,
    serving: Option<JoinHandle<()>>,
}

impl Proxy {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = postgres::socket_folder().join(".s.PGSQL.5432");
        let address = listener.local_addr().unwrap();
        let serving = Some(tokio::spawn(serve(listener, socket.clone())));
        Self { address, socket, serving }
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

    pub async fn reopen(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving = Some(tokio::spawn(serve(listener, self.socket.clone())));
    }
}

async fn serve(listener: TcpListener, socket: PathBuf) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut client, _)) = listener.accept().await else { return };
        let Ok(mut server) = UnixStream::connect(&socket).await else { return };
        connections.spawn(async move { copy_bidirectional(&mut client, &mut server).await });
    }
}
