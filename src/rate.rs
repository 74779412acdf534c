//! Token-bucket rate limits (pure).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The most addresses with a bucket of their own. Beyond that, new addresses share one bucket.
const MAX_ADDRESSES: usize = 10_000;

/// A rate: tokens refill evenly until the bucket is full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub per_second: f64,
    /// The capacity of a bucket in tokens, at least one.
    pub burst: f64,
}

/// A token bucket; it starts full.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Negative while future tokens are reserved.
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst, at: now }
    }

    /// Takes a token if one is available now.
    pub fn take(&mut self, rate: Rate, now: Instant) -> bool {
        self.reserve(rate, now, Duration::ZERO).is_some()
    }

    /// Reserves the next token and returns how long to wait for it. Reserves nothing if the wait would exceed
    /// `max_wait`.
    pub fn reserve(&mut self, rate: Rate, now: Instant, max_wait: Duration) -> Option<Duration> {
        let wait = self.wait(rate, now);
        (wait <= max_wait).then(|| {
            self.tokens -= 1.0;
            wait
        })
    }

    /// How long until a token is available; zero if one is.
    pub fn wait(&mut self, rate: Rate, now: Instant) -> Duration {
        self.fill(rate, now);
        let missing = (1.0 - self.tokens).max(0.0);
        Duration::try_from_secs_f64(missing / rate.per_second).unwrap_or(Duration::MAX)
    }

    /// Whether the bucket is full, so that it can be forgotten.
    pub fn is_full(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.tokens >= rate.burst
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let since_s = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + since_s * rate.per_second).min(rate.burst);
        self.at = now;
    }
}

/// One bucket per client network, all with the same rate.
#[derive(Debug)]
pub struct AddressBuckets {
    rate: Rate,
    buckets: HashMap<IpAddr, Bucket>,
}

impl AddressBuckets {
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: HashMap::new() }
    }

    /// The bucket of an address; a new one starts full.
    pub fn of(&mut self, address: IpAddr, now: Instant) -> &mut Bucket {
        let key = self.key(address, now);
        self.buckets.entry(key).or_insert_with(|| Bucket::full(self.rate, now))
    }

    /// The bucket that [`AddressBuckets::of`] would return, the shared one too; `None` if it would make a new one.
    pub fn known(&mut self, address: IpAddr, now: Instant) -> Option<&mut Bucket> {
        let key = self.key(address, now);
        self.buckets.get_mut(&key)
    }

    /// The network of an address, or the key of the shared bucket when there is no room for another network.
    fn key(&mut self, address: IpAddr, now: Instant) -> IpAddr {
        let (network, rate) = (network_of(address), self.rate);
        if self.buckets.len() < MAX_ADDRESSES || self.buckets.contains_key(&network) {
            return network;
        }
        // A full bucket is the same as none: its address has not been active for a while.
        self.buckets.retain(|_, bucket| !bucket.is_full(rate, now));
        let is_full = self.buckets.len() >= MAX_ADDRESSES;
        if is_full { Ipv6Addr::UNSPECIFIED.into() } else { network }
    }
}

/// The address itself for IPv4, its /64 network for IPv6, because one host can use every address of a /64.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << 64;
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2.0, burst: 3.0 };

    #[test]
    fn a_full_bucket_gives_a_burst_and_then_one_token_at_a_time() {
        let now = Instant::now();
        let mut bucket = Bucket::full(RATE, now);
        assert!((0..3).all(|_| bucket.take(RATE, now)));
        assert!(!bucket.take(RATE, now));
        let later = now + Duration::from_millis(500);
        assert!(bucket.take(RATE, later) && !bucket.take(RATE, later));
        assert!(!bucket.is_full(RATE, later));
        assert!(bucket.is_full(RATE, later + Duration::from_secs(60)));
    }

    #[test]
    fn a_reserved_token_has_a_wait_no_longer_than_allowed() {
        let now = Instant::now();
        let mut bucket = Bucket::full(RATE, now);
        let limit = Duration::from_secs(1);
        let waits: Vec<_> = (0..6).map(|_| bucket.reserve(RATE, now, limit)).collect();
        let half = Duration::from_millis(500);
        let none = Some(Duration::ZERO);
        assert_eq!(waits, [none, none, none, Some(half), Some(2 * half), None]);
    }

    #[test]
    fn addresses_beyond_the_bound_share_a_bucket() {
        let now = Instant::now();
        let mut buckets = AddressBuckets::new(RATE);
        for index in 0..MAX_ADDRESSES {
            let address = std::net::Ipv4Addr::from(0x0A00_0000 + index as u32).into();
            buckets.of(address, now).take(RATE, now);
        }
        for index in 0..100 {
            let address = std::net::Ipv4Addr::from(0x0B00_0000 + index).into();
            buckets.of(address, now).take(RATE, now);
        }
        assert_eq!(buckets.buckets.len(), MAX_ADDRESSES + 1);
        let much_later = now + Duration::from_secs(60);
        buckets.of(std::net::Ipv4Addr::new(192, 0, 2, 1).into(), much_later);
        assert_eq!(buckets.buckets.len(), 1, "full buckets are forgotten");
    }
}
