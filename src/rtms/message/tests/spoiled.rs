//! Corrupts one field at a time of every message of rtms-protocol.md section 6 and checks what is lost.

use serde_json::Value;

use super::samples::GOOD;
use super::unreadable;
use crate::model::Lost;

/// A message with one corrupted field.
#[derive(Debug)]
pub(crate) struct Spoiled {
    pub number: u16,
    pub text: String,
    /// How much is counted as lost: the message, a part of it, or nothing.
    pub costs: Option<Lost>,
}

/// The kind of value that a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Code,
    User,
    Text,
    /// A number; words are ignored.
    Reason,
    Anything,
    Echo,
    Payload,
    /// The text of a chat message, or an object with its fields.
    Words,
    Object,
    List,
    /// An object that is a list member.
    Member,
    Ignored,
}

/// The JSON that replaces the field; none removes the field.
fn spoils() -> Vec<Option<String>> {
    let given = [
        "null",
        "true",
        r#""""#,
        r#""fr-FR""#,
        r#""Ana \ud83d""#,
        r#""Ana \u""#,
        "-1",
        "7.5",
        "1e999",
        r#"{"a":[1]}"#,
        "[[1]]",
    ];
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let huge = format!("\"{}\"", "x".repeat(100_000));
    let given = given.map(str::to_owned).into_iter().chain([deep, huge]);
    std::iter::once(None).chain(given.map(Some)).collect()
}

/// Whether a field of this kind cannot hold this value.
fn is_odd(kind: Kind, spoil: &str) -> bool {
    let is_text = spoil.starts_with('"');
    let is_deep = spoil.starts_with("[[[");
    match kind {
        _ if spoil == "null" => false,
        Kind::Number => !matches!(spoil, r#""""# | "-1" | "7.5"),
        Kind::Code => !matches!(spoil, r#""""# | "-1"),
        Kind::Reason => !is_text && spoil != "-1",
        Kind::User => !is_text,
        Kind::Text => !is_text && !matches!(spoil, "-1" | "7.5"),
        Kind::Anything => is_deep || spoil == "1e999",
        Kind::Echo => spoil.len() > 32 || spoil == "1e999" || spoil.starts_with(['[', '{']),
        Kind::Payload => !is_text,
        Kind::Words => !is_text && !spoil.starts_with('{'),
        Kind::Object | Kind::Member => !spoil.starts_with('{'),
        Kind::List => !spoil.starts_with('['),
        Kind::Ignored => false,
    }
}

/// The kind of a field, and whether its message or list member is lost without it.
fn kind_of(number: u16, path: &[String]) -> (Kind, bool) {
    let name = path.last().map_or("", String::as_str);
    let is_member = path.iter().any(|step| step == "participants");
    match (number, name) {
        (_, "msg_type") => (Kind::Code, true),
        (11 | 20 | 22 | 23, _) => (Kind::Ignored, false),
        (_, "protocol_version" | "length" | "payload_encrypted") => (Kind::Ignored, false),
        (12, "timestamp" | "sequence") => (Kind::Echo, false),
        (2 | 4, "sequence") => (Kind::Ignored, false),
        (2 | 4, "status_code") => (Kind::Code, true),
        (2 | 4, "reason") => (Kind::Anything, false),
        (2, "server_urls") => (Kind::Object, true),
        (2, "audio" | "all") => (Kind::Payload, false),
        (4, _) if path[0] == "media_params" && path.len() > 1 => (Kind::Anything, false),
        (4, "media_params") => (Kind::Anything, false),
        (8 | 9, "reason" | "stop_reason") => (Kind::Reason, false),
        (8 | 9, "state") => (Kind::Code, true),
        (6, "event") | (14..=18, "content") => (Kind::Object, true),
        (6, "event_type") => (Kind::Code, true),
        (6, "participants") => (Kind::List, true),
        (6, "user_id") => (Kind::User, true),
        (6, "user_name") => (Kind::Text, false),
        (6, _) if is_member => (Kind::Member, true),
        (14..=16, "user_name") => (Kind::Ignored, false),
        (14..=17, "data") => (Kind::Payload, true),
        (18, "data") => (Kind::Words, false),
        (29, "reason" | "timestamp") => (Kind::Ignored, false),
        (29, "status_code") => (Kind::Code, false),
        (_, "timestamp" | "start_time" | "end_time") => (Kind::Number, false),
        (_, "language" | "operation_type" | "type") => (Kind::Code, false),
        (_, "user_id") => (Kind::User, false),
        (_, "user_name" | "message_id" | "rtms_session_id" | "id") => (Kind::Text, false),
        (_, "media_server" | "chat_session" | "sender") => (Kind::Object, false),
        other => panic!("the oracle does not know {other:?}"),
    }
}

/// What a corrupted field costs.
fn cost(number: u16, good: &Value, path: &[String], spoil: Option<&str>) -> Option<Lost> {
    let (kind, is_needed) = kind_of(number, path);
    let is_inside_list = path.len() > 2 && path.iter().any(|step| step == "participants");
    let is_url = number == 2 && matches!(path.last().map(String::as_str), Some("audio" | "all"));
    let whole = if is_inside_list { Lost::Member } else { Lost::Message };
    let text = spoil.unwrap_or("null");
    let is_there = text != "null";
    let is_unset = !is_there || text == r#""""#;
    // A message or member without its required field is lost, whether the field is absent or malformed.
    let is_gone = match kind {
        Kind::Code => is_unset || is_odd(kind, text),
        Kind::User => text.starts_with('"') || !is_there || is_odd(kind, text),
        // The field has the right kind but lacks its own required fields.
        Kind::Object | Kind::Member => true,
        Kind::List => false,
        _ => !is_there || is_odd(kind, text),
    };
    // A chat message with only a time and `data`.
    let is_bare = good["content"].as_object().is_some_and(|content| content.len() == 2);
    match (number, path.last().map(String::as_str)) {
        // Old versions of Zoom's documentation show the payload in place of the content.
        (14..=16, Some("content")) if text.starts_with('"') => None,
        (18, Some("content")) => Some(Lost::Message),
        (18, Some("data")) if is_bare => (!text.starts_with('"')).then_some(Lost::Message),
        // A malformed URL costs only itself, absent URLs cost nothing, and malformed `server_urls` cost the answer.
        (2, Some("server_urls")) if text.starts_with('{') => Some(Lost::Member),
        (2, Some("server_urls")) => is_odd(kind, text).then_some(Lost::Message),
        (6, Some("participants")) if text.starts_with('[') => Some(Lost::Member),
        (6, Some("participants")) => Some(Lost::Message),
        // A removed list index is not a malformed member.
        (6, _) if kind == Kind::Member => spoil.map(|_| Lost::Member),
        _ if is_needed => is_gone.then_some(whole),
        _ if is_url => is_odd(kind, text).then_some(Lost::Member),
        _ => is_odd(kind, text).then_some(Lost::Field),
    }
}

/// The path to every field and every list member.
fn paths(value: &Value) -> Vec<Vec<String>> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, v)| (name.clone(), v)).collect(),
        Value::Array(members) => {
            members.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect()
        }
        _ => Vec::new(),
    };
    let mut paths = Vec::new();
    for (step, child) in children {
        paths.push(vec![step.clone()]);
        paths.extend(paths_below(&step, child));
    }
    paths
}

fn paths_below(step: &str, child: &Value) -> Vec<Vec<String>> {
    let below = |rest: Vec<String>| std::iter::once(step.to_owned()).chain(rest).collect();
    paths(child).into_iter().map(below).collect()
}

fn spoil(text: &str, path: &[String], spoil: Option<&str>) -> String {
    const MARK: &str = "@@spoiled@@";
    let mut value: Value = serde_json::from_str(text).unwrap();
    let (last, way) = path.split_last().unwrap();
    let parent = value.pointer_mut(&way.iter().map(|step| format!("/{step}")).collect::<String>());
    match (parent.unwrap(), spoil) {
        (Value::Object(fields), None) => drop(fields.remove(last)),
        (Value::Array(members), None) => drop(members.remove(last.parse().unwrap())),
        (Value::Array(members), _) => members[last.parse::<usize>().unwrap()] = MARK.into(),
        (parent, _) => parent[last] = MARK.into(),
    }
    value.to_string().replace(&format!("\"{MARK}\""), spoil.unwrap_or_default())
}

/// Every corrupted message.
pub(crate) fn all() -> Vec<Spoiled> {
    let mut all = Vec::new();
    for text in GOOD {
        let value: Value = serde_json::from_str(text).unwrap();
        let number = value["msg_type"].as_u64().unwrap() as u16;
        for path in paths(&value) {
            // The layout of chat messages with fields inside `data` has its own test.
            let is_inner = number == 18 && path.len() > 2 && path[1] == "data";
            for given in spoils().iter().map(Option::as_deref).filter(|_| !is_inner) {
                let costs = cost(number, &value, &path, given);
                all.push(Spoiled { number, text: spoil(text, &path, given), costs });
            }
        }
    }
    all
}

#[test]
fn a_spoiled_message_costs_itself_and_is_counted() {
    let all = all();
    assert!(all.len() > 1_000, "{}", all.len());
    for Spoiled { text, costs, .. } in all {
        let counted = unreadable(&text);
        let lost: Vec<_> = counted.iter().map(|(_, lost, ..)| *lost).collect();
        let short: String = text.chars().take(400).collect();
        assert_eq!(lost, Vec::from_iter(costs), "{short}\n{counted:?}");
        assert!(counted.iter().all(|(.., count)| *count == 1), "{short}\n{counted:?}");
    }
}
