//! One WebSocket of a client: its first message selects the stream, then messages go both ways until either end.

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

use super::meeting::Input;
use super::quirk::{Quirk, Quirks};
use super::settings::Settings;
use super::state::SimulatorState;
use super::transport::Transport;
use super::{lock, wire};
use crate::rtms::server::handshake::{self, Route};
use crate::rtms::server::refusal::Refusal;

pub(super) type WebSocket = WebSocketStream<Transport>;
type Writer = SplitSink<WebSocket, Message>;
type Reader = SplitStream<WebSocket>;

/// The length of the queue to a client. A client that reads too slowly fills it.
const QUEUE: usize = 512;
/// How many messages are written between two flushes.
const BATCH: usize = 64;
/// The largest message of a client. Handshakes have about 1 kB.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// How a client ended a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// TCP was closed or broke.
    Dropped,
    /// The client sent a Close frame with this code.
    Closed(u16),
}

/// How the server ends a socket without a Close frame.
enum Kill {
    Drop,
    Reset,
}

/// An item in the queue to a client.
enum Queued {
    Message(Message),
    /// A text message that is sent in fragments.
    Fragments(Utf8Bytes),
    /// A fault: write nothing for this long.
    Stall(Duration),
}

/// The sending end of a socket. Dropping it writes the queued messages and then a Close frame.
pub(super) struct Outbox {
    queue: mpsc::Sender<Queued>,
    kill: oneshot::Sender<Kill>,
    quirks: Arc<Quirks>,
}

impl Outbox {
    /// Queues a message without waiting. Returns false if the queue is full or the socket is gone.
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

    /// Applies these quirks from now on: those of the meeting to which the first message assigned the socket.
    pub(super) fn with_quirks(self, quirks: Arc<Quirks>) -> Self {
        Self { quirks, ..self }
    }

    /// Whether the socket is gone, even if its `Input::Lost` has not yet been handled.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// How many messages the queue has room for.
    pub(super) fn room(&self) -> usize {
        self.queue.capacity()
    }

    /// Writes nothing for this long, after what is already queued. Returns false if the queue is full.
    pub(super) fn stall(&self, wait: Duration) -> bool {
        self.queue.try_send(Queued::Stall(wait)).is_ok()
    }

    /// Closes TCP at once, without a Close frame.
    pub(super) fn drop_tcp(self) {
        // Fails only if the socket has already ended.
        let _ = self.kill.send(Kill::Drop);
    }

    /// Resets TCP at once.
    pub(super) fn reset_tcp(self) {
        let _ = self.kill.send(Kill::Reset);
    }
}

/// The limits of every WebSocket. Buffers are small because a load run has thousands of sockets.
pub(super) fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(8 << 10)
        .max_write_buffer_size(16 << 20)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

/// Serves one socket until it ends.
pub(super) async fn serve_socket(state: Arc<SimulatorState>, route: Route, mut socket: WebSocket) {
    let handshake_timeout = state.settings.timings.wait(state.settings.timings.handshake_ms);
    let first = tokio::select! {
        () = state.stop.cancelled() => return,
        // Bounded, or sockets that never speak would use up the connections.
        first = timeout(handshake_timeout, first_message(&mut socket)) => first,
    };
    let Ok(Some(first)) = first else {
        // No answer: without a message there is no type of answer to choose.
        lock(&state.strays).silent_sockets += 1;
        return;
    };
    let handshake = match handshake::parse_handshake(route, &first) {
        Ok(handshake) => handshake,
        Err(rejection) => return reject_socket(&state, socket, &rejection).await,
    };
    let Some(inbox) = state.directory.inbox_of_stream(&handshake.stream_id) else {
        return reject_socket(&state, socket, &handshake.refuse(Refusal::STREAM_ID)).await;
    };
    let (queue, queued) = mpsc::channel(QUEUE);
    let (kill, killed) = oneshot::channel();
    let id = state.next_socket_id();
    // Made now, because the handshake moves to the meeting, which may end before it reads it.
    let rejection = handshake.refuse(Refusal::STREAM_ID);
    let outbox = Outbox { queue, kill, quirks: Arc::default() };
    let input = Input::Handshake { socket: id, handshake, outbox };
    if inbox.send(input).await.is_err() {
        return reject_socket(&state, socket, &rejection).await;
    }
    let closing = Closing::of(&state.settings);
    let loss = pump_messages(socket, id, &inbox, (queued, killed), closing).await;
    // Ignore the error: the meeting has ended, and the stream with it.
    let _ = inbox.send(Input::Lost { socket: id, loss }).await;
}

/// How sockets are closed.
#[derive(Clone, Copy)]
struct Closing {
    code: CloseCode,
    /// How long a closing socket may take to write its queue and to receive the client's Close frame.
    grace: Duration,
}

impl Closing {
    fn of(settings: &Settings) -> Self {
        let grace = settings.timings.wait(settings.timings.close_ms);
        Self { code: settings.close_code.into(), grace }
    }

    /// Starts the closing handshake and waits for the client's Close frame.
    async fn close(self, writer: &mut Writer, reader: &mut Reader) {
        let frame = CloseFrame { code: self.code, reason: Utf8Bytes::from_static("") };
        if writer.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = reader.next().await {}
        }
    }
}

/// Reads and writes concurrently, so that a client that reads slowly is still heard. Returns how the socket ended.
async fn pump_messages(
    socket: WebSocket,
    id: u64,
    inbox: &mpsc::Sender<Input>,
    (queued, killed): (mpsc::Receiver<Queued>, oneshot::Receiver<Kill>),
    closing: Closing,
) -> Loss {
    let (mut writer, mut reader) = socket.split();
    let kill = tokio::select! {
        // A kill comes first: the writer must not get to send a Close frame when its queue ends by the same drop.
        biased;
        kill = wait_for_kill(killed) => kill,
        // Polled before `read_all`: what is queued when the client's side ends counts as sent, so it is written first.
        () = write_all(&mut writer, queued) => {
            // The stream has already given this link up, so neither the time-out nor the kind of loss matters.
            let _ = timeout(closing.grace, closing.close(&mut writer, &mut reader)).await;
            return Loss::Dropped;
        }
        loss = read_all(&mut reader, id, inbox) => return loss,
    };
    // The halves belong together, so `reunite` cannot fail. Returning drops the socket.
    if let (Kill::Reset, Ok(socket)) = (kill, writer.reunite(reader)) {
        socket.get_ref().reset_on_drop();
    }
    Loss::Dropped
}

/// Waits for a kill. A dropped outbox sends none; `write_all` then returns instead.
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
            // Zoom's own client sends JSON in binary frames (section 22).
            Some(Ok(Message::Binary(bytes))) => String::from_utf8(bytes.into()).map_err(drop),
            Some(Ok(Message::Close(frame))) => {
                // 1005 stands for a Close frame without a code (RFC 6455, section 7.4.1).
                return Loss::Closed(frame.map_or(1005, |frame| frame.code.into()));
            }
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => return Loss::Dropped,
        };
        // Invalid UTF-8 becomes an empty text, which the stream counts as a breach.
        let text = text.unwrap_or_default();
        if inbox.send(Input::Text { socket: id, text }).await.is_err() {
            // The meeting has ended. Its outboxes are dropped, so the writer closes the socket.
            return pending().await;
        }
    }
}

/// Writes the queue. Returns when the outbox is dropped and the queue is empty; after an error it never returns, and
/// the reader reports the loss.
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
            // The reader knows how the client ended the socket.
            return pending().await;
        }
        if let Some(wait) = stall {
            sleep(wait).await;
        }
    }
}

/// Splits a text into three fragments, wherever a third ends, even inside a character.
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

/// The first text or binary message, or `None` if the socket ends before it.
async fn first_message(socket: &mut WebSocket) -> Option<String> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return Some(text.as_str().to_owned()),
            Message::Binary(bytes) => {
                return Some(String::from_utf8(bytes.into()).unwrap_or_default());
            }
            Message::Close(_) => return None,
            // Pings are answered by the WebSocket library.
            _ => {}
        }
    }
}

/// Refuses a first message that is invalid or names no live stream, and closes the socket.
async fn reject_socket(
    state: &SimulatorState,
    socket: WebSocket,
    rejection: &handshake::Rejection,
) {
    lock(&state.strays).refused(rejection.refusal);
    let answer = wire::handshake_refused(rejection.answer, rejection.refusal);
    let (mut writer, mut reader) = socket.split();
    let closing = Closing::of(&state.settings);
    let goodbye = async {
        if writer.send(Message::Text(answer.into())).await.is_ok() {
            closing.close(&mut writer, &mut reader).await;
        }
    };
    // A client that does not answer the Close frame loses the socket at the end of the time-out.
    let _ = timeout(closing.grace, goodbye).await;
}
