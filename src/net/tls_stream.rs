//! The client side of TLS for a connection that reads much and writes little. rustls performs the handshake; the records
//! after it are read and written here. An idle connection has no buffer: one for each thread is lent to the connection that
//! reads. `tokio-rustls` and rustls keep 6 kB more for each connection, which are out of the CPU's cache when the next frame
//! arrives.

mod handshake;
mod records;
mod session;

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::handshake::shake_hands;
use self::records::MAX_CONTENT_BYTES;
use self::session::Session;

/// The largest record, with room for what comes behind it.
const READ_BUFFER_BYTES: usize = 20 * 1024;

thread_local! {
    // Taken while it is used: a connection inside another one, through a proxy, finds none and makes its own.
    static READ_BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// An open connection.
pub struct TlsStream<S> {
    stream: S,
    session: Session,
    /// The received part of an incomplete record.
    received: Vec<u8>,
    /// Decrypted bytes that the reader had no room for.
    decrypted: Vec<u8>,
    /// Encrypted bytes that are not sent yet.
    unsent: Vec<u8>,
    /// Whether this side was ended.
    has_shut_down: bool,
    /// The error that ended the session. Every read after the data returns it.
    failure: Option<Box<rustls::Error>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Performs the handshake.
    pub async fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        mut stream: S,
    ) -> io::Result<Self> {
        let (session, mut received) = shake_hands(config, name, &mut stream).await?;
        let mut connection = Self {
            stream,
            session,
            received: Vec::new(),
            decrypted: Vec::new(),
            unsent: Vec::new(),
            has_shut_down: false,
            failure: None,
        };
        connection.decrypt(&mut received, &mut ReadBuf::new(&mut []));
        Ok(connection)
    }

    /// Replaces the connection below and keeps the TLS session.
    pub fn try_map<T, E>(self, map: impl FnOnce(S) -> Result<T, E>) -> Result<TlsStream<T>, E> {
        let Self { stream, session, received, decrypted, unsent, has_shut_down, failure } = self;
        let stream = map(stream)?;
        Ok(TlsStream { stream, session, received, decrypted, unsent, has_shut_down, failure })
    }

    /// The connection below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Reads until a record with data is complete, and decrypts it. Ready with nothing read: the peer has ended its side.
    fn poll_decrypt(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        while !self.session.is_over && self.decrypted.is_empty() && into.filled().len() == before {
            if let Some(error) = &self.failure {
                return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, error.clone())));
            }
            let kept = self.received.len();
            buffer[..kept].copy_from_slice(&self.received);
            let mut read = ReadBuf::new(&mut buffer[kept..]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let end = kept + read.filled().len();
            if end == kept {
                let cause = "the peer closed the connection without ending TLS";
                return Poll::Ready(Err(io::Error::new(ErrorKind::UnexpectedEof, cause)));
            }
            self.decrypt(&mut buffer[..end], into);
        }
        Poll::Ready(Ok(()))
    }

    /// Puts decrypted bytes into `into`, and those that do not fit into `decrypted`.
    fn decrypt(&mut self, received: &mut [u8], into: &mut ReadBuf<'_>) {
        let read = self.session.read(received, &mut self.unsent, |data| {
            let (fits, rest) = data.split_at(data.len().min(into.remaining()));
            into.put_slice(fits);
            self.decrypted.extend_from_slice(rest);
        });
        let rest = match read {
            _ if self.session.is_over => &[],
            Ok(used) => &received[used..],
            Err(error) => {
                self.failure = Some(Box::new(error));
                &[]
            }
        };
        self.received.clear();
        self.received.extend_from_slice(rest);
        if self.received.is_empty() {
            self.received = Vec::new();
        }
    }

    /// Sends what is queued.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                sent => drop(self.unsent.drain(..sent)),
            }
        }
        self.unsent = Vec::new();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.decrypted.is_empty() {
            let fits = this.decrypted.len().min(into.remaining());
            into.put_slice(&this.decrypted[..fits]);
            this.decrypted.drain(..fits);
            if this.decrypted.is_empty() {
                this.decrypted = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let lent = READ_BUFFER.take();
        let mut buffer = lent.unwrap_or_else(|| vec![0; READ_BUFFER_BYTES].into_boxed_slice());
        let read = this.poll_decrypt(cx, &mut buffer, into);
        READ_BUFFER.set(Some(buffer));
        // Answers of TLS itself. A failure shows when something is written.
        let _ = this.poll_send(cx);
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // One record waits at most.
        ready!(this.poll_send(cx))?;
        if this.has_shut_down || this.failure.is_some() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let data = &data[..data.len().min(MAX_CONTENT_BYTES)];
        this.session.write_data(data, &mut this.unsent).map_err(io::Error::other)?;
        // What is not sent now is sent by the next write or flush, which reports the error.
        let _ = this.poll_send(cx);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.has_shut_down {
            this.has_shut_down = true;
            if this.failure.is_none() {
                this.session.write_end(&mut this.unsent).map_err(io::Error::other)?;
            }
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
