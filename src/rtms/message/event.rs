use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::codes::{event_type, msg_type};
use super::incoming::{Malformed, Message, fields};
use super::short::Short;
use super::time::Lenient;
use super::{chat, contact_center};
use crate::model::{ChatGroupEvent, ContactCenterEvent, Participant, UserId};

/// One EVENT_UPDATE. The numbers from 8 on mean something else in Contact Center, which only the stream knows:
/// [`EventUpdate::chat_group`] and [`EventUpdate::contact_center`] read them on demand.
#[derive(Debug)]
pub struct EventUpdate<'a> {
    pub number: u16,
    pub at_ms: Option<i64>,
    /// As the meeting table has it.
    pub event: Event,
    raw: &'a RawValue,
}

impl EventUpdate<'_> {
    /// What a chat group's event (10 to 14) says; none for another number.
    pub fn chat_group(&self) -> Option<ChatGroupEvent> {
        chat::group_event(self.number, self.raw.get())
    }

    /// What an engagement's event says; none for a number that means the same in all products.
    pub fn contact_center(&self) -> Option<ContactCenterEvent> {
        contact_center::event(self.number, self.raw.get())
    }
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

#[derive(Deserialize)]
pub(super) struct ParticipantWire {
    user_id: UserId,
    #[serde(default)]
    user_name: Option<Short>,
}

impl From<ParticipantWire> for Participant {
    fn from(wire: ParticipantWire) -> Self {
        let user_name = wire.user_name.map(|name| name.0).filter(|name| !name.is_empty());
        Participant { user_id: wire.user_id, user_name }
    }
}

#[derive(Deserialize)]
struct EventWire<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
}

/// A field is read only by an event that needs it: others may give it another form (section 10.2).
#[derive(Deserialize, Default)]
#[serde(default)]
struct EventBody {
    event_type: Value,
    /// V2's name (section 17).
    event_code: Value,
    timestamp: Value,
    /// Contact Center's name, in place of the other or next to it.
    event_ts: Value,
    user_id: Value,
    user_name: Value,
    participants: Value,
}

const MALFORMED: Malformed = Malformed::Fields(msg_type::EVENT_UPDATE);

pub(super) fn event(text: &str) -> Result<Message<'_>, Malformed> {
    let raw = fields::<EventWire<'_>>(text, msg_type::EVENT_UPDATE)?.event;
    let body: EventBody = fields(raw.get(), msg_type::EVENT_UPDATE)?;
    let (number, at_ms) = (body.number()?, body.at_ms());
    let event = match number {
        event_type::FIRST_PACKET_TIMESTAMP => Event::FirstPacket,
        event_type::ACTIVE_SPEAKER_CHANGE => Event::ActiveSpeaker(body.person()?),
        event_type::PARTICIPANT_JOIN => Event::Joined(body.people()?),
        event_type::PARTICIPANT_LEAVE => Event::Left(body.people()?),
        event_type::SHARING_START => Event::SharingStarted(body.person()?),
        event_type::SHARING_STOP => Event::SharingStopped,
        event_type::MEDIA_CONNECTION_INTERRUPTED => Event::MediaInterrupted,
        // Contact Center's 8 and 9 are about something else and name no participants.
        event_type::PARTICIPANT_VIDEO_ON => {
            body.people().map_or(Event::Unknown(number), Event::VideoOn)
        }
        event_type::PARTICIPANT_VIDEO_OFF => {
            body.people().map_or(Event::Unknown(number), Event::VideoOff)
        }
        number => Event::Unknown(number),
    };
    Ok(Message::Event(EventUpdate { number, at_ms, event, raw }))
}

impl EventBody {
    /// A number that does not fit is one that we do not know.
    fn number(&self) -> Result<u16, Malformed> {
        let number = self.event_type.as_number().or(self.event_code.as_number());
        let number = number.ok_or(MALFORMED)?.as_u64().and_then(|number| number.try_into().ok());
        Ok(number.unwrap_or(msg_type::UNDEFINED))
    }

    fn at_ms(&self) -> Option<i64> {
        let time = read::<Lenient>(&self.timestamp).or_else(|| read(&self.event_ts));
        time.map(Lenient::as_ms)
    }

    fn person(&self) -> Result<Participant, Malformed> {
        let user_id = read(&self.user_id).ok_or(MALFORMED)?;
        Ok(ParticipantWire { user_id, user_name: read(&self.user_name) }.into())
    }

    fn people(&self) -> Result<Vec<Participant>, Malformed> {
        let people: Vec<ParticipantWire> = read(&self.participants).ok_or(MALFORMED)?;
        Ok(people.into_iter().map(Participant::from).collect())
    }
}

pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}
