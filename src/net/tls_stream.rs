//! The client side of TLS for a connection that reads much and writes little. An idle connection has no buffer: one for
//! each thread is lent to the connection that reads. `tokio-rustls` keeps 4 kB for each connection, which are out of the
//! CPU's cache whenever the next frame comes.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ClientConfig;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The largest record, with room for what comes behind it.
const READ_BUFFER_BYTES: usize = 20 * 1024;
/// A handshake message has at most 64 kB, and its records have headers.
const MAX_HANDSHAKE_BYTES: usize = 96 * 1024;
/// The most bytes in one record.
const MAX_RECORD_BYTES: usize = 16 * 1024;
/// Header, nonce and tag of a record, in each version of TLS.
const RECORD_OVERHEAD_BYTES: usize = 64;

thread_local! {
    // Taken while it is used: a connection inside another one, through a proxy, finds none and makes its own.
    static READ_BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// An open connection.
pub struct TlsStream<S> {
    stream: S,
    tls: UnbufferedClientConnection,
    /// The beginning of a record that has not come whole.
    received: Vec<u8>,
    /// Decrypted bytes that the reader had no room for.
    decrypted: Vec<u8>,
    /// Encrypted bytes that are not sent yet.
    unsent: Vec<u8>,
    /// Whether the peer has ended its side.
    is_over: bool,
    /// Whether this side was ended.
    has_shut_down: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Makes the handshake.
    pub async fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        stream: S,
    ) -> io::Result<Self> {
        let mut connection = Self::new(config, name, stream)?;
        let shaken = connection.shake_hands().await;
        if shaken.is_err() {
            // The alert says what was wrong. The error of the handshake counts more than one of sending it.
            let _ = connection.send().await;
        }
        shaken.map(|()| connection)
    }

    /// A connection before its handshake.
    fn new(config: Arc<ClientConfig>, name: ServerName<'static>, stream: S) -> io::Result<Self> {
        let tls = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
        let (received, decrypted, unsent) = Default::default();
        let (is_over, has_shut_down) = (false, false);
        Ok(Self { stream, tls, received, decrypted, unsent, is_over, has_shut_down })
    }

    /// Replaces the connection below and keeps the TLS session.
    pub fn try_map<T, E>(self, map: impl FnOnce(S) -> Result<T, E>) -> Result<TlsStream<T>, E> {
        let Self { stream, tls, received, decrypted, unsent, is_over, has_shut_down } = self;
        let stream = map(stream)?;
        Ok(TlsStream { stream, tls, received, decrypted, unsent, is_over, has_shut_down })
    }

    /// The connection below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    async fn shake_hands(&mut self) -> io::Result<()> {
        let mut received = Vec::new();
        loop {
            let none = &mut ReadBuf::new(&mut []);
            let processed = self.process(&mut received, none, Outgoing::Nothing);
            let Processed { used, is_open } = processed?;
            received.drain(..used);
            self.send().await?;
            if is_open {
                self.received = received;
                return Ok(());
            }
            if received.len() > MAX_HANDSHAKE_BYTES {
                return Err(io::Error::new(ErrorKind::InvalidData, "the handshake is too large"));
            }
            if self.is_over || self.stream.read_buf(&mut received).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.unsent).await?;
        self.unsent = Vec::new();
        self.stream.flush().await
    }

    /// Reads once and decrypts what has come whole. Ready with nothing read: the peer has ended its side.
    fn poll_decrypt(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        while !self.is_over && self.decrypted.is_empty() && into.filled().len() == before {
            let kept = self.received.len();
            // What the handshake left may be longer than any record.
            if kept >= buffer.len() {
                let cause = "a TLS record is too large";
                return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, cause)));
            }
            buffer[..kept].copy_from_slice(&self.received);
            let mut read = ReadBuf::new(&mut buffer[kept..]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let end = kept + read.filled().len();
            if end == kept {
                let cause = "the peer closed the connection without ending TLS";
                return Poll::Ready(Err(io::Error::new(ErrorKind::UnexpectedEof, cause)));
            }
            let used = self.process(&mut buffer[..end], into, Outgoing::Nothing)?.used;
            self.received.clear();
            self.received.extend_from_slice(&buffer[used..end]);
            if self.received.is_empty() {
                self.received = Vec::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Processes what has come whole and encrypts what is given: puts decrypted bytes into `into`, and what must be sent
    /// into `unsent`.
    fn process(
        &mut self,
        received: &mut [u8],
        into: &mut ReadBuf<'_>,
        outgoing: Outgoing<'_>,
    ) -> io::Result<Processed> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state } =
                self.tls.process_tls_records(&mut received[used..]);
            let is_open = match state {
                Err(error) => {
                    self.queue_alert(&mut received[used + discard..]);
                    return Err(io::Error::new(ErrorKind::InvalidData, error));
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let payload = record.map_err(io::Error::other)?.payload;
                        let (fits, rest) = payload.split_at(payload.len().min(into.remaining()));
                        into.put_slice(fits);
                        self.decrypted.extend_from_slice(rest);
                    }
                    None
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append_encoded(&mut self.unsent, &mut data)?;
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // `unsent` keeps the order.
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.is_over = true;
                    None
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let unsent = &mut self.unsent;
                    match outgoing {
                        Outgoing::Nothing => {}
                        Outgoing::Data(data) => {
                            let bytes = data.len() + RECORD_OVERHEAD_BYTES;
                            append(unsent, bytes, |out| traffic.encrypt(data, out))?
                        }
                        Outgoing::End => {
                            let bytes = RECORD_OVERHEAD_BYTES;
                            append(unsent, bytes, |out| traffic.queue_close_notify(out))?
                        }
                    }
                    Some(true)
                }
                // `BlockedHandshake`, and `Closed`, after which nothing comes.
                Ok(_) => Some(false),
            };
            used += discard;
            if let Some(is_open) = is_open {
                return Ok(Processed { used, is_open });
            }
        }
    }

    /// Queues the alert about an error, for the peer. `rest` is what was not processed. Only
    /// one call: rustls asserts that the same error does not come again after its alert.
    fn queue_alert(&mut self, rest: &mut [u8]) {
        if let Ok(ConnectionState::EncodeTlsData(mut data)) =
            self.tls.process_tls_records(rest).state
        {
            // Best effort, because the connection ends with the error.
            let _ = append_encoded(&mut self.unsent, &mut data);
        }
    }

    /// Encrypts what is given and queues it. False if the connection takes no data any longer.
    fn encrypt(&mut self, outgoing: Outgoing<'_>) -> io::Result<bool> {
        // What has come in part belongs to the state of the connection.
        let mut received = std::mem::take(&mut self.received);
        let processed = self.process(&mut received, &mut ReadBuf::new(&mut []), outgoing)?;
        received.drain(..processed.used);
        self.received = received;
        Ok(processed.is_open)
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
        let data = &data[..data.len().min(MAX_RECORD_BYTES)];
        if !this.encrypt(Outgoing::Data(data))? {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
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
            this.encrypt(Outgoing::End)?;
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// What is encrypted, if the connection takes data.
enum Outgoing<'a> {
    Nothing,
    /// At most one record.
    Data(&'a [u8]),
    /// That nothing more is sent.
    End,
}

/// How far what came was processed.
struct Processed {
    /// The bytes that are not needed again.
    used: usize,
    /// Whether data can be sent: the handshake is over, and this side was not ended.
    is_open: bool,
}

/// Appends a record of the handshake, or an alert.
fn append_encoded(
    unsent: &mut Vec<u8>,
    data: &mut EncodeTlsData<'_, ClientConnectionData>,
) -> io::Result<()> {
    // No record fits into an empty buffer, and the error says how long this one is: most have a few hundred bytes, and
    // the largest 16 kB.
    match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(needed)) => {
            append(unsent, needed.required_size, |out| data.encode(out))
        }
        done => done.map(drop).map_err(io::Error::other),
    }
}

/// Appends what `write` puts into a buffer of this many bytes.
fn append<E: std::error::Error + Send + Sync + 'static>(
    unsent: &mut Vec<u8>,
    bytes: usize,
    write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
) -> io::Result<()> {
    let before = unsent.len();
    unsent.resize(before + bytes, 0);
    let written = write(&mut unsent[before..]);
    unsent.truncate(before + written.as_ref().copied().unwrap_or(0));
    written.map(drop).map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
