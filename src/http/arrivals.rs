//! What arrived at the webhook path of each app since the process started: the clock difference to Zoom, and how many
//! requests were refused.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use serde::Serialize;

use crate::model::{AppName, rfc3339};

/// How many webhooks the clock difference is measured over.
const SAMPLES: usize = 10;

/// The arrivals of every app. Requests that name no app are not counted here.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<BTreeMap<AppName, OfApp>>);

#[derive(Debug, Default)]
struct OfApp {
    /// The ages of the last signatures, in seconds, the oldest first.
    ages_s: VecDeque<i64>,
    refused: BTreeMap<&'static str, Refused>,
}

/// The refused requests of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Refused {
    count: u64,
    last_ms: i64,
}

/// The refused requests of one kind in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedCount {
    /// The code of the error.
    pub code: &'static str,
    pub count: u64,
    pub last_at: Option<String>,
    pub last_at_ms: i64,
}

impl Arrivals {
    /// Notes the age of a valid signature, in seconds; negative if it was made in the future.
    pub fn note_age(&self, app: &AppName, age_s: i64) {
        let mut apps = self.lock();
        let ages_s = &mut apps.entry(app.clone()).or_default().ages_s;
        if ages_s.len() == SAMPLES {
            ages_s.pop_front();
        }
        ages_s.push_back(age_s);
    }

    /// Counts a refused request.
    pub fn note_refused(&self, app: &AppName, code: &'static str, now_ms: i64) {
        let mut apps = self.lock();
        let refused = apps.entry(app.clone()).or_default().refused.entry(code).or_default();
        *refused = Refused { count: refused.count + 1, last_ms: now_ms };
    }

    /// How far the local clock is ahead of Zoom's, in seconds, by the last webhooks of an app: negative if it is behind.
    /// Exact to about a second. `None` before the first webhook.
    pub fn clock_difference_s(&self, app: &AppName) -> Option<i64> {
        self.lock().get(app).and_then(OfApp::clock_difference_s)
    }

    /// The largest clock difference of all apps.
    pub fn largest_clock_difference_s(&self) -> Option<i64> {
        let apps = self.lock();
        apps.values().filter_map(OfApp::clock_difference_s).max_by_key(|age_s| age_s.unsigned_abs())
    }

    /// The refused requests of an app, by the code of their error.
    pub fn refused(&self, app: &AppName) -> Vec<RefusedCount> {
        let apps = self.lock();
        let refused = apps.get(app).map(|app| &app.refused).into_iter().flatten();
        let view = |(code, refused): (&&'static str, &Refused)| RefusedCount {
            code,
            count: refused.count,
            last_at: rfc3339(refused.last_ms),
            last_at_ms: refused.last_ms,
        };
        refused.map(view).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppName, OfApp>> {
        self.0.lock().expect("nothing panics while holding the arrivals")
    }
}

impl OfApp {
    fn clock_difference_s(&self) -> Option<i64> {
        // The smallest: a webhook that was delayed on its way looks older than the clocks are apart.
        self.ages_s.iter().copied().min_by_key(|age_s| age_s.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_difference_is_that_of_the_webhook_with_the_least_delay() {
        let (arrivals, app) = (Arrivals::default(), AppName::default());
        assert_eq!(arrivals.clock_difference_s(&app), None);
        for age_s in [900, 7, 31] {
            arrivals.note_age(&app, age_s);
        }
        assert_eq!(arrivals.clock_difference_s(&app), Some(7));
        // A clock that was set right counts after as many webhooks as are measured.
        for _ in 0..SAMPLES {
            arrivals.note_age(&app, -120);
        }
        assert_eq!(arrivals.clock_difference_s(&app), Some(-120));
        arrivals.note_age(&AppName::parse("acme").unwrap(), 3);
        assert_eq!(arrivals.largest_clock_difference_s(), Some(-120));
    }

    #[test]
    fn refused_requests_are_counted_by_their_code() {
        let (arrivals, app) = (Arrivals::default(), AppName::default());
        for (code, now_ms) in [("b", 1), ("a", 2), ("b", 3)] {
            arrivals.note_refused(&app, code, now_ms);
        }
        let counts = arrivals.refused(&app);
        let counts: Vec<_> = counts.iter().map(|it| (it.code, it.count, it.last_at_ms)).collect();
        assert_eq!(counts, [("a", 1, 2), ("b", 2, 3)]);
        assert_eq!(arrivals.refused(&AppName::parse("acme").unwrap()), []);
    }
}
