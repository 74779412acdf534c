//! Every message as rtms-protocol.md shows it, in its odd forms, and in none.

mod arbitrary;
mod conversation;
mod frames;
mod outgoing;
pub(in crate::rtms) mod samples;
mod signaling;
pub(in crate::rtms) mod spoiled;
mod tolerance;

use bytes::Bytes;

use super::{Event, Malformed, Message};
use crate::model::{Lost, UnreadableMessages};

fn parse(text: &str) -> Result<Message, Malformed> {
    super::decode(Bytes::copy_from_slice(text.as_bytes()), &mut UnreadableMessages::default())
}

/// The kinds of unreadable parts in a message, with their counts.
fn unreadable(text: &str) -> Vec<(u16, Lost, String, u64)> {
    let mut unreadable = UnreadableMessages::default();
    if let Ok(Message::Event(update)) =
        super::decode(Bytes::copy_from_slice(text.as_bytes()), &mut unreadable)
    {
        let _ = update.meeting(&mut unreadable);
    }
    let json = serde_json::to_value(&unreadable).unwrap();
    let kinds = json.as_array().unwrap().iter().map(|kind| {
        let lost = serde_json::from_value(kind["lost"].clone()).unwrap();
        let reason = kind["reason"].as_str().unwrap().to_owned();
        (kind["msg_type"].as_u64().unwrap() as u16, lost, reason, kind["count"].as_u64().unwrap())
    });
    kinds.collect()
}

fn event(text: &str) -> (Option<i64>, Event) {
    match parse(text).unwrap() {
        Message::Event(update) => {
            (update.at_ms, update.meeting(&mut UnreadableMessages::default()).unwrap())
        }
        other => panic!("not an event: {other:?}"),
    }
}

/// The type and the reason of a message that cannot be read.
fn malformed(text: &str) -> (u16, String) {
    let read = parse(text).and_then(|message| match message {
        Message::Event(update) => update.meeting(&mut UnreadableMessages::default()).map(|_| ()),
        message => panic!("read as {message:?}: {text}"),
    });
    let kind = read.expect_err(text).kind;
    assert_eq!(kind.lost, Lost::Message);
    assert_eq!(unreadable(text), [(kind.msg_type, kind.lost, kind.reason.to_string(), 1)]);
    (kind.msg_type, kind.reason.into_owned())
}

fn lost(msg_type: u16, reason: &str) -> (u16, String) {
    (msg_type, reason.to_owned())
}

fn unknown(text: &str) -> u16 {
    match parse(text) {
        Ok(Message::Unknown(number)) => number,
        other => panic!("not an unknown message: {other:?}"),
    }
}
