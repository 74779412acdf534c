//! Scripts for the simulator.

use rtmsd::simulator::Script;
use serde_json::{Value, json};

/// A meeting with Ana and Bo in it from the start. It ends at `end_ms` with reason 6.
pub(crate) fn script(timeline: Vec<Value>, end_ms: u32) -> Script {
    let joins = ["ana", "bo"].map(|who| json!({"at_ms": 0, "join": who}));
    let timeline = [joins.to_vec(), timeline].concat();
    let script = json!({
        "title": "Test", "meeting_id": "91234567890", "account_id": "acc-1", "host": "u-ana",
        "people": [{"key": "ana", "user_id": 16_778_240, "name": "Ana Silva"},
                   {"key": "bo", "user_id": 16_779_264, "name": "Bo"},
                   {"key": "chidi", "user_id": 16_780_288, "name": "Chidi"}],
        "timeline": timeline,
        "end": {"at_ms": end_ms, "stop_reason": 6}
    });
    Script::parse(&script.to_string()).unwrap()
}

/// Ana and Bo say "line 0", "line 1" and so on in turn, each for `every_ms`.
pub(crate) fn chatter(lines: u32, every_ms: u32) -> Vec<Value> {
    let say = |index: u32| {
        let who = if index.is_multiple_of(2) { "ana" } else { "bo" };
        let text = format!("line {index}");
        json!({"at_ms": index * every_ms,
               "say": {"who": who, "text": text, "duration_ms": every_ms}})
    };
    (0..lines).map(say).collect()
}

/// A meeting that goes on for longer than any test, with a line every `every_ms`.
pub(crate) fn endless(every_ms: u32) -> Script {
    const LONG_MS: u32 = 3_600_000;
    script(chatter((LONG_MS / every_ms).min(5_000), every_ms), LONG_MS)
}
