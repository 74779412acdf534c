//! The client side of a WebSocket that reads much and writes little, such as one of Zoom's: RFC 6455 without extensions.
//!
//! An idle connection has no read buffer: one buffer for each thread is lent to the connection that reads. A message
//! that cannot be used is reported as such and costs only itself: text is not checked for UTF-8, and of a message that
//! is too large the beginning is passed on.

// Frames to messages (pure).
pub mod decoder;
// Messages to frames (pure).
pub mod encoder;
mod upgrade;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::has_budget_remaining;

use self::decoder::{Decoder, Event, MessageLimits};
use self::encoder::{Opcode, encode_frame};
pub use self::upgrade::Upgrading;

/// As much as a TLS record holds.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// The most bytes of unsent frames. A peer that lets them pile up has stopped reading.
const MAX_UNSENT_BYTES: usize = 64 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> =
        RefCell::new(vec![0; READ_BUFFER_BYTES].into_boxed_slice());
}

/// An open connection.
pub struct ClientSocket<S> {
    stream: S,
    decoder: Decoder,
    /// Events after the first one of a read, not yet returned. Usually empty and unallocated.
    events: VecDeque<Event>,
    /// Why nothing more is read; returned after the events.
    end: Option<End>,
    /// Frames that are not sent yet.
    unsent: Vec<u8>,
    /// Whether sent bytes may still be in the stream's own buffer.
    needs_flush: bool,
    /// Why writing failed. Messages that the peer sent before it went away are still read.
    write_error: Option<String>,
}

/// A message from the peer, text or binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Whole(Bytes),
    /// The first bytes of a message that is too large; the rest is discarded.
    TooLarge(Bytes),
}

/// Why a connection has ended. The text quotes nothing that the peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The peer closed it, with this code.
    Closed(Option<u16>),
    Failed(String),
}

/// The peer does not read what it is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct NotReading;

impl<S: AsyncRead + AsyncWrite + Unpin> ClientSocket<S> {
    /// Continues a connection after its upgrade.
    pub fn new(upgraded: Upgrading<S>, limits: MessageLimits) -> Self {
        let (stream, received) = upgraded.into_parts();
        Self::after_bytes(stream, &received, limits)
    }

    /// Continues a connection from which these bytes were read already.
    fn after_bytes(stream: S, received: &[u8], limits: MessageLimits) -> Self {
        let mut socket = Self {
            stream,
            decoder: Decoder::new(limits),
            events: VecDeque::new(),
            end: None,
            unsent: Vec::new(),
            needs_flush: false,
            write_error: None,
        };
        if let Some(first) = socket.decode(received) {
            socket.events.push_front(first);
        }
        socket
    }

    /// The connection below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Queues a text message; the next poll sends it.
    pub fn send(&mut self, text: &str) -> Result<(), NotReading> {
        self.queue(Opcode::Text, text.as_bytes());
        if self.unsent.len() > MAX_UNSENT_BYTES { Err(NotReading) } else { Ok(()) }
    }

    /// Returns the next message, or why there are no more. Also sends what is queued. After the end it must not be
    /// polled again.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, End>> {
        loop {
            self.poll_write(cx);
            while let Some(event) = self.events.pop_front() {
                if let Some(result) = self.handle(event, cx) {
                    return Poll::Ready(result);
                }
            }
            self.events = VecDeque::new();
            if let Some(end) = self.end.take() {
                return Poll::Ready(Err(end));
            }
            let read = self.poll_read(cx);
            // Tokio reports `Pending` also when the task's budget is used up, and wakes the task again. Only a real
            // `Pending` means that everything was read.
            if read.is_pending()
                && has_budget_remaining()
                && let Some(cause) = self.write_error.take()
            {
                return Poll::Ready(Err(End::Failed(cause)));
            }
            if let Some(event) = ready!(read)
                && let Some(result) = self.handle(event, cx)
            {
                return Poll::Ready(result);
            }
        }
    }

    /// Converts an event to a result; answers a Ping and returns `None`.
    fn handle(&mut self, event: Event, cx: &mut Context<'_>) -> Option<Result<Message, End>> {
        match event {
            Event::Message(bytes) => Some(Ok(Message::Whole(bytes))),
            Event::TooLarge(head) => Some(Ok(Message::TooLarge(head))),
            Event::Close(code) => Some(Err(End::Closed(code))),
            Event::Ping(payload) => {
                self.answer_ping(&payload, cx);
                None
            }
        }
    }

    /// Ends the sending side without a Close frame, if that is possible at once. What the peer sends until it ends its own
    /// side can still be read.
    pub fn end_sending(&mut self) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        // Best effort: otherwise the drop of the connection ends both sides.
        let _ = Pin::new(&mut self.stream).poll_shutdown(&mut context);
    }

    /// Sends a Close frame if the peer takes it at once, and drops the connection.
    pub fn close(mut self) {
        self.queue(Opcode::Close, &[]);
        // Best effort: a peer that is gone or slow must not delay the caller.
        self.poll_write(&mut Context::from_waker(std::task::Waker::noop()));
    }

    fn queue(&mut self, opcode: Opcode, payload: &[u8]) {
        encode_frame(opcode, payload, rand::random(), &mut self.unsent);
    }

    /// A peer that does not read its Pongs gets none until it has read.
    fn answer_ping(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        if self.unsent.len() < MAX_UNSENT_BYTES {
            self.queue(Opcode::Pong, payload);
            self.poll_write(cx);
        }
    }

    /// Reads once and decodes everything; returns as [`Self::decode`].
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            let read_error = match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read)) {
                Err(error) => error.to_string(),
                Ok(()) if read.filled().is_empty() => "end of stream".to_owned(),
                Ok(()) => return Poll::Ready(self.decode(read.filled())),
            };
            self.end = Some(End::Failed(read_error));
            Poll::Ready(None)
        })
    }

    /// Decodes all bytes, returns the first event (usually the only one) and queues the rest.
    fn decode(&mut self, mut bytes: &[u8]) -> Option<Event> {
        let first = self.decode_next(&mut bytes)?;
        while let Some(event) = self.decode_next(&mut bytes) {
            self.events.push_back(event);
        }
        Some(first)
    }

    fn decode_next(&mut self, bytes: &mut &[u8]) -> Option<Event> {
        let decoded = self.decoder.decode(bytes);
        if matches!(decoded, Ok(Some(Event::Close(_)))) {
            // Nothing after a Close is decoded.
            *bytes = &[];
        }
        decoded.unwrap_or_else(|error| {
            self.end = Some(End::Failed(error.to_string()));
            None
        })
    }

    /// Sends what is queued, as far as the peer takes it.
    fn poll_write(&mut self, cx: &mut Context<'_>) {
        if self.write_error.is_some() || (self.unsent.is_empty() && !self.needs_flush) {
            return;
        }
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            self.write_error = Some(error.to_string());
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut stream = Pin::new(&mut self.stream);
        while !self.unsent.is_empty() {
            match ready!(stream.as_mut().poll_write(cx, &self.unsent))? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                sent => drop(self.unsent.drain(..sent)),
            }
            self.needs_flush = true;
        }
        // Messages are rare: an idle connection keeps no buffer for them.
        self.unsent = Vec::new();
        ready!(stream.poll_flush(cx))?;
        self.needs_flush = false;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
