//! An open TLS session: interprets the peer's records and writes the answers (RFC 8446 sections 4.6 and 6). rustls derives
//! the next keys and stores tickets. Accepts the records that rustls accepts; alerts about other records may differ.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::{AlertDescription, ContentType, Error, HandshakeType, InvalidMessage, PeerMisbehaved};

use super::records::{Fault, HEADER_BYTES, Header, RecordKeys, unexpected};

/// The most warnings that are ignored.
const MAX_WARNINGS: u8 = 4;
/// The most requests for another handshake that are refused without an end of the session.
const MAX_RENEGOTIATIONS: u8 = 1;
/// The most consecutive records without content.
const MAX_EMPTY_RECORDS: u8 = 32;
/// The most changes of keys by the peer without data between them.
const MAX_KEY_UPDATES: u8 = 32;
/// The most unsent bytes at which a change of keys is still answered: each answer adds 27 bytes, even if the peer does not
/// read.
const MAX_UNSENT_BYTES: usize = 32 * 1024;
/// The longest message after the handshake, as rustls has it.
const MAX_MESSAGE_BYTES: usize = 0xffff;
/// The level of an alert that does not end the session, except `close_notify`.
const WARNING: u8 = 1;
/// The level of an alert that ends the session.
const FATAL: u8 = 2;
/// Type and length of a message of the handshake.
const MESSAGE_HEADER_BYTES: usize = 4;

/// An open session, of TLS 1.3 or 1.2.
pub(super) struct Session {
    reads: RecordKeys,
    pub(super) writes: RecordKeys,
    /// Derives the next keys, and stores tickets. `None` with TLS 1.2, which has neither after the handshake.
    rustls: Option<Box<KernelConnection<ClientConnectionData>>>,
    /// How many records the keys may encrypt.
    pub(super) max_records: u64,
    /// The received part of an incomplete message after the handshake.
    message: Vec<u8>,
    warnings: u8,
    renegotiations: u8,
    empty_records: u8,
    key_updates: u8,
    /// Whether the peer has ended its side.
    pub(super) is_over: bool,
}

impl Session {
    /// Takes over from rustls, which must have nothing left to send or to read, with its keys and the numbers of records.
    ///
    /// # Errors
    /// The handshake is not over, or the connection's configuration does not have `enable_secret_extraction`.
    pub(super) fn new(connection: UnbufferedClientConnection) -> Result<Self, Error> {
        let (secrets, rustls) = connection.dangerous_into_kernel_connection()?;
        let suite = rustls.negotiated_cipher_suite();
        let max_records = match suite {
            rustls::SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
            rustls::SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
        };
        Ok(Self {
            reads: RecordKeys::new(suite, secrets.rx)?,
            writes: RecordKeys::new(suite, secrets.tx)?,
            rustls: suite.tls13().is_some().then(|| Box::new(rustls)),
            max_records,
            message: Vec::new(),
            warnings: 0,
            renegotiations: 0,
            empty_records: 0,
            key_updates: 0,
            is_over: false,
        })
    }

    /// Decrypts the complete records and passes their data to `take`. Appends answers to `unsent`, even on an error.
    /// Returns the number of bytes used.
    pub(super) fn read(
        &mut self,
        received: &mut [u8],
        unsent: &mut Vec<u8>,
        take: impl FnMut(&[u8]),
    ) -> Result<usize, Error> {
        self.read_records(received, unsent, take).map_err(|fault| {
            if let Some(alert) = fault.alert {
                // Best effort, because the connection ends with the error.
                let _ = self.write(ContentType::Alert, &[FATAL, alert.into()], unsent);
            }
            fault.error
        })
    }

    fn read_records(
        &mut self,
        received: &mut [u8],
        unsent: &mut Vec<u8>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<usize, Fault> {
        let mut used = 0;
        while !self.is_over
            && let Some(header) = Header::read(&received[used..])?
        {
            let start = used + HEADER_BYTES;
            let end = start + header.payload_bytes;
            let Some(payload) = received.get_mut(start..end) else { break };
            let (content_type, content) = self.reads.decrypt(&header, payload)?;
            if content.is_empty() {
                let cause = PeerMisbehaved::TooManyEmptyFragments;
                count(&mut self.empty_records, MAX_EMPTY_RECORDS, cause)?;
            } else {
                self.empty_records = 0;
            }
            if content_type == ContentType::ApplicationData && self.message.is_empty() {
                if !content.is_empty() {
                    self.key_updates = 0;
                }
                take(content);
            } else {
                self.receive(content_type, content, unsent)?;
            }
            used = end;
        }
        Ok(used)
    }

    /// Handles a record that is not data.
    fn receive(
        &mut self,
        content_type: ContentType,
        content: &[u8],
        unsent: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match content_type {
            ContentType::Handshake => self.receive_messages(content, unsent),
            _ if !self.message.is_empty() => {
                let cause = PeerMisbehaved::MessageInterleavedWithHandshakeMessage;
                Err(Fault::new(AlertDescription::UnexpectedMessage, cause))
            }
            ContentType::Alert => self.receive_alert(content),
            other => Err(unexpected(other)),
        }
    }

    fn receive_alert(&mut self, content: &[u8]) -> Result<(), Fault> {
        let &[level, description] = content else {
            let cause = InvalidMessage::MissingData("AlertMessagePayload");
            return Err(Fault::new(AlertDescription::DecodeError, cause));
        };
        let description = AlertDescription::from(description);
        let received = Error::AlertReceived(description);
        let is_tls12 = self.rustls.is_none();
        match (level, description) {
            (WARNING | FATAL, AlertDescription::CloseNotify) => {
                self.is_over = true;
                Ok(())
            }
            (WARNING, _) if is_tls12 || description == AlertDescription::UserCanceled => {
                let cause = PeerMisbehaved::TooManyWarningAlertsReceived;
                count(&mut self.warnings, MAX_WARNINGS, cause)
            }
            (FATAL, _) => Err(Fault { alert: None, error: received }),
            (WARNING, _) => Err(Fault::new(AlertDescription::DecodeError, received)),
            _ => Err(Fault::new(AlertDescription::IllegalParameter, received)),
        }
    }

    /// Handles messages after the handshake. A message may span several records.
    fn receive_messages(&mut self, content: &[u8], unsent: &mut Vec<u8>) -> Result<(), Fault> {
        self.message.extend_from_slice(content);
        let mut messages = std::mem::take(&mut self.message);
        let mut used = 0;
        while let &[kind, a, b, c, ref rest @ ..] = &messages[used..] {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if length > MAX_MESSAGE_BYTES {
                let cause = InvalidMessage::HandshakePayloadTooLarge;
                return Err(Fault::new(AlertDescription::DecodeError, cause));
            }
            let Some((message, later)) = rest.split_at_checked(length) else { break };
            self.receive_message(HandshakeType::from(kind), message, later.is_empty(), unsent)?;
            used += MESSAGE_HEADER_BYTES + length;
        }
        messages.drain(..used);
        if !messages.is_empty() {
            self.message = messages;
        }
        Ok(())
    }

    fn receive_message(
        &mut self,
        kind: HandshakeType,
        message: &[u8],
        is_last: bool,
        unsent: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match (kind, &mut self.rustls) {
            (HandshakeType::NewSessionTicket, Some(rustls)) => rustls
                .handle_new_session_ticket(message)
                .map_err(|error| Fault::new(AlertDescription::DecodeError, error)),
            (HandshakeType::KeyUpdate, Some(_)) => {
                self.receive_key_update(message, is_last, unsent)
            }
            (HandshakeType::HelloRequest, None) => {
                let cause = PeerMisbehaved::TooManyRenegotiationRequests;
                count(&mut self.renegotiations, MAX_RENEGOTIATIONS, cause)?;
                let alert = [WARNING, AlertDescription::NoRenegotiation.into()];
                self.write(ContentType::Alert, &alert, unsent).map_err(Fault::internal)
            }
            (got_type, _) => {
                let expect_types = vec![HandshakeType::NewSessionTicket, HandshakeType::KeyUpdate];
                let error = Error::InappropriateHandshakeMessage { expect_types, got_type };
                Err(Fault::new(AlertDescription::UnexpectedMessage, error))
            }
        }
    }

    /// Switches to the peer's next keys (RFC 8446 section 4.6.3).
    fn receive_key_update(
        &mut self,
        message: &[u8],
        is_last: bool,
        unsent: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if !is_last {
            let cause = PeerMisbehaved::KeyEpochWithPendingFragment;
            return Err(Fault::new(AlertDescription::UnexpectedMessage, cause));
        }
        let cause = PeerMisbehaved::TooManyKeyUpdateRequests;
        count(&mut self.key_updates, MAX_KEY_UPDATES, cause)?;
        match message {
            [0] => {}
            [1] if unsent.len() > MAX_UNSENT_BYTES => {
                let cause = PeerMisbehaved::TooManyKeyUpdateRequests;
                return Err(Fault::new(AlertDescription::UnexpectedMessage, cause));
            }
            [1] => self.update_writes(unsent).map_err(Fault::internal)?,
            _ => {
                let cause = InvalidMessage::InvalidKeyUpdate;
                return Err(Fault::new(AlertDescription::IllegalParameter, cause));
            }
        }
        self.update_reads().map_err(Fault::internal)
    }

    fn update_reads(&mut self) -> Result<(), Error> {
        let rustls = self.rustls.as_mut().ok_or(Error::DecryptError)?;
        let suite = rustls.negotiated_cipher_suite();
        self.reads = RecordKeys::new(suite, rustls.update_rx_secret()?)?;
        Ok(())
    }

    /// Encrypts data, at most one record of it, and appends it.
    pub(super) fn write_data(&mut self, data: &[u8], unsent: &mut Vec<u8>) -> Result<(), Error> {
        self.write(ContentType::ApplicationData, data, unsent)
    }

    /// Appends `close_notify`, which ends the data of this side.
    pub(super) fn write_end(&mut self, unsent: &mut Vec<u8>) -> Result<(), Error> {
        let alert = [WARNING, AlertDescription::CloseNotify.into()];
        self.write(ContentType::Alert, &alert, unsent)
    }

    fn write(
        &mut self,
        content_type: ContentType,
        content: &[u8],
        unsent: &mut Vec<u8>,
    ) -> Result<(), Error> {
        // The announcement of new keys is the last record of the old ones. TLS 1.2 has none, and may still end the session.
        if content_type != ContentType::Alert && self.writes.sequence() + 1 >= self.max_records {
            self.update_writes(unsent)?;
        }
        self.writes.encrypt(content_type, content, unsent)
    }

    /// Announces new keys and switches to them. Fails with TLS 1.2, which has none.
    fn update_writes(&mut self, unsent: &mut Vec<u8>) -> Result<(), Error> {
        let rustls = self.rustls.as_mut().ok_or(Error::EncryptError)?;
        let announcement = [HandshakeType::KeyUpdate.into(), 0, 0, 1, 0];
        self.writes.encrypt(ContentType::Handshake, &announcement, unsent)?;
        let suite = rustls.negotiated_cipher_suite();
        self.writes = RecordKeys::new(suite, rustls.update_tx_secret()?)?;
        Ok(())
    }
}

/// Counts an event. More than `most` are an error.
fn count(counter: &mut u8, most: u8, cause: PeerMisbehaved) -> Result<(), Fault> {
    *counter += 1;
    if *counter <= most {
        return Ok(());
    }
    Err(Fault::new(AlertDescription::UnexpectedMessage, cause))
}
