//! Whatever a server sends: it is decoded the same in one piece and in many, and no message is larger than allowed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmsd::net::websocket::decoder::{Decoder, Event, MessageLimits, ProtocolError};

const LIMITS: MessageLimits = MessageLimits { max_bytes: 300, head_bytes: 10 };

fn decode(bytes: &[u8], piece: usize) -> (Vec<Event>, Option<ProtocolError>) {
    let (mut decoder, mut events) = (Decoder::new(LIMITS), Vec::new());
    for mut piece in bytes.chunks(piece) {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(event)) => {
                    let is_close = matches!(event, Event::Close(_));
                    events.push(event);
                    if is_close {
                        return (events, None);
                    }
                }
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    for event in &whole.0 {
        match event {
            Event::Message(bytes) => assert!(bytes.len() <= LIMITS.max_bytes),
            Event::TooLarge(head) => assert_eq!(head.len(), LIMITS.head_bytes),
            Event::Ping(payload) => assert!(payload.len() <= 125),
            Event::Close(_) => {}
        }
    }
    assert_eq!(decode(bytes, usize::from(*piece).max(1)), whole);
});
