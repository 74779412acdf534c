//! The messages of Zoom's event socket (rtms-protocol.md section 23.1; pure).

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json;

/// What the client sends to show that it is there, and asks to be answered.
pub const HEARTBEAT: &str = r#"{"module":"heartbeat"}"#;

/// A message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// The answer to a heartbeat.
    Heartbeat,
    /// Zoom accepted the connection.
    Accepted,
    /// Zoom refused the connection.
    Refused,
    /// An event: the text that a webhook of the same event has as its body.
    Event(String),
    /// A message of another module, or without an event.
    Other,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, deserialize_with = "json::or_none")]
    module: Option<String>,
    #[serde(default, borrow)]
    content: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "json::or_none")]
    success: Option<Value>,
}

/// Reads a message; none if it is not a JSON object. Other fields are ignored, and so is the case of a module's name.
pub fn parse(bytes: &[u8]) -> Option<Incoming> {
    let lossy = String::from_utf8_lossy(bytes);
    let text = json::mend_text(&lossy);
    // serde reads an array as the fields in their order.
    if !text.trim_start().starts_with('{') || json::is_too_deep(&text) {
        return None;
    }
    let envelope: Envelope<'_> = serde_json::from_str(&text).ok()?;
    let module = envelope.module.unwrap_or_default().to_ascii_lowercase();
    Some(match module.as_str() {
        "heartbeat" => Incoming::Heartbeat,
        // The shape is not documented: only a plain no refuses.
        "build_connection" if is_no(envelope.success.as_ref()) => Incoming::Refused,
        "build_connection" => Incoming::Accepted,
        "message" => envelope.content.and_then(event).map_or(Incoming::Other, Incoming::Event),
        _ => Incoming::Other,
    })
}

fn is_no(success: Option<&Value>) -> bool {
    match success {
        Some(Value::Bool(yes)) => !yes,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

/// The event in a message: documented as JSON text; an object is taken as its own text.
fn event(content: &RawValue) -> Option<String> {
    let text = match content.get().starts_with('{') {
        true => content.get().to_owned(),
        false => serde_json::from_str::<String>(content.get()).ok()?,
    };
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(message: &str) -> Option<Incoming> {
        parse(message.as_bytes())
    }

    #[test]
    fn an_event_is_the_text_of_the_webhook_to_the_byte() {
        let body =
            r#"{"event":"meeting.rtms_started", "event_ts":1,"payload":{"name":"Ü \"x\" 👍"}}"#;
        let message = json!({"module": "message", "content": body, "header": {"x": 1}}).to_string();
        assert_eq!(read(&message), Some(Incoming::Event(body.to_owned())));
        let as_object = format!(r#"{{"content": {body}, "module":"MESSAGE"}}"#);
        assert_eq!(read(&as_object), Some(Incoming::Event(body.to_owned())));
    }

    #[test]
    fn the_other_messages_are_told_apart() {
        for (message, incoming) in [
            (r#"{"module":"heartbeat","content":"anything"}"#, Incoming::Heartbeat),
            (r#"{"module":"heartbeat","success":false}"#, Incoming::Heartbeat),
            (r#"{"module":"build_connection","success":true}"#, Incoming::Accepted),
            (r#"{"module":"build_connection","content":{"a":1}}"#, Incoming::Accepted),
            (r#"{"module":"build_connection","success":false,"content":"no"}"#, Incoming::Refused),
            (r#"{"module":"build_connection","success":"False"}"#, Incoming::Refused),
            (r#"{"module":"message"}"#, Incoming::Other),
            (r#"{"module":"message","content":""}"#, Incoming::Other),
            (r#"{"module":"message","content":7}"#, Incoming::Other),
            (r#"{"module":["message"],"content":"{}"}"#, Incoming::Other),
            (r#"{"module":"news"}"#, Incoming::Other),
            ("{}", Incoming::Other),
        ] {
            assert_eq!(read(message), Some(incoming), "{message}");
        }
    }

    #[test]
    fn what_is_no_object_or_nests_too_deep_is_no_message() {
        let deep = format!(r#"{{"module":"message","content":{}"#, "[".repeat(500));
        for nonsense in ["", "null", "[]", "7", "{", "\u{feff}", &deep] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
        assert_eq!(parse(b"{\"module\":\"heartbeat\",\"x\":\"\xff\"}"), Some(Incoming::Heartbeat));
    }

    #[test]
    fn a_cut_name_costs_only_itself() {
        let message =
            r#"{"module":"message","content":"{\"event\":\"x\",\"name\":\"Ana \ud83d\"}"}"#;
        let Some(Incoming::Event(text)) = read(message) else { panic!("an event") };
        assert!(text.contains("Ana \u{fffd}"), "{text}");
    }
}
