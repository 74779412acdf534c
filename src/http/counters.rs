use std::sync::atomic::{AtomicU64, Ordering};

/// What the HTTP layer counts since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Panics in handlers, answered 500.
    pub panics: AtomicU64,
    /// Webhooks that were recorded for the first time.
    pub webhooks_recorded: AtomicU64,
    /// Webhooks that had been recorded before.
    pub webhooks_repeated: AtomicU64,
    /// Webhooks that were refused: signature, age, size, form.
    pub webhooks_refused: AtomicU64,
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
