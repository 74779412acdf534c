//! Keeps what a server sends right behind its answer to the upgrade, which the library that upgrades would discard.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that is being upgraded: passes the answer on and keeps the bytes after it.
pub struct Upgrading<S> {
    stream: S,
    answer: Answer,
    received: Vec<u8>,
}

/// How much of the answer has passed. It ends with its first empty line.
#[derive(Default)]
struct Answer {
    line_bytes: usize,
    has_begun: bool,
    is_over: bool,
}

impl<S> Upgrading<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, answer: Answer::default(), received: Vec::new() }
    }

    /// Replaces the connection and keeps what came after the answer.
    pub fn try_map<T, E>(self, map: impl FnOnce(S) -> Result<T, E>) -> Result<Upgrading<T>, E> {
        let Self { stream, answer, received } = self;
        Ok(Upgrading { stream: map(stream)?, answer, received })
    }

    /// The connection, and what came after the answer.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.received)
    }
}

impl Answer {
    /// How many of these bytes belong to the answer.
    fn take(&mut self, bytes: &[u8]) -> usize {
        for (at, byte) in bytes.iter().enumerate() {
            if self.is_over {
                return at;
            }
            match byte {
                // As the HTTP parser does: lines end with LF or CRLF, and empty lines before the first are skipped.
                b'\n' if self.line_bytes == 0 && self.has_begun => self.is_over = true,
                b'\n' => self.line_bytes = 0,
                b'\r' => {}
                _ => (self.line_bytes, self.has_begun) = (self.line_bytes + 1, true),
            }
        }
        bytes.len()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Upgrading<S> {
    /// Ends with the answer.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.answer.is_over {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        let taken = self.answer.take(read);
        self.received.extend_from_slice(&read[taken..]);
        buffer.set_filled(before + taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Upgrading<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// A stream that returns one piece for each read.
    struct Pieces<'a>(std::slice::Chunks<'a, u8>);

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buffer.put_slice(self.0.next().unwrap_or_default());
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn the_answer_passes_and_what_follows_it_is_kept() {
        for answer in ["\r\nHTTP/1.1 101 x\r\na: b\r\n\r\n", "HTTP/1.1 101 x\na: b\n\n"] {
            let sent = [answer.as_bytes(), b"\x81\x02{}\n\n"].concat();
            for piece in [1, 2, 3, 7, sent.len()] {
                let mut upgrading = Upgrading::new(Pieces(sent.chunks(piece)));
                let mut passed = Vec::new();
                let read = upgrading.read_to_end(&mut passed).now_or_never();
                read.expect("the bytes are there").unwrap();
                assert_eq!(passed, answer.as_bytes(), "in pieces of {piece}");
                let (_, received) = upgrading.into_parts();
                let read = answer.len().next_multiple_of(piece).min(sent.len());
                assert_eq!(received, sent[answer.len()..read], "in pieces of {piece}");
            }
        }
    }
}
