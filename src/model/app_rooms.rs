//! How many more streams of each app a daemon may run.

use std::collections::BTreeMap;

use super::AppName;

/// How many more streams of each app with a quota a daemon may run. Every other app has no limit of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppRooms(BTreeMap<AppName, usize>);

impl FromIterator<(AppName, usize)> for AppRooms {
    fn from_iter<I: IntoIterator<Item = (AppName, usize)>>(rooms: I) -> Self {
        Self(rooms.into_iter().collect())
    }
}

impl AppRooms {
    /// Whether no app has a limit of its own.
    pub fn is_unlimited(&self) -> bool {
        self.0.is_empty()
    }

    /// Each app with a quota, and how many more of its streams may run.
    pub fn iter(&self) -> impl Iterator<Item = (&AppName, usize)> {
        self.0.iter().map(|(app, room)| (app, *room))
    }

    /// The apps that may run no further stream.
    pub fn full(&self) -> impl Iterator<Item = &AppName> {
        self.0.iter().filter(|(_, room)| **room == 0).map(|(app, _)| app)
    }

    /// Takes the place of one stream of an app; false if it has none left.
    pub fn take(&mut self, app: &AppName) -> bool {
        match self.0.get_mut(app) {
            None => true,
            Some(0) => false,
            Some(room) => {
                *room -= 1;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_as_many_places_as_it_was_given_and_others_have_no_limit() {
        let acme = AppName::parse("acme").unwrap();
        let mut rooms: AppRooms = [(acme.clone(), 2)].into_iter().collect();
        let taken = (0..3).map(|_| rooms.take(&acme)).collect::<Vec<_>>();
        assert_eq!(taken, [true, true, false]);
        assert_eq!(rooms.full().collect::<Vec<_>>(), [&acme]);
        assert!((0..100).all(|_| rooms.take(&AppName::default())));
    }
}
