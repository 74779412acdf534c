//! For how long Zoom's server has not answered the dials of a stream.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Shared by a stream's driver, which notes, and the supervisor, which reads.
#[derive(Debug, Clone, Default)]
pub(in crate::sessions) struct Reach(Arc<Mutex<Option<Instant>>>);

impl Reach {
    /// For how long dials have been unanswered; zero while there are none.
    pub(in crate::sessions) fn unanswered_for(&self) -> Duration {
        self.get().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Notes a dial of signaling.
    pub(super) fn dialled(&self, now: Instant) {
        let mut since = self.0.lock().expect("nothing panics while it notes");
        since.get_or_insert(now);
    }

    /// Notes that Zoom's server has accepted the connection, whatever it says then.
    pub(super) fn answered(&self) {
        *self.0.lock().expect("nothing panics while it notes") = None;
    }

    fn get(&self) -> Option<Instant> {
        *self.0.lock().expect("nothing panics while it notes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unanswered_dial_counts_until_one_is_answered() {
        let (reach, long_ago) = (Reach::default(), Instant::now() - Duration::from_secs(60));
        assert_eq!(reach.unanswered_for(), Duration::ZERO);
        reach.dialled(long_ago);
        reach.clone().dialled(Instant::now());
        assert!(reach.unanswered_for() >= Duration::from_secs(60));
        reach.answered();
        assert_eq!(reach.unanswered_for(), Duration::ZERO);
    }
}
