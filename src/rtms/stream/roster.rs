//! The participants of a stream, as the state machine needs them: who is present, and their names.

use std::collections::{HashMap, HashSet};

use crate::model::{Participant, Speaker, UserId};

/// The most participants that a stream remembers.
const MAX_PEOPLE: usize = 2048;

/// The participants present, and the names by id: a leave may come without a name (rtms-protocol.md section 7).
#[derive(Debug, Default)]
pub(super) struct Roster {
    names: HashMap<UserId, Option<String>>,
    /// Those who are not present. They are forgotten when room is needed.
    absent: HashSet<UserId>,
}

impl Roster {
    /// Remembers the name that the participant has, or adds the remembered one.
    pub(super) fn named(&mut self, person: Participant) -> Participant {
        let Participant { user_id, user_name } = person;
        if user_name.is_none() {
            return Participant { user_id, user_name: self.name(user_id) };
        }
        let is_new = !self.names.contains_key(&user_id);
        if self.has_room_for(user_id) {
            self.names.insert(user_id, user_name.clone());
            if is_new {
                // A name alone is no join: Zoom also names people in events before their join arrives.
                self.absent.insert(user_id);
            }
        }
        Participant { user_id, user_name }
    }

    /// The speaker of a line, with its known name. The parties of an engagement get their names from its events, in the
    /// hub.
    pub(super) fn speaker(&mut self, speaker: Speaker) -> Speaker {
        let Some(user_id) = speaker.number() else { return speaker };
        let known = self.named(Participant { user_id, user_name: speaker.name });
        Speaker::participant(user_id, known.user_name)
    }

    /// Records a join. Returns the participant with the known name, or `None` if already present: after a
    /// rejoin Zoom reports all participants again (rtms-protocol.md section 3.2). A participant for whom there
    /// is no room is new each time.
    pub(super) fn joined(&mut self, person: Participant) -> Option<Participant> {
        let was_present = self.is_present(person.user_id);
        let person = self.named(person);
        if !was_present && self.has_room_for(person.user_id) {
            self.names.entry(person.user_id).or_default();
            self.absent.remove(&person.user_id);
        }
        (!was_present).then_some(person)
    }

    /// Records a leave and returns the participant with the known name. The name is kept while there is room,
    /// because the transcript of their last words comes later.
    pub(super) fn left(&mut self, person: Participant) -> Participant {
        let Participant { user_id, user_name } = person;
        let user_name = user_name.or_else(|| self.name(user_id));
        if self.names.contains_key(&user_id) {
            self.absent.insert(user_id);
        }
        Participant { user_id, user_name }
    }

    fn is_present(&self, user_id: UserId) -> bool {
        self.names.contains_key(&user_id) && !self.absent.contains(&user_id)
    }

    fn name(&self, user_id: UserId) -> Option<String> {
        self.names.get(&user_id).cloned().flatten()
    }

    fn has_room_for(&mut self, user_id: UserId) -> bool {
        if self.names.len() >= MAX_PEOPLE && !self.names.contains_key(&user_id) {
            for absent in self.absent.drain() {
                self.names.remove(&absent);
            }
        }
        self.names.len() < MAX_PEOPLE || self.names.contains_key(&user_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(id: u64, name: Option<&str>) -> Participant {
        Participant { user_id: UserId(id), user_name: name.map(ToOwned::to_owned) }
    }

    fn nameless(id: u64) -> Participant {
        person(id, None)
    }

    #[test]
    fn a_join_is_news_once_until_the_leave() {
        let mut roster = Roster::default();
        let ana = person(7, Some("Ana"));
        assert_eq!(roster.joined(ana.clone()), Some(ana.clone()));
        assert_eq!(roster.joined(ana.clone()), None);
        assert_eq!(roster.left(nameless(7)), ana);
        assert_eq!(roster.joined(nameless(7)), Some(ana));
    }

    #[test]
    fn a_join_without_a_name_is_a_join_too() {
        let mut roster = Roster::default();
        assert_eq!(roster.joined(nameless(7)), Some(nameless(7)));
        assert_eq!(roster.joined(nameless(7)), None);
    }

    #[test]
    fn to_be_named_is_not_to_be_present() {
        let mut roster = Roster::default();
        roster.named(person(7, Some("Ana")));
        assert_eq!(roster.joined(nameless(7)), Some(person(7, Some("Ana"))));
        roster.named(person(7, Some("Anna")));
        assert_eq!(roster.joined(nameless(7)), None);
        assert_eq!(roster.left(nameless(7)), person(7, Some("Anna")));
    }

    #[test]
    fn a_full_roster_forgets_those_who_left_and_nobody_who_is_present() {
        let mut roster = Roster::default();
        let full = MAX_PEOPLE as u64;
        (0..full).for_each(|id| drop(roster.joined(person(id, Some("there")))));
        roster.left(nameless(3));
        assert_eq!(roster.named(nameless(3)), person(3, Some("there")), "there is room still");
        roster.joined(person(full, Some("new")));
        assert_eq!(roster.named(nameless(3)), nameless(3));
        assert_eq!(roster.joined(nameless(full)), None);
        assert_eq!(roster.joined(nameless(0)), None);
    }

    #[test]
    fn a_roster_full_of_people_who_are_present_takes_nobody_in() {
        let mut roster = Roster::default();
        let full = MAX_PEOPLE as u64;
        (0..full * 2).for_each(|id| drop(roster.joined(nameless(id))));
        assert_eq!(roster.names.len(), MAX_PEOPLE);
        assert_eq!(
            roster.joined(nameless(full)),
            Some(nameless(full)),
            "told rather twice than never"
        );
        assert!(roster.absent.is_empty());
    }

    #[test]
    fn ever_new_people_do_not_make_a_roster_grow() {
        let mut roster = Roster::default();
        for id in 0..(MAX_PEOPLE as u64) * 5 {
            roster.joined(person(id, Some("x")));
            roster.named(person(id + 1_000_000, Some("y")));
            roster.left(nameless(id));
            assert!(roster.names.len() <= MAX_PEOPLE && roster.absent.len() <= MAX_PEOPLE);
        }
    }
}
