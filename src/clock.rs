//! The wall clock, for the edges that need one; pure code takes times as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::ms;

/// Unix milliseconds now.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms)
}
