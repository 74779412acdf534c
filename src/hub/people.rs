use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::model::{EntryBody, Participant, UserId};

/// How many people a stream's roster holds; those who left make room.
const MAX_PEOPLE: usize = 2048;

/// Somebody in a session, as far as Zoom has told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    pub user_id: UserId,
    pub user_name: Option<String>,
    /// When Zoom reported the join; unknown for somebody who was only heard. Unix milliseconds.
    pub joined_ms: Option<i64>,
    /// When they left; none while they are present.
    pub left_ms: Option<i64>,
}

/// Who is and was in a stream. It outlives links: after a rejoin Zoom reports only what is news here.
#[derive(Debug, Default)]
pub struct People {
    by_id: BTreeMap<UserId, Arc<Person>>,
    speaker: Option<UserId>,
}

impl People {
    pub fn get(&self, user_id: UserId) -> Option<&Arc<Person>> {
        self.by_id.get(&user_id)
    }

    /// Who spoke last, by Zoom's active-speaker events: the mixed sound has no other name.
    pub fn speaker(&self) -> Option<&Arc<Person>> {
        self.get(self.speaker?)
    }

    /// Everybody who is known, by their numbers.
    pub fn all(&self) -> Vec<Arc<Person>> {
        self.by_id.values().cloned().collect()
    }

    /// Takes an entry of the stream's log into account.
    pub fn note(&mut self, at_ms: i64, body: &EntryBody) {
        match body {
            EntryBody::ParticipantJoined(person) => self.change(person, |known| {
                known.joined_ms.get_or_insert(at_ms);
                known.left_ms = None;
            }),
            EntryBody::ParticipantLeft(person) => {
                self.change(person, |known| known.left_ms = Some(at_ms));
            }
            EntryBody::ActiveSpeaker(person) => {
                self.speaker = Some(person.user_id);
                self.change(person, |_| {});
            }
            EntryBody::Transcript(line) => {
                let (user_id, user_name) = (line.user_id, line.user_name.clone());
                self.change(&Participant { user_id, user_name }, |_| {});
            }
            _ => {}
        }
    }

    fn change(&mut self, person: &Participant, change: impl FnOnce(&mut Person)) {
        let Participant { user_id, user_name } = person;
        if self.by_id.len() >= MAX_PEOPLE && !self.by_id.contains_key(user_id) {
            self.by_id.retain(|_, known| known.left_ms.is_none());
            if self.by_id.len() >= MAX_PEOPLE {
                return;
            }
        }
        let nobody = Person { user_id: *user_id, user_name: None, joined_ms: None, left_ms: None };
        let known = Arc::make_mut(self.by_id.entry(*user_id).or_insert_with(|| Arc::new(nobody)));
        if user_name.is_some() {
            known.user_name.clone_from(user_name);
        }
        change(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ana(name: Option<&str>) -> Participant {
        Participant { user_id: UserId(7), user_name: name.map(ToOwned::to_owned) }
    }

    #[test]
    fn a_person_keeps_name_and_join_time_across_a_rejoin() {
        let mut people = People::default();
        people.note(10, &EntryBody::ParticipantJoined(ana(Some("Ana"))));
        people.note(20, &EntryBody::ParticipantLeft(ana(None)));
        people.note(30, &EntryBody::ParticipantJoined(ana(None)));
        let known = people.get(UserId(7)).unwrap();
        assert_eq!(known.user_name.as_deref(), Some("Ana"));
        assert_eq!((known.joined_ms, known.left_ms), (Some(10), None));
    }

    #[test]
    fn who_spoke_last_is_the_speaker() {
        let mut people = People::default();
        assert!(people.speaker().is_none());
        people.note(10, &EntryBody::ActiveSpeaker(ana(Some("Ana"))));
        assert_eq!(people.speaker().unwrap().user_id, UserId(7));
    }

    #[test]
    fn a_full_roster_forgets_who_left() {
        let mut people = People::default();
        for id in 0..MAX_PEOPLE as u64 {
            let person = Participant { user_id: UserId(id), user_name: None };
            people.note(1, &EntryBody::ParticipantJoined(person.clone()));
            if id % 2 == 0 {
                people.note(2, &EntryBody::ParticipantLeft(person));
            }
        }
        let late = Participant { user_id: UserId(1 << 40), user_name: None };
        people.note(3, &EntryBody::ParticipantJoined(late));
        assert!(people.get(UserId(1 << 40)).is_some());
        assert!(people.get(UserId(0)).is_none() && people.get(UserId(1)).is_some());
    }
}
