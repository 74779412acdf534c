//! The accept loop, with bounds on connections, headers, waits and the shutdown.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::client_address::Peer;
use super::connections::{Connections, Slot};
use super::write_timeout::StallTimeout;

/// The most headers in one request; real ones have about twenty.
const MAX_HEADERS: usize = 64;
/// The limit of a body's buffer, and of the request line plus all headers while they are incomplete. hyper reads at most
/// as much again before it checks, so a head of up to twice this size is admitted.
const MAX_BUFFER_BYTES: usize = 32 * 1024;
/// The pause when the process has no file descriptor left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The socket of a connection, also after an upgrade from HTTP.
pub type Socket = StallTimeout<TcpStream>;

/// The bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections. One more takes the place of one that is silent, slow with its request or slow to read its
    /// answer; while all of them are being answered, it waits in the kernel's backlog.
    pub connections: usize,
    /// From the start of a connection to its first byte.
    pub first_byte_timeout: Duration,
    /// From the start of a connection, or the end of the previous response, to the last header of a request.
    pub header_timeout: Duration,
    /// How long a client may fail to read what is written.
    pub write_timeout: Duration,
    /// How long running requests may take after the stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            first_byte_timeout: Duration::from_secs(3),
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// Serves until `stop`, then lets running requests finish within the grace and cuts the rest.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let open = Connections::new(limits.connections);
    let mut connections = JoinSet::new();
    let mut accepted = None;
    loop {
        let next = accept_connection(&listener, &open, &mut accepted);
        tokio::select! {
            // Biased: a stop wins over a flood of connections, and ended tasks are reaped before new ones are added.
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => log_panic(ended),
            next = next => match next {
                Ok((socket, slot)) => {
                    connections.spawn(serve_connection(socket, slot, router.clone(), limits, stop.clone()));
                }
                Err(error) => wait_for_descriptors(&error).await,
            },
        }
    }
    // Closed first: the kernel refuses new connections at once, and a load balancer goes elsewhere.
    drop(listener);
    if let Some((socket, peer)) = accepted {
        connections.spawn(async move {
            let slot = open.enter(peer.ip()).await;
            serve_connection(socket, slot, router, limits, stop).await;
        });
    }
    drain_connections(connections, limits.grace).await;
}

/// The next connection, once there is a slot for it. `accepted` holds it meanwhile, so that this is cancel-safe.
async fn accept_connection(
    listener: &TcpListener,
    open: &Arc<Connections>,
    accepted: &mut Option<(TcpStream, SocketAddr)>,
) -> io::Result<(TcpStream, Slot)> {
    let (socket, peer) = match accepted.take() {
        Some(waiting) => waiting,
        None => listener.accept().await?,
    };
    // Kept across the wait below: dropping an accepted socket would reset a client for nothing.
    let (_, peer) = accepted.insert((socket, peer));
    let slot = open.enter(peer.ip()).await;
    let (socket, _) = accepted.take().expect("it was put there above");
    Ok((socket, slot))
}

/// Serves one connection to its end, or until another needs its slot.
async fn serve_connection(
    socket: TcpStream,
    slot: Slot,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let talk = async {
        // Allocate buffers only after the client has sent its first byte.
        // `peek` leaves the byte for hyper. Zero bytes: the client has closed.
        let first_byte = timeout(limits.first_byte_timeout, socket.peek(&mut [0])).await;
        if matches!(first_byte, Ok(Ok(1..))) {
            serve_requests(socket, &slot, router, limits, &stop).await;
        }
    };
    let settle = async {
        slot.settle().await;
        pending::<()>().await;
    };
    tokio::select! {
        // Biased: a request that has come is read before the connection counts as silent.
        biased;
        () = talk => {}
        () = settle => {}
        () = slot.lost() => tracing::debug!("closed a silent or slow connection for a new request"),
    }
}

async fn serve_requests(
    socket: TcpStream,
    slot: &Slot,
    router: Router,
    limits: Limits,
    stop: &CancellationToken,
) {
    // Events are small and must not wait for each other.
    let _ = socket.set_nodelay(true);
    let io = TokioIo::new(StallTimeout::new(socket, limits.write_timeout));
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| respond_bounded(&router, slot, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(io, service)
        // Needed for WebSockets; the connection's task ends when hyper hands the socket over.
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        // Biased: a request that has come is read first. A connection of which nothing was read would be closed as idle.
        biased;
        ended = connection.as_mut() => ended,
        // An idle keep-alive connection closes at once; a running request is answered with `connection: close`.
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early; it is closed");
    }
}

async fn respond_bounded(
    router: &TowerToHyperService<Router>,
    slot: &Slot,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    let progress = slot.request(&body);
    let mut request = Request::from_parts(head, progress.receive(body));
    request.extensions_mut().insert(Peer(slot.peer()));
    if let Some(overload) = progress.overload() {
        request.extensions_mut().insert(overload);
    }
    // `call` never fails: the router's error is `Infallible`, and errors are responses.
    let mut response = router.call(request).await?;
    if progress.is_last() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| progress.answer(body)))
}

/// Pauses if the process has no file descriptors left, which passes. An aborted handshake concerns the peer only.
async fn wait_for_descriptors(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection; trying again shortly");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn drain_connections(mut connections: JoinSet<()>, grace: Duration) {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    if tokio::time::timeout(grace, all_ended).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "the grace is over; cut the remaining connections"
        );
        // Aborts the tasks and waits for them, so that none holds the store when it is closed.
        connections.shutdown().await;
    }
}

/// Logs a panic outside a handler, such as in a streamed body. It ended only its own connection.
fn log_panic(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection's task panicked; the connection is closed");
    }
}
