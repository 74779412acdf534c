//! The quotas of apps, and what this daemon runs of each: one customer cannot starve another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{App, Apps};
use crate::model::{AppName, AppRooms};

/// The limits of one app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quotas {
    /// The most streams that one daemon runs at once; `None` for no limit but the daemon's own.
    pub max_streams: Option<usize>,
    /// The most API requests per second of all tokens that are limited to the app; `None` for no limit but that of each
    /// token.
    pub api_rate_per_s: Option<u32>,
}

/// How many streams this daemon runs, in total and of each app, how many it may run, and what they cost. Cheap to clone;
/// all clones count together.
#[derive(Debug, Clone)]
pub struct Occupancy {
    max_streams: usize,
    /// From this share of the machine's CPU time on, in thousandths, the daemon is overloaded; `None` for never.
    max_busy_permille: Option<u32>,
    running: Arc<Mutex<Running>>,
    busy_permille: Arc<AtomicU32>,
}

#[derive(Debug, Default)]
struct Running {
    all: usize,
    /// Only apps with a stream.
    apps: HashMap<AppName, usize>,
}

/// A running stream's place, free again on drop.
#[derive(Debug)]
pub struct Place {
    running: Arc<Mutex<Running>>,
    app: Option<AppName>,
}

impl Occupancy {
    /// `max_streams` is the limit of all streams together.
    pub fn new(max_streams: usize) -> Self {
        Self {
            max_streams,
            max_busy_permille: None,
            running: Arc::default(),
            busy_permille: Arc::default(),
        }
    }

    /// Counts the daemon as overloaded from this share of the machine's CPU time on.
    pub fn overloaded_from(self, percent: Option<u32>) -> Self {
        Self { max_busy_permille: percent.map(|percent| percent * 10), ..self }
    }

    /// Notes the share of the machine's CPU time that the daemon uses, in thousandths.
    pub fn set_busy(&self, permille: u32) {
        self.busy_permille.store(permille, Ordering::Relaxed);
    }

    /// The share of the machine's CPU time that the daemon uses, in thousandths.
    pub fn busy_permille(&self) -> u32 {
        self.busy_permille.load(Ordering::Relaxed)
    }

    /// Whether the daemon uses so much CPU time that further streams belong elsewhere.
    pub fn is_overloaded(&self) -> bool {
        self.max_busy_permille.is_some_and(|max| self.busy_permille() >= max)
    }

    /// Whether a further stream finds room and CPU time here.
    pub fn takes_more(&self) -> bool {
        self.room() > 0 && !self.is_overloaded()
    }

    /// Counts a stream, also beyond a limit. `app` is `None` for a stream that only ends here, which counts for no app.
    pub fn enter(&self, app: Option<&AppName>) -> Place {
        let mut running = lock(&self.running);
        running.all += 1;
        if let Some(app) = app {
            *running.apps.entry(app.clone()).or_default() += 1;
        }
        Place { running: Arc::clone(&self.running), app: app.cloned() }
    }

    /// The limit of all streams together.
    pub fn max_streams(&self) -> usize {
        self.max_streams
    }

    /// How many streams this daemon runs.
    pub fn streams(&self) -> usize {
        lock(&self.running).all
    }

    /// How many more streams this daemon may run.
    pub fn room(&self) -> usize {
        self.max_streams.saturating_sub(self.streams())
    }

    /// How many more streams it may run of each app with a quota.
    pub fn rooms(&self, apps: &Apps) -> AppRooms {
        let running = lock(&self.running);
        let room = |app: &Arc<App>| {
            let max = app.quotas.max_streams?;
            Some((app.name.clone(), max.saturating_sub(running.of(&app.name))))
        };
        apps.all().values().filter_map(room).collect()
    }

    /// The limit that keeps this daemon from starting a further stream of an app, as a sentence; `None` if there is
    /// room.
    pub fn obstacle(&self, app: &App) -> Option<String> {
        let own = lock(&self.running).of(&app.name);
        if let Some(max) = app.quotas.max_streams.filter(|max| own >= *max) {
            return Some(format!(
                "this daemon runs {own} streams of the app {}, and its quota is {max} (MAX_STREAMS_PER_APP): the stream \
                waits until one of them ends or another daemon has room",
                app.name
            ));
        }
        (self.room() == 0).then(|| {
            format!(
                "this daemon runs as many streams as MAX_STREAMS allows ({}): the stream waits until one of them ends or \
                another daemon has room",
                self.max_streams
            )
        })
    }

    /// What keeps streams waiting, without the names of apps; `None` if every stream has room.
    pub fn shortage(&self, apps: &Apps) -> Option<String> {
        if self.room() == 0 {
            return Some("MAX_STREAMS is reached; further streams wait".to_owned());
        }
        if self.is_overloaded() {
            return Some(
                "MAX_CPU_PERCENT is reached; another daemon takes further streams if one has room"
                    .to_owned(),
            );
        }
        match self.rooms(apps).full().count() {
            0 => None,
            1 => Some("one app is at its quota of streams; its further streams wait".to_owned()),
            n => {
                Some(format!("{n} apps are at their quotas of streams; their further streams wait"))
            }
        }
    }
}

impl Running {
    fn of(&self, app: &AppName) -> usize {
        self.apps.get(app).copied().unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = lock(&self.running);
        running.all -= 1;
        let Some(app) = &self.app else { return };
        if let Some(own) = running.apps.get_mut(app) {
            *own -= 1;
            if *own == 0 {
                // Apps come and go while the daemon runs.
                running.apps.remove(app);
            }
        }
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().expect("nothing panics while it counts")
}

#[cfg(test)]
mod tests {
    use super::super::tests::app;
    use super::*;

    fn limited(name: &str, max_streams: usize) -> App {
        App { quotas: Quotas { max_streams: Some(max_streams), ..Quotas::default() }, ..app(name) }
    }

    #[test]
    fn an_app_at_its_quota_has_no_room_until_one_of_its_streams_ends() {
        let (acme, other) = (limited("acme", 2), app("other"));
        let apps = Apps::new([acme.clone(), other.clone()]);
        let occupancy = Occupancy::new(10);
        let first = occupancy.enter(Some(&acme.name));
        assert_eq!((occupancy.obstacle(&acme), occupancy.shortage(&apps)), (None, None));
        let _second = occupancy.clone().enter(Some(&acme.name));
        let obstacle = occupancy.obstacle(&acme).unwrap();
        assert!(obstacle.contains("2 streams of the app acme"), "{obstacle}");
        assert!(!occupancy.shortage(&apps).unwrap().contains("acme"));
        assert_eq!(occupancy.obstacle(&other), None);
        assert!(occupancy.rooms(&apps).full().eq([&acme.name]));
        drop(first);
        assert_eq!(occupancy.obstacle(&acme), None);
        assert_eq!(occupancy.rooms(&apps), [(acme.name, 1)].into_iter().collect());
    }

    #[test]
    fn a_daemon_without_cpu_time_takes_no_more_although_it_has_room() {
        let apps = Apps::new([app("acme")]);
        let occupancy = Occupancy::new(10).overloaded_from(Some(90));
        occupancy.set_busy(899);
        assert!(occupancy.takes_more());
        occupancy.clone().set_busy(900);
        assert_eq!((occupancy.takes_more(), occupancy.room()), (false, 10));
        assert!(occupancy.shortage(&apps).unwrap().starts_with("MAX_CPU_PERCENT"));
        let unlimited = Occupancy::new(10);
        unlimited.set_busy(1000);
        assert!(unlimited.takes_more());
    }

    #[test]
    fn a_stream_that_only_ends_counts_for_the_daemon_and_not_for_its_app() {
        let acme = limited("acme", 1);
        let apps = Apps::new([acme.clone()]);
        let occupancy = Occupancy::new(1);
        let ending = occupancy.enter(None);
        assert_eq!((occupancy.room(), occupancy.rooms(&apps).full().count()), (0, 0));
        assert!(occupancy.obstacle(&acme).unwrap().contains("MAX_STREAMS allows (1)"));
        drop(ending);
        assert_eq!((occupancy.room(), occupancy.obstacle(&acme)), (1, None));
    }
}
