use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::fail;

/// A daemon that needs longer is not healthy.
const DEADLINE: Duration = Duration::from_secs(2);
/// The status line is all that is read.
const ENOUGH: usize = 32;

/// Asks the daemon on this machine whether it is ready: for a container's health check, which has no curl.
pub(super) async fn run(address: SocketAddr) -> ExitCode {
    let address = reachable(address);
    match timeout(DEADLINE, status_line(address)).await {
        Ok(Ok(line)) if line.starts_with("HTTP/1.1 200") => {
            println!("ready");
            ExitCode::SUCCESS
        }
        Ok(Ok(_)) => fail(1, "not ready"),
        Ok(Err(error)) => fail(1, &format!("no answer from {address}: {error}")),
        Err(_) => fail(1, "no answer in time"),
    }
}

/// A daemon that listens everywhere is asked over loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port())
}

async fn status_line(address: SocketAddr) -> io::Result<String> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut line = Vec::with_capacity(ENOUGH);
    socket.take(ENOUGH as u64).read_to_end(&mut line).await?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}
