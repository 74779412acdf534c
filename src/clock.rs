//! The wall clock. Only code at the edges reads it; pure code takes times as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::ms;

/// The current time in Unix milliseconds; 0 if the clock is before 1970.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms)
}
