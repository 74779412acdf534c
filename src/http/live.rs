//! `GET …/{id}/live` and `GET /api/v1/live`: frames and entries on a WebSocket.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::FutureExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::protocol::Role;
use tracing::Instrument;

use super::AppState;
use super::auth::{Caller, SUBPROTOCOL, offers_subprotocol};
use super::error::ApiError;
use super::extract::{InPath, Params, known_session, visible_session};
use super::server::Socket;
use crate::hub::Permit;
use crate::metrics::Metrics;
use crate::model::SessionId;
use crate::sinks::live::{self, Connection, Live, NAMES, Request, RequestError, Source};

/// How long a consumer may take to send its request.
const FIRST_MESSAGE_LIMIT: Duration = Duration::from_secs(10);

/// Serves one session.
pub(super) async fn one(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<SessionId>,
    query: Params,
    request: HttpRequest,
) -> Result<Response, ApiError> {
    known_session(&state.store, id).await?;
    upgrade_consumer(&state, caller, Some(id), &query, request).await
}

/// Serves all sessions with streams on this daemon, of the apps that the token may see.
pub(super) async fn all(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    query: Params,
    request: HttpRequest,
) -> Result<Response, ApiError> {
    upgrade_consumer(&state, caller, None, &query, request).await
}

/// Checks the request in the query, answers 101, and then serves the connection.
async fn upgrade_consumer(
    state: &AppState,
    caller: Caller,
    session: Option<SessionId>,
    query: &Params,
    mut http: HttpRequest,
) -> Result<Response, ApiError> {
    // Created before the 101 is sent: hyper fulfils it when the answer has been written.
    let upgrade = hyper::upgrade::on(&mut http);
    let is_offered = offers_subprotocol(http.headers());
    // `create_response` checks method, version, `upgrade`, `connection` and the key (RFC 6455, section 4.2.1).
    let response = create_response(&http.map(drop)).map_err(|_| ApiError::UpgradeRequired)?;
    let asked = query_fields(query);
    let request = match asked.is_empty() {
        true => None,
        false => Some(Request::read(&asked, session)?.within(&caller.apps)),
    };
    if let (None, Some(named)) = (session, request.as_ref().and_then(|request| request.session)) {
        visible_session(&state.store, &caller, named).await?;
    }
    // Before the 101: a consumer that is refused gets an HTTP status instead of a close code.
    let permit = state.hub.enter(caller.entrant()).ok_or(ApiError::TooManySubscribers)?;
    let consumer = Consumer { live: state.live.clone(), caller, session, request, permit };
    let connection = catch_panic(consumer.serve(upgrade), state.metrics.clone());
    // On the tracker, because hyper's connection task ends with the upgrade and the shutdown would not wait for it.
    state.live_connections.spawn(connection.in_current_span());
    let mut response = response.map(|()| Body::empty());
    // A browser that offers subprotocols fails the connection unless one of them is selected.
    if is_offered {
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// The known parameters of the query.
fn query_fields(query: &Params) -> Map<String, Value> {
    let value = |name: &&str| Some(((*name).to_owned(), Value::from(query.get(name)?)));
    NAMES.iter().filter_map(value).collect()
}

/// Runs a connection; a panic ends only this connection.
async fn catch_panic(connection: impl Future<Output = ()>, metrics: Metrics) {
    if AssertUnwindSafe(connection).catch_unwind().await.is_err() {
        metrics.panics.inc([]);
        tracing::error!("a live connection's task panicked; the connection is closed");
    }
}

/// A connected consumer.
struct Consumer {
    live: Live,
    caller: Caller,
    session: Option<SessionId>,
    /// `None`: the request comes in the first message.
    request: Option<Request>,
    permit: Permit,
}

impl Consumer {
    async fn serve(mut self, upgrade: OnUpgrade) {
        let upgraded = upgrade.await.ok();
        // The type must be the one that `server` gives to hyper, or the downcast fails.
        let Some(parts) = upgraded.and_then(|io| io.downcast::<TokioIo<Socket>>().ok()) else {
            return;
        };
        // The client may send its first message together with the handshake; hyper has read it already.
        let (socket, read) = (parts.io.into_inner(), parts.read_buf.into());
        let config = Some(live::websocket_config());
        let mut socket =
            WebSocketStream::from_partially_read(socket, read, Role::Server, config).await;
        let request = match self.request.take() {
            Some(request) => request,
            None => match self.first_message(&mut socket).await {
                Some(request) => request,
                None => return,
            },
        };
        let mut source = Source::open(&self.live, request);
        Connection::new(&mut socket, &mut source).run(&self.live.stop).await;
    }

    /// Returns `None` when the message holds no request that can be served; the consumer gets the reason.
    async fn first_message(&mut self, socket: &mut WebSocketStream<Socket>) -> Option<Request> {
        let first = tokio::select! {
            () = self.live.stop.cancelled() => return None,
            first = timeout(FIRST_MESSAGE_LIMIT, live::first_text(socket)) => first,
        };
        let refused = match first {
            Ok(Some(text)) => match self.read(&text).await {
                Ok(request) => return Some(request),
                Err(error) => error,
            },
            Ok(None) => return None,
            Err(_) => ApiError::NoFirstMessage,
        };
        live::refuse_request(socket, refused.code(), refused.to_string()).await;
        None
    }

    async fn read(&mut self, text: &str) -> Result<Request, ApiError> {
        let asked: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| ApiError::NotJson { line: error.line(), column: error.column() })?;
        let request = Request::read(&asked, self.session)?.within(&self.caller.apps);
        if let Some(session) = request.session {
            visible_session(&self.live.store, &self.caller, session).await?;
        }
        // Not needed in `open`: only a first message can name the cursors of several sessions.
        if !self.permit.hold_cursors(request.cursors()) {
            return Err(ApiError::TooManyCursors);
        }
        Ok(request)
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Value { name, problem } => Self::InvalidValue { name, problem },
            RequestError::UnknownField(name) => Self::UnknownField(name),
        }
    }
}
