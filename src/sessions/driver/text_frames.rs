//! Turns a server's WebSocket text frames into binary frames before the WebSocket library reads them. The library
//! closes the connection on invalid UTF-8 in a text frame; a name cut in the middle of a character must only cost that
//! name.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const OPCODE: u8 = 0x0f;
/// The longest frame header: two bytes, up to eight of length, four of mask (which servers never send).
const MAX_HEADER_BYTES: usize = 14;

/// A connection that is about to be upgraded. Rewrites the opcodes of frames it reads; writes pass through unchanged.
pub(super) struct TextAsBinary<S> {
    stream: S,
    place: Place,
}

/// The part of the byte stream that the next byte belongs to.
enum Place {
    /// The HTTP response to the upgrade, up to its first empty line.
    Answer {
        line_bytes: usize,
        has_begun: bool,
    },
    Header {
        bytes: [u8; MAX_HEADER_BYTES],
        length: usize,
    },
    Payload {
        left: u64,
    },
}

const HEADER: Place = Place::Header { bytes: [0; MAX_HEADER_BYTES], length: 0 };

impl<S> TextAsBinary<S> {
    /// Wraps `stream` before its upgrade.
    pub fn new(stream: S) -> Self {
        Self { stream, place: Place::Answer { line_bytes: 0, has_begun: false } }
    }

    fn pass(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let taken = match &mut self.place {
                Place::Payload { left } => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    taken
                }
                Place::Header { bytes: header, length } => {
                    if *length == 0 && bytes[0] & OPCODE == TEXT {
                        bytes[0] = bytes[0] & !OPCODE | BINARY;
                    }
                    header[*length] = bytes[0];
                    *length += 1;
                    1
                }
                Place::Answer { line_bytes, has_begun } => {
                    match bytes[0] {
                        b'\n' if *line_bytes == 0 && *has_begun => self.place = HEADER,
                        b'\n' => *line_bytes = 0,
                        b'\r' => {}
                        _ => (*line_bytes, *has_begun) = (*line_bytes + 1, true),
                    }
                    1
                }
            };
            bytes = &mut bytes[taken..];
            self.advance();
        }
    }

    /// Moves on to the payload after a complete header, and to the next header after a complete payload.
    fn advance(&mut self) {
        if let Place::Header { bytes, length } = &self.place
            && let Some(left) = payload_bytes(&bytes[..*length])
        {
            self.place = Place::Payload { left };
        }
        if let Place::Payload { left: 0 } = self.place {
            self.place = HEADER;
        }
    }
}

/// The payload length that this header announces; none while the header is incomplete (RFC 6455, section 5.2).
fn payload_bytes(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
    let (length, header_bytes) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*header.get(2..)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*header.get(2..)?.first_chunk()?), 10),
        short => (u64::from(short), 2),
    };
    (header.len() >= header_bytes + mask_bytes).then_some(length)
}

impl<S: AsyncRead + Unpin> AsyncRead for TextAsBinary<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.pass(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TextAsBinary<S> {
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
    use super::*;

    /// A frame with the shortest header.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(short as u8),
            medium @ 126..=0xffff => {
                frame.push(126);
                frame.extend((medium as u16).to_be_bytes());
            }
            long => {
                frame.push(127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        [frame, payload.to_vec()].concat()
    }

    /// Reads `bytes` through the wrapper in pieces of this size.
    fn passed(bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut stream = TextAsBinary::new(());
        let mut bytes = bytes.to_vec();
        bytes.chunks_mut(piece).for_each(|piece| stream.pass(piece));
        bytes
    }

    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";

    #[test]
    fn only_the_opcode_of_a_text_frame_changes_however_it_is_split() {
        let long = vec![0x81; 300];
        let longest = vec![0x01; 70_000];
        let sent = [
            ANSWER.to_vec(),
            frame(0x81, b"Ana \xf0\x9f"),
            frame(0x89, b"\x81ping"),
            frame(0x01, &long),
            frame(0x00, b""),
            frame(0x80, &longest),
            frame(0x82, b"\x81\x81"),
            frame(0x81, b""),
            frame(0x81, b"{}"),
            frame(0x88, &1000_u16.to_be_bytes()),
        ]
        .concat();
        let expected = [
            ANSWER.to_vec(),
            frame(0x82, b"Ana \xf0\x9f"),
            frame(0x89, b"\x81ping"),
            frame(0x02, &long),
            frame(0x00, b""),
            frame(0x80, &longest),
            frame(0x82, b"\x81\x81"),
            frame(0x82, b""),
            frame(0x82, b"{}"),
            frame(0x88, &1000_u16.to_be_bytes()),
        ]
        .concat();
        for piece in [1, 2, 3, 7, 57, 58, 4096, sent.len()] {
            assert!(passed(&sent, piece) == expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn the_response_ends_at_its_first_empty_line_with_crlf_or_lf() {
        for answer in ["\r\nHTTP/1.1 101 x\r\na: b\r\n\r\n", "HTTP/1.1 101 x\na: b\n\n"] {
            let sent = [answer.as_bytes(), &frame(0x81, b"{}")].concat();
            let expected = [answer.as_bytes(), &frame(0x82, b"{}")].concat();
            assert_eq!(passed(&sent, 5), expected, "{answer:?}");
        }
    }

    #[test]
    fn lengths_of_every_size_and_masks_are_skipped() {
        let header = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        assert_eq!(payload_bytes(&header), Some(u64::MAX));
        for length in 0..header.len() {
            assert_eq!(payload_bytes(&header[..length]), None);
        }
        let sent = [ANSWER, &header, &[0x81; 100]].concat();
        let mut expected = sent.clone();
        expected[ANSWER.len()] = 0x82;
        assert_eq!(passed(&sent, 9), expected);
    }
}
