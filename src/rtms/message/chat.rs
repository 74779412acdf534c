//! Chat: messages with their operations and files (rtms-protocol.md section 6.16), and groups (section 7,
//! events 10 to 14). Most of the format is unpublished, so every known form is read and no field is required.

use serde_json::value::RawValue;

use super::codes::{chat_operation, event_type};
use super::incoming::{Malformed, Message};
use super::reader::{Fields, Reader};
use crate::model::{
    ChatFile, ChatGroupChange, ChatGroupEvent, ChatGroupMember, ChatMessage, ChatSession,
    Participant, RawJson,
};

/// The most members of a group, or files of a message, that are kept.
const MAX_ITEMS: usize = 64;

/// Reads a chat message. Zoom does not document which fields are in `content` and which in `content.data`, so both are
/// read (section 6.16).
pub(super) fn read_message(reader: &mut Reader, fields: &Fields<'_>) -> Result<Message, Malformed> {
    let content = reader.object(fields, "content").ok_or_else(|| reader.without("content"))?;
    let at_ms = reader.time(&content, "timestamp");
    let mut message = read_part(reader, &content);
    let data = content.raw("data").map_or("", RawValue::get);
    if let Some(inner) = read_inner(reader, &content, data) {
        message = merge_messages(message, inner);
    } else if let Ok(text) = serde_json::from_str(data) {
        message.text = text;
    } else if !data.is_empty() {
        reader.lose_field("data");
    }
    // An empty text is a message; a `data` that is no text and nothing beside it is not.
    let says_nothing = message == ChatMessage::default() && !data.starts_with('"');
    match says_nothing {
        true => Err(Malformed { at_ms, ..reader.without("data") }),
        false => Ok(Message::Chat(at_ms, message)),
    }
}

/// The object inside `data`, as an object or as JSON text. If `content` has other fields of a message, a text in `data`
/// is what the user typed, even if it looks like JSON.
fn read_inner(reader: &mut Reader, content: &Fields<'_>, data: &str) -> Option<ChatMessage> {
    if let Some(object) = Fields::of(data) {
        return Some(read_whole(reader, &object));
    }
    let text: String = serde_json::from_str(data).ok()?;
    let object = Fields::of(&text).filter(|object| is_bare(content) && is_envelope(object))?;
    reader.tried(|reader| read_whole(reader, &object))
}

/// Whether `content` has only a time and `data`.
fn is_bare(content: &Fields<'_>) -> bool {
    let others = [
        "sender",
        "user_id",
        "user_name",
        "operation_type",
        "message_id",
        "parent_message_id",
        "chat_session",
        "receiver",
        "files",
        "delete_file_id_list",
    ];
    others.iter().all(|name| content.raw(name).is_none())
}

fn is_envelope(object: &Fields<'_>) -> bool {
    let is_text = object.raw("data").is_some_and(|data| data.get().starts_with('"'));
    is_text || object.raw("message_id").is_some() || object.raw("operation_type").is_some()
}

fn read_whole(reader: &mut Reader, object: &Fields<'_>) -> ChatMessage {
    let text = reader.field(object, "data").unwrap_or_default();
    ChatMessage { text, ..read_part(reader, object) }
}

/// Reads every field except the text.
fn read_part(reader: &mut Reader, fields: &Fields<'_>) -> ChatMessage {
    let operation = reader.code(fields, "operation_type");
    let sender = reader.object(fields, "sender").unwrap_or_default();
    let sender_id = reader.user_id(&sender, "user_id");
    let sender_name = reader.name(&sender, "user_name");
    ChatMessage {
        user_id: sender_id.or_else(|| reader.user_id(fields, "user_id")),
        user_name: sender_name.or_else(|| reader.name(fields, "user_name")),
        text: String::new(),
        operation,
        operation_name: operation.and_then(chat_operation::name).map(Into::into),
        session: read_session(reader, fields).map(Box::new),
        receiver: read_receiver(reader, fields),
        files: read_files(reader, fields),
        deleted_file_ids: deleted_files(reader, fields),
        message_id: reader.name(fields, "message_id"),
        parent_message_id: reader.name(fields, "parent_message_id"),
    }
}

/// Merges both objects. The outer one wins, except for the text.
fn merge_messages(outer: ChatMessage, inner: ChatMessage) -> ChatMessage {
    ChatMessage {
        user_id: outer.user_id.or(inner.user_id),
        user_name: outer.user_name.or(inner.user_name),
        text: inner.text,
        operation: outer.operation.or(inner.operation),
        operation_name: outer.operation_name.or(inner.operation_name),
        session: outer.session.or(inner.session),
        receiver: outer.receiver.or(inner.receiver),
        files: [outer.files, inner.files].concat(),
        deleted_file_ids: [outer.deleted_file_ids, inner.deleted_file_ids].concat(),
        message_id: outer.message_id.or(inner.message_id),
        parent_message_id: outer.parent_message_id.or(inner.parent_message_id),
    }
}

pub(super) fn group_change(number: u16) -> Option<ChatGroupChange> {
    Some(match number {
        event_type::CHAT_GROUP_CREATE => ChatGroupChange::Created,
        event_type::CHAT_GROUP_DELETE => ChatGroupChange::Deleted,
        event_type::CHAT_GROUP_MEMBERS_ADD => ChatGroupChange::MembersAdded,
        event_type::CHAT_GROUP_MEMBERS_DELETE => ChatGroupChange::MembersDeleted,
        event_type::CHAT_GROUP_MEMBER_STATUS_UPDATE => ChatGroupChange::MemberStatusChanged,
        _ => return None,
    })
}

pub(super) fn group_event(
    change: ChatGroupChange,
    reader: &mut Reader,
    body: &Fields<'_>,
    raw: &str,
) -> ChatGroupEvent {
    let named = ["chat_group", "group"].into_iter().find(|name| body.raw(name).is_some());
    let own = named.and_then(|name| reader.object(body, name));
    let group = own.as_ref().unwrap_or(body);
    ChatGroupEvent {
        change,
        group_id: reader.first_text(group, &["chat_group_id", "group_id", "id"]),
        group_name: reader.first_text(group, &["chat_group_name", "group_name", "name"]),
        members: read_members(reader, group, body),
        raw: RawJson::of(raw),
    }
}

fn read_members(
    reader: &mut Reader,
    group: &Fields<'_>,
    body: &Fields<'_>,
) -> Vec<ChatGroupMember> {
    let names = ["members", "participants", "member_list"];
    let places = [group, body].into_iter().flat_map(|place| names.map(|name| (place, name)));
    let place = places.into_iter().find(|(place, name)| place.raw(name).is_some());
    place.map(|(place, name)| read_items(reader, place, name, read_member)).unwrap_or_default()
}

fn read_member(reader: &mut Reader, fields: &Fields<'_>) -> Option<ChatGroupMember> {
    let user_id = reader.user_id(fields, "user_id")?;
    let status = ["status", "member_status"].into_iter().find(|name| fields.raw(name).is_some());
    let status = status.and_then(|name| reader.code(fields, name));
    Some(ChatGroupMember {
        user_id,
        user_name: reader.first_text(fields, &["user_name", "name"]),
        status: status.and_then(member_status).map(Into::into),
    })
}

/// The name of a member's status (rtms-protocol.md section 10.16).
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

/// Reads the chat session that a message was written in.
fn read_session(reader: &mut Reader, fields: &Fields<'_>) -> Option<ChatSession> {
    let session = reader.object(fields, "chat_session")?;
    let number = reader.code(&session, "type");
    let session = ChatSession {
        number,
        name: number.and_then(session_name).map(Into::into),
        id: reader.name(&session, "id"),
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

fn read_receiver(reader: &mut Reader, fields: &Fields<'_>) -> Option<Participant> {
    let receiver = reader.object(fields, "receiver")?;
    reader.person(&receiver)
}

fn read_files(reader: &mut Reader, fields: &Fields<'_>) -> Vec<ChatFile> {
    read_items(reader, fields, "files", |reader, fields| {
        let size = ["file_size", "size"].into_iter().find(|name| fields.raw(name).is_some());
        let file = ChatFile {
            id: reader.first_text(fields, &["file_id", "id"]),
            name: reader.first_text(fields, &["file_name", "name"]),
            size_bytes: size.and_then(|name| reader.size(fields, name)),
        };
        (file != ChatFile::default()).then_some(file)
    })
}

fn read_items<T>(
    reader: &mut Reader,
    fields: &Fields<'_>,
    name: &'static str,
    read: impl Fn(&mut Reader, &Fields<'_>) -> Option<T>,
) -> Vec<T> {
    let list = reader.list(fields, name).unwrap_or_default().into_iter().take(MAX_ITEMS);
    list.filter_map(|raw| reader.member(name, raw, &read)).collect()
}

fn deleted_files(reader: &mut Reader, fields: &Fields<'_>) -> Vec<String> {
    let name = "delete_file_id_list";
    let list = reader.list(fields, name).unwrap_or_default().into_iter().take(MAX_ITEMS);
    list.filter_map(|raw| reader.text_member(name, raw)).filter(|id| !id.is_empty()).collect()
}
