//! How often a token may ask: a bucket of requests that fills evenly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::error::ApiError;

/// One bucket per token, as large as a second's worth of requests.
pub struct RateLimit {
    per_second: f64,
    /// Only names of configured tokens come here: there are few.
    buckets: Mutex<HashMap<Arc<str>, Bucket>>,
}

struct Bucket {
    requests: f64,
    at: Instant,
}

impl RateLimit {
    pub fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), buckets: Mutex::default() }
    }

    /// Takes one request out of a token's bucket, or says when there will be one.
    pub fn take(&self, token: &Arc<str>, now: Instant) -> Result<(), ApiError> {
        // Whoever panicked left a bucket that is still a bucket.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = || Bucket { requests: self.per_second, at: now };
        let bucket = buckets.entry(Arc::clone(token)).or_insert_with(full);
        let since_s = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.requests = (bucket.requests + since_s * self.per_second).min(self.per_second);
        bucket.at = now;
        if bucket.requests < 1.0 {
            // At least one a second comes in: the wait is never longer.
            return Err(ApiError::TooManyRequests { wait_s: 1 });
        }
        bucket.requests -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_token_may_ask_so_often_and_no_more_and_others_do_not_suffer() {
        let (limit, now) = (RateLimit::new(3), Instant::now());
        let (one, other): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let taken = |token, at| limit.take(token, at).is_ok();
        assert!((0..3).all(|_| taken(&one, now)));
        assert!(!taken(&one, now));
        assert!(taken(&other, now));
        let later = now + Duration::from_millis(400);
        assert!(taken(&one, later));
        assert!(!taken(&one, later));
        let much_later = now + Duration::from_secs(3600);
        assert_eq!((0..10).filter(|_| taken(&one, much_later)).count(), 3);
    }
}
