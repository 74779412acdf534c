//! Decides whether a time from Zoom is plausible: one rule for webhooks, events, lines, frames, recordings and the ledger
//! (pure). An implausible time is replaced by the time of arrival.

/// How much audio Zoom buffers while no client is connected (rtms-protocol.md section 8.1).
const KEPT_MS: i64 = 60_000;
/// How long a media link can be dead before Zoom or rtmsd notices (rtms-protocol.md section 11).
const UNNOTICED_MS: i64 = 65_000;
/// How far the local clock may be ahead of Zoom's: the same tolerance as for a webhook's timestamp.
const CLOCK_MS: i64 = 300_000;

/// How old a time may be on arrival: buffered by Zoom, delayed in a dead link, and compared with a clock that is ahead.
const MAX_LATE_MS: i64 = KEPT_MS + UNNOTICED_MS + CLOCK_MS;
/// How far a time may be ahead of the local clock. A later time would put that much silence into every recording.
const MAX_AHEAD_MS: i64 = KEPT_MS;
/// How old an event or chat message may be, in addition to [`MAX_LATE_MS`]: a roster can carry the time when a
/// participant joined, and Zoom ends meetings after 30 hours.
const MAX_MEETING_MS: i64 = 30 * 60 * 60 * 1_000;
/// How old a webhook may be, in addition to [`MAX_LATE_MS`]: Zoom's last delivery attempt comes 85 minutes after the
/// first (rtms-protocol.md section 11).
const MAX_WEBHOOK_DELAY_MS: i64 = 2 * 60 * 60 * 1_000;

/// What a time from Zoom is of, which decides how old it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeOf {
    /// A frame or a transcript line: Zoom sends it as it happens.
    Media,
    /// An event or a chat message, which can be as old as a meeting.
    Event,
    /// A webhook, which Zoom delivers again for more than an hour.
    Webhook,
    /// Something that cannot be older than this, in Unix milliseconds by the local clock.
    Since(i64),
}

/// Returns Zoom's time unless it is unset (0) or implausible. All in Unix milliseconds.
pub fn believed(at_ms: Option<i64>, of: TimeOf, now_ms: i64) -> Option<i64> {
    let since_ms = match of {
        TimeOf::Media => now_ms,
        TimeOf::Event => now_ms.saturating_sub(MAX_MEETING_MS),
        TimeOf::Webhook => now_ms.saturating_sub(MAX_WEBHOOK_DELAY_MS),
        TimeOf::Since(since_ms) => since_ms,
    };
    let believable = since_ms.saturating_sub(MAX_LATE_MS)..=now_ms.saturating_add(MAX_AHEAD_MS);
    at_ms.filter(|at_ms| *at_ms > 0 && believable.contains(at_ms))
}

/// Zoom's time of a webhook if it is plausible, else the time of arrival; never later than the arrival.
pub fn webhook_time(event_ts_ms: i64, received_ms: i64) -> i64 {
    let sent_ms = believed(Some(event_ts_ms), TimeOf::Webhook, received_ms);
    sent_ms.unwrap_or(received_ms).min(received_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_600_000_000;

    fn is_believed(at_ms: i64, of: TimeOf) -> bool {
        let believed = believed(Some(at_ms), of, NOW);
        assert!(believed.is_none_or(|believed| believed == at_ms), "it is never changed");
        believed.is_some()
    }

    #[test]
    fn a_time_within_its_delays_is_believed_and_an_older_one_is_not() {
        let since_ms = NOW - 7_000;
        for (of, oldest_ms) in [
            (TimeOf::Media, NOW),
            (TimeOf::Event, NOW - MAX_MEETING_MS),
            (TimeOf::Webhook, NOW - MAX_WEBHOOK_DELAY_MS),
            (TimeOf::Since(since_ms), since_ms),
        ] {
            for late_ms in [0, 1, 30_000, KEPT_MS, MAX_LATE_MS] {
                assert!(is_believed(oldest_ms - late_ms, of), "{of:?} {late_ms}");
            }
            assert!(!is_believed(oldest_ms - MAX_LATE_MS - 1, of), "{of:?}");
        }
    }

    #[test]
    fn a_time_more_than_a_minute_ahead_is_not_believed() {
        let kinds = [TimeOf::Media, TimeOf::Event, TimeOf::Webhook, TimeOf::Since(i64::MIN)];
        for of in kinds {
            assert!(is_believed(NOW + 60_000, of), "{of:?}");
            assert!(!is_believed(NOW + 60_001, of), "{of:?}");
        }
    }

    #[test]
    fn an_unset_time_is_never_believed() {
        for unset in [None, Some(0), Some(-1), Some(i64::MIN), Some(i64::MAX)] {
            for of in [TimeOf::Media, TimeOf::Since(i64::MIN)] {
                assert_eq!(believed(unset, of, NOW), None, "{unset:?}");
            }
        }
    }

    #[test]
    fn a_webhook_may_come_late_but_not_early() {
        const HOUR: i64 = 60 * 60 * 1_000;
        assert_eq!(webhook_time(NOW - HOUR, NOW), NOW - HOUR);
        assert_eq!(webhook_time(NOW + 1_000, NOW), NOW);
        for absurd in [0, -5, i64::MIN, i64::MAX, NOW - 3 * HOUR] {
            assert_eq!(webhook_time(absurd, NOW), NOW, "{absurd}");
        }
    }
}
