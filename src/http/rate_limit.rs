//! Rate limits of the API, by token and by app: one bucket each, with a burst of one second's requests.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::error::ApiError;
use crate::model::{AppName, AppScope};
use crate::rate::{Bucket, Rate};
use crate::zoom::app::Apps;

pub struct RateLimit {
    rate: Rate,
    /// Keyed by names of known tokens, so there are few.
    tokens: Buckets<Arc<str>>,
    /// Only apps with a quota.
    apps: Buckets<AppName>,
}

struct Buckets<K>(Mutex<HashMap<K, Bucket>>);

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn take(&self, key: &K, rate: Rate, now: Instant) -> Result<(), ApiError> {
        // A bucket is valid at every moment: a panic elsewhere leaves nothing half done.
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key.clone()).or_insert_with(|| Bucket::full(rate, now));
        // At least one request per second refills: the wait is never longer.
        if bucket.take(rate, now) { Ok(()) } else { Err(ApiError::TooManyRequests { wait_s: 1 }) }
    }
}

impl RateLimit {
    /// `per_second` is the limit of each token; those of apps are their quotas.
    pub fn new(per_second: u32) -> Self {
        let (tokens, apps) = (Buckets(Mutex::default()), Buckets(Mutex::default()));
        Self { rate: rate(per_second), tokens, apps }
    }

    /// Takes one request out of a token's bucket, or returns the error with the wait.
    pub fn take(&self, token: &Arc<str>, now: Instant) -> Result<(), ApiError> {
        self.tokens.take(token, self.rate, now)
    }

    /// Takes one request out of the bucket of each app that a token is limited to, where the app has a quota. A token
    /// of all apps is the operator's and counts for none.
    pub fn take_of_apps(
        &self,
        scope: &AppScope,
        apps: &Apps,
        now: Instant,
    ) -> Result<(), ApiError> {
        for name in scope.names().unwrap_or_default() {
            let quota = apps.get(name).and_then(|app| app.quotas.api_rate_per_s);
            if let Some(per_second) = quota {
                self.apps.take(name, rate(per_second), now)?;
            }
        }
        Ok(())
    }
}

fn rate(per_second: u32) -> Rate {
    // Zero would let the bucket refuse everything; the settings do not allow it either.
    let per_second = f64::from(per_second.max(1));
    Rate { per_second, burst: per_second }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::zoom::app::tests::app;
    use crate::zoom::app::{App, Quotas};

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

    #[test]
    fn the_tokens_of_an_app_share_its_quota_and_no_other_app_pays() {
        let quotas = Quotas { api_rate_per_s: Some(2), ..Quotas::default() };
        let apps = Apps::new([App { quotas, ..app("acme") }, app("other")]);
        let scope = |names: &[&str]| {
            AppScope::Only(names.iter().map(|name| AppName::parse(name).unwrap()).collect())
        };
        let (limit, now) = (RateLimit::new(100), Instant::now());
        let taken = |scope: &AppScope| limit.take_of_apps(scope, &apps, now).is_ok();
        assert!(taken(&scope(&["acme"])) && taken(&scope(&["acme", "other"])));
        assert!(!taken(&scope(&["acme"])));
        assert!((0..100).all(|_| taken(&scope(&["other"])) && taken(&AppScope::All)));
    }
}
