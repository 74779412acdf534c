//! Limits the exchange of authorization codes for tokens. Anyone can send a code to the callback, and each costs two
//! requests to Zoom in the app's name.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::rate::{AddressBuckets, Bucket, Rate};

/// The most exchanges at once.
const MAX_EXCHANGES: usize = 16;
/// The longest wait of an install for its turn.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// The rate of all installs: far above what people cause, far below Zoom's limits.
const ALL: Rate = Rate { per_second: 10.0, burst: 50.0 };
/// The rate of installs from one address, which an office may share.
const EACH: Rate = Rate { per_second: 1.0, burst: 10.0 };

/// The limits on exchanges. Cheap to clone.
#[derive(Clone)]
pub(super) struct ExchangeLimit {
    running: Arc<Semaphore>,
    waiting: Arc<Mutex<Waiting>>,
}

struct Waiting {
    all: Bucket,
    addresses: AddressBuckets,
    /// Browsers with a waiting or running exchange.
    browsers: HashSet<String>,
}

/// The permission for one exchange, released on drop.
pub(super) struct Permit {
    _permit: OwnedSemaphorePermit,
    _browser: Option<BrowserTurn>,
}

struct BrowserTurn {
    limit: ExchangeLimit,
    browser: String,
}

impl ExchangeLimit {
    pub(super) fn new(now: Instant) -> Self {
        let all = Bucket::full(ALL, now);
        let waiting =
            Waiting { all, addresses: AddressBuckets::new(EACH), browsers: HashSet::new() };
        Self {
            running: Arc::new(Semaphore::new(MAX_EXCHANGES)),
            waiting: Arc::new(Mutex::new(waiting)),
        }
    }

    /// Waits for a turn; `None` when the wait would be too long or this browser already has one.
    pub(super) async fn turn(
        &self,
        address: IpAddr,
        browser: Option<&str>,
        now: Instant,
    ) -> Option<Permit> {
        let (wait, browser) = self.reserve(address, browser, now)?;
        sleep(wait).await;
        let permit = Arc::clone(&self.running).acquire_owned();
        let permit = timeout(MAX_WAIT, permit).await.ok()?.ok()?;
        Some(Permit { _permit: permit, _browser: browser })
    }

    fn reserve(
        &self,
        address: IpAddr,
        browser: Option<&str>,
        now: Instant,
    ) -> Option<(Duration, Option<BrowserTurn>)> {
        let mut waiting = self.lock();
        if browser.is_some_and(|browser| waiting.browsers.contains(browser)) {
            return None;
        }
        // The address first, so that a flood from one does not use up the common rate.
        let own = waiting.addresses.of(address, now).reserve(EACH, now, MAX_WAIT)?;
        let common = waiting.all.reserve(ALL, now, MAX_WAIT)?;
        let browser = browser.map(|browser| {
            waiting.browsers.insert(browser.to_owned());
            BrowserTurn { limit: self.clone(), browser: browser.to_owned() }
        });
        Some((own.max(common), browser))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no panic while the lock is held")
    }
}

impl Drop for BrowserTurn {
    fn drop(&mut self) {
        self.limit.lock().browsers.remove(&self.browser);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The wait of this address in milliseconds.
    fn wait_ms(limit: &ExchangeLimit, from: &str, now: Instant) -> Option<u128> {
        limit.reserve(address(from), None, now).map(|(wait, _)| wait.as_millis())
    }

    #[test]
    fn an_address_waits_after_its_burst_and_is_refused_when_the_wait_is_too_long() {
        let now = Instant::now();
        let limit = ExchangeLimit::new(now);
        assert!((0..10).all(|_| wait_ms(&limit, "192.0.2.1", now) == Some(0)));
        let waits: Vec<_> = (0..11).map(|_| wait_ms(&limit, "192.0.2.1", now)).collect();
        assert_eq!(waits[..2], [Some(1000), Some(2000)]);
        assert_eq!(waits[9..], [Some(10_000), None]);
        assert_eq!(wait_ms(&limit, "192.0.2.2", now), Some(0), "other addresses do not wait");
    }

    #[test]
    fn many_addresses_wait_for_the_common_rate() {
        let now = Instant::now();
        let limit = ExchangeLimit::new(now);
        let from = |index: u32| std::net::Ipv4Addr::from(0xC633_6400 + index).to_string();
        let waits: Vec<_> = (0..200).map(|index| wait_ms(&limit, &from(index), now)).collect();
        assert!(waits[..50].iter().all(|wait| *wait == Some(0)));
        assert_eq!(waits[50], Some(100));
        assert_eq!(waits.iter().flatten().count(), 150, "a burst plus ten seconds of the rate");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_a_limit() {
        let now = Instant::now();
        let limit = ExchangeLimit::new(now);
        assert!((0..10).all(|host| wait_ms(&limit, &format!("2001:db8::{host}"), now) == Some(0)));
        assert_eq!(wait_ms(&limit, "2001:db8::ffff", now), Some(1000));
        assert_eq!(wait_ms(&limit, "2001:db8:0:1::1", now), Some(0));
    }

    #[tokio::test]
    async fn a_browser_has_one_exchange_at_a_time() {
        let limit = ExchangeLimit::new(Instant::now());
        let turn = async |browser| limit.turn(address("192.0.2.1"), browser, Instant::now()).await;
        let first = turn(Some("a")).await.unwrap();
        assert!(turn(Some("a")).await.is_none());
        assert!(turn(Some("b")).await.is_some() && turn(None).await.is_some());
        drop(first);
        assert!(turn(Some("a")).await.is_some());
    }
}
