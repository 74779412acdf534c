//! The cases of the Autobahn test suite for a client that reads, by their numbers, and comparisons with tungstenite.

use std::io::Cursor;

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::*;

const LIMITS: MessageLimits = MessageLimits { max_bytes: 1 << 24, head_bytes: 4 };

/// A server's frame with the shortest header.
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

type Read = (Vec<Event>, Option<ProtocolError>);

/// Decodes `bytes` in pieces of this size, up to a close, an error or their end.
fn decode(limits: MessageLimits, bytes: &[u8], piece: usize) -> Read {
    let (mut decoder, mut events) = (Decoder::new(limits), Vec::new());
    for mut piece in bytes.chunks(piece) {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(Event::Close(code))) => {
                    events.push(Event::Close(code));
                    return (events, None);
                }
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
        assert!(piece.is_empty(), "all bytes are taken");
    }
    (events, None)
}

#[track_caller]
fn assert_read(frames: &[Vec<u8>], expected: &[Event], error: Option<ProtocolError>) {
    let bytes = frames.concat();
    for piece in [1, 2, 3, 7, 57, 4096, bytes.len().max(1)] {
        assert_eq!(decode(LIMITS, &bytes, piece), (expected.to_vec(), error), "pieces of {piece}");
    }
}

fn message(bytes: &[u8]) -> Event {
    Event::Message(Bytes::copy_from_slice(bytes))
}

fn ping(bytes: &[u8]) -> Event {
    Event::Ping(Bytes::copy_from_slice(bytes))
}

#[test]
fn messages_of_every_length_are_read() {
    // 1.1 and 1.2, around the lengths at which the header changes.
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 70_000] {
        let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
        for first in [0x81, 0x82] {
            assert_read(&[frame(first, &payload)], &[message(&payload)], None);
        }
    }
}

#[test]
fn pings_are_events_and_pongs_are_skipped() {
    // 2.1 to 2.4, 2.6, 2.10.
    for payload in [&b""[..], b"Hello", &[0, 0xff, 0xfe, 0xfd], &[0xfe; 125]] {
        assert_read(&[frame(0x89, payload)], &[ping(payload)], None);
    }
    let pings: Vec<_> = (0..10).map(|n| frame(0x89, &[n])).collect();
    let events: Vec<_> = (0..10).map(|n| ping(&[n])).collect();
    assert_read(&pings, &events, None);
    // 2.7 to 2.9.
    let pongs = [frame(0x8a, b""), frame(0x8a, b"unasked"), frame(0x89, b"then a Ping")];
    assert_read(&pongs, &[ping(b"then a Ping")], None);
    // 2.5.
    assert_read(&[frame(0x89, &[0xfe; 126])], &[], Some(ProtocolError::Control));
}

#[test]
fn reserved_bits_end_the_connection() {
    // 3.1 to 3.7.
    for bits in 1..8 {
        let bad = frame(0x81 | bits << 4, b"x");
        let sent = [frame(0x81, b"before"), bad];
        assert_read(&sent, &[message(b"before")], Some(ProtocolError::ReservedBits));
    }
    for first in [0x89 | 0x40, 0x88 | 0x10] {
        assert_read(&[frame(first, b"")], &[], Some(ProtocolError::ReservedBits));
    }
}

#[test]
fn unknown_opcodes_end_the_connection() {
    // 4.1 and 4.2.
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let sent = [frame(0x82, b"before"), frame(0x80 | opcode, b"x")];
        assert_read(&sent, &[message(b"before")], Some(ProtocolError::UnknownOpcode));
    }
}

#[test]
fn masked_frames_and_impossible_lengths_end_the_connection() {
    let masked = vec![0x81, 0x81, 1, 2, 3, 4, b'x'];
    assert_read(&[masked], &[], Some(ProtocolError::Masked));
    let impossible = [vec![0x82, 127], vec![0xff; 8]].concat();
    assert_read(&[impossible], &[], Some(ProtocolError::Length));
}

#[test]
fn fragments_make_one_message() {
    // 5.3 to 5.5.
    let sent = [frame(0x01, b"fragment1"), frame(0x80, b"fragment2")];
    assert_read(&sent, &[message(b"fragment1fragment2")], None);
    // 5.6 to 5.8, 5.19, 5.20.
    let sent = [
        frame(0x01, b"a"),
        frame(0x89, b"one"),
        frame(0x00, b""),
        frame(0x8a, b"no answer"),
        frame(0x00, b"b"),
        frame(0x89, b"two"),
        frame(0x80, b"c"),
        frame(0x82, b"next"),
    ];
    assert_read(&sent, &[ping(b"one"), ping(b"two"), message(b"abc"), message(b"next")], None);
    // An empty message in empty fragments.
    assert_read(&[frame(0x02, b""), frame(0x80, b"")], &[message(b"")], None);
}

#[test]
fn control_frames_are_never_fragmented() {
    // 5.1 and 5.2.
    for opcode in [8, 9, 10] {
        let sent = [frame(opcode, b"fragment1"), frame(0x80, b"fragment2")];
        assert_read(&sent, &[], Some(ProtocolError::Control));
    }
}

#[test]
fn fragments_without_a_beginning_or_an_end_end_the_connection() {
    // 5.9 to 5.14.
    for first in [0x80, 0x00] {
        let sent = [frame(first, b"nothing to continue"), frame(0x81, b"x")];
        assert_read(&sent, &[], Some(ProtocolError::NothingToContinue));
    }
    // 5.15 and 5.18.
    let sent = [frame(0x01, b"a"), frame(0x80, b"b"), frame(0x00, b"c")];
    assert_read(&sent, &[message(b"ab")], Some(ProtocolError::NothingToContinue));
    for first in [0x01, 0x81] {
        let sent = [frame(0x01, b"a"), frame(first, b"b")];
        assert_read(&sent, &[], Some(ProtocolError::NotContinued));
    }
}

#[test]
fn text_is_passed_on_whatever_its_encoding() {
    // 6.3 and 6.4 would have the connection closed: a name that is cut within a character costs one message, not the link.
    assert_read(&[frame(0x81, b"Ana \xf0\x9f")], &[message(b"Ana \xf0\x9f")], None);
    let sent = [frame(0x01, b"\xce"), frame(0x80, b"\xba")];
    assert_read(&sent, &[message("κ".as_bytes())], None);
}

#[test]
fn a_close_has_a_code_or_none_and_ends_the_reading() {
    // 7.1 and 7.3.
    let rest = frame(0x81, b"too late");
    let close = |payload: &[u8]| vec![frame(0x88, payload), rest.clone()];
    assert_read(&close(b""), &[Event::Close(None)], None);
    assert_read(&close(&1000_u16.to_be_bytes()), &[Event::Close(Some(1000))], None);
    assert_read(&close(b"\x0f\xa0why"), &[Event::Close(Some(4000))], None);
    assert_read(&close(&[0x03; 125]), &[Event::Close(Some(0x0303))], None);
    assert_read(&close(b"\x03"), &[], Some(ProtocolError::CloseCode));
    assert_read(&close(&[0x03; 126]), &[], Some(ProtocolError::Control));
    // 7.1.6: within a message.
    let sent = [frame(0x01, b"a"), frame(0x88, b"")];
    assert_read(&sent, &[Event::Close(None)], None);
}

#[test]
fn of_a_message_that_is_too_large_the_beginning_is_kept_and_what_follows_is_whole() {
    let (long, longest) = (vec![b'x'; 300], vec![b'y'; 70_000]);
    let too_large = |bytes: &[u8]| Event::TooLarge(Bytes::copy_from_slice(bytes));
    let limits = MessageLimits { max_bytes: 250, head_bytes: 4 };
    let sent = [
        frame(0x81, &long),
        frame(0x82, &[b'z'; 250]),
        frame(0x02, &[b'a'; 200]),
        frame(0x89, b"in between"),
        frame(0x00, &[b'b'; 51]),
        frame(0x80, &longest),
        frame(0x81, b"whole"),
    ]
    .concat();
    let expected = vec![
        too_large(b"xxxx"),
        message(&[b'z'; 250]),
        ping(b"in between"),
        too_large(b"aaaa"),
        message(b"whole"),
    ];
    for piece in [1, 2, 3, 7, 57, 4096, sent.len()] {
        assert_eq!(decode(limits, &sent, piece), (expected.clone(), None), "pieces of {piece}");
    }
}

#[test]
fn a_header_that_promises_much_makes_no_room_for_it() {
    let mut decoder = Decoder::new(LIMITS);
    let mut bytes = &[0x82, 127, 0, 0, 0, 0, 0x00, 0xff, 0xff, 0xff, b'x'][..];
    assert_eq!(decoder.decode(&mut bytes), Ok(None));
    assert!(decoder.message.unwrap().bytes.capacity() < 100);
}

/// What tungstenite reads: messages, Pings, a Close, and whether it ended with an error.
fn read_by_tungstenite(bytes: &[u8]) -> (Vec<Event>, bool) {
    // What it writes goes behind the end, where it is not read.
    let stream = ReadOnly(Cursor::new(bytes.to_vec()));
    let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push(Event::Message(text.into())),
            Ok(Message::Binary(bytes)) => events.push(Event::Message(bytes)),
            Ok(Message::Ping(payload)) => events.push(Event::Ping(payload)),
            Ok(Message::Pong(_) | Message::Frame(_)) => {}
            Ok(Message::Close(close)) => {
                events.push(Event::Close(close.map(|close| close.code.into())));
                return (events, false);
            }
            // The bytes end.
            Err(Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => return (events, false),
            Err(_) => return (events, true),
        }
    }
}

struct ReadOnly(Cursor<Vec<u8>>);

impl std::io::Read for ReadOnly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for ReadOnly {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Frames that may follow each other, and a few that may not.
fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x82_u8, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => prop::sample::select(vec![0x88_u8, 0x83, 0xc2, 0x09]),
    ];
    let payload = prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..20),
        1 => prop::collection::vec(any::<u8>(), 120..400),
    ];
    prop::collection::vec((first, payload).prop_map(|(first, bytes)| frame(first, &bytes)), 0..12)
}

proptest! {
    #[test]
    fn it_reads_what_tungstenite_reads(
        frames in frames(),
        piece in 1_usize..300,
        cut in 0_usize..10,
        flip in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut bytes = frames.concat();
        bytes.truncate(bytes.len().saturating_sub(cut));
        if let Some((at, byte)) = flip && !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (theirs, failed) = read_by_tungstenite(&bytes);
        let (mut ours, error) = decode(LIMITS, &bytes, piece);
        // It replaces codes that no peer may send.
        if let (Some(Event::Close(Some(code))), Some(Event::Close(Some(1002)))) = (ours.last_mut(), theirs.last()) {
            *code = 1002;
        }
        if error.is_some() {
            prop_assert_eq!(&ours, &theirs);
            // tungstenite looks at a frame when all of it is there.
            prop_assert!(failed || cut > 0 || flip.is_some(), "{error:?}");
        } else if failed {
            // A flipped byte makes text: only tungstenite checks its encoding, and a close reason's.
            prop_assert!(ours.len() > theirs.len() && ours.starts_with(&theirs), "{theirs:?} {ours:?}");
        } else {
            prop_assert_eq!(&ours, &theirs);
        }
    }
}
