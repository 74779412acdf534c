//! Zoom's times (rtms-protocol.md section 4).

/// Below this a time is in seconds: 10^11 s is the year 5138, 10^11 ms is 1973.
const SECONDS_BELOW: i64 = 100_000_000_000;
/// Above this a time is in microseconds.
const MICROSECONDS_FROM: i64 = 100_000_000_000_000;

/// Returns Unix milliseconds from a time in seconds, milliseconds or microseconds, distinguished by magnitude
/// (rtms-protocol.md section 4).
pub fn normalize_ms(time: i64) -> i64 {
    match time {
        // 0 means that the time is unset (rtms-protocol.md section 23.5).
        0 => 0,
        t if t < SECONDS_BELOW => t.saturating_mul(1000),
        t if t < MICROSECONDS_FROM => t,
        t => t / 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_microseconds_become_milliseconds() {
        assert_eq!(normalize_ms(1_694_204_592), 1_694_204_592_000);
        assert_eq!(normalize_ms(1_732_313_171_881), 1_732_313_171_881);
        assert_eq!(normalize_ms(1_732_313_171_881_123), 1_732_313_171_881);
        assert_eq!(normalize_ms(0), 0);
    }
}
