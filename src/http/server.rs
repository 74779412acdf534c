//! The accept loop: a bound on connections, headers, waits and on the way out.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::stall::StallTimeout;

/// Headers in one request; real ones have about twenty.
const MAX_HEADERS: usize = 64;
/// The request line and all headers together, and what is buffered of a body.
const MAX_BUFFER_BYTES: usize = 32 * 1024;
/// How long to wait when the process has no file left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A connection's bytes, for what they become when HTTP is left behind.
pub type Socket = StallTimeout<TcpStream>;

/// The bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections. One more waits in the kernel's backlog until another ends, and every one
    /// that is slow or idle ends.
    pub connections: usize,
    /// From the start of a connection, or the end of the response before, to the last header of a request.
    pub header_timeout: Duration,
    /// How long a client may read nothing of what we write.
    pub write_timeout: Duration,
    /// How long running requests may take after the stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// Serves until `stop`, then lets running requests end within the grace and cuts the rest.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let slot =
                Arc::clone(&slots).acquire_owned().await.expect("the semaphore is not closed");
            (slot, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => note(ended),
            (slot, accepted) = next => match accepted {
                Ok((socket, _)) => {
                    let connection = converse(socket, router.clone(), limits, stop.clone());
                    connections.spawn(async move {
                        let _slot = slot;
                        connection.await;
                    });
                }
                Err(error) => survive(&error).await,
            },
        }
    }
    drop(listener);
    drain(connections, limits.grace).await;
}

/// One connection, to its end.
async fn converse(socket: TcpStream, router: Router, limits: Limits, stop: CancellationToken) {
    // Events are small and must not wait for each other.
    let _ = socket.set_nodelay(true);
    let io = TokioIo::new(StallTimeout::new(socket, limits.write_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(io, TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// An aborted handshake is the peer's matter; running out of files is ours, and passes.
async fn survive(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn drain(mut connections: JoinSet<()>, grace: Duration) {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    };
    if tokio::time::timeout(grace, all_ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "cut connections after the grace");
        connections.shutdown().await;
    }
}

/// A panic outside a handler, say in a streamed body, has ended its own connection only.
fn note(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection's task panicked");
    }
}
