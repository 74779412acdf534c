//! Sockets that accept connections.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// The most connections that wait to be accepted; the kernel's default limit (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Binds a TCP socket with a backlog that holds a burst of connections: with tokio's default, SYNs are dropped and
/// retried a second later.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart can bind at once, while connections of the previous process are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
