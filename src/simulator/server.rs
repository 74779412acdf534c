//! The server on the simulator's one port: TLS if configured, HTTP, and WebSocket upgrades.

use crate::clock;
use crate::model::Medium;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::fault_plan::HangUp;
use super::socket::{self, WebSocket};
use super::state::SimulatorState;
use super::transport::Transport;
use super::{console, oauth, rest};
use crate::rtms::server::handshake::Route;

/// How long a TLS handshake may take, and the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest head of a request.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// The wait after a failed accept. The usual cause is a lack of file descriptors, which a retry at once does not cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the simulator stops.
pub(super) async fn accept_connections(
    state: Arc<SimulatorState>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
) {
    let permits = Arc::new(Semaphore::new(state.settings.max_connections));
    let router = router(&state).with_state(state.clone());
    loop {
        let accepted = tokio::select! {
            () = state.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((tcp, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Over the limit the connection is dropped unanswered, like by a server that is full.
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            let connection = serve_connection(tcp, tls.clone(), router.clone(), Arc::new(permit));
            let stop = state.stop.clone();
            state.connections.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    // Ignore the result: a bad request or a broken connection concerns only its client.
                    _ = connection => {}
                }
            });
        }
    }
}

/// Counts a connection against the limit. Shared, because an upgraded connection outlives its HTTP task.
type ConnectionPermit = Arc<OwnedSemaphorePermit>;

async fn serve_connection(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    permit: ConnectionPermit,
) -> io::Result<()> {
    // Frames are small and due at once; Nagle's algorithm would bunch them.
    tcp.set_nodelay(true)?;
    let transport = match tls {
        None => Transport::Plain(tcp),
        Some(acceptor) => {
            let tls = timeout(HEAD_TIMEOUT, acceptor.accept(tcp)).await??;
            Transport::Tls(Box::new(tls))
        }
    };
    // One for each connection, so that a planned failure closes only its own.
    let hang_up = HangUp::default();
    let router = router.layer(axum::Extension(permit)).layer(axum::Extension(hang_up.clone()));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(transport), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::select! {
        served = served => served.map_err(io::Error::other),
        () = hang_up.0.cancelled() => Ok(()),
    }
}

fn router(state: &Arc<SimulatorState>) -> Router<Arc<SimulatorState>> {
    let ahead_ms = state.settings.clock_ahead_ms;
    Router::new()
        // A client may dial the bare host and port of `server_urls`.
        .route("/", any(|state, request| upgrade_socket(state, Route::Any, request)))
        .route("/ws", any(upgrade_events))
        .route("/signaling/{server}", any(upgrade_signaling))
        .route("/media/{medium}", any(upgrade_media))
        .merge(console::router(state))
        .merge(oauth::router(state))
        .merge(rest::router(state))
        .layer(map_response(move |response: Response| async move { dated(response, ahead_ms) }))
}

/// Dates an answer by Zoom's clock. Without a difference, hyper dates it.
fn dated(mut response: Response, ahead_ms: i64) -> Response {
    if ahead_ms != 0 {
        let at = Timestamp::from_millisecond(clock::now_ms() + ahead_ms).unwrap_or_default();
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&at);
        let date = date.ok().and_then(|date| HeaderValue::try_from(date).ok());
        response.headers_mut().extend(date.map(|date| (header::DATE, date)));
    }
    response
}

async fn upgrade_signaling(
    state: State<Arc<SimulatorState>>,
    Path(server): Path<u32>,
    request: Request,
) -> Response {
    upgrade_socket(state, Route::Signaling(server), request).await
}

async fn upgrade_media(
    state: State<Arc<SimulatorState>>,
    Path(medium): Path<String>,
    request: Request,
) -> Response {
    let route = match medium.as_str() {
        "all" => Route::Media(None),
        // The key that Zoom's own client looks for (section 22).
        "deskshare" => Route::Media(Some(Medium::Share)),
        name => match Medium::parse(name) {
            Some(medium) => Route::Media(Some(medium)),
            None => return StatusCode::NOT_FOUND.into_response(),
        },
    };
    upgrade_socket(state, route, request).await
}

#[derive(Deserialize)]
struct EventsQuery {
    #[serde(rename = "subscriptionId")]
    subscription_id: String,
    access_token: Option<String>,
}

/// The event socket of an app, for a token of the app or of its account (section 23.1).
async fn upgrade_events(
    State(state): State<Arc<SimulatorState>>,
    Query(query): Query<EventsQuery>,
    request: Request,
) -> Response {
    let Some((app, socket)) = state.apps.of_subscription(&query.subscription_id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (app, now_ms) = (app.clone(), clock::now_ms());
    let life =
        query.access_token.as_deref().and_then(|token| app.machine_token_life(token, now_ms));
    if socket.refuses(life.is_some()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let token_ends = Instant::now() + life.unwrap_or_default();
    upgrade(&state, request, move |websocket| async move {
        socket.serve(websocket, token_ends, || app.webhook_sender.note_connection()).await;
    })
}

/// A socket of a stream.
async fn upgrade_socket(
    State(state): State<Arc<SimulatorState>>,
    route: Route,
    request: Request,
) -> Response {
    let own = state.clone();
    upgrade(&state, request, move |websocket| socket::serve_socket(own, route, websocket))
}

/// Answers 101 and serves the connection as a WebSocket. Sub-protocols need no echo (section 22).
fn upgrade<F: Future<Output = ()> + Send + 'static>(
    state: &SimulatorState,
    mut request: Request,
    serve: impl FnOnce(WebSocket) -> F + Send + 'static,
) -> Response {
    let Some(accept) = accept_key(request.headers()) else {
        let wanted = [(header::UPGRADE, "websocket")];
        return (StatusCode::UPGRADE_REQUIRED, wanted).into_response();
    };
    let permit = request.extensions().get::<ConnectionPermit>().cloned();
    let upgraded = hyper::upgrade::on(&mut request);
    let connections = state.connections.clone();
    let cut = state.cut.clone();
    // A task of its own: hyper hands over the connection only after it has written the 101.
    connections.spawn(async move {
        // Keeps the connection counted while the WebSocket lives.
        let _permit = permit;
        // Fails only when the client is gone already.
        let Some(socket) = upgraded.await.ok().and_then(into_transport) else { return };
        let socket = into_socket(socket).await;
        tokio::select! {
            () = cut.cancelled() => {}
            () = serve(socket) => {}
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// `Sec-WebSocket-Accept`, if the request is a WebSocket upgrade (RFC 6455, section 4.2).
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let is_websocket = headers
        .get(header::UPGRADE)?
        .to_str()
        .ok()?
        // The header is a list, and its values are case-insensitive.
        .split(',')
        .any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"));
    let version_fits = headers.get(header::SEC_WEBSOCKET_VERSION)? == "13";
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_websocket && version_fits)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

type Parts = hyper::upgrade::Parts<TokioIo<Transport>>;

fn into_transport(upgraded: hyper::upgrade::Upgraded) -> Option<Parts> {
    upgraded.downcast().ok()
}

async fn into_socket(parts: Parts) -> WebSocket {
    // A client may send message 1 right behind its upgrade request: those bytes are in hyper's buffer.
    let (transport, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
    let config = Some(socket::websocket_config());
    WebSocketStream::from_partially_read(transport, read, Role::Server, config).await
}
