use std::io;
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
pub(super) async fn run(port: &str) -> ExitCode {
    match timeout(DEADLINE, status_line(port)).await {
        Ok(Ok(line)) if line.starts_with("HTTP/1.1 200") => {
            println!("ready");
            ExitCode::SUCCESS
        }
        Ok(Ok(_)) => fail(1, "not ready"),
        Ok(Err(error)) => fail(1, &format!("no answer on port {port}: {error}")),
        Err(_) => fail(1, "no answer in time"),
    }
}

async fn status_line(port: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
    socket.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut line = Vec::with_capacity(ENOUGH);
    socket.take(ENOUGH as u64).read_to_end(&mut line).await?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}
