//! Builds webhook bodies for every product (sections 13.6, 13.7, 16; pure).

use serde_json::{Map, Value, json};

use crate::model::{IdKey, Product};

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
    /// The field name of the instance id in webhooks and handshakes.
    pub(super) fn key(&self) -> IdKey {
        match self.product {
            Product::Meeting => IdKey::MeetingUuid,
            Product::Webinar => IdKey::WebinarUuid,
            Product::VideoSdk => IdKey::SessionId,
            Product::ContactCenter => IdKey::EngagementId,
            Product::Phone => IdKey::CallId,
        }
    }

    /// The name of an RTMS event: `meeting.rtms_started`, or for a Contact Center `contact_center.voice_rtms_started`.
    fn rtms_event(&self, what: &str) -> String {
        match self.product {
            Product::ContactCenter => format!("contact_center.voice_rtms_{what}"),
            _ => format!("{}.rtms_{what}", self.family()),
        }
    }

    /// The first part of event names.
    fn family(&self) -> &'static str {
        match self.product {
            Product::Meeting => "meeting",
            Product::Webinar => "webinar",
            Product::VideoSdk => "session",
            Product::ContactCenter => "contact_center",
            Product::Phone => "phone",
        }
    }

    /// The fields that all RTMS events of the product share.
    fn rtms_payload(&self, stream: &str) -> Map<String, Value> {
        let mut payload = Map::new();
        payload.insert(self.key().as_str().to_owned(), self.instance_id.clone().into());
        if self.product == Product::VideoSdk {
            payload.insert("session_key".to_owned(), self.meeting_id.clone().into());
        }
        payload.insert("rtms_stream_id".to_owned(), stream.into());
        payload
    }
}

/// A webhook to send: its event name, and its body as JSON text.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub name: String,
    pub body: String,
}

fn new_event(name: String, event_ms: i64, payload: Value) -> Event {
    let body = json!({"event": name, "event_ts": event_ms, "payload": payload}).to_string();
    Event { name, body }
}

/// The fields of `rtms_started` that belong to the stream.
pub(super) struct Announced<'a> {
    pub stream: &'a str,
    pub server_urls: &'a str,
    /// The Zoom user who runs the app.
    pub operator_id: &'a str,
}

/// `rtms_started`, flat and with the fields that were added in May 2026 (section 13.6).
pub(super) fn rtms_started(identity: &MeetingIdentity, of: &Announced<'_>, now_ms: i64) -> Event {
    let mut payload = identity.rtms_payload(of.stream);
    payload.insert("server_urls".to_owned(), of.server_urls.into());
    let mut add = |name: &str, value: Value| payload.insert(name.to_owned(), value);
    // The fields of section 13.6, which differ by product.
    if !identity.product.names_channels() {
        add("account_id", identity.account_id.clone().into());
    }
    if matches!(identity.product, Product::Meeting | Product::Webinar) {
        add("operator_id", of.operator_id.into());
        add("meeting_id", identity.meeting_id.clone().into());
        add("is_original_host", (of.operator_id == identity.host_id).into());
    }
    if identity.product == Product::Webinar {
        add("webinar_id", identity.meeting_id.clone().into());
    }
    new_event(identity.rtms_event("started"), now_ms, payload.into())
}

/// `rtms_interrupted`, which has no URL: the client reuses the last one.
pub(super) fn rtms_interrupted(identity: &MeetingIdentity, stream: &str, now_ms: i64) -> Event {
    new_event(identity.rtms_event("interrupted"), now_ms, identity.rtms_payload(stream).into())
}

/// `rtms_stopped` with a stop reason of section 10.6.
pub(super) fn rtms_stopped(
    identity: &MeetingIdentity,
    stream: &str,
    stop_reason: u16,
    now_ms: i64,
) -> Event {
    let mut payload = identity.rtms_payload(stream);
    payload.insert("stop_reason".to_owned(), stop_reason.into());
    new_event(identity.rtms_event("stopped"), now_ms, payload.into())
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
    Some(new_event(format!("{}.{what}", identity.family()), now_ms, payload))
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
    new_event("app_deauthorized".to_owned(), now_ms, payload)
}

/// The challenge of a URL validation (section 13.3).
pub(super) fn url_validation(plain_token: &str, now_ms: i64) -> Event {
    new_event("endpoint.url_validation".to_owned(), now_ms, json!({"plainToken": plain_token}))
}

fn to_rfc3339(unix_ms: i64) -> String {
    jiff::Timestamp::from_second(unix_ms / 1000).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
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

    fn started(product: Product) -> Value {
        let of = Announced { stream: "S", server_urls: "ws://x", operator_id: "u1" };
        let event = rtms_started(&identity(product), &of, 1_732_313_171_881);
        serde_json::from_str(&event.body).unwrap()
    }

    #[test]
    fn rtms_started_of_a_meeting_is_flat_and_complete() {
        assert_eq!(
            started(Product::Meeting),
            json!({"event": "meeting.rtms_started", "event_ts": 1732313171881_i64, "payload": {
                "account_id": "acc", "operator_id": "u1", "meeting_id": "91234567890",
                "meeting_uuid": "/abc==", "is_original_host": true, "rtms_stream_id": "S",
                "server_urls": "ws://x"}})
        );
    }

    #[test]
    fn every_product_has_its_own_event_and_field_names() {
        let webinar = started(Product::Webinar);
        assert_eq!(webinar["event"], "webinar.rtms_started");
        assert_eq!(webinar["payload"]["webinar_uuid"], "/abc==");
        assert_eq!(webinar["payload"]["webinar_id"], "91234567890");
        let session = started(Product::VideoSdk);
        assert_eq!(session["event"], "session.rtms_started");
        assert_eq!(session["payload"]["session_id"], "/abc==");
        let engagement = started(Product::ContactCenter);
        assert_eq!(engagement["event"], "contact_center.voice_rtms_started");
        assert_eq!(
            engagement["payload"],
            json!({"engagement_id": "/abc==", "rtms_stream_id": "S", "server_urls": "ws://x"})
        );
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
