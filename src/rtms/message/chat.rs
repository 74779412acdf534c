//! Chat: messages with their operations and files (section 6.16), and groups (section 7, events 10 to 14). Most of it
//! is unpublished: what is read is read in any form, and nothing is required.

use serde_json::Value;

use super::codes::event_type;
use super::event::read;
use super::short::Short;
use super::time::Lenient;
use crate::model::{
    ChatFile, ChatGroupChange, ChatGroupEvent, ChatGroupMember, ChatSession, Participant, RawJson,
    UserId,
};

/// How many members of a group, or files of a message, are kept.
const MAX_ITEMS: usize = 64;

pub(super) fn group_event(number: u16, raw: &str) -> Option<ChatGroupEvent> {
    let change = match number {
        event_type::CHAT_GROUP_CREATE => ChatGroupChange::Created,
        event_type::CHAT_GROUP_DELETE => ChatGroupChange::Deleted,
        event_type::CHAT_GROUP_MEMBERS_ADD => ChatGroupChange::MembersAdded,
        event_type::CHAT_GROUP_MEMBERS_DELETE => ChatGroupChange::MembersDeleted,
        event_type::CHAT_GROUP_MEMBER_STATUS_UPDATE => ChatGroupChange::MemberStatusChanged,
        _ => return None,
    };
    let body: Value = serde_json::from_str(raw).ok()?;
    let group = body.get("chat_group").or(body.get("group")).filter(|group| group.is_object());
    let group = group.unwrap_or(&body);
    let members = first(group, MEMBERS).or_else(|| first(&body, MEMBERS));
    Some(ChatGroupEvent {
        change,
        group_id: text(group, &["chat_group_id", "group_id", "id"]),
        group_name: text(group, &["chat_group_name", "group_name", "name"]),
        members: items(members).filter_map(member).collect(),
        raw: RawJson::of(raw),
    })
}

const MEMBERS: &[&str] = &["members", "participants", "member_list"];

fn member(value: &Value) -> Option<ChatGroupMember> {
    let status = first(value, &["status", "member_status"]).and_then(read::<Lenient>);
    Some(ChatGroupMember {
        user_id: value.get("user_id").and_then(read::<UserId>)?,
        user_name: text(value, &["user_name", "name"]),
        status: status.and_then(|status| member_status(status.0)).map(Into::into),
    })
}

/// Section 10.16.
fn member_status(status: i64) -> Option<&'static str> {
    Some(match status {
        0 => "in_chat_group",
        1 => "in_breakout_room",
        2 => "in_waiting_room",
        3 => "in_backstage",
        4 => "left_meeting",
        _ => return None,
    })
}

/// Where a message was written.
pub(super) fn session(value: &Value) -> Option<ChatSession> {
    let number = value.get("type").and_then(read::<Lenient>).map(|number| number.0);
    let session = ChatSession {
        number,
        name: number.and_then(session_name).map(Into::into),
        id: text(value, &["id"]),
    };
    (session != ChatSession::default()).then_some(session)
}

fn session_name(number: i64) -> Option<&'static str> {
    Some(match number {
        1 => "everyone",
        2 => "individual",
        3 => "chat_group",
        4 => "hosts_and_panelists",
        5 => "individual_cc_hosts_and_panelists",
        _ => return None,
    })
}

pub(super) fn receiver(value: &Value) -> Option<Participant> {
    let user_id = value.get("user_id").and_then(read::<UserId>)?;
    Some(Participant { user_id, user_name: text(value, &["user_name"]) })
}

pub(super) fn files(value: &Value) -> Vec<ChatFile> {
    items(Some(value)).filter_map(file).collect()
}

fn file(value: &Value) -> Option<ChatFile> {
    let file = ChatFile {
        id: text(value, &["file_id", "id"]),
        name: text(value, &["file_name", "name"]),
        size_bytes: first(value, &["file_size", "size"])
            .and_then(read::<Lenient>)
            .and_then(|size| u64::try_from(size.0).ok()),
    };
    (file != ChatFile::default()).then_some(file)
}

pub(super) fn deleted_files(value: &Value) -> Vec<String> {
    items(Some(value)).filter_map(short).collect()
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten().take(MAX_ITEMS)
}

fn first<'a>(value: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().find_map(|key| value.get(*key)).filter(|value| !value.is_null())
}

fn text(value: &Value, keys: &[&str]) -> Option<String> {
    first(value, keys).and_then(short)
}

/// A number counts as its digits.
fn short(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        value => read::<Short>(value).map(|text| text.0).filter(|text| !text.is_empty()),
    }
}
