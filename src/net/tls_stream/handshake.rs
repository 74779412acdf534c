//! The handshake of TLS, which rustls performs.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::records::{HEADER_BYTES, Header};
use super::session::Session;

/// The most unprocessed bytes: one message of 64 kB with the headers of its records.
const MAX_HANDSHAKE_BYTES: usize = 96 * 1024;

/// Performs the handshake. Also returns the bytes that came behind it.
pub(super) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: &mut S,
) -> io::Result<(Session, Vec<u8>)> {
    let mut handshake = Handshake::new(config, name)?;
    loop {
        let processed = handshake.process();
        // An alert says what was wrong. The error of the handshake counts more than one of sending it.
        let sent = send(stream, &mut handshake.unsent).await;
        let is_over = processed?;
        sent?;
        if is_over {
            let session = Session::new(handshake.tls).map_err(io::Error::other)?;
            return Ok((session, handshake.received));
        }
        if handshake.received.len() > MAX_HANDSHAKE_BYTES {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the server's TLS handshake is too large",
            ));
        }
        if stream.read_buf(&mut handshake.received).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), unsent: &mut Vec<u8>) -> io::Result<()> {
    stream.write_all(unsent).await?;
    *unsent = Vec::new();
    stream.flush().await
}

struct Handshake {
    tls: UnbufferedClientConnection,
    received: Vec<u8>,
    /// How many of these bytes rustls may read: whole records of the handshake only. What rustls keeps of later records
    /// would be lost when the session takes over.
    seen: usize,
    unsent: Vec<u8>,
}

impl Handshake {
    fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let tls = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Self { tls, received: Vec::new(), seen: 0, unsent: Vec::new() })
    }

    /// Processes the complete records, and puts what must be sent into `unsent`. True if the handshake is over.
    fn process(&mut self) -> io::Result<bool> {
        loop {
            let status = self.tls.process_tls_records(&mut self.received[..self.seen]);
            let UnbufferedStatus { discard, state } = status;
            let is_over = match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append_encoded(&mut self.unsent, &mut data)?;
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // `unsent` keeps the order.
                    data.done();
                    None
                }
                Ok(ConnectionState::BlockedHandshake) => Some(false),
                Ok(ConnectionState::WriteTraffic(_)) => Some(true),
                Ok(other) => {
                    return Err(io::Error::other(format!(
                        "unexpected state of the TLS handshake: {other:?}"
                    )));
                }
                Err(error) => {
                    self.discard(discard);
                    self.queue_alert();
                    return Err(io::Error::new(ErrorKind::InvalidData, error));
                }
            };
            self.discard(discard);
            match is_over {
                Some(true) => return Ok(true),
                Some(false) if !self.see_next() => return Ok(false),
                _ => {}
            }
        }
    }

    fn discard(&mut self, bytes: usize) {
        self.received.drain(..bytes);
        self.seen -= bytes;
    }

    /// Lets rustls read the next record. Returns false if it is incomplete.
    fn see_next(&mut self) -> bool {
        let rest = &self.received[self.seen..];
        let bytes = match Header::read(rest) {
            Ok(Some(header)) => HEADER_BYTES + header.payload_bytes,
            Ok(None) => return false,
            // rustls says what is wrong.
            Err(_) => rest.len(),
        };
        let is_whole = bytes <= rest.len();
        if is_whole {
            self.seen += bytes;
        }
        is_whole
    }

    /// Queues the alert about an error, for the peer. Calls rustls only once: it asserts that the same error does not
    /// come again after its alert.
    fn queue_alert(&mut self) {
        let status = self.tls.process_tls_records(&mut self.received[..self.seen]);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
            // Best effort, because the connection ends with the error.
            let _ = append_encoded(&mut self.unsent, &mut data);
        }
    }
}

/// Appends a record of the handshake, or an alert.
fn append_encoded(
    unsent: &mut Vec<u8>,
    data: &mut EncodeTlsData<'_, ClientConnectionData>,
) -> io::Result<()> {
    // No record fits into an empty buffer, and the error says how long this one is: most have a few hundred bytes, and
    // the largest 16 kB.
    let bytes = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(needed)) => needed.required_size,
        done => return done.map(drop).map_err(io::Error::other),
    };
    let before = unsent.len();
    unsent.resize(before + bytes, 0);
    let written = data.encode(&mut unsent[before..]);
    unsent.truncate(before + written.as_ref().copied().unwrap_or(0));
    written.map(drop).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{V1_3, configs, name};
    use super::*;

    #[test]
    fn a_message_of_the_handshake_takes_no_more_memory_than_it_needs() {
        let mut handshake = Handshake::new(configs(&V1_3).0, name()).unwrap();
        assert!(!handshake.process().unwrap());
        let (bytes, capacity) = (handshake.unsent.len(), handshake.unsent.capacity());
        assert!(bytes > 100, "a ClientHello: {bytes}");
        assert_eq!(capacity, bytes);
    }
}
