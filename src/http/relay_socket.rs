//! `/relay/{id}/…`: the WebSockets of programs that a stream is served on to. They prove themselves by the signature of
//! their first message, as to Zoom.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::FutureExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::protocol::Role;
use tracing::Instrument;

use super::AppState;
use super::error::ApiError;
use super::extract::{InPath, PathPart};
use super::server::Socket;
use crate::model::RelayId;
use crate::sinks::relays::{Arriving, Door, RelayError, websocket_config};

/// Answers 101, and then serves the program.
pub(super) async fn connect(
    State(state): State<Arc<AppState>>,
    InPath(id): InPath<RelayId>,
    InPath(Rest(rest)): InPath<Rest>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let door = state.relays.door(id, &rest).ok_or(ApiError::UnknownRoute)?;
    let arriving = state.relays.arriving().ok_or(ApiError::Overloaded)?;
    // Created before the 101 is sent: hyper fulfils it when the answer has been written.
    let upgrade = hyper::upgrade::on(&mut request);
    let response = create_response(&request.map(drop)).map_err(|_| ApiError::UpgradeRequired)?;
    let metrics = state.metrics.clone();
    let connection = async move {
        if AssertUnwindSafe(serve(door, arriving, upgrade)).catch_unwind().await.is_err() {
            metrics.panics.inc([]);
            tracing::error!("the task of a program's socket panicked; the socket is closed");
        }
    };
    // On the tracker, because hyper's connection task ends with the upgrade and the shutdown would not wait for it.
    state.live_connections.spawn(connection.in_current_span());
    Ok(response.map(|()| Body::empty()))
}

async fn serve(door: Door, arriving: Arriving, upgrade: OnUpgrade) {
    let upgraded = upgrade.await.ok();
    // The type must be the one that `server` gives to hyper, or the downcast fails.
    let Some(parts) = upgraded.and_then(|io| io.downcast::<TokioIo<Socket>>().ok()) else {
        return;
    };
    // The client may send its first message together with the upgrade; hyper has read it already.
    let (socket, read) = (parts.io.into_inner(), parts.read_buf.into());
    let config = Some(websocket_config());
    let socket = WebSocketStream::from_partially_read(socket, read, Role::Server, config).await;
    door.serve(socket, arriving).await;
}

/// The part of the path behind the relay's id.
pub(super) struct Rest(String);

impl PathPart for Rest {
    const NAME: &'static str = "socket";

    fn read(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn unknown() -> ApiError {
        ApiError::UnknownRoute
    }
}

impl PathPart for RelayId {
    const NAME: &'static str = "id";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn unknown() -> ApiError {
        RelayError::Unknown.into()
    }
}
