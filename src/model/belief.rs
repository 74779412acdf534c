//! Whether a time that Zoom gives is believed: one rule for webhooks, events, lines, frames and the ledger (pure).
//! A time that is not believed counts for nothing: the time of arrival stands in for it.

/// How much sound Zoom keeps while nobody is connected (rtms-protocol.md section 8.1).
const KEPT_MS: i64 = 60_000;
/// How long a media link may be dead before Zoom or we notice it (rtms-protocol.md section 11).
const UNNOTICED_MS: i64 = 65_000;
/// How far our clock may be ahead of Zoom's: as far as a webhook's timestamp may be from it.
const CLOCK_MS: i64 = 300_000;

/// How old a time may be when it arrives: kept by Zoom, then stuck in a link, read by a clock that is ahead.
pub const MAX_LATE_MS: i64 = KEPT_MS + UNNOTICED_MS + CLOCK_MS;
/// How far a time may be ahead of our clock. A later one would become so much silence in every file of a recording.
pub const MAX_AHEAD_MS: i64 = KEPT_MS;
/// How old an event or a chat message may be beside [`MAX_LATE_MS`]: a roster may say when somebody joined, and Zoom
/// ends a meeting after 30 hours.
pub const MAX_MEETING_MS: i64 = 30 * 60 * 60 * 1_000;
/// How old a webhook may be beside [`MAX_LATE_MS`]: Zoom's last try to deliver it comes 85 minutes after the first
/// (rtms-protocol.md section 11).
pub const MAX_WEBHOOK_DELAY_MS: i64 = 2 * 60 * 60 * 1_000;

/// Zoom's time, unless it is unset (0) or cannot be true. `since_ms` is the earliest moment that it may be about, as
/// our clock has it: `now_ms` for what Zoom sends as it happens. All in Unix milliseconds.
pub fn believed(at_ms: Option<i64>, since_ms: i64, now_ms: i64) -> Option<i64> {
    let believable = since_ms.saturating_sub(MAX_LATE_MS)..=now_ms.saturating_add(MAX_AHEAD_MS);
    at_ms.filter(|at_ms| *at_ms > 0 && believable.contains(at_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_600_000_000;

    #[test]
    fn what_is_kept_for_a_minute_or_late_is_believed_and_what_is_older_is_not() {
        for late_ms in [0, 1, 30_000, KEPT_MS, MAX_LATE_MS] {
            assert_eq!(believed(Some(NOW - late_ms), NOW, NOW), Some(NOW - late_ms), "{late_ms}");
        }
        assert_eq!(believed(Some(NOW - MAX_LATE_MS - 1), NOW, NOW), None);
        let joined_ms = NOW - 29 * 60 * 60 * 1_000;
        assert_eq!(believed(Some(joined_ms), NOW - MAX_MEETING_MS, NOW), Some(joined_ms));
    }

    #[test]
    fn nothing_is_believed_that_is_further_ahead_than_zoom_keeps() {
        assert_eq!(believed(Some(NOW + 60_000), NOW, NOW), Some(NOW + 60_000));
        assert_eq!(believed(Some(NOW + 60_001), NOW, NOW), None);
        assert_eq!(believed(Some(NOW + 60_001), i64::MIN, NOW), None);
    }

    #[test]
    fn an_unset_time_is_never_believed() {
        for unset in [None, Some(0), Some(-1), Some(i64::MIN), Some(i64::MAX)] {
            assert_eq!(believed(unset, NOW, NOW), None, "{unset:?}");
            assert_eq!(believed(unset, i64::MIN, NOW), None, "{unset:?}");
        }
    }
}
