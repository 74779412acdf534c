//! The settings of what one app may take of the daemon.

use super::read::Reader;
use crate::zoom::app::Quotas;

/// Reads the quotas of an app, which are unset by default.
pub(super) fn read_quotas(read: &mut Reader<'_>) -> Option<Quotas> {
    let max_streams = optional_number(read, "MAX_STREAMS_PER_APP");
    let api_rate = optional_number(read, "API_RATE_LIMIT_PER_SECOND_PER_APP");
    Some(Quotas {
        max_streams: max_streams?.and_then(|number| usize::try_from(number).ok()),
        api_rate_per_s: api_rate?,
    })
}

/// `Some(None)` if the variable is unset.
fn optional_number(read: &mut Reader<'_>, name: &'static str) -> Option<Option<u32>> {
    match read.optional(name) {
        None => Some(None),
        Some(_) => read.number(name, 1..=1_000_000).map(|number| u32::try_from(number).ok()),
    }
}
