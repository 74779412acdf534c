//! Decides whether and when a request to Zoom is retried (rtms-protocol.md sections 14.1, 14.5).

use std::time::Duration;

use super::error::{Problem, ZoomError};

/// The waits before each further try.
#[derive(Debug, Clone)]
pub struct Pauses {
    /// For a new meeting, which Zoom's API may know only some seconds after its announcement.
    pub not_live: Vec<Duration>,
    pub unavailable: Vec<Duration>,
    /// After a rate limit without a stated wait.
    pub rate_limited: Duration,
    /// A longer wait is returned to the caller as an error.
    pub longest_limit: Duration,
    /// The most tries after a rate limit.
    pub limits: usize,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            // The waits of section 14.1.
            not_live: vec![Duration::from_secs(5), Duration::from_secs(10)],
            unavailable: vec![Duration::from_millis(500), Duration::from_secs(2)],
            rate_limited: Duration::from_secs(1),
            longest_limit: Duration::from_secs(10),
            limits: 2,
        }
    }
}

/// The next step after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    GiveUp,
    /// Get another token and try again at once.
    ReplaceToken,
    TryAfter(Duration),
}

/// Counts the tries of one request.
#[derive(Debug, Default)]
pub struct Tries {
    is_token_replaced: bool,
    not_live: usize,
    unavailable: usize,
    limits: usize,
}

impl Tries {
    /// `is_new`: the meeting began a moment ago.
    pub fn after(&mut self, error: &ZoomError, is_new: bool, pauses: &Pauses) -> Next {
        match error.problem {
            Problem::TokenRejected if !self.is_token_replaced => {
                self.is_token_replaced = true;
                Next::ReplaceToken
            }
            Problem::MeetingNotLive if is_new => take_attempt(&mut self.not_live, &pauses.not_live),
            Problem::Unavailable => take_attempt(&mut self.unavailable, &pauses.unavailable),
            Problem::RateLimited => self.after_limit(error, pauses),
            _ => Next::GiveUp,
        }
    }

    fn after_limit(&mut self, error: &ZoomError, pauses: &Pauses) -> Next {
        let wait = error.wait_ms.map_or(pauses.rate_limited, Duration::from_millis);
        if self.limits >= pauses.limits || wait > pauses.longest_limit {
            return Next::GiveUp;
        }
        self.limits += 1;
        Next::TryAfter(wait)
    }
}

fn take_attempt(tries: &mut usize, pauses: &[Duration]) -> Next {
    let next = pauses.get(*tries).copied().map_or(Next::GiveUp, Next::TryAfter);
    *tries += 1;
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: i64, wait_ms: Option<u64>) -> ZoomError {
        let body = format!(r#"{{"code":{code}}}"#);
        ZoomError::from_answer(status, body.as_bytes(), None, wait_ms)
    }

    /// The waits until it gives up; a replaced token counts as zero.
    fn waits(error: &ZoomError, is_new: bool) -> Vec<u64> {
        let (mut tries, mut waits) = (Tries::default(), Vec::new());
        loop {
            assert!(waits.len() < 100, "no end");
            match tries.after(error, is_new, &Pauses::default()) {
                Next::GiveUp => return waits,
                Next::ReplaceToken => waits.push(0),
                Next::TryAfter(wait) => waits.push(u64::try_from(wait.as_millis()).unwrap()),
            }
        }
    }

    #[test]
    fn each_refusal_is_tried_as_often_as_it_can_help() {
        assert_eq!(waits(&refused(401, 124, None), false), [0]);
        assert_eq!(waits(&refused(400, 3000, None), true), [5000, 10_000]);
        assert_eq!(waits(&refused(404, 3001, None), true), [5000, 10_000]);
        assert_eq!(waits(&refused(400, 3000, None), false), [0_u64; 0]);
        assert_eq!(waits(&refused(500, 0, None), false), [500, 2000]);
        assert_eq!(waits(&ZoomError::no_answer(), false), [500, 2000]);
        assert_eq!(waits(&refused(429, 429, None), false), [1000, 1000]);
        assert_eq!(waits(&refused(429, 429, Some(3000)), false), [3000, 3000]);
        assert_eq!(waits(&refused(429, 429, Some(3_600_000)), false), [0_u64; 0]);
        for (status, code) in [(400, 4711), (400, 300), (403, 13_262), (403, 2308), (403, 2310)] {
            assert_eq!(waits(&refused(status, code, None), true), [0_u64; 0], "{code}");
        }
    }
}
