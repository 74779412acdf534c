//! Builds the bodies of a meeting's webhooks (sections 13.6, 13.7, 16; pure).

use serde_json::json;

use crate::model::Product;
use crate::rtms::server::webhook::{self, Announcement, StreamIds, family};
pub(super) use crate::rtms::server::webhook::{Event, url_validation};

/// The identity of a meeting, webinar, session or engagement.
#[derive(Debug, Clone)]
pub(super) struct MeetingIdentity {
    pub product: Product,
    /// The instance id, which the handshake signs: `meeting_uuid`, `webinar_uuid`, `session_id` or `engagement_id`.
    pub instance_id: String,
    /// The meeting number, which REST uses.
    pub meeting_id: String,
    pub account_id: String,
    /// The Zoom user id of the host.
    pub host_id: String,
    pub topic: String,
}

impl MeetingIdentity {
    fn ids<'a>(&'a self, stream: &'a str) -> StreamIds<'a> {
        StreamIds {
            product: self.product,
            instance_id: &self.instance_id,
            stream,
            meeting_id: Some(&self.meeting_id),
        }
    }
}

/// The fields of `rtms_started` that belong to the stream.
pub(super) struct Announced<'a> {
    pub stream: &'a str,
    pub server_urls: &'a str,
    /// The Zoom user who runs the app.
    pub operator_id: &'a str,
}

/// See [`webhook::rtms_started`].
pub(super) fn rtms_started(identity: &MeetingIdentity, of: &Announced<'_>, now_ms: i64) -> Event {
    let announcement = Announcement {
        server_urls: of.server_urls,
        account_id: Some(&identity.account_id),
        operator_id: Some(of.operator_id),
        is_original_host: Some(of.operator_id == identity.host_id),
    };
    webhook::rtms_started(identity.ids(of.stream), announcement, now_ms)
}

/// See [`webhook::rtms_interrupted`].
pub(super) fn rtms_interrupted(identity: &MeetingIdentity, stream: &str, now_ms: i64) -> Event {
    webhook::rtms_interrupted(identity.ids(stream), now_ms)
}

/// See [`webhook::rtms_stopped`].
pub(super) fn rtms_stopped(
    identity: &MeetingIdentity,
    stream: &str,
    stop_reason: u16,
    now_ms: i64,
) -> Event {
    webhook::rtms_stopped(identity.ids(stream), stop_reason, now_ms)
}

/// `meeting.started` or `meeting.ended`, as `what` says, or the product's equivalent. The simulator sends none for
/// a Contact Center engagement or a phone call.
pub(super) fn meeting_lifecycle(
    identity: &MeetingIdentity,
    what: &str,
    started_ms: i64,
    now_ms: i64,
) -> Option<Event> {
    // Type 2 is a scheduled meeting.
    let mut object = json!({
        "id": identity.meeting_id, "uuid": identity.instance_id, "host_id": identity.host_id,
        "topic": identity.topic, "type": 2, "start_time": to_rfc3339(started_ms), "duration": 60,
        "timezone": "UTC",
    });
    match (identity.product, what) {
        (Product::ContactCenter | Product::Phone, _) => return None,
        (Product::VideoSdk, _) => {
            object = json!({
                "session_id": identity.instance_id, "session_key": identity.meeting_id,
                "session_name": identity.topic, "start_time": to_rfc3339(started_ms),
            });
        }
        (_, "ended") => object["end_time"] = to_rfc3339(now_ms).into(),
        _ => {}
    }
    let payload = json!({"account_id": identity.account_id, "object": object});
    Some(Event::new(format!("{}.{what}", family(identity.product)), now_ms, &payload))
}

/// `app_deauthorized` (section 15.7). How Zoom computes `signature` is not published, so it is zeros.
pub(super) fn app_deauthorized(
    account_id: &str,
    user_id: &str,
    client_id: &str,
    now_ms: i64,
) -> Event {
    let time = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default().to_string();
    let payload = json!({
        "account_id": account_id, "user_id": user_id, "signature": "0".repeat(64),
        "deauthorization_time": time, "client_id": client_id,
    });
    Event::new("app_deauthorized".to_owned(), now_ms, &payload)
}

fn to_rfc3339(unix_ms: i64) -> String {
    jiff::Timestamp::from_second(unix_ms / 1000).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn identity(product: Product) -> MeetingIdentity {
        MeetingIdentity {
            product,
            instance_id: "/abc==".to_owned(),
            meeting_id: "91234567890".to_owned(),
            account_id: "acc".to_owned(),
            host_id: "u1".to_owned(),
            topic: "T".to_owned(),
        }
    }

    #[test]
    fn meeting_started_is_nested() {
        let event = meeting_lifecycle(&identity(Product::Meeting), "started", 1_732_313_171_881, 0)
            .unwrap();
        let body: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!(body["payload"]["object"]["uuid"], "/abc==");
        assert_eq!(body["payload"]["object"]["start_time"], "2024-11-22T22:06:11Z");
    }
}
