//! One WebSocket of a client: the first message finds its stream, then texts go both ways.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::handshake::{self, Handshake};
use super::meeting::Input;
use super::quirk::{Quirk, Quirks};
use super::state::SimulatorState;
use super::transport::Transport;
use super::{lock, wire};

pub(super) type WebSocket = WebSocketStream<Transport>;
type Writer = SplitSink<WebSocket, Message>;
type Reader = SplitStream<WebSocket>;

/// Texts that wait for a slow client.
const QUEUE: usize = 512;
/// Texts written between two flushes.
const BATCH: usize = 64;
/// The longest message of a client: handshakes have about 1 kB.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// Which way a socket came in; the first message says the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// The signaling URL of this server number.
    Signaling(u32),
    /// A media URL; `None` is the one for everything.
    Media(Option<crate::rtms::message::Medium>),
    /// A bare host: the first message decides.
    Any,
}

/// How a socket ended, seen from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// TCP ended or broke.
    Dropped,
    /// The client's Close frame, with its code.
    Closed(u16),
}

enum Kill {
    Drop,
    Reset,
}

enum Queued {
    Message(Message),
    /// A text in pieces.
    Fragments(Utf8Bytes),
    Stall(Duration),
}

/// The writing end of a socket. Dropping it writes what is queued and then a Close frame 1000.
pub(super) struct Outbox {
    queue: mpsc::Sender<Queued>,
    kill: oneshot::Sender<Kill>,
    quirks: Arc<Quirks>,
}

impl Outbox {
    /// Whether the text was taken; never waits for the client.
    pub(super) fn send(&self, text: String) -> bool {
        let text = Utf8Bytes::from(self.quirks.alter_message(text));
        let queued = if self.quirks.has(Quirk::FragmentedFrames) {
            Queued::Fragments(text)
        } else if self.quirks.has(Quirk::BinaryFrames) {
            Queued::Message(Message::Binary(text.into()))
        } else {
            Queued::Message(Message::Text(text))
        };
        self.queue.try_send(queued).is_ok()
    }

    /// With the quirks of the meeting that the socket turned out to belong to.
    pub(super) fn with_quirks(self, quirks: Arc<Quirks>) -> Self {
        Self { quirks, ..self }
    }

    /// Whether the socket is gone, even if nobody has been told yet.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// How many texts the queue would take now.
    pub(super) fn room(&self) -> usize {
        self.queue.capacity()
    }

    pub(super) fn stall(&self, wait: Duration) -> bool {
        self.queue.try_send(Queued::Stall(wait)).is_ok()
    }

    /// Ends TCP at once, without a Close frame.
    pub(super) fn drop_tcp(self) {
        let _ = self.kill.send(Kill::Drop);
    }

    pub(super) fn reset_tcp(self) {
        let _ = self.kill.send(Kill::Reset);
    }
}

/// What every WebSocket of the simulator is bounded by. Small buffers: a load run has thousands.
pub(super) fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(8 << 10)
        .max_write_buffer_size(16 << 20)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

/// Runs one socket to its end.
pub(super) async fn serve_socket(state: Arc<SimulatorState>, route: Route, mut socket: WebSocket) {
    let handshake_timeout = state.settings.timings.wait(state.settings.timings.handshake_ms);
    let first = tokio::select! {
        () = state.stop.cancelled() => return,
        first = timeout(handshake_timeout, first_message(&mut socket)) => first,
    };
    let Ok(Some(first)) = first else {
        lock(&state.strays).silent_sockets += 1;
        return;
    };
    let handshake = match handshake::parse_handshake(route, &first) {
        Ok(handshake) => handshake,
        Err(rejection) => return reject_socket(&state, socket, &rejection).await,
    };
    let Some(inbox) = state.directory.inbox_of_stream(&handshake.stream_id) else {
        return reject_socket(&state, socket, &handshake.unknown_stream()).await;
    };
    let (queue, queued) = mpsc::channel(QUEUE);
    let (kill, killed) = oneshot::channel();
    let id = state.next_socket_id();
    let rejection = handshake.unknown_stream();
    let outbox = Outbox { queue, kill, quirks: Arc::default() };
    let input = Input::Handshake { socket: id, handshake, outbox };
    if inbox.send(input).await.is_err() {
        return reject_socket(&state, socket, &rejection).await;
    }
    let grace = close_grace(&state);
    let loss = pump_messages(socket, id, &inbox, (queued, killed), grace).await;
    let _ = inbox.send(Input::Lost { socket: id, loss }).await;
}

fn close_grace(state: &SimulatorState) -> Duration {
    state.settings.timings.wait(state.settings.timings.close_ms)
}

/// Both directions at once: a client that reads slowly must still be heard.
async fn pump_messages(
    socket: WebSocket,
    id: u64,
    inbox: &mpsc::Sender<Input>,
    (queued, killed): (mpsc::Receiver<Queued>, oneshot::Receiver<Kill>),
    grace: Duration,
) -> Loss {
    let (mut writer, mut reader) = socket.split();
    let kill = tokio::select! {
        biased;
        kill = wait_for_kill(killed) => kill,
        loss = read_all(&mut reader, id, inbox) => return loss,
        () = write_all(&mut writer, queued) => {
            let _ = timeout(grace, close_socket(&mut writer, &mut reader)).await;
            return Loss::Dropped;
        }
    };
    if let (Kill::Reset, Ok(socket)) = (kill, writer.reunite(reader)) {
        socket.get_ref().reset_on_drop();
    }
    Loss::Dropped
}

/// An outbox that is dropped orders nothing: the queue then ends by itself.
async fn wait_for_kill(killed: oneshot::Receiver<Kill>) -> Kill {
    match killed.await {
        Ok(kill) => kill,
        Err(_) => pending().await,
    }
}

async fn read_all(reader: &mut Reader, id: u64, inbox: &mpsc::Sender<Input>) -> Loss {
    loop {
        let text = match reader.next().await {
            Some(Ok(Message::Text(text))) => Ok(text.as_str().to_owned()),
            Some(Ok(Message::Binary(bytes))) => String::from_utf8(bytes.into()).map_err(drop),
            Some(Ok(Message::Close(frame))) => {
                return Loss::Closed(frame.map_or(1005, |frame| frame.code.into()));
            }
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => return Loss::Dropped,
        };
        let text = text.unwrap_or_default();
        if inbox.send(Input::Text { socket: id, text }).await.is_err() {
            // The meeting is over: wait for the writer to say goodbye.
            return pending().await;
        }
    }
}

/// Returns when the outbox is gone and everything is written, or when the client is gone.
async fn write_all(writer: &mut Writer, mut queued: mpsc::Receiver<Queued>) {
    while let Some(first) = queued.recv().await {
        let mut next = Some(first);
        let mut stall = None;
        for _ in 0..BATCH {
            match next.take().or_else(|| queued.try_recv().ok()) {
                Some(Queued::Message(message)) => {
                    if writer.feed(message).await.is_err() {
                        return pending().await;
                    }
                }
                Some(Queued::Fragments(text)) => {
                    for fragment in into_fragments(text) {
                        if writer.feed(Message::Frame(fragment)).await.is_err() {
                            return pending().await;
                        }
                    }
                }
                Some(Queued::Stall(wait)) => {
                    stall = Some(wait);
                    break;
                }
                None => break,
            }
        }
        if writer.flush().await.is_err() {
            // The reader sees the loss and says what it was.
            return pending().await;
        }
        if let Some(wait) = stall {
            sleep(wait).await;
        }
    }
}

/// Three pieces, cut wherever a third ends.
fn into_fragments(text: Utf8Bytes) -> [Frame; 3] {
    let bytes = Bytes::from(text);
    let (first, second) = (bytes.len() / 3, bytes.len() * 2 / 3);
    let continued = |piece, is_last| Frame::message(piece, OpCode::Data(Data::Continue), is_last);
    [
        Frame::message(bytes.slice(..first), OpCode::Data(Data::Text), false),
        continued(bytes.slice(first..second), false),
        continued(bytes.slice(second..), true),
    ]
}

/// The closing handshake, begun by the server.
async fn close_socket(writer: &mut Writer, reader: &mut Reader) {
    let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
    if writer.send(Message::Close(Some(frame))).await.is_ok() {
        while let Some(Ok(_)) = reader.next().await {}
    }
}

async fn first_message(socket: &mut WebSocket) -> Option<String> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return Some(text.as_str().to_owned()),
            Message::Binary(bytes) => {
                return Some(String::from_utf8(bytes.into()).unwrap_or_default());
            }
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

/// Answers a first message that belongs to no stream, and closes.
async fn reject_socket(
    state: &SimulatorState,
    socket: WebSocket,
    rejection: &handshake::Rejection,
) {
    lock(&state.strays).refused(rejection.refusal);
    let answer = wire::handshake_refused(rejection.answer, rejection.refusal);
    let (mut writer, mut reader) = socket.split();
    let goodbye = async {
        if writer.send(Message::Text(answer.into())).await.is_ok() {
            close_socket(&mut writer, &mut reader).await;
        }
    };
    let _ = timeout(close_grace(state), goodbye).await;
}

impl Handshake {
    /// The refusal when nothing live has its stream id.
    fn unknown_stream(&self) -> handshake::Rejection {
        handshake::Rejection { answer: self.answer, refusal: super::status::Refusal::STREAM_ID }
    }
}
