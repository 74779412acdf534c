//! Whatever a peer sends on a WebSocket: it is read or counted, and a frame's size is that of its payload.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rtmsd::model::UnreadableMessages;
use rtmsd::rtms::message::{Message, decode};

fuzz_target!(|bytes: &[u8]| {
    let mut unreadable = UnreadableMessages::default();
    match decode(bytes.to_vec().into(), &mut unreadable) {
        Ok(Message::Frame(frame)) => {
            if let Ok(payload) = frame.payload() {
                assert_eq!(payload.len(), frame.payload_bytes as usize, "the ledger counts what is handed out");
            }
        }
        Ok(_) => {}
        Err(malformed) => assert_eq!(unreadable.count(&malformed.kind), 1, "what is lost is counted"),
    }
});
