//! Limits live subscribers and downloads: in total, by API token and by app.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::model::AppName;

/// One place in this many is reserved for forwards and for tokens with `admin`.
const KEPT_BACK: usize = 8;
/// The most sessions that all subscribers of a token may name with a cursor.
const TOKEN_CURSORS: usize = 4096;
/// The most sessions that all subscribers of an app may name with a cursor.
const APP_CURSORS: usize = 2 * TOKEN_CURSORS;
/// The most sessions that all subscribers together may name with a cursor.
const ALL_CURSORS: usize = 4 * TOKEN_CURSORS;

/// The kind of a new subscriber. The subscribers of one app, by tokens and forwards, may together take three quarters
/// of the unreserved places, and so may each token.
#[derive(Debug, Clone, Copy)]
pub enum Entrant<'a> {
    /// The API token of this name, and the app that it is limited to.
    Token(&'a Arc<str>, Option<&'a AppName>),
    /// A forward of a session of this app; of none where there is only one app.
    Forward(Option<&'a AppName>),
    /// A token with `admin` for all apps, which may take any place.
    Privileged,
}

impl Entrant<'_> {
    fn holders(self) -> Vec<Holder> {
        let (token, app) = match self {
            Self::Token(token, app) => (Some(token), app),
            Self::Forward(app) => (None, app),
            Self::Privileged => (None, None),
        };
        let token = token.map(|token| Holder::Token(Arc::clone(token)));
        token.into_iter().chain(app.map(|app| Holder::App(app.clone()))).collect()
    }
}

/// A number of places, shared out among API tokens and apps.
#[derive(Clone)]
pub struct Permits {
    max: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    cursors: usize,
    /// Only holders with a place.
    holders: HashMap<Holder, Held>,
}

/// What has a share of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    Token(Arc<str>),
    App(AppName),
}

impl Holder {
    /// The most sessions that all its subscribers may name with a cursor.
    fn max_cursors(&self) -> usize {
        match self {
            Self::Token(_) => TOKEN_CURSORS,
            Self::App(_) => APP_CURSORS,
        }
    }
}

#[derive(Default)]
struct Held {
    places: usize,
    cursors: usize,
}

/// A subscriber's place, released on drop.
pub struct Permit {
    taken: Arc<Mutex<Taken>>,
    holders: Vec<Holder>,
    cursors: usize,
}

impl Permits {
    pub fn new(max: usize) -> Self {
        Self { max, taken: Arc::default() }
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        lock(&self.taken).all
    }

    /// How many places there are.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Takes a place; `None` when no place is free for this subscriber.
    pub fn enter(&self, entrant: Entrant<'_>) -> Option<Permit> {
        let mut taken = lock(&self.taken);
        let common = self.max - self.max / KEPT_BACK;
        let (places, holders) = match entrant {
            Entrant::Token(..) => (common, entrant.holders()),
            Entrant::Forward(_) | Entrant::Privileged => (self.max, entrant.holders()),
        };
        // `max(1)`: a limit of one place must still admit a subscriber.
        let share = (common * 3 / 4).max(1);
        if taken.all >= places || holders.iter().any(|holder| taken.places(holder) >= share) {
            return None;
        }
        taken.all += 1;
        for holder in &holders {
            taken.holders.entry(holder.clone()).or_default().places += 1;
        }
        Some(Permit { taken: Arc::clone(&self.taken), holders, cursors: 0 })
    }
}

impl Taken {
    fn places(&self, holder: &Holder) -> usize {
        self.holders.get(holder).map_or(0, |held| held.places)
    }

    fn cursors(&self, holder: &Holder) -> usize {
        self.holders.get(holder).map_or(0, |held| held.cursors)
    }
}

impl Permit {
    /// Counts `count` more cursors as this subscriber's until the permit is dropped. False, and nothing is counted, when
    /// the subscribers of its token, of its app or all together would hold too many.
    pub fn hold_cursors(&mut self, count: usize) -> bool {
        let mut taken = lock(&self.taken);
        // Every limit is checked before any count changes: a refusal counts nothing.
        let is_over =
            |holder: &Holder| taken.cursors(holder).saturating_add(count) > holder.max_cursors();
        if taken.cursors.saturating_add(count) > ALL_CURSORS || self.holders.iter().any(is_over) {
            return false;
        }
        for holder in &self.holders {
            if let Some(held) = taken.holders.get_mut(holder) {
                held.cursors += count;
            }
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
        for holder in &self.holders {
            let Some(held) = taken.holders.get_mut(holder) else { continue };
            held.places -= 1;
            held.cursors -= self.cursors;
            if held.places == 0 {
                // Tokens and apps come and go; an unused one must not stay in memory.
                taken.holders.remove(holder);
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
        let first = fill(&permits, Entrant::Token(&one, None));
        assert_eq!(first.len(), 10, "three quarters of 14");
        assert_eq!(fill(&permits, Entrant::Token(&other, None)).len(), 4);
        drop(first);
        assert_eq!(fill(&permits, Entrant::Token(&one, None)).len(), 10);
    }

    #[test]
    fn the_tokens_and_forwards_of_an_app_share_its_places_and_leave_some_to_another() {
        let permits = Permits::new(16);
        let names: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
        let (acme, other) = (AppName::parse("acme").unwrap(), AppName::parse("other").unwrap());
        let mut own = fill(&permits, Entrant::Forward(Some(&acme)));
        assert_eq!(own.len(), 10, "three quarters of 14");
        own.truncate(4);
        own.extend(names.iter().flat_map(|name| fill(&permits, Entrant::Token(name, Some(&acme)))));
        assert_eq!(own.len(), 10, "of all its tokens and forwards");
        assert_eq!(fill(&permits, Entrant::Token(&names[0], Some(&other))).len(), 4);
        assert_eq!(fill(&permits, Entrant::Forward(Some(&other))).len(), 6);
        let cursors = own.iter_mut().filter_map(|permit| {
            permit.hold_cursors(TOKEN_CURSORS / 2).then_some(TOKEN_CURSORS / 2)
        });
        assert_eq!(cursors.sum::<usize>(), APP_CURSORS);
        drop(own);
        assert!(lock(&permits.taken).holders.is_empty());
    }

    #[test]
    fn places_are_reserved_for_forwards_and_administrators() {
        let permits = Permits::new(16);
        let names: Vec<Arc<str>> = (0..4).map(|name| name.to_string().into()).collect();
        let tokens: Vec<_> =
            names.iter().flat_map(|name| fill(&permits, Entrant::Token(name, None))).collect();
        assert_eq!(tokens.len(), 14);
        assert_eq!(fill(&permits, Entrant::Privileged).len(), 2);
        drop(tokens);
        assert_eq!(fill(&permits, Entrant::Privileged).len(), 16);
        assert!(lock(&permits.taken).holders.is_empty());
    }

    #[test]
    fn the_subscribers_of_a_token_share_a_budget_of_cursors() {
        let permits = Permits::new(64);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let enter = |name| permits.enter(Entrant::Token(name, None)).unwrap();
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
        assert_eq!(fill(&Permits::new(1), Entrant::Token(&name, None)).len(), 1);
    }
}
