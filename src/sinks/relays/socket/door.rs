//! Accepts a socket: reads its first message and hands it to its program's task.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{CLOSE_LIMIT, Outbox, SocketTask, close_socket};
use crate::model::{Medium, RelayId, StreamId};
use crate::rtms::server::handshake::{Handshake, Rejection, Route, parse_handshake};
use crate::rtms::server::message;
use crate::rtms::server::refusal::Refusal;
use crate::sinks::relays::Relays;
use crate::sinks::relays::program::{Input, ProgramHandle};

/// How long a new socket may take to send its first message.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long a handshake waits for a stream that is announced and does not run here yet, as after a restart.
const STREAM_LIMIT: Duration = Duration::from_secs(8);
/// How often the stream is looked up.
const STREAM_INTERVAL: Duration = Duration::from_millis(50);
/// The most messages that wait for a program that does not read.
const MAX_COMMANDS: usize = 1024;

/// The place of a socket that has not sent its first message.
pub struct Arriving {
    _permit: OwnedSemaphorePermit,
}

/// The relay and the route at which a socket was opened.
pub struct Door {
    relays: Relays,
    relay: RelayId,
    route: Route,
}

impl Relays {
    /// A place for a new socket. `None` if too many sockets have not sent their first message, which anybody can open.
    pub fn arriving(&self) -> Option<Arriving> {
        let permit = Arc::clone(&self.inner().arriving).try_acquire_owned();
        permit.ok().map(|_permit| Arriving { _permit })
    }

    /// The door of a path. `rest` is the part after the relay's id; `None` if there is no such relay or route.
    pub fn door(&self, relay: RelayId, rest: &str) -> Option<Door> {
        self.known(relay)?;
        let route = match rest {
            "signaling" => Route::Signaling(0),
            "media/all" => Route::Media(None),
            "media/deskshare" => Route::Media(Some(Medium::Share)),
            rest => Route::Media(Some(Medium::parse(rest.strip_prefix("media/")?)?)),
        };
        Some(Door { relays: self.clone(), relay, route })
    }
}

impl Door {
    /// Serves a socket to its end.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        mut socket: WebSocketStream<S>,
        arriving: Arriving,
    ) {
        let Ok(Some(first)) = timeout(HANDSHAKE_LIMIT, first_message(&mut socket)).await else {
            return;
        };
        drop(arriving);
        let handshake = match parse_handshake(self.route, &first) {
            Ok(handshake) => handshake,
            Err(rejection) => return refuse(socket, &rejection).await,
        };
        match self.program(&handshake).await {
            Some(Ok(program)) => self.join(socket, handshake, &program).await,
            Some(Err(refusal)) => refuse(socket, &handshake.refuse(refusal)).await,
            // Without an answer, so that the program tries again.
            None => {}
        }
    }

    /// Waits for the program's task: after a restart a stream may not run here yet. `None` if that takes too long.
    async fn program(&self, handshake: &Handshake) -> Option<Result<ProgramHandle, Refusal>> {
        let Ok(stream_id) = StreamId::parse(&handshake.stream_id) else {
            return Some(Err(Refusal::STREAM_ID));
        };
        let key = (self.relay, stream_id);
        let until = Instant::now() + STREAM_LIMIT;
        loop {
            // A task that is ending is followed by another, as after a change of the relay.
            let program = self.relays.programs().get(&key).cloned();
            if let Some(program) = program.filter(|program| !program.is_closed()) {
                return Some(Ok(program));
            }
            let store = &self.relays.inner().store;
            let announced = store.relay_stream(self.relay, &key.1).await;
            let Ok(Some(announced)) = announced else {
                return announced.is_ok().then_some(Err(Refusal::STREAM_ID));
            };
            let streams = store.streams_of(announced.session_id).await.ok()?;
            let is_over = |id: &StreamId| {
                let found = streams.iter().find(|stream| stream.stream_id == *id);
                found.is_none_or(|stream| stream.ended_at_ms.is_some())
            };
            match is_over(&key.1) {
                true => return Some(Err(Refusal::STREAM_ID)),
                false if Instant::now() >= until => return None,
                false => sleep(STREAM_INTERVAL).await,
            }
        }
    }

    async fn join<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: WebSocketStream<S>,
        handshake: Handshake,
        program: &ProgramHandle,
    ) {
        let id = self.relays.next_socket();
        let (sender, commands) = mpsc::channel(MAX_COMMANDS);
        let kill = CancellationToken::new();
        let outbox = Outbox { commands: sender, kill: kill.clone() };
        let input = Input::Handshake { socket: id, handshake, outbox };
        if program.inbox.send(input).await.is_err() {
            return;
        }
        let inbox = program.inbox.clone();
        let mut task = SocketTask { socket, id, commands, inbox, flow: None, finish: None };
        let code = kill.run_until_cancelled(task.run()).await.flatten();
        // First releases the taps, which the program's next socket needs.
        drop(task);
        let _ = program.inbox.send(Input::Lost { socket: id, code }).await;
    }
}

/// The first text or binary message; `None` if the program leaves before.
async fn first_message<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
) -> Option<String> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return Some(text.as_str().to_owned()),
            Message::Binary(bytes) => return Some(String::from_utf8_lossy(&bytes).into_owned()),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

/// Answers with the refusal and closes.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    rejection: &Rejection,
) {
    let refusal = async {
        let text = message::handshake_refused(rejection.answer, rejection.refusal);
        if socket.send(Message::text(text)).await.is_ok() {
            close_socket(&mut socket).await;
        }
    };
    let _ = timeout(CLOSE_LIMIT, refusal).await;
}
