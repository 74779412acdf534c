//! Whatever a peer sends on a WebSocket: it is read or counted, and a frame's size is that of its payload.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmsd::model::UnreadableMessages;
use rtmsd::rtms::message::{Message, parse, payload};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut unreadable = UnreadableMessages::default();
    match parse(&text, &mut unreadable) {
        Ok(Message::Frame(_, info)) => {
            if let Some(bytes) = payload(&text, &info) {
                assert_eq!(bytes.len(), info.bytes as usize, "the ledger counts what is handed out");
            }
        }
        Ok(_) => {}
        Err(malformed) => assert_eq!(unreadable.count(&malformed.kind), 1, "what is lost is counted"),
    }
});
