//! One WebSocket of a stream: dials, reads messages, queues writes, closes. Another transport is another file like this one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{FutureExt, Sink, Stream};
use tokio::task::coop::has_budget_remaining;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::text_frames::TextAsBinary;
use crate::model::Medium;
use crate::net::{Network, Target, Transport, WebSocket, describe};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::stream::LossReason;
use crate::rtms::{Lane, LinkId};

/// The most bytes of unsent messages. Messages to Zoom are small and rare, so a peer that lets them pile up has
/// stopped reading and is disconnected.
const MAX_WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// The largest message that is read, on every link: a QHD picture in base64 has several MB, and sizes are not published
/// (rtms-protocol.md section 4). Buffers grow only when a message needs it.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// One byte more than the limit passes, so that the length shows that the message was cut.
const MAX_PASSED_BYTES: usize = MAX_MESSAGE_BYTES + 1;
/// How many bytes of a message that is too large are kept, to find its type and time.
const HEAD_BYTES: usize = 1024;
/// tungstenite clears its whole read buffer before every read and keeps it for the connection's life. A buffer
/// larger than a frame costs time and memory on every stream.
const SMALL_READ_BUFFER_BYTES: usize = 4 * 1024;
const PICTURE_READ_BUFFER_BYTES: usize = 16 * 1024;

/// One open WebSocket.
pub(super) struct Socket {
    websocket: WebSocket<TextAsBinary<Transport>>,
    unflushed: bool,
    /// Why writing failed. Messages that the peer sent before it went away are still read.
    broken: Option<String>,
}

/// A message from the peer.
pub(super) enum Received {
    Whole(Bytes),
    /// The first bytes of a message that is too large; the rest is discarded.
    TooLarge(Bytes),
}

/// Connects, with TLS and upgrade. The error is for the log and contains no URL path, because a path may name a
/// meeting.
pub(super) async fn dial_link(
    id: LinkId,
    endpoint: Endpoint,
    network: Network,
) -> Result<Socket, String> {
    let wrap = |stream| TextAsBinary::new(stream, MAX_PASSED_BYTES as u64);
    let dialled = network.websocket(target(&endpoint), websocket_config(id), |_| true, wrap).await;
    let websocket = dialled.map_err(|error| error.to_string())?;
    Ok(Socket { websocket, unflushed: false, broken: None })
}

fn target(endpoint: &Endpoint) -> Target<'_> {
    let (host, port, url) = (endpoint.host(), endpoint.port(), endpoint.url());
    Target { host, port, is_tls: endpoint.is_tls(), url }
}

fn websocket_config(id: LinkId) -> WebSocketConfig {
    let read_buffer = match id {
        LinkId::Media(Lane::All | Lane::Only(Medium::Video | Medium::Share)) => {
            PICTURE_READ_BUFFER_BYTES
        }
        _ => SMALL_READ_BUFFER_BYTES,
    };
    WebSocketConfig::default()
        .read_buffer_size(read_buffer)
        // No write buffer: messages are rare, and a keep-alive's answer must leave at once.
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_PASSED_BYTES))
        .max_frame_size(Some(MAX_PASSED_BYTES))
}

fn into_received(bytes: Bytes) -> Received {
    match bytes.len() > MAX_MESSAGE_BYTES {
        true => Received::TooLarge(bytes.slice(..HEAD_BYTES)),
        false => Received::Whole(bytes),
    }
}

impl Socket {
    /// Queues a message; the next poll sends it. Returns false when the peer has stopped reading.
    pub(super) fn send(&mut self, text: String) -> bool {
        self.unflushed = true;
        match Pin::new(&mut self.websocket).start_send(Message::Text(text.into())) {
            // Not a loss yet: Zoom's last messages, such as the reason of the end, may still be unread.
            Err(Error::Io(error)) => self.broken = Some(error.to_string()),
            sent => return sent.is_ok(),
        }
        true
    }

    /// Returns the next message, or why the link is lost. Also flushes queued messages.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, LossReason>> {
        if self.unflushed && self.broken.is_none() {
            match Pin::new(&mut self.websocket).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => self.broken = Some(describe(&error)),
                Poll::Pending => {}
            }
        }
        loop {
            let read = Pin::new(&mut self.websocket).poll_next(cx);
            // Tokio reports `Pending` also when the task's budget is used up, and wakes the task again. Only a
            // real `Pending` means that everything was read.
            if read.is_pending()
                && has_budget_remaining()
                && let Some(cause) = self.broken.take()
            {
                return Poll::Ready(Err(LossReason::Dropped(cause)));
            }
            let message = match ready!(read) {
                None => return Poll::Ready(Err(LossReason::Dropped("end of stream".into()))),
                Some(Err(error)) => return Poll::Ready(Err(LossReason::Dropped(describe(&error)))),
                Some(Ok(message)) => message,
            };
            match message {
                Message::Text(text) => return Poll::Ready(Ok(Received::Whole(text.into()))),
                Message::Binary(bytes) => return Poll::Ready(Ok(into_received(bytes))),
                Message::Close(frame) => {
                    let code = frame.map(|frame| frame.code.into());
                    return Poll::Ready(Err(LossReason::Closed(code)));
                }
                // tungstenite has queued the Pong, and only a flush sends it.
                Message::Ping(_) => self.unflushed = true,
                Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Sends a Close frame if the peer takes it at once, and drops the socket.
    pub(super) fn close(mut self) {
        // Best effort: a peer that is gone or slow must not delay the stream's end.
        let _ = self.websocket.close(None).now_or_never();
    }
}
