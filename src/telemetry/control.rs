//! Changes what is logged while the process runs.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, sleep_until};
use tracing_subscriber::EnvFilter;

use super::LogSettings;

/// The longest filter that is taken.
const MAX_CHARS: usize = 1_000;
/// The longest time for which a filter counts, if a time is given.
pub const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a filter is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "must be a level (trace, debug, info, warn, error, off) or a filter, such as info,rtmsd::sessions=debug"
)]
pub struct NotAFilter;

/// What is logged now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel {
    /// The level or filter that counts.
    pub level: String,
    /// That of the settings.
    pub configured: String,
    /// When the filter of the settings counts again; `None` if it counts already, or until another change.
    pub ends_in: Option<Duration>,
}

/// Changes the log's filter. Cheap to clone.
#[derive(Clone)]
pub struct LogControl(Arc<Inner>);

struct Inner {
    apply: Box<dyn Fn(EnvFilter) + Send + Sync>,
    state: Mutex<State>,
}

struct State {
    configured: LogSettings,
    /// A filter that counts instead, and until when.
    chosen: Option<(LogSettings, Option<Instant>)>,
}

impl State {
    fn settings(&self) -> &LogSettings {
        self.chosen.as_ref().map_or(&self.configured, |(chosen, _)| chosen)
    }
}

impl LogControl {
    /// Changes a filter by `apply`. The log begins with that of the settings.
    pub(super) fn new(
        configured: LogSettings,
        apply: impl Fn(EnvFilter) + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State { configured, chosen: None });
        Self(Arc::new(Inner { apply: Box::new(apply), state }))
    }

    /// Without a log: changes are only remembered.
    pub fn without_log(configured: LogSettings) -> Self {
        Self::new(configured, |_| {})
    }

    /// What is logged now.
    pub fn level(&self) -> LogLevel {
        let state = self.state();
        let until = state.chosen.as_ref().and_then(|(_, until)| *until);
        LogLevel {
            level: state.settings().text().to_owned(),
            configured: state.configured.text().to_owned(),
            ends_in: until.map(|until| until.saturating_duration_since(Instant::now())),
        }
    }

    /// Logs by this level or filter, for some time or until the next change. Without one, by that of the settings.
    ///
    /// # Errors
    /// It is neither a level nor a filter.
    pub fn choose(&self, level: Option<&str>, time: Option<Duration>) -> Result<(), NotAFilter> {
        let chosen = level.map(|level| self.read(level)).transpose()?;
        let until = time.map(|time| Instant::now() + time.min(MAX_TIME));
        self.change(|state| state.chosen = chosen.map(|chosen| (chosen, until)));
        Ok(())
    }

    /// Takes over the settings, after these were read again. A filter that was chosen counts on. True if it differs.
    pub fn configure(&self, configured: &LogSettings) -> bool {
        let is_new = self.state().configured.text() != configured.text();
        if is_new {
            self.change(|state| state.configured = configured.clone());
        }
        is_new
    }

    /// Returns to the settings' filter when the time of a chosen one is over, again and again, without end.
    pub async fn end_in_time(self) {
        /// The longest time until a new choice is noticed.
        const POLL_INTERVAL: Duration = Duration::from_secs(1);
        loop {
            let until = self.state().chosen.as_ref().and_then(|(_, until)| *until);
            let poll_at = Instant::now() + POLL_INTERVAL;
            sleep_until(until.map_or(poll_at, |until| until.min(poll_at))).await;
            let is_over = |state: &State| {
                let until = state.chosen.as_ref().and_then(|(_, until)| *until);
                until.is_some_and(|until| until <= Instant::now())
            };
            if is_over(&self.state()) {
                self.change(|state| {
                    // It may have been chosen anew in between.
                    if is_over(state) {
                        state.chosen = None;
                    }
                });
                tracing::info!(
                    "the time of the log level is over; that of the settings counts again"
                );
            }
        }
    }

    fn read(&self, level: &str) -> Result<LogSettings, NotAFilter> {
        let level = level.trim();
        let format = self.state().configured.format;
        if LogSettings::LEVELS.contains(&level) {
            return Ok(LogSettings { level: level.to_owned(), directives: None, format });
        }
        // A word alone would be a module, and is a level with a typing error.
        let is_word = level.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_filter = !is_word && level.len() <= MAX_CHARS && LogSettings::is_filter(level);
        let directives = is_filter.then(|| level.to_owned()).ok_or(NotAFilter)?;
        Ok(LogSettings { directives: Some(directives), ..LogSettings::default() })
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        // Under the lock, so that the last change is the one that counts.
        (self.0.apply)(state.settings().filter());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> (LogControl, Arc<Mutex<Vec<String>>>) {
        let applied = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&applied);
        let apply = move |filter: EnvFilter| noted.lock().unwrap().push(filter.to_string());
        (LogControl::new(LogSettings::default(), apply), applied)
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_counts_for_its_time_and_then_that_of_the_settings() {
        let (control, applied) = control();
        let ending = tokio::spawn(control.clone().end_in_time());
        control.choose(Some("debug"), Some(Duration::from_secs(60))).unwrap();
        tokio::time::sleep(Duration::from_secs(59)).await;
        let level = control.level();
        assert_eq!((&*level.level, &*level.configured), ("debug", "info"));
        assert_eq!(level.ends_in, Some(Duration::from_secs(1)));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((&*control.level().level, control.level().ends_in), ("info", None));
        let last = applied.lock().unwrap().last().cloned().unwrap();
        assert!(last.contains("rtmsd=info"), "{last}");
        ending.abort();
    }

    #[test]
    fn a_chosen_filter_outlasts_new_settings_and_never_shows_the_content_of_connections() {
        let (control, applied) = control();
        control.choose(Some("trace,hyper=trace,rtmsd::sessions=debug"), None).unwrap();
        let filter = applied.lock().unwrap().last().cloned().unwrap();
        assert!(filter.contains("hyper=info") && filter.contains("tungstenite=info"), "{filter}");
        let warn = LogSettings { level: "warn".into(), ..LogSettings::default() };
        assert!(control.configure(&warn) && !control.configure(&warn));
        assert_eq!(control.level().level, "trace,hyper=trace,rtmsd::sessions=debug");
        control.choose(None, None).unwrap();
        assert_eq!(control.level().level, "warn");
        for wrong in ["", "debg", "rtmsd=loud", &"a,".repeat(600)] {
            assert_eq!(control.choose(Some(wrong), None), Err(NotAFilter), "{wrong}");
        }
        assert_eq!(control.level().level, "warn");
    }
}
