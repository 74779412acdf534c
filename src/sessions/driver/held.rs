//! Holds dials back until the daemon has a lease on the stream (pure).

use std::time::{Duration, Instant};

use crate::rtms::LinkId;
use crate::rtms::endpoint::Endpoint;

/// The dials held back while the lease is expired.
#[derive(Debug)]
pub(super) struct HeldDials {
    /// The longest time that dials are held.
    patience: Duration,
    /// When holding began; reset whenever there is a lease.
    since: Option<Instant>,
    dials: Vec<(LinkId, Endpoint)>,
}

impl HeldDials {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, since: None, dials: Vec::new() }
    }

    /// Returns the endpoint if it may be dialled now, else holds it. A newer dial replaces a held dial of the same
    /// link.
    pub(super) fn hold(
        &mut self,
        now: Instant,
        lease_until: Instant,
        id: LinkId,
        endpoint: Endpoint,
    ) -> Option<Endpoint> {
        // A link has at most one dial, or a release would open two sockets for it.
        self.remove(id);
        if now < lease_until {
            self.since = None;
            return Some(endpoint);
        }
        let since = *self.since.get_or_insert(now);
        // The store may be down for every daemon; then no other daemon takes the stream, and Zoom's window runs
        // out.
        if now >= since + self.patience {
            return Some(endpoint);
        }
        self.dials.push((id, endpoint));
        None
    }

    /// Returns the held dials if the lease is valid again, else none.
    pub(super) fn release(
        &mut self,
        now: Instant,
        lease_until: Instant,
    ) -> Vec<(LinkId, Endpoint)> {
        if now >= lease_until {
            return Vec::new();
        }
        self.since = None;
        std::mem::take(&mut self.dials)
    }

    /// Discards the held dial of a link that was hung up.
    pub(super) fn remove(&mut self, id: LinkId) {
        self.dials.retain(|(held, _)| *held != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtms::endpoint::Policy;

    const PATIENCE: Duration = Duration::from_secs(20);
    const SIGNALING: LinkId = LinkId::Signaling;

    fn endpoint() -> Endpoint {
        let policy = Policy::new(vec!["127.0.0.1".to_owned()], true);
        policy.first_allowed("ws://127.0.0.1:1").unwrap()
    }

    #[test]
    fn without_a_lease_a_dial_waits_for_one_or_for_a_part_of_the_window() {
        let (start, mut held) = (Instant::now(), HeldDials::new(PATIENCE));
        let later = start + Duration::from_secs(1);
        assert!(held.hold(start, later, SIGNALING, endpoint()).is_some(), "the lease is valid");
        assert!(held.hold(later, later, SIGNALING, endpoint()).is_none());
        assert!(held.release(later, later).is_empty(), "the lease is still expired");
        let dials = held.release(later, later + PATIENCE);
        assert_eq!(dials.len(), 1);
        assert!(held.release(later, later + PATIENCE).is_empty(), "each dial is released once");

        assert!(held.hold(later, later, SIGNALING, endpoint()).is_none());
        assert!(held.hold(later + PATIENCE / 2, later, SIGNALING, endpoint()).is_none());
        assert!(held.hold(later + PATIENCE, later, SIGNALING, endpoint()).is_some());
    }

    #[test]
    fn a_link_that_was_hung_up_is_not_dialled_later() {
        let (now, mut held) = (Instant::now(), HeldDials::new(PATIENCE));
        assert!(held.hold(now, now, SIGNALING, endpoint()).is_none());
        held.remove(SIGNALING);
        assert!(held.release(now, now + PATIENCE).is_empty());
    }
}
