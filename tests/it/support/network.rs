//! Networks for tests: host names of their own, and an address that never answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rtmsd::net::{Limits, Network, Resolver};
use rtmsd::tls::client_config;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// A network with the system's resolver and no proxy.
pub(crate) fn network() -> Network {
    Network::direct(client_config(None).expect("the public authorities"))
}

/// A resolver that knows only these hosts, with their addresses in this order.
pub(crate) fn names(known: &'static [(&'static str, &'static [&'static str])]) -> Resolver {
    let lookup = move |host: &str| {
        let found = known.iter().find(|(name, _)| *name == host);
        let (_, addresses) = found.ok_or_else(|| io::Error::other("no such host name"))?;
        Ok(addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect())
    };
    Resolver::new(lookup, Limits::default())
}

/// An address where a connection neither succeeds nor fails: the listener's backlog is full, so the kernel drops new
/// connections.
pub(crate) struct BlackHole {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        let wait = Duration::from_millis(300);
        while let Ok(connected) = timeout(wait, TcpStream::connect(address)).await {
            waiting.push(connected.unwrap());
        }
        Self { _listener: listener, _waiting: waiting }
    }
}
