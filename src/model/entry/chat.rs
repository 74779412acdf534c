//! Chat messages, and changes of chat groups.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Participant, RawJson};
use crate::model::UserId;

/// One chat message or an operation on one (section 6.16).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// The sender's number in the meeting.
    pub user_id: Option<UserId>,
    /// The sender's name.
    pub user_name: Option<String>,
    /// The text; empty if the message has none.
    pub text: String,
    /// 1 new, 2 delete, 3 update, 4 reaction added, 5 reaction removed.
    pub operation: Option<i64>,
    /// `new`, `delete`, `update`, `add_reaction` or `remove_reaction`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub operation_name: Option<Cow<'static, str>>,
    /// Zoom's id of the message.
    pub message_id: Option<String>,
    /// The id of the message to which it replies.
    pub parent_message_id: Option<String>,
    /// The chat session in which it was written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<Box<ChatSession>>,
    /// The recipient of a private message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receiver: Option<Participant>,
    /// The files attached to the message.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub files: Vec<ChatFile>,
    /// The ids of the files removed from the message.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub deleted_file_ids: Vec<String>,
}

/// The chat session of a message, which decides who sees the message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSession {
    /// Zoom's number (section 6.16).
    #[serde(rename = "type")]
    pub number: Option<i64>,
    /// `everyone`, `individual`, `chat_group`, …; none for a number that this version does not know.
    pub name: Option<Cow<'static, str>>,
    /// Zoom's id of the chat session.
    pub id: Option<String>,
}

/// A file in a chat message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatFile {
    /// Zoom's id of the file.
    pub id: Option<String>,
    /// The file's name.
    pub name: Option<String>,
    /// The file's size.
    pub size_bytes: Option<u64>,
}

/// A change of a chat group. Zoom does not publish the fields, so each is read if present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatGroupEvent {
    /// What changed.
    pub change: ChatGroupChange,
    /// Zoom's id of the group.
    pub group_id: Option<String>,
    /// The group's name.
    pub group_name: Option<String>,
    /// The members that the event names.
    pub members: Vec<ChatGroupMember>,
    /// The event's JSON as Zoom sent it.
    pub raw: RawJson,
}

/// What happened to a chat group (section 7, events 10 to 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatGroupChange {
    /// The group was created.
    Created,
    /// The group was deleted.
    Deleted,
    /// Members were added.
    MembersAdded,
    /// Members were removed.
    MembersDeleted,
    /// A member's status changed.
    MemberStatusChanged,
}

/// A member of a chat group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatGroupMember {
    /// The member's number in the meeting.
    pub user_id: UserId,
    /// The member's name, if the event has it.
    pub user_name: Option<String>,
    /// `in_chat_group`, `in_breakout_room`, … (section 10.16).
    pub status: Option<Cow<'static, str>>,
}
