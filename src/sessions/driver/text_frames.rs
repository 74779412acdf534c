//! Edits a server's WebSocket frames before the WebSocket library reads them, because the library closes the connection
//! where only one message must be lost. A text frame becomes a binary frame: invalid UTF-8, such as a name cut in the
//! middle of a character, is not an error there. A message that is too large is cut: its first bytes pass, and the rest
//! is discarded.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;

/// A connection that is about to be upgraded. Edits the frames it reads; writes pass through unchanged.
pub(super) struct TextAsBinary<S> {
    stream: S,
    place: Place,
    /// The first bytes of a header that has not arrived completely. A header passes only as a whole, because
    /// its length may change.
    held: Vec<u8>,
    max_message_bytes: u64,
    /// The bytes of the current message that pass, over all its frames.
    message_bytes: u64,
}

/// The part of the byte stream that the next byte belongs to.
enum Place {
    /// The HTTP response to the upgrade, up to its first empty line.
    Answer {
        line_bytes: usize,
        has_begun: bool,
    },
    Header,
    /// The rest of a payload: the bytes that pass, and the bytes after them that are discarded.
    Payload {
        pass: u64,
        discard: u64,
    },
}

impl<S> TextAsBinary<S> {
    /// Wraps `stream` before its upgrade. Only the first `max_message_bytes` of each message pass.
    pub(super) fn new(stream: S, max_message_bytes: u64) -> Self {
        let place = Place::Answer { line_bytes: 0, has_begun: false };
        Self { stream, place, held: Vec::new(), max_message_bytes, message_bytes: 0 }
    }

    /// Edits `bytes` in place and returns how many of them pass, from the first on.
    fn edit(&mut self, bytes: &mut [u8]) -> usize {
        let (mut read, mut passed) = (0, 0);
        while read < bytes.len() {
            let (taken, passing) = self.take(&mut bytes[read..]);
            if read != passed {
                bytes.copy_within(read..read + passing, passed);
            }
            (read, passed) = (read + taken, passed + passing);
            if let Place::Payload { pass: 0, discard: 0 } = self.place {
                self.place = Place::Header;
            }
        }
        passed
    }

    /// Handles the first of these bytes. Returns how many it took and how many of those pass.
    fn take(&mut self, bytes: &mut [u8]) -> (usize, usize) {
        match &mut self.place {
            Place::Payload { pass, .. } if *pass > 0 => {
                let taken = take_from(pass, bytes.len());
                (taken, taken)
            }
            Place::Payload { discard, .. } => (take_from(discard, bytes.len()), 0),
            Place::Header => match read_header(bytes) {
                Some((header_bytes, payload_bytes)) => {
                    self.begin_frame(&mut bytes[..header_bytes], payload_bytes);
                    (header_bytes, header_bytes)
                }
                None => {
                    self.held.extend_from_slice(bytes);
                    (bytes.len(), 0)
                }
            },
            Place::Answer { line_bytes, has_begun } => {
                match bytes[0] {
                    // As the HTTP parser does: lines end with LF or CRLF, and empty lines before the first are
                    // skipped.
                    b'\n' if *line_bytes == 0 && *has_begun => self.place = Place::Header,
                    b'\n' => *line_bytes = 0,
                    b'\r' => {}
                    _ => (*line_bytes, *has_begun) = (*line_bytes + 1, true),
                }
                (1, 1)
            }
        }
    }

    /// Edits a header: marks text as binary, and shortens a frame that makes its message too large. Control frames,
    /// which may come between the frames of a message, stay as they are.
    fn begin_frame(&mut self, header: &mut [u8], payload_bytes: u64) {
        let opcode = header[0] & OPCODE;
        if opcode == TEXT {
            header[0] = header[0] & !OPCODE | BINARY;
        }
        if matches!(opcode, TEXT | BINARY) {
            self.message_bytes = 0;
        }
        let mut pass = payload_bytes;
        if matches!(opcode, CONTINUATION | TEXT | BINARY) {
            pass = pass.min(self.max_message_bytes - self.message_bytes);
            self.message_bytes += pass;
            // A frame with nothing left still passes, empty: its FIN bit may end the message.
            write_length(header, pass);
        }
        self.place = Place::Payload { pass, discard: payload_bytes - pass };
    }
}

/// Takes up to `most` from `left` and returns how many that were.
fn take_from(left: &mut u64, most: usize) -> usize {
    // A length beyond `usize` (on a 32-bit machine) only means "more than is here".
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(most);
    *left -= taken as u64;
    taken
}

/// The lengths of the header that `bytes` begin with and of its payload; none while the header is incomplete (RFC 6455,
/// section 5.2).
fn read_header(bytes: &[u8]) -> Option<(usize, u64)> {
    let second = *bytes.get(1)?;
    let mask_bytes = if second & MASKED == 0 { 0 } else { 4 };
    let (payload_bytes, header_bytes) = match second & !MASKED {
        126 => (u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
        short => (u64::from(short), 2),
    };
    let header_bytes = header_bytes + mask_bytes;
    (bytes.len() >= header_bytes).then_some((header_bytes, payload_bytes))
}

/// Writes a payload length that is at most the header's own, in as many bytes.
fn write_length(header: &mut [u8], payload_bytes: u64) {
    let length = payload_bytes.to_be_bytes();
    match header[1] & !MASKED {
        126 => header[2..4].copy_from_slice(&length[6..]),
        127 => header[2..10].copy_from_slice(&length),
        _ => header[1] = header[1] & MASKED | length[7],
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TextAsBinary<S> {
    /// Returns the stream's errors, and an error if the buffer has no room for a frame header.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let held = self.held.len();
        if held > 0 && buffer.remaining() <= held {
            return Poll::Ready(Err(io::Error::other("the read buffer has no room for a header")));
        }
        // A read of nothing means the end of the stream to the caller, so read on until something passes.
        loop {
            buffer.put_slice(&self.held);
            let read_from = buffer.filled().len();
            let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
            let is_end = buffer.filled().len() == read_from;
            if is_end || !matches!(read, Poll::Ready(Ok(()))) {
                // The held bytes were only borrowed for this read and stay in `held`.
                buffer.set_filled(before);
                return read;
            }
            self.held.clear();
            let passed = self.edit(&mut buffer.filled_mut()[before..]);
            buffer.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
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
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;

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

    /// A stream of these bytes, of which each read returns at most one piece.
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

    /// Reads `bytes` through the wrapper in pieces of this size.
    fn passed_up_to(max_message_bytes: u64, bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut stream = TextAsBinary::new(Pieces(bytes.chunks(piece)), max_message_bytes);
        let (mut passed, mut buffer) = (Vec::new(), vec![0; piece + 14]);
        loop {
            let read = stream.read(&mut buffer).now_or_never().expect("the bytes are there");
            match read.unwrap() {
                0 => return passed,
                read => passed.extend_from_slice(&buffer[..read]),
            }
        }
    }

    fn passed(bytes: &[u8], piece: usize) -> Vec<u8> {
        passed_up_to(u64::MAX, bytes, piece)
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
        assert_eq!(read_header(&header), Some((header.len(), u64::MAX)));
        for length in 0..header.len() {
            assert_eq!(read_header(&header[..length]), None);
        }
        let sent = [ANSWER, &header, &[0x81; 100]].concat();
        let mut expected = sent.clone();
        expected[ANSWER.len()] = 0x82;
        assert_eq!(passed(&sent, 9), expected);
    }

    #[test]
    fn a_message_that_is_too_large_is_cut_and_what_follows_is_whole() {
        let (long, longest) = (vec![b'x'; 300], vec![b'y'; 70_000]);
        for max in [0_usize, 1, 125, 126, 250] {
            let (cut, cut_longest) = (cut(0x82, &long, max), cut(0x82, &longest, max));
            let sent = [
                ANSWER.to_vec(),
                frame(0x81, &long),
                frame(0x89, b"ping"),
                frame(0x82, &longest),
                frame(0x81, b""),
            ]
            .concat();
            let ping = frame(0x89, b"ping");
            let expected = [ANSWER.to_vec(), cut, ping, cut_longest, frame(0x82, b"")].concat();
            for piece in [1, 2, 3, 7, 57, 4096, sent.len()] {
                let passed = passed_up_to(max as u64, &sent, piece);
                assert!(passed == expected, "{max} bytes in pieces of {piece}");
            }
        }
    }

    #[test]
    fn the_frames_of_one_message_are_cut_together_and_control_frames_pass() {
        let sent = [
            ANSWER.to_vec(),
            frame(0x01, b"abcd"),
            frame(0x89, b"ping in between"),
            frame(0x00, b"efgh"),
            frame(0x00, b"ij"),
            frame(0x80, &[b'k'; 200]),
            frame(0x81, b"whole"),
        ]
        .concat();
        let expected = [
            ANSWER.to_vec(),
            frame(0x02, b"abcd"),
            frame(0x89, b"ping in between"),
            frame(0x00, b"ef"),
            frame(0x00, b""),
            cut(0x80, &[b'k'; 200], 0),
            frame(0x82, b"whole"),
        ]
        .concat();
        for piece in [1, 2, 3, 7, 57, sent.len()] {
            assert_eq!(passed_up_to(6, &sent, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_stream_that_ends_inside_a_header_or_a_discarded_payload_ends() {
        let sent = [ANSWER.to_vec(), frame(0x82, &[b'x'; 300])].concat();
        for end in ANSWER.len()..sent.len() {
            assert!(passed_up_to(4, &sent[..end], 5).len() <= ANSWER.len() + 8);
        }
    }

    /// The frame of a payload, cut to `max` bytes: the length is written in as many bytes as that of the payload.
    fn cut(first: u8, payload: &[u8], max: usize) -> Vec<u8> {
        let mut whole = frame(first, payload);
        let header_bytes = whole.len() - payload.len();
        whole.truncate(header_bytes + max);
        write_length(&mut whole, max as u64);
        whole
    }
}
