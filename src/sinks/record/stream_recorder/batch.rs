//! Batches: the frames of a stream that are written together.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::StopCause;
use crate::hub::{Frame, Tap, Tapped};
use crate::sinks::record::Shared;

/// How long frames are gathered into one batch: about as much as a killed process loses (unsynced
/// frames add to it). A shorter time would not bring frames into the files sooner.
const GATHER_TIME: Duration = Duration::from_secs(1);
/// The same for a captured stream: its queue of events is short.
const CAPTURED_GATHER_TIME: Duration = Duration::from_millis(200);
/// Batches end at multiples of this on the clock, so that those of several streams end together and threads are
/// woken less often.
const TICK_MS: i64 = 100;
/// How often to check for free space and for other work.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The frames that arrived within a short time, and whether they are the last.
#[derive(Default)]
pub(super) struct Batch {
    pub frames: Vec<Frame>,
    pub left: Option<StopCause>,
    /// Whether the stream waits until every frame it sent is in a file or reported as dropped.
    pub must_settle: bool,
}

impl Batch {
    fn add(&mut self, item: Tapped) {
        match item {
            Tapped::Frame(frame) => self.frames.push(frame),
            // The ledger has it already.
            Tapped::Dropped(..) => {}
            Tapped::Settle => self.must_settle = true,
            Tapped::Over { is_final: true, .. } => self.left = Some(StopCause::Ended),
            Tapped::Over { is_final: false, .. } => self.left = Some(StopCause::Moved),
        }
    }
}

/// Gathers frames for a limited time, or until the sync of earlier frames is due. With `expects_frames` it does not wait
/// for the first frame separately, so that a batch wakes the task only once.
pub(super) async fn gather_batch(
    tap: &mut Tap,
    shared: &Shared,
    sync_due_in: Option<Duration>,
    expects_frames: bool,
) -> Batch {
    let mut batch = Batch::default();
    let sync_at = sync_due_in.map(|wait| Instant::now() + wait);
    if !expects_frames {
        let idle_until = sync_at.unwrap_or_else(|| Instant::now() + POLL_INTERVAL);
        let first = timeout_at(idle_until, tap.next()).await;
        let Ok(first) = first else { return batch };
        batch.add(first);
    }
    if batch.left.is_none() && !batch.must_settle {
        let limit = if tap.captures().is_some() { CAPTURED_GATHER_TIME } else { GATHER_TIME };
        let longest = until_last_tick(limit, (shared.now_ms)());
        let left = sync_at.map(|at| at.saturating_duration_since(Instant::now()));
        tap.gather(left.map_or(longest, |left| left.min(longest))).await;
    }
    let items = tap.take_all();
    batch.frames.reserve(items.len());
    items.into_iter().for_each(|item| batch.add(item));
    batch
}

/// The time until the last tick that is at most `limit` away.
fn until_last_tick(limit: Duration, now_ms: i64) -> Duration {
    let past_ms = (now_ms + limit.as_millis() as i64).rem_euclid(TICK_MS);
    limit.saturating_sub(Duration::from_millis(past_ms as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::record::track_set::SYNC_EVERY;

    #[test]
    fn batches_of_all_streams_end_at_the_same_ticks_and_are_synced_at_once() {
        for now_ms in (1_732_313_190_000..).take(250) {
            let time = until_last_tick(GATHER_TIME, now_ms);
            assert_eq!((now_ms + time.as_millis() as i64) % TICK_MS, 0);
            assert!(SYNC_EVERY < time && time <= GATHER_TIME, "{time:?}");
        }
        assert_eq!(until_last_tick(CAPTURED_GATHER_TIME, 99), Duration::from_millis(101));
    }
}
