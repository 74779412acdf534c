//! Counts wrong API tokens by address: a client that guesses has to wait, a client known to hold a valid token does
//! not.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::ApiError;
use crate::rate::{AddressBuckets, Rate, network_of};

/// The allowance for wrong tokens of one network: twenty at once, then one every five seconds.
const WRONG: Rate = Rate { per_second: 0.2, burst: 20.0 };
/// How many pairs of a network and a valid token sent from it are remembered.
const MAX_KNOWN: usize = 10_000;

/// The failures and successes of all clients.
pub struct Failures(Mutex<Clients>);

struct Clients {
    wrong: AddressBuckets,
    /// Valid tokens with the networks that sent them.
    known: HashSet<(IpAddr, Arc<str>)>,
}

impl Default for Failures {
    fn default() -> Self {
        let clients = Clients { wrong: AddressBuckets::new(WRONG), known: HashSet::new() };
        Self(Mutex::new(clients))
    }
}

impl Failures {
    /// Admits or refuses a request with a token from an address; `right` is the token's name if it is valid. After too
    /// many wrong tokens from a network, a valid one is refused as well unless it was used from there before, so that a
    /// guess reveals nothing.
    ///
    /// # Errors
    /// [`ApiError::Unauthenticated`] for a wrong token, and [`ApiError::TooManyFailures`] after too many.
    pub fn admit(
        &self,
        address: IpAddr,
        right: Option<&Arc<str>>,
        now: Instant,
    ) -> Result<(), ApiError> {
        let mut clients = self.lock();
        // Once the bucket is empty, a wrong token and a right one get the same answer.
        let Some(name) = right else {
            let bucket = clients.wrong.of(address, now);
            let is_early = bucket.take(WRONG, now);
            let wait = bucket.wait(WRONG, now);
            return Err(if is_early { ApiError::Unauthenticated } else { too_many(wait) });
        };
        let client = (network_of(address), Arc::clone(name));
        if clients.known.contains(&client) {
            return Ok(());
        }
        // `known` creates no bucket: valid tokens from many networks must not use up those of guessers.
        let wait = clients.wrong.known(address, now).map(|bucket| bucket.wait(WRONG, now));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(too_many(wait));
        }
        // When the set is full, a new client is still admitted, but its network's failures apply to it.
        if clients.known.len() < MAX_KNOWN {
            clients.known.insert(client);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.0.lock().expect("nothing panics while holding the failures")
    }
}

fn too_many(wait: Duration) -> ApiError {
    // Rounded up: a client that waits exactly this long is admitted.
    ApiError::TooManyFailures { wait_s: wait.as_secs().saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        std::net::Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[test]
    fn wrong_tokens_of_an_address_are_slowed_down_and_its_known_ones_are_not() {
        let (failures, now) = (Failures::default(), Instant::now());
        let (known, new): (Arc<str>, Arc<str>) = ("known".into(), "new".into());
        let code = |right: Option<&Arc<str>>, last, now| {
            failures.admit(address(last), right, now).err().map(|error| error.code())
        };
        assert_eq!(code(Some(&known), 1, now), None);
        for _ in 0..20 {
            assert_eq!(code(None, 1, now), Some("unauthenticated"));
        }
        assert_eq!(code(None, 1, now), Some("too_many_failures"));
        assert_eq!(code(Some(&new), 1, now), Some("too_many_failures"), "a guess reveals nothing");
        assert_eq!(code(Some(&known), 1, now), None);
        assert_eq!(code(Some(&new), 2, now), None, "another address");
        let later = now + Duration::from_secs(6);
        assert_eq!(code(Some(&new), 1, later), None);
        assert_eq!(code(None, 1, later), Some("unauthenticated"));
        assert_eq!(code(None, 1, later), Some("too_many_failures"));
    }

    #[test]
    fn a_guess_reveals_nothing_either_when_more_networks_guess_than_have_buckets() {
        let (failures, now) = (Failures::default(), Instant::now());
        let network = |index: u32| IpAddr::from(std::net::Ipv4Addr::from(0x0A00_0000 + index));
        for index in 0..10_100 {
            let _ = failures.admit(network(index), None, now);
        }
        let code = |right: Option<&Arc<str>>| {
            failures.admit(network(20_000), right, now).err().map(|error| error.code())
        };
        assert_eq!(code(None), Some("too_many_failures"));
        assert_eq!(code(Some(&"right".into())), Some("too_many_failures"));
    }

    #[test]
    fn the_wait_ends_when_the_next_try_is_allowed() {
        let (failures, now) = (Failures::default(), Instant::now());
        let last = (0..21).map(|_| failures.admit(address(1), None, now)).last();
        let Some(Err(ApiError::TooManyFailures { wait_s })) = last else { panic!("{last:?}") };
        assert!((5..=6).contains(&wait_s), "{wait_s}");
    }
}
