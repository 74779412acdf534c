//! Webhook bodies to events (rtms-protocol.md sections 13 and 16).

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::signature::PlainToken;
use crate::model::{
    Announcement, Deauthorization, Delivery, IdKey, Instance, MeetingChange, MeetingChanged,
    Notice, Product, StreamId, StreamInterrupted, StreamStarted, StreamStopped,
};

/// The longest event name, account, meeting or operator id that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 256;
/// The longest `server_urls`, in bytes: room for some forty URLs.
const MAX_SERVER_URLS_BYTES: usize = 4096;
/// The last millisecond that RFC 3339 can write: the end of the year 9999.
const MAX_EVENT_TS_MS: i64 = 253_402_300_799_999;

/// Events about starts and limits, of an account or a conversation (section 13.6).
const NOTICES: [&str; 4] = [
    "rtms.concurrency_near_limit",
    "rtms.concurrency_limited",
    "rtms.start_failed",
    "rtms.request_status",
];

/// What a webhook body is.
#[derive(Debug, Clone)]
pub enum Event {
    /// Zoom wants to see that we hold the secret token (section 13.3). Not stored.
    UrlValidation {
        plain_token: PlainToken,
    },
    Delivery(Box<Delivery>),
}

/// Why a body is no event. Says what is wrong, never what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventError {
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the body is not a JSON object (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("`{field}` {problem}")]
    Field { field: &'static str, problem: &'static str },
}

/// Reads a webhook body whose signature is good. Only what is needed is required: an event that is not about an RTMS
/// stream is kept whatever its payload.
pub fn parse(raw: &[u8], received_at_ms: i64) -> Result<Event, EventError> {
    let body = std::str::from_utf8(raw).map_err(|_| EventError::NotUtf8)?;
    let envelope: Map<String, Value> = serde_json::from_str(body)
        .map_err(|error| EventError::NotJson { line: error.line(), column: error.column() })?;
    let event = text(envelope.get("event"), MAX_TEXT_BYTES)
        .ok_or_else(|| wrong("event", "must be a short text"))?;
    let payload = Payload::of(&envelope);
    if event == "endpoint.url_validation" {
        return payload.plain_token().map(|plain_token| Event::UrlValidation { plain_token });
    }
    let rtms = rtms_event(&event);
    let event_ts_ms = match (event_ts(&envelope), rtms) {
        (Some(at_ms), _) => at_ms,
        (None, None) => received_at_ms,
        (None, Some(_)) => return Err(wrong("event_ts", "must be Unix milliseconds")),
    };
    let announcement = match rtms {
        Some((product, change)) => payload.announcement(product, change)?,
        None if event == "app_deauthorized" => payload.deauthorization()?,
        None if NOTICES.contains(&event.as_str()) => Announcement::Notice(payload.notice()),
        None => meeting_event(&event)
            .and_then(|(product, change)| payload.meeting(product, change))
            .map_or(Announcement::Other, Announcement::Meeting),
    };
    Ok(Event::Delivery(Box::new(Delivery {
        digest: hex::encode(Sha256::digest(raw)),
        event,
        event_ts_ms,
        received_at_ms,
        body: body.to_owned(),
        announcement,
    })))
}

#[derive(Clone, Copy)]
enum Change {
    Started,
    Stopped,
    Interrupted,
}

/// Which stream event a name means; none for every other event, known to Zoom or not.
fn rtms_event(name: &str) -> Option<(Product, Change)> {
    let (prefix, rest) = name.split_once('.')?;
    let (product, change) = match prefix {
        "meeting" => (Product::Meeting, rest),
        "webinar" => (Product::Webinar, rest),
        "session" => (Product::VideoSdk, rest),
        "contact_center" => (Product::ContactCenter, rest.strip_prefix("voice_")?),
        _ => return None,
    };
    match change {
        "rtms_started" => Some((product, Change::Started)),
        "rtms_stopped" => Some((product, Change::Stopped)),
        "rtms_interrupted" => Some((product, Change::Interrupted)),
        _ => None,
    }
}

/// Which meeting event a name means (section 13.7).
fn meeting_event(name: &str) -> Option<(Product, MeetingChange)> {
    Some(match name {
        "meeting.started" => (Product::Meeting, MeetingChange::Started),
        "meeting.ended" => (Product::Meeting, MeetingChange::Ended),
        "webinar.started" => (Product::Webinar, MeetingChange::Started),
        "webinar.ended" => (Product::Webinar, MeetingChange::Ended),
        _ => return None,
    })
}

/// The fields of an event, directly in `payload` or, as some texts show them, in `payload.object` (section 13.6).
struct Payload<'a> {
    flat: Option<&'a Map<String, Value>>,
    nested: Option<&'a Map<String, Value>>,
}

impl<'a> Payload<'a> {
    fn of(envelope: &'a Map<String, Value>) -> Self {
        let flat = envelope.get("payload").and_then(Value::as_object);
        let nested = flat.and_then(|payload| payload.get("object")).and_then(Value::as_object);
        Self { flat, nested }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        let field = |object: Option<&'a Map<String, Value>>| {
            object.and_then(|object| object.get(key)).filter(|value| !value.is_null())
        };
        field(self.flat).or_else(|| field(self.nested))
    }

    fn optional(&self, key: &str) -> Option<String> {
        text(self.get(key), MAX_TEXT_BYTES)
    }

    fn plain_token(&self) -> Result<PlainToken, EventError> {
        self.get("plainToken")
            .and_then(Value::as_str)
            .and_then(PlainToken::parse)
            .ok_or_else(|| wrong("payload.plainToken", "must be 1 to 128 of A-Z a-z 0-9 _ -"))
    }

    fn announcement(&self, product: Product, change: Change) -> Result<Announcement, EventError> {
        let (stream_id, instance) = (self.stream_id()?, self.instance(product)?);
        Ok(match change {
            Change::Started => Announcement::Started(StreamStarted {
                stream_id,
                instance,
                server_urls: self.server_urls()?,
                account_id: self.optional("account_id"),
                meeting_id: self.optional("meeting_id").or_else(|| self.optional("webinar_id")),
                operator_id: self.optional("operator_id"),
            }),
            Change::Stopped => Announcement::Stopped(StreamStopped {
                stream_id,
                instance,
                stop_reason: self.get("stop_reason").and_then(integer),
            }),
            Change::Interrupted => {
                Announcement::Interrupted(StreamInterrupted { stream_id, instance })
            }
        })
    }

    /// None when it does not say which meeting: kept like every event that changes nothing here.
    fn meeting(&self, product: Product, change: MeetingChange) -> Option<MeetingChanged> {
        let key = if product == Product::Webinar { IdKey::WebinarUuid } else { IdKey::MeetingUuid };
        Some(MeetingChanged {
            change,
            instance: Instance::new(product, key, &self.optional("uuid")?).ok()?,
            account_id: self.optional("account_id"),
            meeting_id: self.optional("id"),
            host_id: self.optional("host_id"),
        })
    }

    /// Section 15.7. Older payloads say whether the user's data may be kept, as a text; newer ones do not.
    fn deauthorization(&self) -> Result<Announcement, EventError> {
        let user_id = self.optional("user_id");
        let may_keep_data = match self.get("user_data_retention") {
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            Some(other) => other == &Value::Bool(true),
            None => false,
        };
        Ok(Announcement::Deauthorized(Deauthorization {
            user_id: user_id.ok_or_else(|| wrong("payload.user_id", "must be a short text"))?,
            account_id: self.optional("account_id"),
            may_keep_data,
        }))
    }

    /// Half of these payloads are unpublished, and one names its conversation in an object of its own.
    fn notice(&self) -> Notice {
        let id_field =
            Payload { flat: self.get("id_field").and_then(Value::as_object), nested: None };
        let either = |key: &str| id_field.optional(key).or_else(|| self.optional(key));
        let instance_id = IdKey::ANNOUNCED.into_iter().find_map(|key| either(key.as_str()));
        Notice {
            stream_id: either("rtms_stream_id").and_then(|id| StreamId::parse(&id).ok()),
            instance_id,
            meeting_id: either("meeting_id").or_else(|| either("webinar_id")),
        }
    }

    fn stream_id(&self) -> Result<StreamId, EventError> {
        self.optional("rtms_stream_id")
            .and_then(|id| StreamId::parse(&id).ok())
            .ok_or_else(|| wrong("payload.rtms_stream_id", "must be a short identifier"))
    }

    /// The conversation, under the key that Zoom's SDK prefers when several are given.
    fn instance(&self, product: Product) -> Result<Instance, EventError> {
        let under = |key: IdKey| Instance::new(product, key, &self.optional(key.as_str())?).ok();
        IdKey::ANNOUNCED.into_iter().find_map(under).ok_or_else(|| {
            let field = match product {
                Product::Meeting => "payload.meeting_uuid",
                Product::Webinar => "payload.webinar_uuid",
                Product::VideoSdk => "payload.session_id",
                Product::ContactCenter => "payload.engagement_id",
            };
            wrong(field, "must be a short identifier")
        })
    }

    fn server_urls(&self) -> Result<String, EventError> {
        self.get("server_urls")
            .filter(|value| value.is_string())
            .and_then(|value| text(Some(value), MAX_SERVER_URLS_BYTES))
            .ok_or_else(|| wrong("payload.server_urls", "must be a text of one or more URLs"))
    }
}

fn wrong(field: &'static str, problem: &'static str) -> EventError {
    EventError::Field { field, problem }
}

/// A string, or a number as its digits, that is short and can be stored: a NUL would fail in Postgres.
fn text(value: Option<&Value>, max_bytes: usize) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => return None,
    };
    let fits = (1..=max_bytes).contains(&text.len()) && !text.contains(char::is_control);
    fits.then_some(text)
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn event_ts(envelope: &Map<String, Value>) -> Option<i64> {
    envelope.get("event_ts").and_then(integer).filter(|ms| (0..=MAX_EVENT_TS_MS).contains(ms))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW_MS: i64 = 1_732_313_172_000;

    fn delivery(body: &Value) -> Delivery {
        match parse(body.to_string().as_bytes(), NOW_MS).unwrap() {
            Event::Delivery(delivery) => *delivery,
            Event::UrlValidation { .. } => panic!("a URL validation"),
        }
    }

    fn refused_field(body: &Value) -> &'static str {
        match parse(body.to_string().as_bytes(), NOW_MS) {
            Err(EventError::Field { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    fn start(event: &str, payload: Value) -> Value {
        json!({ "event": event, "event_ts": 1_732_313_171_881_i64, "payload": payload })
    }

    fn started(body: &Value) -> StreamStarted {
        match delivery(body).announcement {
            Announcement::Started(started) => started,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_start_is_read_with_everything_zoom_sends() {
        let body = start(
            "meeting.rtms_started",
            json!({"account_id": "acc1", "operator_id": "u1", "meeting_id": "91234567890",
                   "meeting_uuid": "/abc//def+gh==", "is_original_host": true,
                   "rtms_stream_id": "e1f2", "server_urls": "wss://a.zoom.us:443, wss://b.zoom.us"}),
        );
        let delivery = delivery(&body);
        assert_eq!(delivery.event, "meeting.rtms_started");
        assert_eq!(delivery.event_ts_ms, 1_732_313_171_881);
        assert_eq!(delivery.received_at_ms, NOW_MS);
        assert_eq!(delivery.body, body.to_string());
        assert_eq!(delivery.digest, hex::encode(Sha256::digest(body.to_string())));
        let expected = StreamStarted {
            stream_id: StreamId::parse("e1f2").unwrap(),
            instance: Instance::new(Product::Meeting, IdKey::MeetingUuid, "/abc//def+gh==")
                .unwrap(),
            server_urls: "wss://a.zoom.us:443, wss://b.zoom.us".into(),
            account_id: Some("acc1".into()),
            meeting_id: Some("91234567890".into()),
            operator_id: Some("u1".into()),
        };
        assert_eq!(delivery.announcement, Announcement::Started(expected));
    }

    #[test]
    fn every_product_has_its_event_and_its_key() {
        let cases = [
            ("meeting.rtms_started", "meeting_uuid", Product::Meeting, IdKey::MeetingUuid),
            ("webinar.rtms_started", "webinar_uuid", Product::Webinar, IdKey::WebinarUuid),
            ("webinar.rtms_started", "meeting_uuid", Product::Webinar, IdKey::MeetingUuid),
            ("session.rtms_started", "session_id", Product::VideoSdk, IdKey::SessionId),
            (
                "contact_center.voice_rtms_started",
                "engagement_id",
                Product::ContactCenter,
                IdKey::EngagementId,
            ),
        ];
        for (event, id_key, product, key) in cases {
            let body = start(
                event,
                json!({id_key: "x1", "rtms_stream_id": "s", "server_urls": "wss://a"}),
            );
            assert_eq!(started(&body).instance, Instance::new(product, key, "x1").unwrap());
        }
    }

    #[test]
    fn nested_fields_are_read_and_flat_ones_win() {
        let nested = json!({"account_id": "acc1", "object": {"meeting_uuid": "nested",
            "rtms_stream_id": "nested", "server_urls": "wss://nested"}});
        let read = started(&start("meeting.rtms_started", nested));
        assert_eq!((read.instance.id(), read.stream_id.as_str()), ("nested", "nested"));
        let both = json!({"meeting_uuid": "flat", "rtms_stream_id": "flat", "server_urls": null,
            "object": {"meeting_uuid": "nested", "rtms_stream_id": "nested",
                       "server_urls": "wss://nested"}});
        let read = started(&start("meeting.rtms_started", both));
        assert_eq!((read.instance.id(), read.stream_id.as_str()), ("flat", "flat"));
        assert_eq!(read.server_urls, "wss://nested");
    }

    #[test]
    fn numbers_and_strings_are_read_alike() {
        let read = started(&start(
            "meeting.rtms_started",
            json!({"meeting_uuid": "m", "rtms_stream_id": 77, "server_urls": "wss://a",
                   "meeting_id": 91_234_567_890_i64}),
        ));
        assert_eq!(read.stream_id.as_str(), "77");
        assert_eq!(read.meeting_id.as_deref(), Some("91234567890"));
        for reason in [json!(6), json!("6")] {
            let stop = json!({"meeting_uuid": "m", "rtms_stream_id": "s", "stop_reason": reason});
            let Announcement::Stopped(stopped) =
                delivery(&start("meeting.rtms_stopped", stop)).announcement
            else {
                panic!("not a stop");
            };
            assert_eq!(stopped.stop_reason, Some(6));
        }
    }

    #[test]
    fn a_stop_without_a_reason_and_an_interruption_are_read() {
        let payload = json!({"engagement_id": "e", "rtms_stream_id": "s"});
        let stop = delivery(&start("contact_center.voice_rtms_stopped", payload.clone()));
        assert!(
            matches!(stop.announcement, Announcement::Stopped(stop) if stop.stop_reason.is_none())
        );
        let interrupted = delivery(&start("contact_center.voice_rtms_interrupted", payload));
        assert!(matches!(interrupted.announcement, Announcement::Interrupted(_)));
    }

    #[test]
    fn a_start_that_lacks_a_field_is_refused_by_the_name_of_the_field() {
        let full = json!({"meeting_uuid": "m", "rtms_stream_id": "s", "server_urls": "wss://a"});
        for field in ["meeting_uuid", "rtms_stream_id", "server_urls"] {
            for bad in [json!(null), json!(""), json!([]), json!(true), json!("\u{0}")] {
                let mut payload = full.clone();
                payload[field] = bad;
                let refused = refused_field(&start("meeting.rtms_started", payload));
                assert_eq!(refused, format!("payload.{field}"));
            }
        }
        let mut no_time = start("meeting.rtms_started", full);
        for bad in [json!(null), json!(-1), json!(1.5), json!(i64::MAX)] {
            no_time["event_ts"] = bad;
            assert_eq!(refused_field(&no_time), "event_ts");
        }
    }

    #[test]
    fn a_meeting_that_began_or_ended_is_read_with_its_host() {
        let object = json!({"id": 91_234_567_890_i64, "uuid": "4444AAA==", "host_id": "u1"});
        for (event, product, change) in [
            ("meeting.started", Product::Meeting, MeetingChange::Started),
            ("webinar.ended", Product::Webinar, MeetingChange::Ended),
        ] {
            let body = start(event, json!({"account_id": "acc1", "object": object}));
            let Announcement::Meeting(read) = delivery(&body).announcement else {
                panic!("not a meeting event");
            };
            assert_eq!((read.change, read.instance.product), (change, product));
            assert_eq!(read.instance.id(), "4444AAA==");
            assert_eq!(read.meeting_id.as_deref(), Some("91234567890"));
            assert_eq!(read.host_id.as_deref(), Some("u1"));
            assert_eq!(read.account_id.as_deref(), Some("acc1"));
        }
    }

    #[test]
    fn an_unknown_event_is_kept_whatever_its_payload() {
        for body in [
            json!({"event": "meeting.started", "payload": {"object": {"id": 5}}}),
            json!({"event": "meeting.rtms.started", "payload": null}),
            json!({"event": "contact_center.rtms_started"}),
        ] {
            assert_eq!(delivery(&body).announcement, Announcement::Other);
        }
        assert_eq!(delivery(&json!({"event": "x"})).event_ts_ms, NOW_MS);
    }

    #[test]
    fn a_notice_is_read_whatever_it_names_and_whatever_it_lacks() {
        let read = |event: &str, payload| match delivery(&start(event, payload)).announcement {
            Announcement::Notice(notice) => notice,
            other => panic!("{other:?}"),
        };
        let limit =
            json!({"concurrency_limit": 2000, "concurrency_number": 1650, "percentage": 82});
        assert_eq!(read("rtms.concurrency_near_limit", limit), Notice::default());
        for key in ["meeting_uuid", "webinar_uuid", "session_id", "engagement_id"] {
            let payload = json!({"operator_id": "u1", "id_field": {key: "m=="}});
            let limited = read("rtms.concurrency_limited", payload);
            assert_eq!(limited.instance_id.as_deref(), Some("m=="), "{key}");
        }
        let failed =
            read("rtms.start_failed", json!({"object": {"rtms_stream_id": "s", "meeting_id": 7}}));
        assert_eq!(failed.stream_id, StreamId::parse("s").ok());
        assert_eq!(failed.meeting_id.as_deref(), Some("7"));
        for odd in
            [json!(null), json!([]), json!("x"), json!({"id_field": [], "rtms_stream_id": {}})]
        {
            assert_eq!(read("rtms.request_status", odd), Notice::default());
        }
    }

    #[test]
    fn a_deauthorization_is_read_in_every_form() {
        let read = |payload| match delivery(&start("app_deauthorized", payload)).announcement {
            Announcement::Deauthorized(gone) => gone,
            other => panic!("{other:?}"),
        };
        let current = json!({"account_id": "acc1", "user_id": "u1", "signature": "x",
            "deauthorization_time": "2026-06-17T13:52:28.632Z", "client_id": "demoClientId01"});
        let gone = read(current.clone());
        let expected = Deauthorization {
            user_id: "u1".into(),
            account_id: Some("acc1".into()),
            may_keep_data: false,
        };
        assert_eq!(gone, expected);
        assert_eq!(read(json!({ "object": current })), expected);
        for (flag, keep) in [
            (json!("true"), true),
            (json!("True"), true),
            (json!(true), true),
            (json!("false"), false),
            (json!(false), false),
            (json!("perhaps"), false),
            (json!(null), false),
        ] {
            let payload = json!({"user_id": "u1", "user_data_retention": flag});
            assert_eq!(read(payload).may_keep_data, keep, "{flag}");
        }
        let nobody = start("app_deauthorized", json!({"account_id": "acc1"}));
        assert_eq!(refused_field(&nobody), "payload.user_id");
    }

    #[test]
    fn a_url_validation_is_read_with_its_keys_in_any_order() {
        let body = br#"{"payload":{"plainToken":"plainTokenDemo0123456A"},"event_ts":1,"event":"endpoint.url_validation"}"#;
        let Ok(Event::UrlValidation { plain_token }) = parse(body, NOW_MS) else {
            panic!("not a URL validation");
        };
        assert_eq!(plain_token.as_str(), "plainTokenDemo0123456A");
        let forged =
            start("endpoint.url_validation", json!({"plainToken": "v0:1732313172:{\"event\":1}"}));
        assert_eq!(refused_field(&forged), "payload.plainToken");
    }

    #[test]
    fn what_is_no_event_is_refused_without_repeating_it() {
        assert_eq!(parse(b"\xff\xfe{}", NOW_MS).unwrap_err(), EventError::NotUtf8);
        let deep = "[".repeat(100_000);
        let deep_object = format!("{{\"event\":{deep}");
        for bad in ["", "[]", "null", "\"secret\"", "{\"event\":", "{} x", &deep, &deep_object] {
            let error = parse(bad.as_bytes(), NOW_MS).unwrap_err();
            assert!(matches!(error, EventError::NotJson { .. }), "{error}");
        }
        for bad in [json!({}), json!({"event": ["secret"]}), json!({"event": "a\u{0}b"})] {
            assert_eq!(refused_field(&bad), "event");
        }
    }
}
