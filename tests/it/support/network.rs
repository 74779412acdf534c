//! Networks as these tests need them: names of our own, and an address that swallows what is sent to it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rtmsd::net::{Limits, Network, Resolver};
use rtmsd::tls::client_config;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// The system's names, and no proxy.
pub fn network() -> Network {
    Network::direct(client_config(None).expect("the public authorities"))
}

/// A resolver that knows these hosts only. Every name leads to addresses of this machine, in this order.
pub fn names(known: &'static [(&'static str, &'static [&'static str])]) -> Resolver {
    let lookup = move |host: &str| {
        let found = known.iter().find(|(name, _)| *name == host);
        let (_, addresses) = found.ok_or_else(|| io::Error::other("there is no such name"))?;
        Ok(addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect())
    };
    Resolver::new(lookup, Limits::default())
}

/// An address on which a connection neither succeeds nor fails: its queue of connections is full, and what comes is
/// dropped.
pub struct BlackHole {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    pub async fn open(address: SocketAddr) -> Self {
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
