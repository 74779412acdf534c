//! Whatever a peer sends on a WebSocket: it is read or refused, and a frame's size is that of its payload.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmsd::rtms::message::{Message, parse, payload};

fuzz_target!(|text: &str| {
    if let Ok(Message::Frame(_, info)) = parse(text)
        && let Some(bytes) = payload(text, &info)
    {
        assert_eq!(bytes.len(), info.bytes as usize, "the ledger counts what is handed out");
    }
});
