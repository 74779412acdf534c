//! Entries of a stream as the messages that Zoom sent (rtms-protocol.md sections 6.6, 6.15, 6.16 and 7; pure).

use serde_json::{Map, Value, json};

use crate::model::{
    ChatGroupChange, ChatMessage, Entry, EntryBody, Participant, Speaker, SpeakerUserId,
    TranscriptLine,
};
use crate::rtms::message::event_type;
use crate::rtms::server::message;

/// The event of an entry, with its type; `None` for an entry that is no event.
pub(super) fn event_of(entry: &Entry) -> Option<(u64, String)> {
    let at_ms = entry.at_ms;
    let (event_type, fields) = match &entry.body {
        EntryBody::FirstPacket {} => (event_type::FIRST_PACKET_TIMESTAMP, json!({})),
        EntryBody::ActiveSpeaker(who) => (event_type::ACTIVE_SPEAKER_CHANGE, named(who)),
        EntryBody::ParticipantJoined(who) => {
            (event_type::PARTICIPANT_JOIN, json!({"participants": [named(who)]}))
        }
        EntryBody::ParticipantLeft(who) => (event_type::PARTICIPANT_LEAVE, participants(who)),
        EntryBody::SharingStarted(who) => (event_type::SHARING_START, named(who)),
        EntryBody::SharingStopped {} => (event_type::SHARING_STOP, json!({})),
        EntryBody::VideoOn(who) => (event_type::PARTICIPANT_VIDEO_ON, participants(who)),
        EntryBody::VideoOff(who) => (event_type::PARTICIPANT_VIDEO_OFF, participants(who)),
        EntryBody::ChatGroup(group) => {
            (chat_group_event(group.change), serde_json::to_value(&group.raw).unwrap_or_default())
        }
        EntryBody::ContactCenterEvent(event) => {
            (event.code, serde_json::to_value(&event.raw).unwrap_or_default())
        }
        EntryBody::UnknownEvent(event) => {
            let number = event.event_type.and_then(|number| number.try_into().ok())?;
            (number, serde_json::to_value(&event.raw).unwrap_or_default())
        }
        _ => return None,
    };
    let event_type = u64::from(event_type);
    Some((event_type, message::event(event_type, at_ms, fields)))
}

/// The message of a line or a chat message; `None` for any other entry.
pub(super) fn line_of(entry: &Entry) -> Option<String> {
    match &entry.body {
        EntryBody::Transcript(line) => Some(transcript(line, entry.at_ms)),
        EntryBody::Chat(chat) => Some(message::chat(chat_content(chat, entry.at_ms))),
        _ => None,
    }
}

fn transcript(line: &TranscriptLine, at_ms: i64) -> String {
    message::transcript(message::TranscriptLine {
        speaker: speaker(&line.speaker),
        start_ms: line.start_ms,
        end_ms: line.end_ms,
        timestamp_ms: at_ms,
        language: line.language,
        attribute: line.attribute,
        text: &line.text,
    })
}

/// The fields that identify a speaker: a participant by number and name, a party by channel.
fn speaker(speaker: &Speaker) -> Map<String, Value> {
    let mut fields = Map::new();
    let user_id = speaker.user_id.as_ref().map(|user_id| match user_id {
        SpeakerUserId::Number(user_id) => Value::from(user_id.0),
        SpeakerUserId::Text(text) => Value::from(&**text),
    });
    let channel_id = speaker.channel_id.as_ref().map(|id| Value::from(id.as_str()));
    let name = speaker.name.as_deref().map(Value::from);
    for (key, value) in [("user_id", user_id), ("user_name", name), ("channel_id", channel_id)] {
        fields.extend(value.map(|value| (key.to_owned(), value)));
    }
    fields
}

fn named(who: &Participant) -> Value {
    json!({"user_id": who.user_id, "user_name": who.user_name.as_deref().unwrap_or_default()})
}

/// Zoom sends leaves and camera changes without names (section 7).
fn participants(who: &Participant) -> Value {
    json!({"participants": [{"user_id": who.user_id}]})
}

/// Event 3 with everybody who is present.
pub(super) fn roster(people: &[Participant], at_ms: i64) -> (u64, String) {
    let event_type = u64::from(event_type::PARTICIPANT_JOIN);
    let participants: Vec<Value> = people.iter().map(named).collect();
    (event_type, message::event(event_type, at_ms, json!({"participants": participants})))
}

fn chat_group_event(change: ChatGroupChange) -> u16 {
    match change {
        ChatGroupChange::Created => event_type::CHAT_GROUP_CREATE,
        ChatGroupChange::Deleted => event_type::CHAT_GROUP_DELETE,
        ChatGroupChange::MembersAdded => event_type::CHAT_GROUP_MEMBERS_ADD,
        ChatGroupChange::MembersDeleted => event_type::CHAT_GROUP_MEMBERS_DELETE,
        ChatGroupChange::MemberStatusChanged => event_type::CHAT_GROUP_MEMBER_STATUS_UPDATE,
    }
}

fn chat_content(chat: &ChatMessage, at_ms: i64) -> Value {
    let mut content = json!({
        "timestamp": at_ms, "operation_type": chat.operation.unwrap_or(1), "data": chat.text,
    });
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            content[name] = value;
        }
    };
    add("message_id", chat.message_id.as_deref().map(Value::from));
    add("parent_message_id", chat.parent_message_id.as_deref().map(Value::from));
    add("sender", chat.user_id.map(|id| json!({"user_id": id, "user_name": chat.user_name})));
    add("receiver", chat.receiver.as_ref().map(named));
    add("chat_session", chat.session.as_ref().map(|session| {
        json!({"type": session.number, "id": session.id.as_deref().unwrap_or_default()})
    }));
    let files = chat.files.iter().map(
        |file| json!({"file_id": file.id, "file_name": file.name, "file_size": file.size_bytes}),
    );
    add("files", (!chat.files.is_empty()).then(|| files.collect()));
    let deleted = &chat.deleted_file_ids;
    add("delete_file_id_list", (!deleted.is_empty()).then(|| json!(deleted)));
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SessionId, StreamId, UserId};
    use crate::rtms::message::{Message, decode};

    fn entry(body: EntryBody) -> Entry {
        Entry {
            session_id: SessionId(uuid::Uuid::nil()),
            stream_id: StreamId::parse("S").unwrap(),
            stream_ordinal: 1,
            seq: 7,
            at_ms: 1_732_313_191_600,
            body,
        }
    }

    fn read(text: String) -> Message {
        let mut unreadable = crate::model::UnreadableMessages::default();
        let message = decode(text.into(), &mut unreadable).unwrap();
        assert_eq!(unreadable, Default::default());
        message
    }

    /// What the daemon reads of a message is what it passes on.
    #[test]
    fn a_line_and_a_chat_message_are_read_back_as_they_were() {
        let line = TranscriptLine {
            speaker: Speaker::participant(UserId(16_778_240), Some("Ana \"A\"".into())),
            text: "Good morning".into(),
            start_ms: 1_732_313_190_000,
            end_ms: 1_732_313_191_500,
            language: Some(9),
            attribute: Some(1),
        };
        let text = line_of(&entry(EntryBody::Transcript(line.clone()))).unwrap();
        let Message::Transcript(at_ms, again) = read(text) else { panic!("not a line") };
        assert_eq!((at_ms, again), (Some(1_732_313_191_600), line));
        let chat = ChatMessage {
            user_id: Some(UserId(7)),
            user_name: Some("Ana".into()),
            text: "hello".into(),
            operation: Some(3),
            operation_name: Some("update".into()),
            message_id: Some("m-1".into()),
            receiver: Some(Participant { user_id: UserId(8), user_name: Some("Bo".into()) }),
            ..ChatMessage::default()
        };
        let text = line_of(&entry(EntryBody::Chat(Box::new(chat.clone())))).unwrap();
        let Message::Chat(at_ms, again) = read(text) else { panic!("not a chat message") };
        assert_eq!((at_ms, again), (Some(1_732_313_191_600), chat));
    }

    #[test]
    fn events_have_the_types_and_fields_of_zooms() {
        let ana = || Participant { user_id: UserId(7), user_name: Some("Ana".into()) };
        let bodies = [
            (EntryBody::FirstPacket {}, 1, json!({})),
            (EntryBody::ActiveSpeaker(ana()), 2, json!({"user_id": 7, "user_name": "Ana"})),
            (
                EntryBody::ParticipantJoined(ana()),
                3,
                json!({"participants": [{"user_id": 7, "user_name": "Ana"}]}),
            ),
            (EntryBody::ParticipantLeft(ana()), 4, json!({"participants": [{"user_id": 7}]})),
            (EntryBody::SharingStopped {}, 6, json!({})),
            (EntryBody::VideoOn(ana()), 8, json!({"participants": [{"user_id": 7}]})),
        ];
        for (body, expected, mut fields) in bodies {
            let (event_type, text) = event_of(&entry(body)).unwrap();
            fields["event_type"] = expected.into();
            fields["timestamp"] = 1_732_313_191_600_i64.into();
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((event_type, &message["event"]), (expected, &fields));
        }
        assert_eq!(event_of(&entry(EntryBody::Moved {})), None);
    }
}
