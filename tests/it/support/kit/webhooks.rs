//! The bodies of Zoom's webhooks.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// `meeting.rtms_started` for a meeting of the same name as its stream.
pub(crate) fn started(stream: &str, server_url: &str) -> Value {
    let payload = json!({
        "meeting_uuid": stream, "rtms_stream_id": stream, "server_urls": server_url,
        "account_id": "acc-1", "operator_id": "u-ana", "meeting_id": "91234567890",
    });
    json!({"event": "meeting.rtms_started", "event_ts": now_ms(), "payload": payload})
}

pub(crate) fn stopped(stream: &str, reason: u16) -> Value {
    let payload = json!({"meeting_uuid": stream, "rtms_stream_id": stream, "stop_reason": reason});
    json!({"event": "meeting.rtms_stopped", "event_ts": now_ms(), "payload": payload})
}
