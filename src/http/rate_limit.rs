//! Rate limit per API token: one bucket each, with a burst of one second's requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::error::ApiError;
use crate::rate::{Bucket, Rate};

pub struct RateLimit {
    rate: Rate,
    /// Keyed by names of configured tokens, so there are few.
    buckets: Mutex<HashMap<Arc<str>, Bucket>>,
}

impl RateLimit {
    pub fn new(per_second: u32) -> Self {
        // Zero would let the bucket refuse everything; the setting does not allow it either.
        let per_second = f64::from(per_second.max(1));
        Self { rate: Rate { per_second, burst: per_second }, buckets: Mutex::default() }
    }

    /// Takes one request out of a token's bucket, or returns the error with the wait.
    pub fn take(&self, token: &Arc<str>, now: Instant) -> Result<(), ApiError> {
        // A bucket is valid at every moment: a panic elsewhere leaves nothing half done.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = || Bucket::full(self.rate, now);
        let bucket = buckets.entry(Arc::clone(token)).or_insert_with(full);
        // At least one request per second refills: the wait is never longer.
        if bucket.take(self.rate, now) {
            Ok(())
        } else {
            Err(ApiError::TooManyRequests { wait_s: 1 })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_tokens_limit_does_not_affect_other_tokens() {
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
