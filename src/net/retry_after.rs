//! Parses `Retry-After` and headers like it (pure).

use jiff::Timestamp;

/// A number of seconds from here on is a point in time and not a wait.
const LEAST_UNIX_SECONDS: i64 = 1_000_000_000;

/// The wait in milliseconds that a header asks for: seconds from now, Unix seconds (Zoom's `X-RateLimit-Reset`), an HTTP
/// date or an ISO 8601 date. `None` for anything else.
pub fn wait_ms(header: &str, now_ms: i64) -> Option<u64> {
    let header = header.trim();
    let at_ms = match header.parse::<i64>() {
        Ok(seconds) if seconds < LEAST_UNIX_SECONDS => {
            return u64::try_from(seconds.checked_mul(1000)?).ok();
        }
        Ok(at_s) => at_s.checked_mul(1000)?,
        Err(_) => date_ms(header)?,
    };
    Some(u64::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(0))
}

fn date_ms(text: &str) -> Option<i64> {
    // Zoom sends ISO 8601 (rtms-protocol.md section 14.5); HTTP defines a form of RFC 2822.
    let iso = text.parse::<Timestamp>().ok();
    let date = iso.or_else(|| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()))?;
    Some(date.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_732_313_172_000;

    #[test]
    fn a_wait_is_read_in_every_form() {
        assert_eq!(wait_ms("1732313175", NOW_MS), Some(3000));
        assert_eq!(wait_ms("1732313100", NOW_MS), Some(0));
        assert_eq!(wait_ms("7", NOW_MS), Some(7000));
        assert_eq!(wait_ms(" 0 ", NOW_MS), Some(0));
        assert_eq!(wait_ms("2024-11-22T22:06:17Z", NOW_MS), Some(5000));
        assert_eq!(wait_ms("Fri, 22 Nov 2024 22:06:17 GMT", NOW_MS), Some(5000));
        assert_eq!(wait_ms("2024-11-22T22:00:00Z", NOW_MS), Some(0));
        for nonsense in ["", "soon", "-5", "9223372036854775807", "2024-13-01"] {
            assert_eq!(wait_ms(nonsense, NOW_MS), None, "{nonsense}");
        }
    }
}
