//! The settings of what one app may take of the daemon.

use super::read::Reader;
use crate::zoom::app::Quotas;

/// Reads the quotas of an app, which are unset by default.
pub(super) fn read_quotas(read: &mut Reader<'_>) -> Option<Quotas> {
    let max_streams = read.optional_number("MAX_STREAMS_PER_APP", 1..=1_000_000);
    let api_rate = read.optional_number("API_RATE_LIMIT_PER_SECOND_PER_APP", 1..=1_000_000);
    Some(Quotas {
        max_streams: max_streams?.and_then(|number| usize::try_from(number).ok()),
        api_rate_per_s: api_rate?.and_then(|number| u32::try_from(number).ok()),
    })
}
