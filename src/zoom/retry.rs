//! Decides whether and when a request to Zoom is retried (rtms-protocol.md sections 14.1, 14.5).

use std::time::Duration;

use jiff::Timestamp;

use super::error::{Problem, ZoomError};

/// A number of seconds from here on is a point in time and not a wait.
const LEAST_UNIX_SECONDS: i64 = 1_000_000_000;

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

/// Parses the wait of `X-RateLimit-Reset` or `Retry-After`, in milliseconds: Unix seconds, seconds from now, an ISO
/// 8601 date or an HTTP date. `None` for anything else.
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
    // Zoom sends ISO 8601 in `Retry-After` (section 14.5); HTTP defines a form of RFC 2822.
    let iso = text.parse::<Timestamp>().ok();
    let date = iso.or_else(|| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()))?;
    Some(date.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_732_313_172_000;

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
