//! Every message as rtms-protocol.md shows it, in its odd forms, and in none.

mod arbitrary;
mod conversation;
mod frames;
mod outgoing;
mod samples;
mod signaling;
mod tolerance;

use super::{Event, Malformed, Message, parse};

fn event(text: &str) -> (Option<i64>, Event) {
    match parse(text).unwrap() {
        Message::Event(update) => (update.at_ms, update.event),
        other => panic!("not an event: {other:?}"),
    }
}

fn malformed(text: &str) -> Malformed {
    match parse(text) {
        Err(malformed) => malformed,
        Ok(message) => panic!("read as {message:?}: {text}"),
    }
}

fn unknown(text: &str) -> u16 {
    match parse(text) {
        Ok(Message::Unknown(number)) => number,
        other => panic!("not an unknown message: {other:?}"),
    }
}
