//! How many live subscribers there may be, in all and for each API token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// The share of the places that is kept for forwards and for tokens with `admin`.
const KEPT_BACK: usize = 8;

/// Who wants to subscribe.
#[derive(Debug, Clone, Copy)]
pub enum Entrant<'a> {
    /// The token of this name, which may take three quarters of the common places.
    Token(&'a Arc<str>),
    /// A forward, or a token with `admin`: may take any place.
    Privileged,
}

#[derive(Clone)]
pub(super) struct Rooms {
    max: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// Only tokens that have taken some.
    tokens: HashMap<Arc<str>, usize>,
}

/// A subscriber's place among those that are allowed, until it is dropped.
pub struct Room {
    taken: Arc<Mutex<Taken>>,
    token: Option<Arc<str>>,
}

impl Rooms {
    pub fn new(max: usize) -> Self {
        Self { max, taken: Arc::default() }
    }

    /// `None` when there is no place for this one.
    pub fn enter(&self, entrant: Entrant<'_>) -> Option<Room> {
        let mut taken = lock(&self.taken);
        let common = self.max - self.max / KEPT_BACK;
        let token = match entrant {
            Entrant::Privileged if taken.all < self.max => None,
            Entrant::Token(name) if taken.all < common => {
                let own = taken.tokens.entry(Arc::clone(name)).or_default();
                if *own >= (common * 3 / 4).max(1) {
                    return None;
                }
                *own += 1;
                Some(Arc::clone(name))
            }
            _ => return None,
        };
        taken.all += 1;
        Some(Room { taken: Arc::clone(&self.taken), token })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        let Some(token) = &self.token else { return };
        if let Some(own) = taken.tokens.get_mut(token) {
            *own -= 1;
            if *own == 0 {
                taken.tokens.remove(token);
            }
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().expect("nothing panics while holding the subscribers' places")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(rooms: &Rooms, entrant: Entrant<'_>) -> Vec<Room> {
        std::iter::from_fn(|| rooms.enter(entrant)).collect()
    }

    #[test]
    fn one_token_takes_a_share_and_leaves_the_rest_to_others() {
        let rooms = Rooms::new(16);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let first = fill(&rooms, Entrant::Token(&one));
        assert_eq!(first.len(), 10, "three quarters of 14");
        assert_eq!(fill(&rooms, Entrant::Token(&other)).len(), 4);
        drop(first);
        assert_eq!(fill(&rooms, Entrant::Token(&one)).len(), 10);
    }

    #[test]
    fn tokens_leave_places_to_forwards_and_administrators() {
        let rooms = Rooms::new(16);
        let names: Vec<Arc<str>> = (0..4).map(|name| name.to_string().into()).collect();
        let tokens: Vec<_> =
            names.iter().flat_map(|name| fill(&rooms, Entrant::Token(name))).collect();
        assert_eq!(tokens.len(), 14);
        assert_eq!(fill(&rooms, Entrant::Privileged).len(), 2);
        drop(tokens);
        assert_eq!(fill(&rooms, Entrant::Privileged).len(), 16);
        assert!(lock(&rooms.taken).tokens.is_empty());
    }

    #[test]
    fn even_few_places_can_be_taken() {
        let name: Arc<str> = "one".into();
        assert_eq!(fill(&Rooms::new(1), Entrant::Token(&name)).len(), 1);
    }
}
