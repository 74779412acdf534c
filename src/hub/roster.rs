//! The participants seen in a stream, present or gone. Survives reconnects.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::model::{
    ContactCenterEvent, EntryBody, Participant, Speaker, SpeakerRef, UserId, UserIdRef,
};

/// The most people in a stream's roster; those who left make room.
const MAX_PEOPLE: usize = 2048;
/// The most parties without a numeric user id. An engagement has two to ten parties; the bound is
/// for a peer that sends ever new channels.
const MAX_PARTIES: usize = 256;

/// A person in a session, as far as Zoom has reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    #[serde(flatten)]
    pub speaker: Speaker,
    /// When Zoom reported the join; none for a person who was only heard. Unix milliseconds.
    pub joined_ms: Option<i64>,
    /// When the person left; none while present.
    pub left_ms: Option<i64>,
}

impl Person {
    /// A person of whom only the speaker's ids are known.
    pub fn of(speaker: Speaker) -> Self {
        Self { speaker, joined_ms: None, left_ms: None }
    }
}

/// The participants seen in a stream. After a rejoin Zoom reports only what is new to this connection.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// A meeting's participants.
    by_id: BTreeMap<UserId, Arc<Person>>,
    /// An engagement's parties, which have a channel or a text as user id. Few enough for a linear search.
    parties: Vec<Arc<Person>>,
    active: Option<UserId>,
}

impl Roster {
    /// The speaker of a frame or, for mixed audio, the active speaker. Remembers a new party, so that later frames copy
    /// nothing.
    pub(super) fn heard(
        &mut self,
        who: &SpeakerRef<'_>,
    ) -> (Option<Arc<Person>>, Option<Arc<Person>>) {
        match (&who.user_id, &who.channel_id) {
            (None, None) => (None, self.active().cloned()),
            (Some(UserIdRef::Number(user_id)), None) => {
                let stranger = || Arc::new(Person::of(who.to_speaker()));
                (Some(self.by_id.get(user_id).cloned().unwrap_or_else(stranger)), None)
            }
            _ => (Some(self.party(who)), None),
        }
    }

    /// The active speaker by Zoom's last event. Frames of mixed audio name no speaker
    /// (rtms-protocol.md section 22).
    fn active(&self) -> Option<&Arc<Person>> {
        self.by_id.get(&self.active?)
    }

    /// Everyone seen: participants by number, then parties in order of appearance.
    pub(super) fn all(&self) -> Vec<Arc<Person>> {
        self.by_id.values().chain(&self.parties).cloned().collect()
    }

    /// Updates the participants from an entry. Adds to a party's line the name that the engagement's events gave.
    pub(super) fn note(&mut self, at_ms: i64, body: &mut EntryBody) {
        match body {
            EntryBody::ParticipantJoined(person) => {
                let known = self.participant(person);
                if let Some(known) = known {
                    known.joined_ms.get_or_insert(at_ms);
                    known.left_ms = None;
                }
            }
            EntryBody::ParticipantLeft(person) => {
                if let Some(known) = self.participant(person) {
                    known.left_ms = Some(at_ms);
                }
            }
            EntryBody::ActiveSpeaker(person) => {
                self.active = Some(person.user_id);
                self.participant(person);
            }
            EntryBody::Transcript(line) => self.said(&mut line.speaker),
            EntryBody::ContactCenterEvent(event) => self.engaged(at_ms, event),
            _ => {}
        }
    }

    /// A meeting's participant, added if new; none when there is no room.
    fn participant(&mut self, person: &Participant) -> Option<&mut Person> {
        let Participant { user_id, user_name } = person;
        if self.by_id.len() >= MAX_PEOPLE && !self.by_id.contains_key(user_id) {
            // Only when the roster is full: the API shows people who left for as long as there is
            // room.
            self.by_id.retain(|_, known| known.left_ms.is_none());
            if self.by_id.len() >= MAX_PEOPLE {
                return None;
            }
        }
        let stranger = || Arc::new(Person::of(Speaker::participant(*user_id, None)));
        // Frames in consumers' queues hold the old value: they keep the name that was known when
        // they were made.
        let known = Arc::make_mut(self.by_id.entry(*user_id).or_insert_with(stranger));
        // Zoom's leave event has no name (rtms-protocol.md section 22); it must not erase the known
        // one.
        if user_name.is_some() {
            known.speaker.name.clone_from(user_name);
        }
        Some(known)
    }

    /// An engagement's party, remembered if there is room.
    fn party(&mut self, who: &SpeakerRef<'_>) -> Arc<Person> {
        if let Some(known) = self.parties.iter().find(|known| who.is(&known.speaker)) {
            return Arc::clone(known);
        }
        let party = Arc::new(Person::of(who.to_speaker()));
        if self.parties.len() >= MAX_PARTIES {
            self.parties.retain(|known| known.left_ms.is_none());
        }
        if self.parties.len() < MAX_PARTIES {
            self.parties.push(Arc::clone(&party));
        }
        party
    }

    /// Changes a party and returns the new value.
    fn change(&mut self, speaker: &Speaker, change: impl FnOnce(&mut Person)) -> Arc<Person> {
        let who = speaker.by_ref();
        let mut party = self.party(&who);
        let known = Arc::make_mut(&mut party);
        // An event may name a party by one id and a frame by the other; the party collects both.
        known.speaker.channel_id = known.speaker.channel_id.take().or(speaker.channel_id.clone());
        known.speaker.user_id = known.speaker.user_id.take().or(speaker.user_id.clone());
        change(known);
        // `party` did not keep a new party if the roster is full; then there is no entry to
        // replace.
        if let Some(place) = self.parties.iter_mut().find(|known| who.is(&known.speaker)) {
            place.clone_from(&party);
        }
        party
    }

    fn said(&mut self, speaker: &mut Speaker) {
        if let Some(user_id) = speaker.number() {
            self.participant(&Participant { user_id, user_name: speaker.name.clone() });
        } else if speaker.key().is_some() {
            let name = speaker.name.take();
            let party = self.change(speaker, |known| {
                known.speaker.name = name.or(known.speaker.name.take());
            });
            speaker.clone_from(&party.speaker);
        }
    }

    /// Names a party after an event: a display name replaces a role, a role replaces no name.
    fn engaged(&mut self, at_ms: i64, event: &ContactCenterEvent) {
        let Some(speaker) = event.speaker() else { return };
        self.change(&speaker, |known| {
            if event.has_display_name() || known.speaker.name.is_none() {
                known.speaker.name.clone_from(&speaker.name);
            }
            match event.name.as_deref() {
                Some("consumer_answered" | "user_answered") => {
                    known.joined_ms.get_or_insert(at_ms);
                    known.left_ms = None;
                }
                Some("consumer_end" | "user_end" | "conference_participant_left") => {
                    known.left_ms = Some(at_ms);
                }
                _ => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChannelId, ContactCenterParty, RawJson, SpeakerUserId, TranscriptLine};

    fn ana(name: Option<&str>) -> Participant {
        Participant { user_id: UserId(7), user_name: name.map(ToOwned::to_owned) }
    }

    fn number(people: &Roster, id: u64) -> Option<Arc<Person>> {
        people.by_id.get(&UserId(id)).cloned()
    }

    fn heard(people: &mut Roster, channel: &str) -> Arc<Person> {
        let speaker = Speaker { channel_id: ChannelId::new(channel), ..Speaker::default() };
        people.heard(&speaker.by_ref()).0.unwrap()
    }

    fn event(name: &'static str, channel: &str, display_name: Option<&str>) -> EntryBody {
        let party = ContactCenterParty {
            channel_id: Some(channel.into()),
            user_id: Some(format!("user of {channel}")),
            display_name: display_name.map(ToOwned::to_owned),
            ..ContactCenterParty::default()
        };
        EntryBody::ContactCenterEvent(Box::new(ContactCenterEvent {
            code: 8,
            name: Some(name.into()),
            participant: Some(party),
            raw: RawJson::default(),
        }))
    }

    fn line(speaker: Speaker) -> EntryBody {
        EntryBody::Transcript(TranscriptLine {
            speaker,
            text: "hello".into(),
            start_ms: 1,
            end_ms: 2,
            language: None,
            attribute: None,
        })
    }

    #[test]
    fn a_person_keeps_name_and_join_time_across_a_rejoin() {
        let mut people = Roster::default();
        people.note(10, &mut EntryBody::ParticipantJoined(ana(Some("Ana"))));
        people.note(20, &mut EntryBody::ParticipantLeft(ana(None)));
        people.note(30, &mut EntryBody::ParticipantJoined(ana(None)));
        let known = number(&people, 7).unwrap();
        assert_eq!(known.speaker.name.as_deref(), Some("Ana"));
        assert_eq!((known.joined_ms, known.left_ms), (Some(10), None));
    }

    #[test]
    fn the_last_active_speaker_is_the_speaker_of_mixed_audio() {
        let mut people = Roster::default();
        assert_eq!(people.heard(&SpeakerRef::default()), (None, None));
        people.note(10, &mut EntryBody::ActiveSpeaker(ana(Some("Ana"))));
        let (speaker, active) = people.heard(&SpeakerRef::default());
        assert_eq!((speaker, active.unwrap().speaker.number()), (None, Some(UserId(7))));
    }

    #[test]
    fn a_full_roster_forgets_who_left() {
        let mut people = Roster::default();
        for id in 0..MAX_PEOPLE as u64 {
            let person = Participant { user_id: UserId(id), user_name: None };
            people.note(1, &mut EntryBody::ParticipantJoined(person.clone()));
            if id % 2 == 0 {
                people.note(2, &mut EntryBody::ParticipantLeft(person));
            }
        }
        let late = Participant { user_id: UserId(1 << 40), user_name: None };
        people.note(3, &mut EntryBody::ParticipantJoined(late));
        assert!(number(&people, 1 << 40).is_some());
        assert!(number(&people, 0).is_none() && number(&people, 1).is_some());
    }

    #[test]
    fn the_parties_of_an_engagement_are_named_by_its_events() {
        let mut people = Roster::default();
        let before = heard(&mut people, "c1");
        assert_eq!(before.speaker.name, None);
        assert!(Arc::ptr_eq(&before, &heard(&mut people, "c1")), "a known party is not copied");
        people.note(10, &mut event("user_answered", "c1", Some("Ana")));
        people.note(10, &mut event("consumer_answered", "c2", None));
        people.note(20, &mut event("consumer_end", "c2", None));
        let (agent, consumer) = (heard(&mut people, "c1"), heard(&mut people, "c2"));
        assert_eq!(agent.speaker.name.as_deref(), Some("Ana"));
        assert_eq!(agent.speaker.user_id, SpeakerUserId::text("user of c1"));
        assert_eq!(consumer.speaker.name.as_deref(), Some("Consumer"));
        assert_eq!((consumer.joined_ms, consumer.left_ms), (Some(10), Some(20)));
        people.note(30, &mut event("user_hold", "c1", None));
        assert_eq!(
            heard(&mut people, "c1").speaker.name.as_deref(),
            Some("Ana"),
            "a role does not replace a name"
        );
        assert_eq!(people.all().len(), 2);
    }

    #[test]
    fn a_line_of_a_party_gets_its_known_ids_and_name() {
        let mut people = Roster::default();
        people.note(10, &mut event("user_answered", "c1", Some("Ana")));
        let by_channel = Speaker { channel_id: ChannelId::new("c1"), ..Speaker::default() };
        let user_id = SpeakerUserId::text("user of c1");
        let by_user = Speaker { user_id: user_id.clone(), ..Speaker::default() };
        for speaker in [by_channel, by_user] {
            let mut body = line(speaker);
            people.note(20, &mut body);
            let EntryBody::Transcript(line) = body else { panic!("a line stays a line") };
            assert_eq!(line.speaker.name.as_deref(), Some("Ana"));
            assert_eq!(
                (line.speaker.user_id, line.speaker.channel_id),
                (user_id.clone(), ChannelId::new("c1"))
            );
        }
        let mut nobody = line(Speaker::default());
        people.note(20, &mut nobody);
        assert_eq!((nobody, people.all().len()), (line(Speaker::default()), 1));
    }

    #[test]
    fn new_channels_do_not_grow_a_roster_beyond_its_bound() {
        let mut people = Roster::default();
        for id in 0..MAX_PARTIES * 3 {
            let channel = format!("c{id}");
            assert_eq!(heard(&mut people, &channel).speaker.channel_id, ChannelId::new(&channel));
        }
        assert_eq!(people.parties.len(), MAX_PARTIES);
    }
}
