//! Decides whether a time from Zoom is plausible: one rule for webhooks, events, lines, frames and the ledger (pure).
//! An implausible time is replaced by the time of arrival.

/// How much audio Zoom buffers while no client is connected (rtms-protocol.md section 8.1).
const KEPT_MS: i64 = 60_000;
/// How long a media link can be dead before Zoom or rtmsd notices (rtms-protocol.md section 11).
const UNNOTICED_MS: i64 = 65_000;
/// How far the local clock may be ahead of Zoom's: the same tolerance as for a webhook's timestamp.
const CLOCK_MS: i64 = 300_000;

/// How old a time may be on arrival: buffered by Zoom, delayed in a dead link, and compared with a clock that is ahead.
pub const MAX_LATE_MS: i64 = KEPT_MS + UNNOTICED_MS + CLOCK_MS;
/// How far a time may be ahead of the local clock. A later time would put that much silence into every recording.
pub const MAX_AHEAD_MS: i64 = KEPT_MS;
/// How old an event or chat message may be, in addition to [`MAX_LATE_MS`]: a roster can carry the time when a
/// participant joined, and Zoom ends meetings after 30 hours.
pub const MAX_MEETING_MS: i64 = 30 * 60 * 60 * 1_000;
/// How old a webhook may be, in addition to [`MAX_LATE_MS`]: Zoom's last delivery attempt comes 85 minutes after the
/// first (rtms-protocol.md section 11).
pub const MAX_WEBHOOK_DELAY_MS: i64 = 2 * 60 * 60 * 1_000;

/// Returns Zoom's time unless it is unset (0) or implausible. `since_ms` is the earliest plausible time by the local
/// clock: `now_ms` for messages that Zoom sends as things happen. All in Unix milliseconds.
pub fn believed(at_ms: Option<i64>, since_ms: i64, now_ms: i64) -> Option<i64> {
    let believable = since_ms.saturating_sub(MAX_LATE_MS)..=now_ms.saturating_add(MAX_AHEAD_MS);
    at_ms.filter(|at_ms| *at_ms > 0 && believable.contains(at_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_600_000_000;

    #[test]
    fn a_time_within_zooms_delays_is_believed_and_an_older_one_is_not() {
        for late_ms in [0, 1, 30_000, KEPT_MS, MAX_LATE_MS] {
            assert_eq!(believed(Some(NOW - late_ms), NOW, NOW), Some(NOW - late_ms), "{late_ms}");
        }
        assert_eq!(believed(Some(NOW - MAX_LATE_MS - 1), NOW, NOW), None);
        let joined_ms = NOW - 29 * 60 * 60 * 1_000;
        assert_eq!(believed(Some(joined_ms), NOW - MAX_MEETING_MS, NOW), Some(joined_ms));
    }

    #[test]
    fn a_time_more_than_a_minute_ahead_is_not_believed() {
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
