//! The WebSockets of programs. Each has a task that reads the program's messages and writes those to it. Frames come
//! from the hub directly to this task, as Zoom sent them.

mod door;
mod flow;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

pub use self::door::{Arriving, Door};
pub(super) use self::flow::{Flow, Lines, Receipts};
use self::flow::{next_frame, next_line};
use super::program::Input;
use crate::hub::{Followed, Tapped};
use crate::rtms::message::msg_type;
use crate::rtms::server::request::Request;
use crate::sinks::live;

/// How long the closing handshake may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Longer than a keep-alive, and shorter than an answer to a handshake.
const LONGEST_KEEP_ALIVE: usize = 128;
/// The approximate size of a batch between two flushes.
const BATCH_BYTES: usize = 64 * 1024;
/// The largest message of a program. Handshakes have about 1 kB.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// The buffers of a live consumer, and a smaller limit: programs send little.
pub fn websocket_config() -> WebSocketConfig {
    live::websocket_config()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

/// A command from the owner of a socket.
pub(super) enum Command {
    Send(String),
    /// Sends media from now on.
    Flow(Box<Flow>),
    /// Sends no media until it flows again.
    Hold,
    /// Sends the rest of the ended stream, and reports when the program has read it.
    Finish,
    /// Closes after everything was sent, unless the program closes within this time.
    Close(Duration),
}

/// The owner's side of a socket. Dropping it ends the connection without a Close frame.
pub(super) struct Outbox {
    commands: mpsc::Sender<Command>,
    kill: CancellationToken,
}

impl Outbox {
    /// False if the program does not read or the socket is gone.
    pub(super) fn send(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.kill.cancel();
    }
}

impl Outbox {
    /// Closes the socket after everything was sent. The program has the time `patience` to close first.
    pub(super) fn close(mut self, patience: Duration) {
        self.send(Command::Close(patience));
        // The drop below must not cut the closing handshake.
        self.kill = CancellationToken::new();
    }
}

/// A socket after its handshake was read.
struct SocketTask<S> {
    socket: WebSocketStream<S>,
    id: u64,
    commands: mpsc::Receiver<Command>,
    inbox: mpsc::Sender<Input>,
    flow: Option<Flow>,
    finish: Option<Finish>,
}

/// The last steps of an ended stream on a socket.
enum Finish {
    /// Not everything was sent.
    Sending,
    /// Everything was sent, and a keep-alive was requested: its answer shows that the program has read everything.
    Asking,
    /// The keep-alive of this timestamp was sent.
    Asked(i64),
}

/// What happens next on a socket.
enum Step {
    Command(Option<Command>),
    Tapped(Tapped),
    Line(Option<Followed>),
    Received(Option<Result<Message, Error>>),
}

/// Why a socket ends: the code of the program's Close frame, if it sent one.
type End = Option<u16>;

impl<S: AsyncRead + AsyncWrite + Unpin> SocketTask<S> {
    /// Runs until either side ends the connection.
    async fn run(&mut self) -> End {
        loop {
            let step = self.step().await;
            let ended = match step {
                Step::Command(command) => self.command(command).await,
                Step::Tapped(tapped) => self.frames(tapped).await,
                Step::Line(followed) => self.lines(followed).await,
                Step::Received(received) => self.receive(received).await,
            };
            if let Err(end) = ended {
                return end;
            }
            if matches!(self.finish, Some(Finish::Sending)) && self.is_drained() {
                self.confirm().await;
            }
        }
    }

    /// Requests a keep-alive before the end: Zoom's own client drops what it has not handled when the stream ends.
    async fn confirm(&mut self) {
        match &mut self.flow {
            Some(flow) => {
                flow.taps = [None, None, None];
                self.finish = Some(Finish::Asking);
                self.report(Input::ReceiptDue { socket: self.id }).await;
            }
            None => self.finished().await,
        }
    }

    async fn finished(&mut self) {
        self.finish = None;
        self.flow = None;
        self.report(Input::Finished { socket: self.id }).await;
    }

    /// Reports to the program's task. If it has ended, this socket ends, too.
    async fn report(&self, input: Input) {
        let _ = self.inbox.send(input).await;
    }

    async fn step(&mut self) -> Step {
        let Self { socket, commands, flow, .. } = self;
        let (taps, lines) = match flow {
            Some(Flow { taps, lines, .. }) => (Some(taps), lines.as_mut()),
            None => (None, None),
        };
        // Not biased, so that a flood of frames starves neither commands nor messages. Every branch is cancel-safe.
        tokio::select! {
            command = commands.recv() => Step::Command(command),
            tapped = next_frame(taps) => Step::Tapped(tapped),
            followed = next_line(lines) => Step::Line(followed),
            received = socket.next() => Step::Received(received),
        }
    }

    async fn command(&mut self, command: Option<Command>) -> Result<(), End> {
        match command {
            Some(Command::Send(text)) => {
                if let Some(at_ms) = keep_alive_ms(&text) {
                    self.asked(at_ms);
                }
                self.write(Message::text(text)).await?;
            }
            Some(Command::Flow(flow)) => self.flow = Some(*flow),
            Some(Command::Hold) => self.flow = None,
            Some(Command::Finish) => self.finish = Some(Finish::Sending),
            Some(Command::Close(patience)) => {
                self.close(patience).await;
                return Err(None);
            }
            None => return Err(None),
        }
        if self.commands.is_empty() { self.flush().await } else { Ok(()) }
    }

    /// Writes a frame and the others that are ready.
    async fn frames(&mut self, tapped: Tapped) -> Result<(), End> {
        let mut written = self.frame(tapped).await?;
        while written < BATCH_BYTES
            && let Some(tapped) = self.try_next_frame()
        {
            written += self.frame(tapped).await?;
        }
        self.flush().await
    }

    fn try_next_frame(&mut self) -> Option<Tapped> {
        let taps = &mut self.flow.as_mut()?.taps;
        taps.iter_mut().flatten().find_map(|tap| tap.try_next())
    }

    /// Writes a frame as Zoom sent it. Returns its bytes.
    async fn frame(&mut self, tapped: Tapped) -> Result<usize, End> {
        let Some(flow) = &mut self.flow else { return Ok(0) };
        match tapped {
            Tapped::Frame(frame) => {
                let Some(wire) = frame.wire().filter(|_| flow.takes(&frame)) else { return Ok(0) };
                flow.has_sent = true;
                self.write(frame_message(wire)).await?;
                Ok(wire.len())
            }
            Tapped::Dropped(medium, _) => {
                let gaps = flow.dropped(medium);
                if !gaps.is_empty() {
                    self.report(Input::Missed(gaps)).await;
                }
                Ok(0)
            }
            Tapped::Settle | Tapped::Over { .. } => Ok(0),
        }
    }

    /// Writes a line and the others that are ready, and asks for a receipt.
    async fn lines(&mut self, followed: Option<Followed>) -> Result<(), End> {
        let mut next = followed;
        loop {
            let Some(lines) = self.flow.as_mut().and_then(|flow| flow.lines.as_mut()) else {
                return Ok(());
            };
            let message = match next {
                Some(Followed::Entry { entry, .. }) => lines.message(&entry),
                Some(Followed::End { .. }) | None => {
                    lines.is_over = true;
                    None
                }
            };
            if let Some(message) = message {
                self.write(message).await?;
            }
            next = match self.flow.as_mut().and_then(|flow| flow.lines.as_mut()) {
                Some(lines) => match lines.entries.try_recv() {
                    Ok(followed) => Some(followed),
                    Err(_) => break,
                },
                None => break,
            };
        }
        self.flush().await?;
        self.ask_for_receipt().await;
        Ok(())
    }

    fn receipts(&mut self) -> Option<&mut Receipts> {
        self.flow.as_mut()?.lines.as_mut()?.receipts.as_mut()
    }

    /// Requests a keep-alive from the program's task: its answer acknowledges the lines.
    async fn ask_for_receipt(&mut self) {
        if self.receipts().is_some_and(|receipts| receipts.are_due()) {
            self.report(Input::ReceiptDue { socket: self.id }).await;
        }
    }

    /// Notes a keep-alive that is sent now.
    fn asked(&mut self, at_ms: i64) {
        if let Some(receipts) = self.receipts() {
            receipts.asked(at_ms);
        }
        if matches!(self.finish, Some(Finish::Asking)) {
            self.finish = Some(Finish::Asked(at_ms));
        }
    }

    /// Handles the answer to the keep-alive of this timestamp.
    async fn answered(&mut self, at_ms: i64) {
        if let Some(receipts) = self.receipts() {
            receipts.answered(at_ms);
        }
        match self.finish {
            Some(Finish::Asked(asked_ms)) if asked_ms == at_ms => self.finished().await,
            // This answers an earlier keep-alive. The program's task sends only one at a time.
            Some(Finish::Asking) => self.report(Input::ReceiptDue { socket: self.id }).await,
            _ => self.ask_for_receipt().await,
        }
    }

    async fn receive(&mut self, received: Option<Result<Message, Error>>) -> Result<(), End> {
        let text = match received {
            Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
            // Zoom's own client sends JSON in binary frames (section 22).
            Some(Ok(Message::Binary(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
            // The library's answer to a Ping waits for a flush.
            Some(Ok(Message::Ping(_))) => return self.flush().await,
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Ok(Message::Close(frame))) => {
                let _ = timeout(CLOSE_LIMIT, self.socket.flush()).await;
                // 1005 stands for a Close frame without a code (RFC 6455, section 7.4.1).
                return Err(Some(frame.map_or(1005, |frame| frame.code.into())));
            }
            Some(Err(_)) | None => return Err(None),
        };
        let answered = answered_ms(&text);
        let input = Input::Text { socket: self.id, text };
        // The program's task has ended, and with it this socket.
        self.inbox.send(input).await.map_err(|_| None)?;
        if let Some(at_ms) = answered {
            self.answered(at_ms).await;
        }
        Ok(())
    }

    fn is_drained(&self) -> bool {
        let Some(flow) = &self.flow else { return true };
        let has_lines = flow.lines.as_ref().is_some_and(|lines| !lines.is_over);
        // The frames are all queued before the stream's last entry is stored.
        !has_lines && flow.taps.iter().flatten().all(|tap| tap.is_empty())
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        self.socket.feed(message).await.map_err(|_| None)
    }

    async fn flush(&mut self) -> Result<(), End> {
        self.socket.flush().await.map_err(|_| None)
    }

    async fn close(&mut self, patience: Duration) {
        let closed_by_program = async { while let Some(Ok(_)) = self.socket.next().await {} };
        if timeout(patience, closed_by_program).await.is_ok() {
            return;
        }
        // A program that does not answer is dropped.
        let _ = timeout(CLOSE_LIMIT, close_socket(&mut self.socket)).await;
    }
}

/// The timestamp of a keep-alive that is sent.
fn keep_alive_ms(text: &str) -> Option<i64> {
    // Other messages of a media socket are answers to handshakes.
    let is_short = text.len() < LONGEST_KEEP_ALIVE;
    let message: Value = is_short.then(|| serde_json::from_str(text).ok())??;
    message["timestamp"].as_i64().filter(|_| message["msg_type"] == msg_type::KEEP_ALIVE_REQ)
}

/// The timestamp of a keep-alive that a program answers.
fn answered_ms(text: &str) -> Option<i64> {
    match Request::parse(text) {
        Ok(Request::KeepAliveAnswer { timestamp }) => timestamp.as_i64(),
        _ => None,
    }
}

/// A frame's message: the bytes that Zoom sent, copied only into the socket's buffer.
fn frame_message(wire: &Bytes) -> Message {
    match Utf8Bytes::try_from(wire.clone()) {
        Ok(text) => Message::Text(text),
        // Cannot happen: the codec replaces what is not UTF-8.
        Err(_) => Message::Binary(wire.clone()),
    }
}

/// Sends a Close frame and waits for the program's.
async fn close_socket<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) {
    let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}
