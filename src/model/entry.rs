//! Entries: the numbered rows of a stream's log, and the fields of each kind.

mod chat;
mod kind;
mod transcript_line;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ContactCenterEvent, GapCause, Medium, SessionId, StopReason, StreamId, UserId};
use crate::json;

pub use chat::{
    ChatFile, ChatGroupChange, ChatGroupEvent, ChatGroupMember, ChatMessage, ChatSession,
};
pub use kind::EntryKind;
pub use transcript_line::TranscriptLine;

/// One numbered row of a stream's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The session of the stream.
    pub session_id: SessionId,
    /// Zoom's id of the stream.
    pub stream_id: StreamId,
    /// Which stream of its session this is, from 1.
    pub stream_ordinal: u32,
    /// The number within the stream, from 1, without gaps.
    pub seq: u64,
    /// When it happened, in Unix milliseconds: Zoom's time if it sent one, else the time of arrival.
    pub at_ms: i64,
    /// What happened.
    pub body: EntryBody,
}

impl Entry {
    /// A stable id for deduplication: the same entry has the same id every time it is delivered. The number after the
    /// last colon is `seq`; the part before it is Zoom's stream id, which can contain any character except spaces.
    pub fn id(&self) -> String {
        format!("{}:{}", self.stream_id, self.seq)
    }
}

/// The content of an entry. In JSON an object with the name of its [`EntryKind`] as `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EntryBody {
    /// A phrase that somebody said (section 6.15).
    Transcript(TranscriptLine),
    // Boxed, like the other rare large kinds: every queued entry has the size of the largest variant.
    /// A chat message, or a change of one (section 6.16).
    Chat(Box<ChatMessage>),
    /// A participant joined (section 7).
    ParticipantJoined(Participant),
    /// A participant left.
    ParticipantLeft(Participant),
    /// A participant became the active speaker.
    ActiveSpeaker(Participant),
    /// A participant began to share the screen.
    SharingStarted(Participant),
    /// The sharing of the screen ended; Zoom does not say whose.
    SharingStopped {},
    /// A participant turned the camera on.
    VideoOn(Participant),
    /// A participant turned the camera off.
    VideoOff(Participant),
    /// Zoom's answer to the request for one participant's video (section 6.19).
    VideoSubscription {
        /// The participant whose video was requested.
        #[serde(flatten)]
        person: Participant,
        /// Whether the video is now subscribed, or was already.
        is_subscribed: bool,
        /// Zoom's status code (section 10.3).
        status_code: i64,
    },
    /// A chat group or its members changed (section 7, events 10 to 14).
    ChatGroup(Box<ChatGroupEvent>),
    /// An event of a Contact Center engagement (section 10.2).
    ContactCenterEvent(Box<ContactCenterEvent>),
    /// An event that this version does not know.
    UnknownEvent(Box<UnknownEvent>),
    /// Zoom's time of the stream's first packet: the origin of the stream's clock.
    FirstPacket {},
    /// Zoom's state of the stream (rtms-protocol.md section 10.5), with the reason (10.6) if it sent one.
    StreamState {
        /// The state's name.
        state: Cow<'static, str>,
        /// The stop reason.
        reason: Option<StopReason>,
    },
    /// Zoom's state of one session inside the stream (section 10.4).
    SessionState {
        /// Zoom's id of the session inside the stream, not the id of an rtmsd session.
        rtms_session_id: String,
        /// The state's name.
        state: Cow<'static, str>,
        /// The stop reason.
        reason: Option<StopReason>,
    },
    /// A link became usable: `signaling`, `all`, `audio`, …
    LinkUp {
        /// `signaling`, `all` or the name of a medium.
        link: Cow<'static, str>,
    },
    /// A link was lost and is being rebuilt.
    LinkDown {
        /// As in `link_up`.
        link: Cow<'static, str>,
        /// Why it was lost, as text for people.
        cause: String,
    },
    /// Zoom's server failed over and announced the stream again.
    Moved {},
    /// A daemon took over the stream: after a start or a restart, or from another replica.
    PickedUp {},
    /// Entries that were lost because the store was unavailable for longer than the buffer lasts.
    EntriesLost {
        /// How many entries were lost.
        count: u64,
    },
    /// Another daemon that ran the stream received the next `count` entries while this one was not connected.
    /// `start_ms` and `end_ms` are the times of the first and last of them, Unix milliseconds.
    HandedOver {
        /// How many entries the other daemon received.
        count: u64,
        /// The time of the first of them.
        start_ms: i64,
        /// The time of the last of them.
        end_ms: i64,
    },
    /// Stands in the store for an entry that was delivered live but, as configured, is not stored.
    NotKept {
        /// The kind of the entry that is not stored.
        what: Cow<'static, str>,
    },
    /// A span in which a medium was or may have been lost (see [`super::Gap`]). Recorded when it has ended.
    Gap {
        /// The medium.
        medium: Medium,
        /// The start, Unix milliseconds, inclusive.
        start_ms: i64,
        /// The end, Unix milliseconds, exclusive.
        end_ms: i64,
        /// Why the data was or may have been lost.
        cause: GapCause,
    },
    /// The totals of one medium at the end of a stream: what was received, and how much time is missing.
    Summary {
        /// The medium.
        medium: Medium,
        /// Frames, lines or messages that were received.
        frames: u64,
        /// The bytes of their payload.
        bytes: u64,
        /// The number of gaps.
        gaps: u64,
        /// For how many milliseconds the medium was expected, without pauses.
        expected_ms: i64,
        /// The part of `expected_ms` that lies in no gap.
        covered_ms: i64,
        /// The length of all pauses in milliseconds.
        paused_ms: i64,
    },
    /// The last entry of a stream.
    Ended {
        /// How it ended: the name of an [`Outcome`](super::Outcome).
        outcome: Cow<'static, str>,
        /// The stop reason (section 10.6), if Zoom sent one.
        reason: Option<StopReason>,
        /// Why the stream could not continue, as text for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

/// An event that this version does not know: of a later protocol, or of another product. An `event_code` is not another
/// name of `event_type`: codes are unique over all products, and the table of them is not public (section 23.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownEvent {
    /// Zoom's `event_type`, if the event has one.
    pub event_type: Option<i64>,
    /// Zoom's `event_code`, if the event has one.
    pub event_code: Option<i64>,
    /// The event's JSON as Zoom sent it.
    pub raw: RawJson,
}

/// JSON as Zoom sent it; null if it is longer than [`RawJson::MAX_BYTES`] or nests too deeply to be read back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawJson(Value);

impl RawJson {
    /// The longest text that is kept.
    pub const MAX_BYTES: usize = 4096;

    /// Parses the text. Null if it is not JSON, longer than `MAX_BYTES` or nested too deep.
    pub fn of(text: &str) -> Self {
        // The value nests deeper in its stored entry, and serde_json writes any depth but refuses to read more
        // than 128 levels.
        let fits = text.len() <= Self::MAX_BYTES && !json::is_too_deep(text);
        let mut value = serde_json::from_str(text).ok().filter(|_| fits).unwrap_or_default();
        redact_keys(&mut value);
        Self(value)
    }

    /// An upper bound of its size in memory.
    pub(super) fn bytes(&self) -> usize {
        // Always the maximum: a parsed value has no cheap measure.
        if self.0.is_null() { 0 } else { Self::MAX_BYTES }
    }
}

/// The field with the key of an SRT transport (section 23.4), which nobody may read in a log or an answer.
const TRANSPORT_KEY: &str = "srt_passphrase";

fn redact_keys(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == TRANSPORT_KEY {
                    *field = "[redacted]".into();
                }
                redact_keys(field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_keys),
        _ => {}
    }
}

/// A participant of the meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// The participant's number in the meeting, which is no Zoom account's id.
    pub user_id: UserId,
    /// The name in the message, or else in the stream's roster.
    pub user_name: Option<String>,
}

impl EntryBody {
    /// The size of its texts in bytes: the memory that an entry needs in addition to its fixed part.
    pub fn text_bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            EntryBody::Transcript(line) => line.text.len() + line.speaker.text_bytes(),
            EntryBody::Chat(chat) => {
                let ids = length(&chat.message_id) + length(&chat.parent_message_id);
                let files = chat.files.iter().map(|file| length(&file.id) + length(&file.name));
                let deleted = chat.deleted_file_ids.iter().map(String::len);
                let extras = files.chain(deleted).sum::<usize>();
                let session = chat.session.as_ref().map_or(0, |session| length(&session.id));
                let receiver = chat.receiver.as_ref().map_or(0, |who| length(&who.user_name));
                chat.text.len() + length(&chat.user_name) + ids + extras + session + receiver
            }
            EntryBody::ChatGroup(group) => {
                let members = group.members.iter().map(|member| length(&member.user_name));
                let names = length(&group.group_id) + length(&group.group_name);
                members.sum::<usize>() + names + group.raw.bytes()
            }
            EntryBody::ContactCenterEvent(event) => event.text_bytes(),
            EntryBody::UnknownEvent(event) => event.raw.bytes(),
            EntryBody::ParticipantJoined(person)
            | EntryBody::ParticipantLeft(person)
            | EntryBody::ActiveSpeaker(person)
            | EntryBody::SharingStarted(person)
            | EntryBody::VideoOn(person)
            | EntryBody::VideoOff(person)
            | EntryBody::VideoSubscription { person, .. } => length(&person.user_name),
            EntryBody::SessionState { rtms_session_id, .. } => rtms_session_id.len(),
            EntryBody::LinkDown { cause, .. } => cause.len(),
            EntryBody::Ended { detail, .. } => length(detail),
            EntryBody::SharingStopped {}
            | EntryBody::FirstPacket {}
            | EntryBody::StreamState { .. }
            | EntryBody::LinkUp { .. }
            | EntryBody::Moved {}
            | EntryBody::PickedUp {}
            | EntryBody::EntriesLost { .. }
            | EntryBody::HandedOver { .. }
            | EntryBody::NotKept { .. }
            | EntryBody::Gap { .. }
            | EntryBody::Summary { .. } => 0,
        }
    }

    /// The medium to which the entry belongs, and its payload bytes.
    pub fn piece(&self) -> Option<(Medium, u64)> {
        match self {
            EntryBody::Transcript(line) => Some((Medium::Transcript, line.text.len() as u64)),
            EntryBody::Chat(message) => Some((Medium::Chat, message.text.len() as u64)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContactCenterParty;

    #[test]
    fn every_text_of_an_entry_counts_towards_its_size() {
        let detail = Some("x".repeat(100));
        let ended = EntryBody::Ended { outcome: "failed".into(), reason: None, detail };
        assert_eq!(ended.text_bytes(), 100);
        let party = ContactCenterParty {
            display_name: Some("x".repeat(200)),
            queue_name: Some("x".repeat(50)),
            ..ContactCenterParty::default()
        };
        let (participant, raw) = (Some(party), RawJson::default());
        let event = ContactCenterEvent { code: 8, name: None, participant, raw };
        assert_eq!(EntryBody::ContactCenterEvent(Box::new(event)).text_bytes(), 250);
        let group = ChatGroupEvent {
            change: ChatGroupChange::Created,
            group_id: Some("x".repeat(20)),
            group_name: Some("x".repeat(30)),
            members: Vec::new(),
            raw: RawJson::default(),
        };
        assert_eq!(EntryBody::ChatGroup(Box::new(group)).text_bytes(), 50);
    }

    #[test]
    fn the_kind_in_json_is_the_kind_of_the_column() {
        let person = Participant { user_id: UserId(7), user_name: Some("Ana".into()) };
        let bodies = [
            EntryBody::ParticipantJoined(person.clone()),
            EntryBody::ActiveSpeaker(person),
            EntryBody::SharingStopped {},
            EntryBody::FirstPacket {},
            EntryBody::StreamState { state: "active".into(), reason: None },
            EntryBody::LinkDown { link: "signaling".into(), cause: "closed".into() },
            EntryBody::Gap {
                medium: Medium::Audio,
                start_ms: 7,
                end_ms: 9,
                cause: GapCause::LinkLost,
            },
            EntryBody::Ended {
                outcome: "stopped".into(),
                reason: Some(StopReason::MEETING_ENDED),
                detail: None,
            },
        ];
        for body in bodies {
            let json = serde_json::to_value(&body).unwrap();
            assert_eq!(json["kind"], body.kind().as_str());
            assert_eq!(serde_json::from_value::<EntryBody>(json).unwrap(), body);
        }
    }
}
