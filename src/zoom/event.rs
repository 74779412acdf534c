//! Parses webhook bodies into events (rtms-protocol.md sections 13 and 16).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use thiserror::Error;

use super::signature::PlainToken;
use crate::json::{self, MAX_DEPTH, Number};
use crate::model::{
    AppName, Deauthorization, Delivery, DeliveryMethod, IdKey, Instance, MeetingChange,
    MeetingChanged, Notice, Product, StopReason, StreamId, StreamInterrupted, StreamStarted,
    StreamStopped, WebhookEffect,
};

/// The longest event name, account, meeting or operator id that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 256;
/// The longest `server_urls`, in bytes: room for some forty URLs.
const MAX_SERVER_URLS_BYTES: usize = 4096;
/// The last millisecond that RFC 3339 can express: the end of the year 9999.
const MAX_EVENT_TS_MS: i64 = 253_402_300_799_999;

/// The event with which Zoom checks a webhook URL (section 13.3).
pub const URL_VALIDATION: &str = "endpoint.url_validation";

/// Notices about starts and limits of an account or a conversation (section 13.6).
const NOTICES: [&str; 4] = [
    "rtms.concurrency_near_limit",
    "rtms.concurrency_limited",
    "rtms.start_failed",
    "rtms.request_status",
];

/// A parsed webhook body.
#[derive(Debug, Clone)]
pub enum Event {
    /// Zoom checks that the daemon has the secret token (section 13.3). Not stored.
    UrlValidation {
        /// The token that the answer must repeat and sign.
        plain_token: PlainToken,
    },
    /// Every other event.
    Delivery(Box<Delivery>),
}

/// Why a body is not an event. Never quotes the body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventError {
    /// The text is not a JSON object. The position is where reading failed.
    #[error("the body is not a JSON object (line {line}, column {column})")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The JSON nests too deep to be read safely.
    #[error("the body nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A necessary field is missing or malformed.
    #[error("`{field}` {problem}")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Reads the body of an event: of a webhook with a verified signature of the app, or from the app's event socket. Only
/// necessary fields are required: an event that is not about an RTMS stream is kept with any payload. Invalid UTF-8 is
/// read as U+FFFD, because Zoom repeats a webhook only after a 5xx, so rejecting one over a malformed name would lose
/// the meeting.
///
/// # Errors
/// The body is not a JSON object, nests too deeply to be read back, or lacks a required field.
pub fn parse(raw: &[u8], app: &AppName, received_at_ms: i64) -> Result<Event, EventError> {
    let lossy = String::from_utf8_lossy(raw);
    let body = json::mend_text(&lossy);
    let envelope = parse_envelope(&body)?;
    let event = envelope.name().ok_or_else(|| wrong_field("event", "must be a short text"))?;
    if event == URL_VALIDATION {
        let plain_token = Payload::of(envelope.payload().as_ref()).plain_token()?;
        return Ok(Event::UrlValidation { plain_token });
    }
    let (announcement, event_ts_ms) = (effect_of(&event, &envelope)?, envelope.event_ts());
    // Of the bytes as received: `body` has been mended.
    let digest = match announcement.is_none() {
        true => Delivery::digest_by_time(app, raw, event_ts_ms),
        false => Delivery::digest_of(app, raw),
    };
    Ok(Event::Delivery(Box::new(Delivery {
        app: app.clone(),
        // The reader of an event socket, which delivers the same bodies, sets its own.
        method: DeliveryMethod::Webhook,
        digest,
        event,
        event_ts_ms: event_ts_ms.unwrap_or(received_at_ms),
        received_at_ms,
        body: body.into_owned(),
        announcement,
    })))
}

/// The event name in a body that [`parse`] rejects, if it can be read.
pub fn name_of(raw: &[u8]) -> Option<String> {
    let lossy = String::from_utf8_lossy(raw);
    parse_envelope(&json::mend_text(&lossy)).ok()?.name()
}

/// Reads what an event changes. Parses the payload only if an event of this name can have an effect; most cannot.
fn effect_of(event: &str, envelope: &Envelope<'_>) -> Result<WebhookEffect, EventError> {
    let Some(kind) = kind_of(event) else { return Ok(WebhookEffect::Other) };
    let payload = envelope.payload();
    let payload = Payload::of(payload.as_ref());
    match kind {
        Kind::Stream(product, change) => payload.announcement(product, change),
        Kind::Deauthorized => payload.deauthorization(),
        Kind::Notice => Ok(WebhookEffect::Notice(payload.notice())),
        Kind::Meeting(product, change) => {
            let changed = payload.meeting(product, change);
            Ok(changed.map_or(WebhookEffect::Other, WebhookEffect::Meeting))
        }
    }
}

/// An event that can have an effect.
enum Kind {
    Stream(Product, Change),
    Meeting(Product, MeetingChange),
    /// A user removed the app.
    Deauthorized,
    Notice,
}

fn kind_of(event: &str) -> Option<Kind> {
    match event {
        "app_deauthorized" => Some(Kind::Deauthorized),
        event if NOTICES.contains(&event) => Some(Kind::Notice),
        event => {
            let stream = rtms_event(event).map(|(product, change)| Kind::Stream(product, change));
            let meeting = || meeting_event(event);
            stream.or_else(|| meeting().map(|(product, change)| Kind::Meeting(product, change)))
        }
    }
}

/// The top-level fields as raw JSON; the last of a repeated name counts.
struct Envelope<'a>(BTreeMap<String, &'a RawValue>);

impl Envelope<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        self.0.get(name).and_then(|raw| json::read_value(raw.get()))
    }

    /// The event's name.
    fn name(&self) -> Option<String> {
        short_text(self.field("event").as_ref(), MAX_TEXT_BYTES)
    }

    fn event_ts(&self) -> Option<i64> {
        let time = self.field("event_ts").as_ref().and_then(parse_number)?.cut();
        (0..=MAX_EVENT_TS_MS).contains(&time).then_some(time)
    }

    fn payload(&self) -> Option<Value> {
        self.field("payload")
    }
}

fn parse_envelope(body: &str) -> Result<Envelope<'_>, EventError> {
    if json::is_too_deep(body) {
        return Err(EventError::TooDeep);
    }
    serde_json::from_str(body).map(Envelope).map_err(|_| {
        // Parsed again only for the error's position; valid JSON that is not an object has none.
        let error = serde_json::from_str::<IgnoredAny>(body).err();
        let (line, column) = error.map_or((1, 0), |error| (error.line(), error.column()));
        EventError::NotJson { line, column }
    })
}

#[derive(Clone, Copy)]
enum Change {
    Started,
    Stopped,
    Interrupted,
}

/// The product that an event of this name is about; `None` for an event of the account or the app.
pub fn product_of(event: &str) -> Option<Product> {
    let (family, rest) = event.split_once('.')?;
    match family {
        "meeting" => Some(Product::Meeting),
        "webinar" => Some(Product::Webinar),
        "session" => Some(Product::VideoSdk),
        "contact_center" => Some(Product::ContactCenter),
        // Zoom Phone has many events of its own, which any app may subscribe to.
        "phone" if phone_change(rest).starts_with("rtms_") => Some(Product::Phone),
        _ => None,
    }
}

/// The part of a phone event's name that says what happened: Zoom has announced two forms (section 23.3).
fn phone_change(rest: &str) -> &str {
    rest.strip_prefix("call_").unwrap_or(rest)
}

/// Parses the name of a stream event; `None` for every other event.
fn rtms_event(name: &str) -> Option<(Product, Change)> {
    let (product, (_, rest)) = (product_of(name)?, name.split_once('.')?);
    let change = match product {
        Product::ContactCenter => rest.strip_prefix("voice_")?,
        Product::Phone => phone_change(rest),
        _ => rest,
    };
    match change {
        "rtms_started" => Some((product, Change::Started)),
        "rtms_stopped" => Some((product, Change::Stopped)),
        "rtms_interrupted" => Some((product, Change::Interrupted)),
        _ => None,
    }
}

/// Parses the name of a meeting event (section 13.7).
fn meeting_event(name: &str) -> Option<(Product, MeetingChange)> {
    Some(match name {
        "meeting.started" => (Product::Meeting, MeetingChange::Started),
        "meeting.ended" => (Product::Meeting, MeetingChange::Ended),
        "webinar.started" => (Product::Webinar, MeetingChange::Started),
        "webinar.ended" => (Product::Webinar, MeetingChange::Ended),
        _ => return None,
    })
}

/// The fields of an event, directly in `payload` or, in some documents, in `payload.object` (section 13.6).
struct Payload<'a> {
    flat: Option<&'a Map<String, Value>>,
    nested: Option<&'a Map<String, Value>>,
}

impl<'a> Payload<'a> {
    fn of(payload: Option<&'a Value>) -> Self {
        let flat = payload.and_then(Value::as_object);
        let nested = flat.and_then(|payload| payload.get("object")).and_then(Value::as_object);
        Self { flat, nested }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        let field = |object: Option<&'a Map<String, Value>>| {
            object.and_then(|object| object.get(key)).filter(|value| !value.is_null())
        };
        // Flat fields take precedence (section 13.6).
        field(self.flat).or_else(|| field(self.nested))
    }

    fn optional(&self, key: &str) -> Option<String> {
        short_text(self.get(key), MAX_TEXT_BYTES)
    }

    /// True only if Zoom says so, as a boolean or as a text.
    fn flag(&self, key: &str) -> bool {
        match self.get(key) {
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            other => other == Some(&Value::Bool(true)),
        }
    }

    fn plain_token(&self) -> Result<PlainToken, EventError> {
        self.get("plainToken")
            .and_then(Value::as_str)
            .and_then(PlainToken::parse)
            .ok_or_else(|| wrong_field("payload.plainToken", "must be 1 to 128 of A-Z a-z 0-9 _ -"))
    }

    fn announcement(&self, product: Product, change: Change) -> Result<WebhookEffect, EventError> {
        let (stream_id, instance) = (self.stream_id()?, self.instance(product)?);
        Ok(match change {
            Change::Started => WebhookEffect::Started(StreamStarted {
                stream_id,
                instance,
                server_urls: self.server_urls()?,
                account_id: self.optional("account_id"),
                // Webinars have both since May 2026 (section 13.6).
                meeting_id: self.optional("meeting_id").or_else(|| self.optional("webinar_id")),
                operator_id: self.optional("operator_id"),
                is_host: self.flag("is_original_host"),
            }),
            Change::Stopped => WebhookEffect::Stopped(StreamStopped {
                stream_id,
                instance,
                stop_reason: self.stop_reason(),
            }),
            Change::Interrupted => {
                WebhookEffect::Interrupted(StreamInterrupted { stream_id, instance })
            }
        })
    }

    /// Also read as `reason`, a name of it in messages 8 and 9, if that is a number (section 18, point 8).
    fn stop_reason(&self) -> Option<StopReason> {
        let named = |name| self.get(name).and_then(parse_number).and_then(Number::exact);
        named("stop_reason").or_else(|| named("reason")).map(StopReason)
    }

    /// `None` if it does not name the meeting: then it is stored like every event without an effect.
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

    /// A deauthorization (section 15.7). Only older payloads say whether the user's data may be kept, as a text.
    fn deauthorization(&self) -> Result<WebhookEffect, EventError> {
        let user_id = self.optional("user_id");
        Ok(WebhookEffect::Deauthorized(Deauthorization {
            user_id: user_id
                .ok_or_else(|| wrong_field("payload.user_id", "must be a short text"))?,
            account_id: self.optional("account_id"),
            may_keep_data: self.flag("user_data_retention"),
        }))
    }

    /// A notice. Half of these payloads are undocumented, and one names its conversation in a separate object.
    fn notice(&self) -> Notice {
        let id_field =
            Payload { flat: self.get("id_field").and_then(Value::as_object), nested: None };
        let either = |key: &str| id_field.optional(key).or_else(|| self.optional(key));
        let instance_id = IdKey::ANNOUNCED.into_iter().find_map(|key| either(key.as_str()));
        Notice {
            stream_id: either("rtms_stream_id").and_then(|id| StreamId::parse(&id).ok()),
            instance_id,
            meeting_id: either("meeting_id").or_else(|| either("webinar_id")),
            operator_id: either("operator_id"),
            concurrent_streams: self.count("concurrency_number"),
            concurrency_limit: self.count("concurrency_limit"),
        }
    }

    fn count(&self, key: &str) -> Option<i64> {
        self.get(key).and_then(parse_number)?.exact().filter(|count| *count >= 0)
    }

    fn stream_id(&self) -> Result<StreamId, EventError> {
        self.optional("rtms_stream_id")
            .and_then(|id| StreamId::parse(&id).ok())
            .ok_or_else(|| wrong_field("payload.rtms_stream_id", "must be a short identifier"))
    }

    /// The conversation, by the key that Zoom's SDK prefers if there are several.
    fn instance(&self, product: Product) -> Result<Instance, EventError> {
        let under = |key: IdKey| Instance::new(product, key, &self.optional(key.as_str())?).ok();
        IdKey::ANNOUNCED.into_iter().find_map(under).ok_or_else(|| {
            let field = match product {
                Product::Meeting => "payload.meeting_uuid",
                Product::Webinar => "payload.webinar_uuid",
                Product::VideoSdk => "payload.session_id",
                Product::ContactCenter => "payload.engagement_id",
                Product::Phone => "payload.call_id",
            };
            wrong_field(field, "must be a short identifier")
        })
    }

    fn server_urls(&self) -> Result<String, EventError> {
        self.get("server_urls")
            // `short_text` would accept a number.
            .filter(|value| value.is_string())
            .and_then(|value| short_text(Some(value), MAX_SERVER_URLS_BYTES))
            .ok_or_else(|| wrong_field("payload.server_urls", "must be a text of one or more URLs"))
    }
}

fn wrong_field(field: &'static str, problem: &'static str) -> EventError {
    EventError::Field { field, problem }
}

/// A short string, or a number as its digits. Rejects control characters; Postgres cannot store a NUL.
fn short_text(value: Option<&Value>, max_bytes: usize) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.clone(),
        Value::Number(digits) if digits.is_i64() || digits.is_u64() => digits.to_string(),
        other => parse_number(other)?.exact()?.to_string(),
    };
    let fits = (1..=max_bytes).contains(&text.len()) && !text.contains(char::is_control);
    fits.then_some(text)
}

fn parse_number(value: &Value) -> Option<Number> {
    Number::deserialize(value).ok()
}

#[cfg(test)]
mod tests;
