//! Conversions of times and durations.

use std::time::Duration;

use jiff::Timestamp;

/// A duration in whole milliseconds; `i64::MAX` if it is longer.
pub fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The time between two times in Unix milliseconds; zero if `to_ms` is the earlier one.
pub fn between(from_ms: i64, to_ms: i64) -> Duration {
    Duration::from_millis(to_ms.saturating_sub(from_ms).max(0).unsigned_abs())
}

/// Formats Unix milliseconds as RFC 3339 in UTC; none outside the years -9999 to 9999.
pub fn rfc3339(ms: i64) -> Option<String> {
    let at = Timestamp::from_millisecond(ms).ok()?;
    Some(format!("{at:.3}"))
}

/// Parses Unix milliseconds, or a time in RFC 3339; none for any other text.
pub fn parse_time(text: &str) -> Option<i64> {
    let at = || text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    text.parse().ok().or_else(at)
}

#[cfg(test)]
mod tests {
    use super::{parse_time, rfc3339};

    #[test]
    fn a_time_is_read_as_milliseconds_or_as_rfc_3339() {
        for text in ["1732313171881", "2024-11-22T22:06:11.881Z", "2024-11-22T23:06:11.881+01:00"] {
            assert_eq!(parse_time(text), Some(1_732_313_171_881), "{text}");
        }
        for text in ["", "yesterday", "2024-11-22"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_written_with_its_milliseconds() {
        assert_eq!(rfc3339(1_732_313_171_881).as_deref(), Some("2024-11-22T22:06:11.881Z"));
        assert_eq!(rfc3339(1_732_313_171_000).as_deref(), Some("2024-11-22T22:06:11.000Z"));
        assert_eq!(rfc3339(i64::MAX), None);
    }
}
