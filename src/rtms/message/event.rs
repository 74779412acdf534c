//! EVENT_UPDATE (rtms-protocol.md section 7). The numbers from 8 on mean something else in Contact Center, which only
//! the stream knows: an update is read on demand, in the way of its product.

use serde_json::value::RawValue;

use super::codes::{event_type, msg_type};
use super::incoming::Malformed;
use super::reader::{Fields, Reader};
use super::{chat, contact_center};
use crate::model::{ChatGroupEvent, ContactCenterEvent, Participant, UnreadableMessages};

/// One EVENT_UPDATE, whose body is read by [`EventUpdate::meeting`], [`EventUpdate::chat_group`] or
/// [`EventUpdate::contact_center`].
#[derive(Debug)]
pub struct EventUpdate {
    pub number: u16,
    pub at_ms: Option<i64>,
    raw: Box<RawValue>,
}

/// What an EVENT_UPDATE says (section 7, the meeting table).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    FirstPacket,
    ActiveSpeaker(Participant),
    Joined(Vec<Participant>),
    Left(Vec<Participant>),
    SharingStarted(Participant),
    SharingStopped,
    MediaInterrupted,
    VideoOn(Vec<Participant>),
    VideoOff(Vec<Participant>),
    Unknown(u16),
}

impl EventUpdate {
    pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Result<Self, Malformed> {
        let raw = fields.raw("event").ok_or_else(|| reader.without("event"))?;
        let body = Fields::of(raw.get()).ok_or_else(|| reader.without("event"))?;
        let number = reader.code(&body, "event_type");
        // V2's name (section 17).
        let number = number.or_else(|| reader.code(&body, "event_code"));
        let number = number.ok_or_else(|| reader.without("event_type"))?;
        let at_ms = reader.time(&body, "timestamp");
        Ok(Self {
            // A number that does not fit is one that we do not know.
            number: number.try_into().unwrap_or(msg_type::UNDEFINED),
            // Contact Center's name, in place of the other or next to it.
            at_ms: at_ms.or_else(|| reader.time(&body, "event_ts")),
            raw: raw.to_owned(),
        })
    }

    /// What it says in a meeting, a webinar or a Video SDK session.
    ///
    /// # Errors
    /// When whom it is about cannot be read.
    pub fn meeting(&self, unreadable: &mut UnreadableMessages) -> Result<Event, Malformed> {
        Reader::read(msg_type::EVENT_UPDATE, unreadable, |reader| {
            meeting(self.number, reader, &self.fields())
        })
    }

    /// What a chat group's event (10 to 14) says; none for another number.
    pub fn chat_group(&self, unreadable: &mut UnreadableMessages) -> Option<ChatGroupEvent> {
        let change = chat::group_change(self.number)?;
        Reader::read(msg_type::EVENT_UPDATE, unreadable, |reader| {
            Ok(chat::group_event(change, reader, &self.fields(), self.raw.get()))
        })
        .ok()
    }

    /// What an engagement's event says; none for a number that means the same in all products.
    pub fn contact_center(
        &self,
        unreadable: &mut UnreadableMessages,
    ) -> Option<ContactCenterEvent> {
        let name = contact_center::name(self.number)?;
        Reader::read(msg_type::EVENT_UPDATE, unreadable, |reader| {
            Ok(contact_center::event(self.number, name, reader, &self.fields(), self.raw.get()))
        })
        .ok()
    }

    fn fields(&self) -> Fields<'_> {
        Fields::of(self.raw.get()).unwrap_or_default()
    }
}

/// A field is read only by an event that needs it: others may give it another form (section 10.2).
fn meeting(number: u16, reader: &mut Reader, body: &Fields<'_>) -> Result<Event, Malformed> {
    Ok(match number {
        event_type::FIRST_PACKET_TIMESTAMP => Event::FirstPacket,
        event_type::ACTIVE_SPEAKER_CHANGE => Event::ActiveSpeaker(person(reader, body)?),
        event_type::PARTICIPANT_JOIN => Event::Joined(people(reader, body)?),
        event_type::PARTICIPANT_LEAVE => Event::Left(people(reader, body)?),
        event_type::SHARING_START => Event::SharingStarted(person(reader, body)?),
        event_type::SHARING_STOP => Event::SharingStopped,
        event_type::MEDIA_CONNECTION_INTERRUPTED => Event::MediaInterrupted,
        event_type::PARTICIPANT_VIDEO_ON => Event::VideoOn(people(reader, body)?),
        event_type::PARTICIPANT_VIDEO_OFF => Event::VideoOff(people(reader, body)?),
        number => Event::Unknown(number),
    })
}

fn person(reader: &mut Reader, body: &Fields<'_>) -> Result<Participant, Malformed> {
    reader.person(body).ok_or_else(|| reader.without("user_id"))
}

fn people(reader: &mut Reader, body: &Fields<'_>) -> Result<Vec<Participant>, Malformed> {
    let list = reader.list(body, "participants");
    let list = list.ok_or_else(|| reader.without("participants"))?;
    Ok(list.iter().filter_map(|raw| reader.member("participants", raw, Reader::person)).collect())
}
