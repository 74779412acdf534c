//! The bodies of the webhooks about a stream, for every product (rtms-protocol.md section 13.6).

use serde_json::{Map, Value, json};

use crate::model::{IdKey, Product};

/// A webhook to send: its event name, and its body as JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub name: String,
    pub body: String,
}

impl Event {
    pub(crate) fn new(name: String, event_ms: i64, payload: &Value) -> Self {
        let body = json!({"event": name, "event_ts": event_ms, "payload": payload}).to_string();
        Self { name, body }
    }
}

/// The stream that a webhook is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamIds<'a> {
    pub product: Product,
    /// The id that the handshake signs: `meeting_uuid`, `webinar_uuid`, `session_id`, `engagement_id` or
    /// `call_id`.
    pub instance_id: &'a str,
    pub stream: &'a str,
    /// The meeting number; of a Video SDK session its key.
    pub meeting_id: Option<&'a str>,
}

/// What `rtms_started` says beside the ids. Fields that are not known are left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announcement<'a> {
    pub server_urls: &'a str,
    pub account_id: Option<&'a str>,
    /// The Zoom user who runs the app.
    pub operator_id: Option<&'a str>,
    pub is_original_host: Option<bool>,
}

/// `rtms_started`, flat and with the fields that were added in May 2026.
pub(crate) fn rtms_started(ids: StreamIds<'_>, of: Announcement<'_>, now_ms: i64) -> Event {
    let is_meeting = matches!(ids.product, Product::Meeting | Product::Webinar);
    let mut payload = ids.payload();
    let mut add = |name: &str, value: Option<Value>| {
        payload.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("server_urls", Some(of.server_urls.into()));
    if !ids.product.names_channels() {
        add("account_id", of.account_id.map(Value::from));
    }
    if is_meeting {
        add("operator_id", of.operator_id.map(Value::from));
        add("meeting_id", ids.meeting_id.map(Value::from));
        add("is_original_host", of.is_original_host.map(Value::from));
    }
    if ids.product == Product::Webinar {
        add("webinar_id", ids.meeting_id.map(Value::from));
    }
    Event::new(ids.event("started"), now_ms, &payload.into())
}

/// `rtms_interrupted`, which has no URL: the client reuses the last one.
pub(crate) fn rtms_interrupted(ids: StreamIds<'_>, now_ms: i64) -> Event {
    Event::new(ids.event("interrupted"), now_ms, &ids.payload().into())
}

/// `rtms_stopped` with a stop reason of section 10.6.
pub(crate) fn rtms_stopped(ids: StreamIds<'_>, stop_reason: u16, now_ms: i64) -> Event {
    let mut payload = ids.payload();
    payload.insert("stop_reason".to_owned(), stop_reason.into());
    Event::new(ids.event("stopped"), now_ms, &payload.into())
}

/// The challenge of a URL validation (section 13.3).
pub(crate) fn url_validation(plain_token: &str, now_ms: i64) -> Event {
    let payload = json!({"plainToken": plain_token});
    Event::new("endpoint.url_validation".to_owned(), now_ms, &payload)
}

/// The first part of a product's event names.
pub(crate) fn family(product: Product) -> &'static str {
    match product {
        Product::Meeting => "meeting",
        Product::Webinar => "webinar",
        Product::VideoSdk => "session",
        Product::ContactCenter => "contact_center",
        Product::Phone => "phone",
    }
}

/// The field name of the instance id in webhooks and handshakes.
pub(crate) fn instance_key(product: Product) -> IdKey {
    match product {
        Product::Meeting => IdKey::MeetingUuid,
        Product::Webinar => IdKey::WebinarUuid,
        Product::VideoSdk => IdKey::SessionId,
        Product::ContactCenter => IdKey::EngagementId,
        Product::Phone => IdKey::CallId,
    }
}

impl StreamIds<'_> {
    /// The name of an event: `meeting.rtms_started`, or for a Contact Center `contact_center.voice_rtms_started`.
    fn event(&self, what: &str) -> String {
        match self.product {
            Product::ContactCenter => format!("contact_center.voice_rtms_{what}"),
            product => format!("{}.rtms_{what}", family(product)),
        }
    }

    /// The fields that all events of the product share.
    fn payload(&self) -> Map<String, Value> {
        let mut payload = Map::new();
        payload.insert(instance_key(self.product).as_str().to_owned(), self.instance_id.into());
        if let (Product::VideoSdk, Some(key)) = (self.product, self.meeting_id) {
            payload.insert("session_key".to_owned(), key.into());
        }
        payload.insert("rtms_stream_id".to_owned(), self.stream.into());
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(product: Product) -> Value {
        let ids = StreamIds {
            product,
            instance_id: "/abc==",
            stream: "S",
            meeting_id: Some("91234567890"),
        };
        let of = Announcement {
            server_urls: "ws://x",
            account_id: Some("acc"),
            operator_id: Some("u1"),
            is_original_host: Some(true),
        };
        serde_json::from_str(&rtms_started(ids, of, 1_732_313_171_881).body).unwrap()
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
}
