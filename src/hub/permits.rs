//! Limits live subscribers and downloads, in total and per API token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// One place in this many is reserved for forwards and for tokens with `admin`.
const KEPT_BACK: usize = 8;
/// The most sessions that all subscribers of a token may name with a cursor.
const TOKEN_CURSORS: usize = 4096;
/// The most sessions that all subscribers together may name with a cursor.
const ALL_CURSORS: usize = 4 * TOKEN_CURSORS;

/// The kind of a new subscriber.
#[derive(Debug, Clone, Copy)]
pub enum Entrant<'a> {
    /// The API token of this name, which may take at most three quarters of the unreserved places.
    Token(&'a Arc<str>),
    /// A forward or a token with `admin`, which may take any place.
    Privileged,
}

/// A number of places, shared out among API tokens.
#[derive(Clone)]
pub struct Permits {
    max: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    cursors: usize,
    /// What each token holds; only tokens that hold a place.
    tokens: HashMap<Arc<str>, Held>,
}

#[derive(Default)]
struct Held {
    places: usize,
    cursors: usize,
}

/// A subscriber's place, released on drop.
pub struct Permit {
    taken: Arc<Mutex<Taken>>,
    token: Option<Arc<str>>,
    cursors: usize,
}

impl Permits {
    pub fn new(max: usize) -> Self {
        Self { max, taken: Arc::default() }
    }

    /// Takes a place; `None` when no place is free for this subscriber.
    pub fn enter(&self, entrant: Entrant<'_>) -> Option<Permit> {
        let mut taken = lock(&self.taken);
        let common = self.max - self.max / KEPT_BACK;
        let token = match entrant {
            Entrant::Privileged if taken.all < self.max => None,
            Entrant::Token(name) if taken.all < common => {
                let own = taken.tokens.entry(Arc::clone(name)).or_default();
                // `max(1)`: a limit of one place must still admit a token.
                if own.places >= (common * 3 / 4).max(1) {
                    return None;
                }
                own.places += 1;
                Some(Arc::clone(name))
            }
            _ => return None,
        };
        taken.all += 1;
        Some(Permit { taken: Arc::clone(&self.taken), token, cursors: 0 })
    }
}

impl Permit {
    /// Counts `count` more cursors as this subscriber's until the permit is dropped. False, and nothing is counted, when
    /// its token's subscribers or all subscribers would hold too many.
    pub fn hold_cursors(&mut self, count: usize) -> bool {
        let mut taken = lock(&self.taken);
        if taken.cursors.saturating_add(count) > ALL_CURSORS {
            return false;
        }
        // Both limits are checked before either count changes: a refusal counts nothing.
        if let Some(own) = self.token.as_ref().and_then(|token| taken.tokens.get_mut(token)) {
            if own.cursors.saturating_add(count) > TOKEN_CURSORS {
                return false;
            }
            own.cursors += count;
        }
        taken.cursors += count;
        self.cursors += count;
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        taken.cursors -= self.cursors;
        let Some(token) = &self.token else { return };
        if let Some(own) = taken.tokens.get_mut(token) {
            own.places -= 1;
            own.cursors -= self.cursors;
            if own.places == 0 {
                // Token names change with the configuration; an unused one must not stay in memory.
                taken.tokens.remove(token);
            }
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().expect("no panic while the lock is held")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(permits: &Permits, entrant: Entrant<'_>) -> Vec<Permit> {
        std::iter::from_fn(|| permits.enter(entrant)).collect()
    }

    #[test]
    fn one_token_takes_at_most_its_share_of_the_places() {
        let permits = Permits::new(16);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let first = fill(&permits, Entrant::Token(&one));
        assert_eq!(first.len(), 10, "three quarters of 14");
        assert_eq!(fill(&permits, Entrant::Token(&other)).len(), 4);
        drop(first);
        assert_eq!(fill(&permits, Entrant::Token(&one)).len(), 10);
    }

    #[test]
    fn places_are_reserved_for_forwards_and_administrators() {
        let permits = Permits::new(16);
        let names: Vec<Arc<str>> = (0..4).map(|name| name.to_string().into()).collect();
        let tokens: Vec<_> =
            names.iter().flat_map(|name| fill(&permits, Entrant::Token(name))).collect();
        assert_eq!(tokens.len(), 14);
        assert_eq!(fill(&permits, Entrant::Privileged).len(), 2);
        drop(tokens);
        assert_eq!(fill(&permits, Entrant::Privileged).len(), 16);
        assert!(lock(&permits.taken).tokens.is_empty());
    }

    #[test]
    fn the_subscribers_of_a_token_share_a_budget_of_cursors() {
        let permits = Permits::new(64);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let enter = |name| permits.enter(Entrant::Token(name)).unwrap();
        let (mut first, mut second) = (enter(&one), enter(&one));
        assert!(first.hold_cursors(TOKEN_CURSORS - 1) && second.hold_cursors(1));
        assert!(!second.hold_cursors(1), "the token holds as many as it may");
        assert!(enter(&other).hold_cursors(TOKEN_CURSORS), "another token has its own budget");
        drop(first);
        assert!(second.hold_cursors(TOKEN_CURSORS - 1));
        let mut privileged = permits.enter(Entrant::Privileged).unwrap();
        assert!(privileged.hold_cursors(ALL_CURSORS - TOKEN_CURSORS));
        assert!(!privileged.hold_cursors(1) && !enter(&other).hold_cursors(1));
        drop((second, privileged));
        assert_eq!(lock(&permits.taken).cursors, 0);
    }

    #[test]
    fn a_small_limit_still_admits_subscribers() {
        let name: Arc<str> = "one".into();
        assert_eq!(fill(&Permits::new(1), Entrant::Token(&name)).len(), 1);
    }
}
