//! Counters since the start of the process.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Counters {
    /// Panics in handlers, answered 500.
    pub panics: AtomicU64,
    /// Webhooks recorded for the first time.
    pub webhooks_recorded: AtomicU64,
    /// Webhooks that repeated a recorded one.
    pub webhooks_repeated: AtomicU64,
    /// Webhooks that were refused: signature, age, size, form.
    pub webhooks_refused: AtomicU64,
    restarts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    /// Counts a restart of this part of the daemon.
    pub fn part_restarted(&self, part: &'static str) {
        let mut restarts = self.restarts.lock().expect("nothing panics while holding the counts");
        *restarts.entry(part).or_default() += 1;
    }

    /// How often each part was restarted, by name; only parts that were.
    pub fn restarts(&self) -> BTreeMap<&'static str, u64> {
        self.restarts.lock().expect("nothing panics while holding the counts").clone()
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    // `Relaxed`: a counter orders nothing.
    counter.fetch_add(1, Ordering::Relaxed);
}
