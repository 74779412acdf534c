//! Decodes a server's WebSocket frames (RFC 6455, section 5) from bytes that come in any pieces.

use bytes::Bytes;
use thiserror::Error;

pub(super) const FINAL: u8 = 0x80;
pub(super) const MASKED: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
/// The longest header of a frame that is not masked.
const MAX_HEADER_BYTES: usize = 10;
const MAX_CONTROL_BYTES: u64 = 125;
/// The most room that is made for a message before its bytes are here.
const MAX_RESERVED_BYTES: u64 = 1024 * 1024;

/// How large a message may be.
#[derive(Debug, Clone, Copy)]
pub struct MessageLimits {
    /// Of a message with more bytes, only the first are kept.
    pub max_bytes: usize,
    /// How many are kept.
    pub head_bytes: usize,
}

/// What a peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A text or binary message.
    Message(Bytes),
    /// The first bytes of a message that is too large.
    TooLarge(Bytes),
    Ping(Bytes),
    /// The connection ends, with this code. What comes afterwards is not to be decoded.
    Close(Option<u16>),
}

/// Why a connection cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    #[error("a WebSocket frame has reserved bits")]
    ReservedBits,
    #[error("a WebSocket frame has an unknown opcode")]
    UnknownOpcode,
    #[error("a WebSocket frame of the server is masked")]
    Masked,
    #[error("a WebSocket frame is longer than the protocol allows")]
    Length,
    #[error("a WebSocket control frame is fragmented or too long")]
    Control,
    #[error("a WebSocket continuation frame continues no message")]
    NothingToContinue,
    #[error("a WebSocket message begins within another")]
    NotContinued,
    #[error("a WebSocket close frame has no whole code")]
    CloseCode,
}

/// The state between two pieces.
pub struct Decoder {
    limits: MessageLimits,
    /// The beginning of a header that has not arrived completely.
    header: [u8; MAX_HEADER_BYTES],
    header_bytes: usize,
    /// The frame whose payload has not arrived completely.
    frame: Option<Frame>,
    /// The message whose last frame has not arrived completely.
    message: Option<Partial>,
    /// The payload of a control frame, which may come between the frames of a message.
    control: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Frame {
    kind: Kind,
    is_final: bool,
    /// The bytes of its payload that have not arrived.
    left: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Begin,
    Continue,
    Close,
    Ping,
    Pong,
}

#[derive(Default)]
struct Partial {
    bytes: Vec<u8>,
    is_too_large: bool,
}

impl Decoder {
    pub fn new(limits: MessageLimits) -> Self {
        Self {
            limits,
            header: [0; MAX_HEADER_BYTES],
            header_bytes: 0,
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Takes bytes up to the end of the next event, or all of them if there is none.
    pub fn decode(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, ProtocolError> {
        loop {
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_header(bytes)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            match self.read_payload(frame, bytes)? {
                Some(event) => return Ok(Some(event)),
                None if self.frame.is_some() => return Ok(None),
                // A Pong, or a frame that does not end its message.
                None => {}
            }
        }
    }

    /// Takes a header; none while it is incomplete.
    fn read_header(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, ProtocolError> {
        if self.header_bytes == 0
            && let Some((frame, header_bytes)) = parse_header(bytes)?
        {
            *bytes = &bytes[header_bytes..];
            return self.begin(frame).map(Some);
        }
        while let Some((first, rest)) = bytes.split_first() {
            self.header[self.header_bytes] = *first;
            self.header_bytes += 1;
            *bytes = rest;
            if let Some((frame, _)) = parse_header(&self.header[..self.header_bytes])? {
                self.header_bytes = 0;
                return self.begin(frame).map(Some);
            }
        }
        Ok(None)
    }

    /// Checks that a frame may come now.
    fn begin(&self, frame: Frame) -> Result<Frame, ProtocolError> {
        match (frame.kind, &self.message) {
            (Kind::Begin, Some(_)) => Err(ProtocolError::NotContinued),
            (Kind::Continue, None) => Err(ProtocolError::NothingToContinue),
            _ => Ok(frame),
        }
    }

    /// Takes what is here of a frame's payload. Keeps the frame if there is more to come.
    fn read_payload(
        &mut self,
        frame: Frame,
        bytes: &mut &[u8],
    ) -> Result<Option<Event>, ProtocolError> {
        // A length beyond `usize` (on a 32-bit machine) only means "more than is here".
        let here = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
        let (payload, rest) = bytes.split_at(here);
        *bytes = rest;
        let left = frame.left - here as u64;
        let is_whole = left == 0;
        if !is_whole {
            self.frame = Some(Frame { left, ..frame });
        }
        match frame.kind {
            Kind::Begin | Kind::Continue => Ok(self.read_data(frame, payload, is_whole)),
            kind => {
                self.control.extend_from_slice(payload);
                if is_whole {
                    end_control(kind, std::mem::take(&mut self.control))
                } else {
                    Ok(None)
                }
            }
        }
    }

    fn read_data(&mut self, frame: Frame, payload: &[u8], is_whole: bool) -> Option<Event> {
        let is_end = is_whole && frame.is_final;
        // Nearly every message: in one frame, and here.
        if is_end && self.message.is_none() && payload.len() <= self.limits.max_bytes {
            return Some(Event::Message(Bytes::copy_from_slice(payload)));
        }
        let message = self.message.get_or_insert_default();
        message.add(payload, frame.left, &self.limits);
        if frame.kind == Kind::Begin
            && let Some(rest) = &mut self.frame
        {
            // The rest of the payload continues the message, like a frame of its own.
            rest.kind = Kind::Continue;
        }
        if is_end { self.message.take().map(Partial::into_event) } else { None }
    }
}

impl Partial {
    /// Adds the part of a payload of which `left` bytes were to come.
    fn add(&mut self, payload: &[u8], left: u64, limits: &MessageLimits) {
        if self.is_too_large {
            return;
        }
        let whole = self.bytes.len() as u64 + left;
        // As far as the header is trusted: the rest is made when bytes come.
        if whole <= MAX_RESERVED_BYTES.min(limits.max_bytes as u64) {
            self.bytes.reserve_exact(left as usize);
        }
        self.bytes.extend_from_slice(payload);
        if self.bytes.len() > limits.max_bytes {
            self.is_too_large = true;
            self.bytes.truncate(limits.head_bytes);
            self.bytes.shrink_to_fit();
        }
    }

    fn into_event(self) -> Event {
        match self.is_too_large {
            true => Event::TooLarge(self.bytes.into()),
            false => Event::Message(self.bytes.into()),
        }
    }
}

/// Reads the header that these bytes begin with, and its length; none while it is incomplete.
fn parse_header(bytes: &[u8]) -> Result<Option<(Frame, usize)>, ProtocolError> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & RESERVED != 0 {
        return Err(ProtocolError::ReservedBits);
    }
    if second & MASKED != 0 {
        return Err(ProtocolError::Masked);
    }
    let is_final = first & FINAL != 0;
    let (left, header_bytes) = match second {
        126 => match rest.first_chunk() {
            Some(length) => (u64::from(u16::from_be_bytes(*length)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (u64::from_be_bytes(*length), 10),
            None => return Ok(None),
        },
        short => (u64::from(*short), 2),
    };
    let kind = kind_of(first & OPCODE)?;
    let is_control = !matches!(kind, Kind::Begin | Kind::Continue);
    if is_control && (!is_final || left > MAX_CONTROL_BYTES) {
        return Err(ProtocolError::Control);
    }
    // The highest bit must not be set (RFC 6455, section 5.2).
    if left > i64::MAX as u64 {
        return Err(ProtocolError::Length);
    }
    Ok(Some((Frame { kind, is_final, left }, header_bytes)))
}

fn kind_of(opcode: u8) -> Result<Kind, ProtocolError> {
    match opcode {
        0 => Ok(Kind::Continue),
        1 | 2 => Ok(Kind::Begin),
        8 => Ok(Kind::Close),
        9 => Ok(Kind::Ping),
        10 => Ok(Kind::Pong),
        _ => Err(ProtocolError::UnknownOpcode),
    }
}

fn end_control(kind: Kind, payload: Vec<u8>) -> Result<Option<Event>, ProtocolError> {
    match kind {
        Kind::Ping => Ok(Some(Event::Ping(payload.into()))),
        Kind::Close => match (payload.first_chunk(), payload.len()) {
            (None, 1) => Err(ProtocolError::CloseCode),
            (code, _) => Ok(Some(Event::Close(code.map(|code| u16::from_be_bytes(*code))))),
        },
        // A Pong answers nothing that was sent.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
