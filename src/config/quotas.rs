//! The settings of what one app may take of the daemon.

use super::read::Reader;
use crate::zoom::app::Quotas;

/// Reads the quotas of an app, which are unset by default.
pub(super) fn read_quotas(read: &mut Reader<'_>) -> Option<Quotas> {
    let max_streams = optional_number(read, "MAX_STREAMS_PER_APP");
    Some(Quotas { max_streams: max_streams?.and_then(|number| usize::try_from(number).ok()) })
}

/// `Some(None)` if the variable is unset.
fn optional_number(read: &mut Reader<'_>, name: &'static str) -> Option<Option<u64>> {
    match read.optional(name) {
        None => Some(None),
        Some(_) => read.number(name, 1..=1_000_000).map(Some),
    }
}
