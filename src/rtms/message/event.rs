//! EVENT_UPDATE (rtms-protocol.md section 7). Event numbers from 8 on mean something else in Contact Center, and only
//! the stream knows its product, so the body is read on demand by a method for that product.

use serde_json::value::RawValue;

use super::codes::{event_type, msg_type};
use super::incoming::Malformed;
use super::reader::{Fields, Reader};
use super::{chat, contact_center};
use crate::model::{
    ChatGroupEvent, ContactCenterEvent, Participant, RawJson, UnknownEvent, UnreadableMessages,
};

/// One EVENT_UPDATE. [`EventUpdate::meeting`], [`EventUpdate::chat_group`] or [`EventUpdate::contact_center`] reads its
/// body, and [`EventUpdate::unknown`] keeps that of any other.
#[derive(Debug)]
pub struct EventUpdate {
    /// `event_type` (sections 7 and 10.2); 0 if the event has none, or one out of range.
    pub number: u16,
    /// Zoom's time of the event, Unix milliseconds, if it can be read.
    pub at_ms: Option<i64>,
    raw: Box<RawValue>,
}

/// The content of an EVENT_UPDATE (rtms-protocol.md section 7, the meeting table).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// 1: the first packet of the session.
    FirstPacket,
    /// 2: the participant who speaks now.
    ActiveSpeaker(Participant),
    /// 3: the participants who joined.
    Joined(Vec<Participant>),
    /// 4: the participants who left, perhaps without names.
    Left(Vec<Participant>),
    /// 5: the participant who began to share a screen.
    SharingStarted(Participant),
    /// 6: the sharing ended; Zoom does not say whose.
    SharingStopped,
    /// 7: Zoom lost its media connection to the meeting.
    MediaInterrupted,
    /// 8: the participants who turned their cameras on.
    VideoOn(Vec<Participant>),
    /// 9: the participants who turned their cameras off.
    VideoOff(Vec<Participant>),
    /// The number of an event that this version does not read.
    Unknown(u16),
}

impl EventUpdate {
    pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Result<Self, Malformed> {
        let raw = fields.raw("event").ok_or_else(|| reader.without("event"))?;
        let body = Fields::of(raw.get()).ok_or_else(|| reader.without("event"))?;
        let number = reader.code(&body, "event_type");
        // An event of protocol V2 has only a code, which is not a type (section 23.4).
        if number.is_none() && body.raw("event_code").is_none() {
            return Err(reader.without("event_type"));
        }
        let at_ms = reader.time(&body, "timestamp");
        Ok(Self {
            // A number out of range is an unknown event.
            number: number.and_then(|n| n.try_into().ok()).unwrap_or(msg_type::UNDEFINED),
            // Contact Center's name for the field, instead of `timestamp` or beside it.
            at_ms: at_ms.or_else(|| reader.time(&body, "event_ts")),
            raw: raw.to_owned(),
        })
    }

    /// Reads the event of a meeting, a webinar or a Video SDK session.
    ///
    /// # Errors
    /// The participant that the event is about cannot be read.
    pub fn meeting(&self, unreadable: &mut UnreadableMessages) -> Result<Event, Malformed> {
        Reader::read(msg_type::EVENT_UPDATE, unreadable, |reader| {
            read_meeting_event(self.number, reader, &self.fields())
        })
    }

    /// Reads the event of a chat group (10 to 14); none for another number.
    pub fn chat_group(&self, unreadable: &mut UnreadableMessages) -> Option<ChatGroupEvent> {
        let change = chat::group_change(self.number)?;
        Reader::read(msg_type::EVENT_UPDATE, unreadable, |reader| {
            Ok(chat::group_event(change, reader, &self.fields(), self.raw.get()))
        })
        .ok()
    }

    /// Reads the event of an engagement; none for a number that means the same in all products.
    pub fn contact_center(
        &self,
        unreadable: &mut UnreadableMessages,
    ) -> Option<ContactCenterEvent> {
        let name = contact_center::event_name(self.number)?;
        Reader::read(msg_type::EVENT_UPDATE, unreadable, |reader| {
            Ok(contact_center::read_event(
                self.number,
                name,
                reader,
                &self.fields(),
                self.raw.get(),
            ))
        })
        .ok()
    }

    /// The event as it is, for a number that this version does not know.
    pub fn unknown(&self, unreadable: &mut UnreadableMessages) -> UnknownEvent {
        let fields = self.fields();
        let numbers = Reader::read(msg_type::EVENT_UPDATE, unreadable, |reader| {
            Ok((reader.code(&fields, "event_type"), reader.code(&fields, "event_code")))
        });
        let (event_type, event_code) = numbers.unwrap_or_default();
        UnknownEvent { event_type, event_code, raw: RawJson::of(self.raw.get()) }
    }

    fn fields(&self) -> Fields<'_> {
        Fields::of(self.raw.get()).unwrap_or_default()
    }
}

/// Reads only the fields that this event needs: other events may give the same field another form (section 10.2).
fn read_meeting_event(
    number: u16,
    reader: &mut Reader,
    body: &Fields<'_>,
) -> Result<Event, Malformed> {
    Ok(match number {
        event_type::FIRST_PACKET_TIMESTAMP => Event::FirstPacket,
        event_type::ACTIVE_SPEAKER_CHANGE => Event::ActiveSpeaker(read_participant(reader, body)?),
        event_type::PARTICIPANT_JOIN => Event::Joined(read_participants(reader, body)?),
        event_type::PARTICIPANT_LEAVE => Event::Left(read_participants(reader, body)?),
        event_type::SHARING_START => Event::SharingStarted(read_participant(reader, body)?),
        event_type::SHARING_STOP => Event::SharingStopped,
        event_type::MEDIA_CONNECTION_INTERRUPTED => Event::MediaInterrupted,
        event_type::PARTICIPANT_VIDEO_ON => Event::VideoOn(read_participants(reader, body)?),
        event_type::PARTICIPANT_VIDEO_OFF => Event::VideoOff(read_participants(reader, body)?),
        number => Event::Unknown(number),
    })
}

fn read_participant(reader: &mut Reader, body: &Fields<'_>) -> Result<Participant, Malformed> {
    reader.person(body).ok_or_else(|| reader.without("user_id"))
}

fn read_participants(
    reader: &mut Reader,
    body: &Fields<'_>,
) -> Result<Vec<Participant>, Malformed> {
    let list = reader.list(body, "participants");
    let list = list.ok_or_else(|| reader.without("participants"))?;
    Ok(list.iter().filter_map(|raw| reader.member("participants", raw, Reader::person)).collect())
}
