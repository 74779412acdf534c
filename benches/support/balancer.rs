//! Passes Zoom's webhooks to two daemons in turn, as a load balancer does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Each daemon's address, and whether nothing is wrong with it.
pub(crate) type Targets = [(SocketAddr, Arc<AtomicBool>); 2];

/// Its address, before it knows the daemons.
pub(crate) struct Balancer(TcpListener);

impl Balancer {
    pub(crate) async fn bind() -> std::io::Result<Self> {
        Ok(Self(TcpListener::bind("127.0.0.1:0").await?))
    }

    /// The URL for webhooks.
    pub(crate) fn webhook_url(&self) -> std::io::Result<String> {
        Ok(format!("http://{}/webhook", self.0.local_addr()?))
    }

    /// Starts it. It ends when the tasks are dropped.
    pub(crate) fn start(self, targets: Targets) -> JoinSet<()> {
        let mut balancer = JoinSet::new();
        balancer.spawn(balance(self.0, targets));
        balancer
    }
}

/// Passes connections to the daemons in turn, and past one with which something is wrong.
async fn balance(listener: TcpListener, targets: Targets) {
    let (next, mut connections) = (AtomicUsize::new(0), JoinSet::new());
    while let Ok((mut client, _)) = listener.accept().await {
        let first = next.fetch_add(1, Ordering::Relaxed) % 2;
        let is_well = targets[first].1.load(Ordering::Relaxed);
        let address = targets[if is_well { first } else { 1 - first }].0;
        connections.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(address).await {
                // Ends with either side; the simulator sends again what was not answered.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
