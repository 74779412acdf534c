//! The keep-alives of one socket (rtms-protocol.md section 6.11).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::message;

/// How many recent requests an answer may still name.
const REMEMBERED: usize = 8;

/// The interval of keep-alives, and how many in a row a client may leave unanswered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepAliveTimings {
    pub every: Duration,
    pub missed: u32,
}

/// The requests to one client and its answers.
#[derive(Debug)]
pub(crate) struct KeepAlives {
    next_at: Instant,
    sequence: i32,
    /// The timestamps of the last requests, and when they were sent.
    asked: VecDeque<(i64, Instant)>,
    /// How many requests were sent since the last answer.
    unanswered: u32,
}

/// The result of a keep-alive check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    NotDue,
    /// Message 12, to be sent now.
    Send(String),
    /// Too many requests in a row were not answered.
    Unanswered,
}

impl KeepAlives {
    pub(crate) fn new(now: Instant, timings: &KeepAliveTimings) -> Self {
        let asked = VecDeque::with_capacity(REMEMBERED);
        Self { next_at: now + timings.every, sequence: 0, asked, unanswered: 0 }
    }

    /// The request that is due, if any.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        wire_ms: i64,
        timings: &KeepAliveTimings,
    ) -> KeepAlive {
        if now < self.next_at {
            return KeepAlive::NotDue;
        }
        // From now, not from the last due time: a delayed task must not send a burst of requests.
        self.next_at = now + timings.every;
        if self.unanswered >= timings.missed {
            return KeepAlive::Unanswered;
        }
        // Zoom's own client needs a positive int32 (section 22).
        self.sequence = self.sequence.wrapping_add(1).max(1);
        if self.asked.len() == REMEMBERED {
            self.asked.pop_front();
        }
        self.asked.push_back((wire_ms, now));
        self.unanswered += 1;
        KeepAlive::Send(message::keep_alive(wire_ms, self.sequence))
    }

    /// The time that an answer took, if it names a recent request by its timestamp.
    pub(crate) fn answered(&mut self, now: Instant, timestamp_ms: Option<i64>) -> Option<Duration> {
        let (_, asked_at) = self.asked.iter().find(|(asked, _)| Some(*asked) == timestamp_ms)?;
        // A late answer also shows that the client is alive.
        self.unanswered = 0;
        Some(now.saturating_duration_since(*asked_at))
    }

    /// Whether a request waits for its answer.
    pub(crate) fn is_waiting(&self) -> bool {
        self.unanswered > 0
    }

    /// Makes the next request due now.
    pub(crate) fn ask_now(&mut self, now: Instant) {
        self.next_at = now;
    }

    /// Whether a request was left unanswered for this long.
    pub(crate) fn is_unresponsive(&self, now: Instant, limit: Duration) -> bool {
        let mut waiting = self.asked.iter().rev().take(self.unanswered as usize);
        waiting.next_back().is_some_and(|(_, asked_at)| now >= *asked_at + limit)
    }

    pub(crate) fn next_at(&self) -> Instant {
        self.next_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMINGS: KeepAliveTimings =
        KeepAliveTimings { every: Duration::from_secs(10), missed: 3 };

    #[test]
    fn three_requests_without_an_answer_are_the_end_and_any_answer_in_time_is_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut keep_alives = KeepAlives::new(start, &TIMINGS);
        assert_eq!(keep_alives.check(at(9), 9, &TIMINGS), KeepAlive::NotDue);
        for seconds in [10, 20] {
            let due = keep_alives.check(at(seconds), seconds as i64, &TIMINGS);
            assert!(matches!(due, KeepAlive::Send(_)), "{due:?}");
        }
        assert_eq!(keep_alives.answered(at(21), Some(7)), None, "no request had this time");
        assert_eq!(keep_alives.answered(at(21), Some(10)), Some(Duration::from_secs(11)));
        for seconds in [30, 40, 50] {
            let due = keep_alives.check(at(seconds), seconds as i64, &TIMINGS);
            assert!(matches!(due, KeepAlive::Send(_)), "{due:?}");
        }
        assert_eq!(keep_alives.check(at(60), 60, &TIMINGS), KeepAlive::Unanswered);
    }

    #[test]
    fn a_request_has_what_zooms_own_client_needs_to_answer() {
        let start = Instant::now();
        let mut keep_alives = KeepAlives::new(start, &TIMINGS);
        let due = keep_alives.check(start + TIMINGS.every, 1_732_313_182_000, &TIMINGS);
        let expected = r#"{"msg_type":12,"sequence":1,"timestamp":1732313182000}"#;
        assert_eq!(due, KeepAlive::Send(expected.to_owned()));
    }
}
