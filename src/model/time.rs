//! Conversions of times and durations.

use std::time::Duration;

use jiff::Timestamp;

/// A duration in whole milliseconds; `i64::MAX` if it is longer.
pub fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Formats Unix milliseconds as RFC 3339 in UTC; none outside the years -9999 to 9999.
pub fn rfc3339(ms: i64) -> Option<String> {
    let at = Timestamp::from_millisecond(ms).ok()?;
    Some(format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn a_time_is_written_with_its_milliseconds() {
        assert_eq!(rfc3339(1_732_313_171_881).as_deref(), Some("2024-11-22T22:06:11.881Z"));
        assert_eq!(rfc3339(1_732_313_171_000).as_deref(), Some("2024-11-22T22:06:11.000Z"));
        assert_eq!(rfc3339(i64::MAX), None);
    }
}
