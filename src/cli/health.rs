//! `rtmsd health`: asks the daemon on this machine whether it is ready.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{print_error, print_page};

/// How long the daemon may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// How many bytes of the answer are read: enough for the start of the status line.
const ENOUGH: usize = 32;

/// Asks the daemon whether it is ready. Meant for the health check of a container, in which there is no curl.
pub(super) async fn run(address: SocketAddr) -> ExitCode {
    let address = loopback_address(address);
    match timeout(DEADLINE, status_line(address)).await {
        Ok(Ok(line)) if line.starts_with("HTTP/1.1 200") => print_page("ready\n"),
        Ok(Ok(_)) => print_error(1, "not ready"),
        Ok(Err(error)) => print_error(1, &format!("no answer from {address}: {error}")),
        Err(_) => print_error(1, "no answer within two seconds"),
    }
}

/// The address to connect to: loopback if the daemon listens on every address.
fn loopback_address(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port())
}

async fn status_line(address: SocketAddr) -> io::Result<String> {
    let mut socket = TcpStream::connect(address).await?;
    // HTTP/1.1 requires a Host header (RFC 9112, section 3.2); its value does not matter here.
    socket.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut line = Vec::with_capacity(ENOUGH);
    // `take` bounds the read: the daemon keeps the connection open, so the end of the stream would never come.
    socket.take(ENOUGH as u64).read_to_end(&mut line).await?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}
