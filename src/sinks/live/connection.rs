//! A WebSocket connection with a live consumer: sends items, answers pings, and closes with a reason.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use super::delivery_acks::DeliveryAcks;
use super::encoder::Encoder;
use super::request::Policy;
use super::source::{Item, Source};
use super::ticker::Ticker;
use super::wire;
use crate::hub::Followed;
use crate::model::Medium;
use crate::wake_flag::{WakeFlag, WakeFlags, when_woken};

/// Proxies close connections that are silent for a minute.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A peer that has been silent this long is disconnected.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// How long a consumer may take to read what is written at once.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// A write that took this long was blocked on the consumer, which has read since.
const BLOCKED: Duration = Duration::from_millis(100);
/// How long the closing handshake may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(4);
/// The approximate size of what is written between two flushes.
const WRITE_BYTES: usize = 64 * 1024;
/// How often the encoder sends the silence that is due.
const TICK: Duration = Duration::from_millis(20);
/// The longest message of a consumer. Twilio's servers send speech back, which is not played.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// More than the longest message, which is a picture in base64.
const MAX_WRITE_BUFFER_BYTES: usize = 64 * 1024 * 1024;

/// The close code for a consumer that loses frames although it asked not to.
const TOO_SLOW: u16 = 4008;
/// The close code for a consumer that was silent.
const SILENT: u16 = 4009;

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// Everything of the session was sent.
    Session,
    /// The daemon stops, or the connection is cancelled.
    Stopped,
    /// The consumer has closed the connection or is gone.
    Left,
    TooSlow(Medium, u64),
    Silent,
    /// The consumer requests a format that Zoom's data cannot be converted to.
    Unsupported(&'static str),
    /// An internal error.
    Failed,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&close_text(self).1)
    }
}

/// Small buffers: there may be hundreds of consumers, and they send little.
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

/// A connection with a consumer, over a socket of either role.
pub struct Connection<'a, S> {
    socket: &'a mut WebSocketStream<S>,
    source: &'a mut Source,
    encoder: Encoder,
    out: Vec<Message>,
    out_bytes: usize,
    received_at: Instant,
    acks: Option<DeliveryAcks>,
    pings: Ticker,
    /// Set if the encoder sends messages by time alone.
    ticks: Option<Ticker>,
    wakes: Arc<WakeFlags>,
    socket_wake: WakeFlag,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    pub fn new(socket: &'a mut WebSocketStream<S>, source: &'a mut Source) -> Self {
        let (encoder, wakes) = (Encoder::new(source), Arc::default());
        Self {
            socket,
            source,
            out: Vec::new(),
            out_bytes: 0,
            received_at: Instant::now(),
            acks: None,
            pings: Ticker::new(PING_EVERY, &wakes),
            ticks: encoder.is_ticking().then(|| Ticker::new(TICK, &wakes)),
            encoder,
            socket_wake: WakeFlag::of(&wakes),
            wakes,
        }
    }

    /// Tracks which entries are delivered.
    pub fn with_acks(self, acks: DeliveryAcks) -> Self {
        Self { acks: Some(acks), ..self }
    }

    /// Runs until everything is sent or the consumer is gone, then closes.
    pub async fn run(mut self, stop: &CancellationToken) -> CloseReason {
        let reason = tokio::select! {
            // Biased: a stop is seen even while the consumer keeps the other branch busy.
            biased;
            // Polled when woken only: the poll of a token takes a lock that all consumers share.
            () = when_woken(stop.cancelled()) => CloseReason::Stopped,
            reason = self.serve() => reason,
        };
        if reason == CloseReason::Stopped {
            // The frames of a batch that is not due. What cannot be encoded is left out.
            let _ = self.queue_rest();
        }
        tracing::debug!(?reason, "a live connection has ended");
        if reason == CloseReason::Left {
            // The answer to a client's Close is queued until the next flush (RFC 6455, section 5.5.1).
            let _ = timeout(CLOSE_LIMIT, self.socket.flush()).await;
        } else {
            self.close(&reason).await;
        }
        reason
    }

    async fn serve(&mut self) -> CloseReason {
        match self.source.hello().await {
            Ok(hello) => self.out = self.encoder.hello(&hello),
            Err(error) => {
                tracing::warn!(%error, "cannot read the session for a live consumer; its connection is closed");
                return CloseReason::Failed;
            }
        }
        loop {
            if let Err(reason) = self.write().await {
                return reason;
            }
            if let Err(reason) = poll_fn(|cx| self.poll_turn(cx)).await {
                return reason;
            }
        }
    }

    /// Handles what is ready, one of each kind, so that a flood of frames starves neither pongs nor pings.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        self.wakes.register(cx.waker());
        let mut turn = Poll::Pending;
        // Polled when woken only: each read clears the whole read buffer first.
        if let Poll::Ready(received) = self.socket_wake.poll(|cx| self.socket.poll_next_unpin(cx)) {
            self.receive(received)?;
            turn = Poll::Ready(Ok(()));
        }
        if self.pings.is_due() {
            self.ping()?;
            turn = Poll::Ready(Ok(()));
        }
        if self.ticks.as_mut().is_some_and(Ticker::is_due) {
            self.encoder.tick(&mut self.out);
            turn = Poll::Ready(Ok(()));
        }
        if let Poll::Ready(item) = self.source.poll_next(cx) {
            self.queue(item)?;
            turn = Poll::Ready(Ok(()));
        }
        turn
    }

    /// Queues an item and the other items that are ready.
    fn queue(&mut self, item: Item) -> Result<(), CloseReason> {
        let mut next = Some(item);
        while let Some(item) = next {
            self.queue_one(&item)?;
            next = if self.out_bytes < WRITE_BYTES { self.source.try_next() } else { None };
        }
        Ok(())
    }

    fn queue_one(&mut self, item: &Item) -> Result<(), CloseReason> {
        match item {
            Item::Frame(frame) => self.out_bytes += frame.payload.len(),
            Item::Dropped(medium, count) if self.source.request().policy == Policy::Disconnect => {
                return Err(CloseReason::TooSlow(*medium, *count));
            }
            Item::Entry(Followed::Entry { entry, .. }, _) => {
                if let Some(acks) = &mut self.acks {
                    acks.sent(entry);
                }
            }
            Item::Entry(Followed::End { .. }, _) if self.source.request().session.is_some() => {
                // Frames that came since the end was read.
                self.queue_rest()?;
                self.encode(item)?;
                return Err(CloseReason::Session);
            }
            Item::Failed => return Err(CloseReason::Failed),
            _ => {}
        }
        self.encode(item)
    }

    /// Queues what is left.
    fn queue_rest(&mut self) -> Result<(), CloseReason> {
        while let Some(item) = self.source.try_next() {
            self.encode(&item)?;
        }
        Ok(())
    }

    fn encode(&mut self, item: &Item) -> Result<(), CloseReason> {
        self.encoder.encode(item, &mut self.out).map_err(|error| CloseReason::Unsupported(error.0))
    }

    fn receive(&mut self, received: Option<Result<Message, Error>>) -> Result<(), CloseReason> {
        self.received_at = Instant::now();
        match received {
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(CloseReason::Left),
            Some(Ok(Message::Text(text))) => self.encoder.answer(&text, &mut self.out),
            Some(Ok(Message::Pong(payload))) => {
                if let Some(acks) = &mut self.acks {
                    acks.pong(&payload);
                }
            }
            Some(Ok(_)) => {}
        }
        Ok(())
    }

    fn ping(&mut self) -> Result<(), CloseReason> {
        if self.received_at.elapsed() >= SILENCE_LIMIT {
            return Err(CloseReason::Silent);
        }
        let repeated = self.acks.as_ref().and_then(DeliveryAcks::repeated_ping);
        self.out.push(repeated.unwrap_or_else(|| Message::Ping(Default::default())));
        Ok(())
    }

    async fn write(&mut self) -> Result<(), CloseReason> {
        if let Some(acks) = &mut self.acks {
            self.out.extend(acks.ping());
        }
        self.out_bytes = 0;
        let (socket, out) = (&mut *self.socket, &mut self.out);
        let mut write = pin!(async {
            for message in out.drain(..) {
                socket.feed(message).await?;
            }
            socket.flush().await
        });
        // Most writes finish at once and need no timer.
        if let Some(written) = write.as_mut().now_or_never() {
            return written.map_err(|_| CloseReason::Left);
        }
        let began = Instant::now();
        match timeout(WRITE_LIMIT, write).await {
            Ok(Ok(())) => {
                // A pong may be queued behind a lot of unread data.
                if began.elapsed() >= BLOCKED {
                    self.received_at = Instant::now();
                }
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(CloseReason::Left),
        }
    }

    async fn close(&mut self, reason: &CloseReason) {
        self.encoder.goodbye(&mut self.out);
        if let CloseReason::Unsupported(problem) = reason {
            self.out.push(Message::text(wire::error_message("unsupported", (*problem).to_owned())));
        }
        let (code, text) = close_text(reason);
        let goodbye = async {
            self.write().await?;
            close_socket(self.socket, code, text).await;
            Ok::<_, CloseReason>(())
        };
        // A peer that does not answer is dropped.
        let _ = timeout(CLOSE_LIMIT, goodbye).await;
    }
}

fn close_text(reason: &CloseReason) -> (u16, String) {
    match reason {
        CloseReason::Session => (1000, "the session has ended".into()),
        CloseReason::Stopped => (1001, "the server has stopped this connection".into()),
        CloseReason::Left => (1000, "the client has left".into()),
        CloseReason::TooSlow(medium, count) => {
            (TOO_SLOW, format!("too slow: {count} {} frames were dropped", medium.as_str()))
        }
        CloseReason::Silent => (SILENT, "no message from the client in time".into()),
        CloseReason::Unsupported(problem) => (1008, (*problem).to_owned()),
        CloseReason::Failed => (1011, "an internal error of this server".into()),
    }
}

/// Closes the connection and waits for the answer.
async fn close_socket<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    code: u16,
    mut reason: String,
) {
    // A control frame has at most 125 bytes, two of them for the code.
    reason.truncate(reason.floor_char_boundary(123));
    let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from(reason) };
    if socket.close(Some(frame)).await.is_ok() {
        // Until the peer's close frame: dropping the socket earlier could reset it before the rest is read.
        while let Some(Ok(_)) = socket.next().await {}
    }
}

/// Sends what is wrong with a request, and closes.
pub async fn refuse_request<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    code: &str,
    detail: String,
) {
    let refusal = async {
        let text = wire::error_message(code, detail.clone());
        if socket.send(Message::text(text)).await.is_ok() {
            close_socket(socket, CloseCode::Policy.into(), detail).await;
        }
    };
    // A peer that does not answer is dropped.
    let _ = timeout(CLOSE_LIMIT, refusal).await;
}

/// The first text that a consumer sends; `None` if it leaves before.
pub async fn first_text<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
) -> Option<String> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return Some(text.as_str().to_owned()),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}
